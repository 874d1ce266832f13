"""Names for people: read from a file, and checked that each says which class is meant."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeclf.class_names import alike, finder, is_blank, no_text, shown
from edgeclf.errors import UsageError
from edgeclf.files.paths import PathLike
from edgeclf_training.dataset.class_name_checks import REFUSAL
from edgeclf_training.dataset.text_files import decoded

_GIVE = 'give {"class": "name for people", ...}'
_TOLD = 10  # classes named where one is not known


def read_display_names(path: PathLike, classes: Sequence[str]) -> dict[str, str]:
    """Read a JSON object of class name -> display name, and check it.

    Returns:
        Display names by the exact names of their classes.

    Raises:
        UsageError: not such a file, or ``check_display_names`` refuses what it holds.
    """
    path = Path(path)
    try:
        names = json.loads(decoded(path.read_bytes()), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error})", _GIVE) from error
    if not isinstance(names, dict):
        raise UsageError(f"{path}: not an object of names", _GIVE)
    return check_display_names(names, classes, f"{path}: ")


def check_display_names(names: Mapping[str, Any], classes: Sequence[str], where: str = "") -> dict[str, str]:
    """Display names by the exact names of their classes, however those are spelt in ``names``.

    Raises:
        UsageError: a name is no text or blank, is for no class, or a class would be shown like another one.
    """
    find, of = finder(classes), dict[str, str]()
    for label, name in names.items():
        index = find(label)
        if index is None:
            known = ", ".join(classes[:_TOLD]) + ("" if len(classes) <= _TOLD else f" and {len(classes) - _TOLD} more")
            raise UsageError(f"{where}there is no class '{shown(label)}'", f"the classes are {known}")
        said = f"{where}the display name of {classes[index]}"
        if not isinstance(name, str):
            raise UsageError(f"{said} is {json.dumps(name)[:40]}, not text", _GIVE)
        if odd := no_text(name):
            raise UsageError(f"{said}, '{shown(name)}', has {odd}, which is no text", "take that character out")
        if is_blank(name):
            raise UsageError(f"{said} is empty", "give a name, or leave the class out: its own name is shown then")
        if alike(name) == REFUSAL:
            raise UsageError(f"{said}, '{name}', is what a photo without an answer is called", "give another name")
        if classes[index] in of:
            raise UsageError(f"{where}the class {classes[index]} has two display names", "give one")
        of[classes[index]] = name
    _check_apart(of, classes, where)
    return of


def _check_apart(names: Mapping[str, str], classes: Sequence[str], where: str) -> None:
    """No class may be shown as another one is shown or called; case, accents and spaces aside."""
    owners = {alike(label): label for label in classes}
    for label in classes:
        seen = alike(names.get(label, label))
        other = owners.setdefault(seen, label)
        if other != label and (label in names or other in names):
            as_what = f"'{names[label]}', " if label in names else ""
            raise UsageError(
                f"{where}the class {label} would be shown as {as_what}like the class {other}",
                "give every class a display name of its own, that is no other class's name either",
            )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON takes the last of two equal keys; here that would lose a name."""
    names = dict(pairs)
    if len(names) < len(pairs):
        twice = next(key for position, (key, _) in enumerate(pairs) if key in dict(pairs[:position]))
        raise ValueError(f"{shown(twice)} is there twice")
    return names
