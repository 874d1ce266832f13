"""Class names that are refused: they cannot be read, or not be told apart everywhere, or mean something else."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgeclf.class_names import alike, is_blank, no_text, shown
from edgeclf.errors import DataError

REFUSAL = "unknown"  # the answer to a photo whose best probability is below the threshold


def check_readable(where: str, classes: Iterable[str]) -> None:
    """Refuse class names that are blank, or are no text.

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
            raise DataError(f"{where}: class folder '{shown(label)}' has {odd}, which is no text", "rename it")


def folders_alike(places: Mapping[str, Sequence[Path]]) -> tuple[tuple[Path, ...], ...]:
    """Class folders whose names differ only in case, accents or spaces: some file systems take them for one.

    Args:
        places: the folders of each class name.

    Returns:
        Groups of two or more folders each.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(places):
        groups[alike(label)].append(label)
    twins = []
    for labels in groups.values():
        paths = tuple(dict.fromkeys(path for label in labels for path in places[label]))
        if len(labels) > 1 or len({path.parent for path in paths}) < len(paths):
            twins.append(paths)
    return tuple(twins)


def check_distinct(twins: Iterable[Sequence[Path]], refusals: Iterable[Path]) -> None:
    """Refuse class folders that cannot be told apart, or that are called like the answer to an unknown photo.

    Args:
        twins: as ``folders_alike`` gives them.
        refusals: class folders called ``REFUSAL``.

    Raises:
        DataError: there is one of either.
    """
    for paths in twins:
        beside = {path.parent for path in paths} == {paths[0].parent}
        spell = ascii if len({unicodedata.normalize("NFC", path.name) for path in paths}) == 1 else repr
        shown = " and ".join(dict.fromkeys(spell(path.name if beside else str(path)) for path in paths))
        raise DataError(
            f"{paths[0].parent}: class folders {shown} cannot be told apart everywhere (case, accents or spaces)",
            "put their photos into one folder, or give one another name",
        )
    for path in refusals:
        raise DataError(
            f"{path}: {REFUSAL} is the word for a photo that is not answered", "give the class another name, as other"
        )
