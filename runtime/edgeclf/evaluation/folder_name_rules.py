"""The rules of data folders: which folder names are classes, which are splits, and which are ignored.

One set of rules for ``evaluate``, ``compare``, ``train`` and ``data check``.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from edgeclf.class_names import SPLIT_NAMES, alike, several
from edgeclf.class_names import split_of as split_of
from edgeclf.errors import EdgeclfError
from edgeclf.files.in_tar import is_file, scan_folder
from edgeclf.files.photo_names import UNSORTED, is_ignored, is_photo_name
from edgeclf.files.walk import image_files, is_folder, lies_in
from edgeclf.images.heatmap_mark import is_overlay

SPLITS = tuple(SPLIT_NAMES)
HELD_OUT = ("val", "test")  # the splits that are never trained on
_FOLD = re.compile(r"(cv|fold|split)[\W_]*\d+", re.IGNORECASE)

IsClass = Callable[[str], bool]
ErrorType = type[EdgeclfError]


@dataclass(frozen=True)
class FolderContents:
    """The contents of one folder.

    Attributes:
        folders: names of the folders inside, sorted.
        photos: whether there are photos.
        ignored: names of folders of the operating system and of programs, which are not read.
    """

    folders: tuple[str, ...]
    photos: bool
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class ClassNames:
    """The class folders in a folder.

    Attributes:
        names: sorted by code point.
        notes: lines for people about decisions.
        mixed: folders that look like several classes put together: they have no photos, and the folders inside have
            names like classes. (Folders for a day, place or camera have numbers in their names, or are in several
            classes.)
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]
    mixed: tuple[str, ...]


def class_of_path(path: str, index_of: Callable[[str], int | None]) -> int | None:
    """The class that a photo's path names: the nearest folder above it with the name of a class.

    Args:
        path: of a photo; nothing is read.
        index_of: the index of a class name, None for another name (see ``edgeclf.class_names.finder``).

    Returns:
        The class index, None if no folder in the path has the name of a class.
    """
    return next((index for folder in PurePath(path).parents if (index := index_of(folder.name)) is not None), None)


def check_sorted(data: Path, error_type: ErrorType, remedy: str) -> None:
    """Refuse a data folder in ``_unsorted``: the folders there have the names of predictions, not of true classes.

    Raises:
        EdgeclfError: of the type ``error_type``, with ``remedy``: the folder is ``_unsorted``, or lies inside it.
    """
    if UNSORTED in (*Path(os.path.abspath(data)).parts, *Path(os.path.realpath(data)).parts):
        raise error_type(f"{data}: its photos are not sorted, the folder names are predictions", remedy)


def loose_photos(folder: Path) -> list[Path]:
    """The photos beside the class folders in ``folder``, sorted; their class is not known."""
    with scan_folder(os.fspath(folder)) as entries:
        names = [e.name for e in entries if is_photo_name(e.name) and not is_ignored(e.name) and is_file(e.path)]
    return [folder / name for name in sorted(names)]


def read_class_folders(folder: Path, error_type: ErrorType, is_class: IsClass | None = None) -> ClassNames:
    """Find the class folders, and refuse folders that only look like one.

    Args:
        folder: one of ``Layout.parts``.
        error_type: the error to raise.
        is_class: whether a name is a class; by default, every folder here is one.

    Raises:
        EdgeclfError: of the type ``error_type``: a class folder is a split or a part of the data, or contains one, or
            contains another class.
    """
    names = list_folder(folder, error_type).folders
    contents = {name: list_folder(folder / name, error_type) for name in names if is_class is None or is_class(name)}
    known = {alike(name) for name in names}
    deeper = {
        name: [sub for sub in content.folders if holds_photos(folder / name / sub, error_type)]
        for name, content in contents.items()
    }
    parts = {
        name: split
        for name in contents
        if deeper[name] and not contents[name].photos and (split := _split_within(name))
    }
    if is_class is None and len(set(parts.values())) > 1:
        raise error_type(
            f"{folder}: {several(list(parts))} look like splits, not classes", "call them train, val and test"
        )
    repeated = Counter(alike(sub) for subs in deeper.values() for sub in subs)
    notes, mixed = [], []
    for name, content in contents.items():
        place, subs = folder / name, deeper[name]
        if is_class is None and split_of(name):
            if subs:
                raise error_type(
                    f"{place}: looks like a split, but lies among class folders",
                    f"move its class folders out, or rename it if {name} is a class",
                )
            notes.append(f"{place}: read as a class, not as a split: it has no class folders inside")
        if clash := [s for s in subs if alike(s) != alike(name) and (is_class(s) if is_class else alike(s) in known)]:
            raise error_type(
                f"{place}: {several(clash)} inside it has the name of another class",
                f"move such folders out of {name} if they are classes, else rename them",
            )
        if len({split_of(sub) for sub in subs} - {None}) > 1:
            raise error_type(
                f"{place}: the splits {several(subs)} lie inside a class folder",
                f"put the splits above the classes: {split_of(subs[0]) or 'train'}/{name}/",
            )
        if content.photos or len(subs) < 2:
            continue
        if _FOLD.fullmatch(name):
            raise error_type(
                f"{place}: looks like a part of the data, not a class: it holds {several(subs)}",
                "give each such folder as a separate data folder; classes of the same name are merged",
            )
        if all(repeated[alike(sub)] == 1 and not re.search(r"\d", sub) for sub in subs):
            mixed.append(name)
    if nested := [f"{name} ({several(subs)})" for name, subs in deeper.items() if subs]:
        notes.append(f"{folder}: photos in folders inside a class folder count for that class: {several(nested)}")
    return ClassNames(names, tuple(notes), tuple(mixed))


def list_folder(folder: Path, error_type: ErrorType) -> FolderContents:
    """List one folder; links that lead to a folder above are left out.

    Raises:
        EdgeclfError: of the type ``error_type``: the folder cannot be read.
    """
    folders, ignored, photos = [], [], False
    real = os.path.realpath(folder)
    try:
        with scan_folder(os.fspath(folder)) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == UNSORTED:
                    continue
                if is_folder(entry):
                    if is_ignored(entry.name):
                        ignored.append(entry.name)
                    elif not lies_in(real, os.path.realpath(entry.path)):
                        folders.append(entry.name)
                else:
                    photos = photos or (is_photo_name(entry.name) and not is_ignored(entry.name))
    except FileNotFoundError:
        raise error_type(f"{folder}: no such folder", "check the name") from None
    except NotADirectoryError:
        raise error_type(
            f"{folder}: is not a folder", "give a folder with one sub-folder of photos per class"
        ) from None
    except OSError as error:
        raise unreadable_folder(error, error_type) from error
    return FolderContents(tuple(sorted(folders)), photos, tuple(sorted(ignored)))


def unreadable_folder(error: OSError, error_type: ErrorType) -> EdgeclfError:
    """The error for a folder that cannot be read: to leave it out without a word would make the metrics wrong."""
    return error_type(f"{error.filename}: the folder cannot be read ({error.strerror})", "check its permissions")


def holds_photos(folder: Path, error_type: ErrorType) -> bool:
    """Whether there is any photo below a folder; heat maps made by edgeclf do not count."""

    def stop(error: OSError) -> None:
        raise unreadable_folder(error, error_type) from error

    return any(not is_overlay(path) for path in image_files(str(folder), stop))


def _split_within(name: str) -> str | None:
    """The split that one word of a longer name stands for: seg_train, images-test."""
    return next((split for word in re.split(r"[\W_]+", name) if (split := split_of(word))), None)
