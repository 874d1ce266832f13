"""Display names of classes, for people: read from a file, and checked so that each one can only mean one class."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeclf.class_names import alike, finder, is_blank, no_text, shown
from edgeclf.errors import UsageError
from edgeclf.files.paths import PathLike
from edgeclf_training.dataset.class_name_checks import REFUSAL
from edgeclf_training.dataset.text_files import decoded

_REMEDY = 'give {"class": "name for people", ...}'
_MAX_CLASSES_SHOWN = 10  # in the message about an unknown class


def read_display_names(path: PathLike, classes: Sequence[str]) -> dict[str, str]:
    """Read a JSON object of class name -> display name, and check it.

    Returns:
        Display names by the exact names of their classes.

    Raises:
        UsageError: the file cannot be read, or ``check_display_names`` refuses what it holds.
    """
    path = Path(path)
    try:
        names = json.loads(decoded(path.read_bytes()), object_pairs_hook=_unique_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error})", _REMEDY) from error
    if not isinstance(names, dict):
        raise UsageError(f"{path}: not an object of names", _REMEDY)
    return check_display_names(names, classes, f"{path}: ")


def check_display_names(names: Mapping[str, Any], classes: Sequence[str], where: str = "") -> dict[str, str]:
    """Display names by the exact names of their classes, however those are spelt in ``names``.

    Args:
        names: class name -> display name.
        classes: class names in index order.
        where: what messages begin with.

    Raises:
        UsageError: a name is not text or is blank, it is for no class, or two classes would be shown alike.
    """
    find, found = finder(classes), dict[str, str]()
    for label, name in names.items():
        index = find(label)
        if index is None:
            more = len(classes) - _MAX_CLASSES_SHOWN
            known = ", ".join(classes[:_MAX_CLASSES_SHOWN]) + (f" and {more} more" if more > 0 else "")
            raise UsageError(f"{where}there is no class '{shown(label)}'", f"the classes are {known}")
        what = f"{where}the display name of {classes[index]}"
        if not isinstance(name, str):
            raise UsageError(f"{what} is {json.dumps(name)[:40]}, not text", _REMEDY)
        if character := no_text(name):
            raise UsageError(f"{what}, '{shown(name)}', contains {character}", "remove that character")
        if is_blank(name):
            raise UsageError(f"{what} is empty", "give a name, or leave the class out: its own name is shown then")
        if alike(name) == REFUSAL:
            raise UsageError(f"{what}, '{name}', is what a photo without an answer is called", "give another name")
        if classes[index] in found:
            raise UsageError(f"{where}the class {classes[index]} has two display names", "give one")
        found[classes[index]] = name
    _check_distinct(found, classes, where)
    return found


def _check_distinct(names: Mapping[str, str], classes: Sequence[str], where: str) -> None:
    """No class may be shown by the name or the display name of another one; case, accents and spaces do not count."""
    owners = {alike(label): label for label in classes}
    for label in classes:
        key = alike(names.get(label, label))
        other = owners.setdefault(key, label)
        if other != label and (label in names or other in names):
            as_what = f"'{names[label]}', " if label in names else ""
            raise UsageError(
                f"{where}the class {label} would be shown as {as_what}like the class {other}",
                "give every class a display name of its own, which is not the name of another class",
            )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse equal keys: JSON keeps the last one, so a name would be lost."""
    names = dict(pairs)
    if len(names) < len(pairs):
        key = next(key for position, (key, _) in enumerate(pairs) if key in dict(pairs[:position]))
        raise ValueError(f"{shown(key)} is there twice")
    return names
