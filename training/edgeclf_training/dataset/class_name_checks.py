"""Class names that training refuses: blank or not text, too similar to another one, or the word "unknown"."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgeclf.class_names import alike, is_blank, no_text, shown
from edgeclf.errors import DataError

REFUSAL = "unknown"  # the label of photos whose best probability is below the threshold


def check_readable(where: str, classes: Iterable[str]) -> None:
    """Refuse class names that are blank or not text.

    Args:
        where: the data folders, for the message.
        classes: names of class folders.

    Raises:
        DataError: there is one.
    """
    for label in classes:
        if is_blank(label):
            raise DataError(f"{where}: the name of class folder {label!r} is blank", "rename it")
        if odd := no_text(label):
            raise DataError(f"{where}: class folder '{shown(label)}' has {odd}, which is not text", "rename it")


def folders_alike(places: Mapping[str, Sequence[Path]]) -> tuple[tuple[Path, ...], ...]:
    """Class folders with too similar names: they look the same, or differ only in case, accents or spaces.

    Args:
        places: the folders of each class name.

    Returns:
        Groups of two or more folders each.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(places):
        groups[alike(label)].append(label)
    groups_of_paths = []
    for labels in groups.values():
        paths = tuple(dict.fromkeys(path for label in labels for path in places[label]))
        if len(labels) > 1 or len({path.parent for path in paths}) < len(paths):
            groups_of_paths.append(paths)
    return tuple(groups_of_paths)


def check_distinct(similar: Iterable[Sequence[Path]], refusals: Iterable[Path]) -> None:
    """Refuse class folders with too similar names, and class folders named "unknown".

    Args:
        similar: as ``folders_alike`` gives them.
        refusals: class folders named ``REFUSAL``.

    Raises:
        DataError: there is one of either.
    """
    for paths in similar:
        beside = {path.parent for path in paths} == {paths[0].parent}
        spell = ascii if len({unicodedata.normalize("NFC", path.name) for path in paths}) == 1 else repr
        shown = " and ".join(dict.fromkeys(spell(path.name if beside else str(path)) for path in paths))
        raise DataError(
            f"{paths[0].parent}: class folders {shown} are too similar (case, accents or spaces)",
            "put their photos into one folder, or rename one",
        )
    for path in refusals:
        raise DataError(
            f"{path}: {REFUSAL} is the label of photos below the confidence threshold",
            "rename the class folder, for example to other",
        )
