"""Find the photos of a model's classes in a data folder: each class folder holds the photos of one class."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from edgeclf.class_names import finder, several
from edgeclf.errors import UsageError
from edgeclf.evaluation.folder_layout import Layout, read_layout
from edgeclf.evaluation.folder_name_rules import (
    SPLITS,
    check_sorted,
    list_folder,
    loose_photos,
    read_class_folders,
    unreadable_folder,
)
from edgeclf.files.walk import image_files
from edgeclf.images.camera_raw import Tally

SPLIT_TEXT = {"test": "test", "val": "validation", "train": "training"}  # by default the first one that exists
_MAX_FOLDERS_TOLD = 3  # unknown folders in a message


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos with the index of their class.

    Attributes:
        split: "test", "validation", "training", or "all" if the data folder has no splits.
        folder: the folder that contains the class folders; or the list that names the photos.
        photos: path and class index of each photo, class by class.
        absent: classes without a photo, in class order.
        ignored: names of folders, or labels, that are not a class of the model.
        loose: number of photos beside the class folders, whose class is not known.
        notes: lines about how the folders were read.
    """

    split: str
    folder: Path
    photos: tuple[tuple[str, int], ...]
    absent: tuple[str, ...]
    ignored: tuple[str, ...]
    loose: int
    notes: tuple[str, ...] = ()


def find_labelled_photos(
    data: Path, classes: Sequence[str], *, split: str | None = None, ignore_unknown: bool = False
) -> LabelledPhotos:
    """Find the photos of a model's classes.

    Args:
        data: a folder of class folders, or one with test/, val/ or train/ inside (see ``class_names.SPLIT_NAMES``).
        classes: class names in index order; folders map to them by name.
        split: "test", "val" or "train"; if None, test/ if it exists, else val/, else ``data`` itself.
        ignore_unknown: leave out folders that are not a class of the model.

    Raises:
        UsageError: a folder is missing, cannot be read, lies in ``_unsorted``, or is not a class of the model; what a
            folder means is not clear; there are no photos; ``split`` is no split.
    """
    index = finder(classes)

    def is_class(name: str) -> bool:
        return index(name) is not None

    layout, chosen = _choose(data, is_class, split, ignore_unknown)
    folder = layout.parts[chosen]
    there = read_class_folders(folder, UsageError, is_class)
    names = there.names
    unknown = tuple(name for name in names if not is_class(name))
    if unknown and not ignore_unknown:
        told = unknown[:_MAX_FOLDERS_TOLD]
        holds = {name: [c for c in list_folder(folder / name, UsageError).folders if c in classes] for name in told}
        raise no_class(str(folder), unknown, classes, "rename the folder, or leave such folders out", holds)
    photos: list[tuple[str, int]] = []
    raws = Tally()
    for name in names:
        if (number := index(name)) is not None:
            photos += ((path, number) for path in image_files(str(folder / name), _refuse, onraw=raws.add))
    if not photos:
        what = "no images in the class folders" if len(names) > len(unknown) else "no folder of a class of the model"
        raise UsageError(f"{folder}: {what}", "give a folder with one sub-folder of photos per class")
    photos.sort(key=lambda photo: photo[1])  # stable: class by class, each in the order found
    found = {number for _, number in photos}
    absent = tuple(name for number, name in enumerate(classes) if number not in found)
    notes = [*layout.notes, *there.notes, *raws.lines]
    if layout.strays:
        notes.append(f"{data}: left out, in no split: {several(layout.strays)}")
    split_text = SPLIT_TEXT.get(chosen, "all")
    return LabelledPhotos(split_text, folder, tuple(photos), absent, unknown, len(loose_photos(folder)), tuple(notes))


def _choose(data: Path, is_class: Callable[[str], bool], split: str | None, ignore_unknown: bool) -> tuple[Layout, str]:
    """The layout of the data folder, and the part of it to use."""
    if split is not None and split not in SPLITS:
        raise UsageError(f"split is {split!r}", f"choose from {', '.join(SPLIT_TEXT)}")
    check_sorted(data, UsageError, "name class folders beside it")
    strays = "" if ignore_unknown else "move them elsewhere, or leave them out with --ignore-unknown"
    layout = read_layout(data, UsageError, is_class=is_class, strays=strays)
    there = [wanted for wanted in SPLIT_TEXT if wanted in layout.parts]
    if split is not None:
        if split not in there:
            hint = f"it has {', '.join(there)}" if there else "leave out --split: it has class folders only"
            raise UsageError(f"{data}: no folder {split}", hint)
        return layout, split
    if there == ["train"]:
        raise UsageError(
            f"{data}: holds train, but neither test nor val",
            "--split train uses photos that the network was trained on: that accuracy is optimistic",
        )
    return layout, there[0] if there else "all"


def _refuse(error: OSError) -> NoReturn:
    raise unreadable_folder(error, UsageError)


def no_class(
    where: str,
    unknown: Sequence[str],
    classes: Sequence[str],
    remedy: str,
    holds: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> UsageError:
    """The error for names that are not a class of the model.

    Args:
        where: the folder or list that has them.
        unknown: the names.
        classes: of the model.
        remedy: what to do, apart from --ignore-unknown.
        holds: of names that are folders, the classes inside.
    """
    described = []
    folded = {name.casefold(): name for name in classes}
    for name in unknown[:_MAX_FOLDERS_TOLD]:
        close = [folded[near] for near in difflib.get_close_matches(name.casefold(), folded, 2)]
        inside = holds.get(name, ())
        hint = f" (inside: {several(inside)})" if inside else f" (nearest: {', '.join(close)})" if close else ""
        described.append(name + hint)
    more = f" and {len(unknown) - _MAX_FOLDERS_TOLD} more" if len(unknown) > _MAX_FOLDERS_TOLD else ""
    example = "" if any("nearest" in one for one in described) else f"it has, for example, {', '.join(classes[:3])}; "
    return UsageError(
        f"{where}: the model has no class {', '.join(described)}{more}", f"{example}{remedy} with --ignore-unknown"
    )
