"""The rules of data folders: which folder names are classes, which are splits, and which are never counted.

One set of rules for ``evaluate``, ``compare``, ``train`` and ``data check``.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from edgeclf.class_names import alike, several
from edgeclf.errors import EdgeclfError
from edgeclf.files.photo_names import UNSORTED, is_ignored, is_photo_name
from edgeclf.files.walk import image_files, is_folder, lies_in
from edgeclf.images.overlay_mark import is_overlay

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
SPLITS = tuple(SPLIT_NAMES)
HELD_OUT = ("val", "test")  # the splits that are never trained on
_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_FOLD = re.compile(r"(cv|fold|split)[\W_]*\d+", re.IGNORECASE)

IsClass = Callable[[str], bool]
Fault = type[EdgeclfError]


@dataclass(frozen=True)
class Inside:
    """What lies in one folder: its visible folders, whether photos lie beside them, and folders left alone."""

    folders: tuple[str, ...]
    photos: bool
    left_alone: tuple[str, ...]


@dataclass(frozen=True)
class ClassNames:
    """The class folders in a folder.

    Attributes:
        names: sorted by code point.
        notes: what people should know about them, a line each.
        mixed: those that look like several classes put together: without photos of their own, and the folders inside
            called as if they were the classes. (Those by day, place or camera have numbers in their names, or come
            again in other classes.)
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]
    mixed: tuple[str, ...]


def split_of(name: str) -> str | None:
    """ "train", "val" or "test" if a folder's name says so, in whatever case, "set" or "data" behind it or not."""
    plain = re.sub(r"[\W_]+", "", name.casefold())
    return _SPLIT_OF.get(re.sub(r"(set|data)$", "", plain))


def class_of_path(path: str, index_of: Callable[[str], int | None]) -> int | None:
    """The class that a photo's path names: the nearest folder above the photo that is called like a class.

    Args:
        path: of a photo; nothing is read.
        index_of: the index of a class name, None for a name that is no class (see ``edgeclf.class_names.finder``).

    Returns:
        The class index, None if no folder in the path is called like a class.
    """
    return next((index for folder in PurePath(path).parents if (index := index_of(folder.name)) is not None), None)


def check_sorted(data: Path, fault: Fault, remedy: str) -> None:
    """Refuse a data folder in ``_unsorted``: the folders there are named for a network's guess, not for a class.

    Raises:
        EdgeclfError: of the kind ``fault``, with ``remedy``: the folder is ``_unsorted``, or lies inside it.
    """
    if UNSORTED in (*Path(os.path.abspath(data)).parts, *Path(os.path.realpath(data)).parts):
        raise fault(f"{data}: its photos are not sorted, the folders are guesses", remedy)


def loose_photos(folder: Path) -> list[Path]:
    """The photos beside the class folders in ``folder``, sorted: no folder says what class they are of."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if is_photo_name(e.name) and not is_ignored(e.name) and os.path.isfile(e.path)]
    return [folder / name for name in sorted(names)]


def read_class_folders(folder: Path, fault: Fault, is_class: IsClass | None = None) -> ClassNames:
    """Tell class folders apart from what only looks like one.

    Args:
        folder: one of ``Layout.parts``.
        fault: the error to raise.
        is_class: whether a name is a class; by default, that of any class folder here.

    Raises:
        EdgeclfError: of the kind ``fault``: a class folder is a split or a part of the data, or holds such, or another
            class.
    """
    names = inside(folder, fault).folders
    looks = {name: inside(folder / name, fault) for name in names if is_class is None or is_class(name)}
    known = {alike(name) for name in names}
    deeper = {
        name: [sub for sub in look.folders if holds_photos(folder / name / sub, fault)] for name, look in looks.items()
    }
    parts = {
        name: split for name in looks if deeper[name] and not looks[name].photos and (split := _split_within(name))
    }
    if is_class is None and len(set(parts.values())) > 1:
        raise fault(f"{folder}: {several(list(parts))} look like splits, not classes", "call them train, val and test")
    repeated = Counter(alike(sub) for subs in deeper.values() for sub in subs)
    notes, mixed = [], []
    for name, look in looks.items():
        place, subs = folder / name, deeper[name]
        if is_class is None and split_of(name):
            if subs:
                raise fault(
                    f"{place}: looks like a split, but lies among class folders",
                    f"move its class folders out, or call it otherwise if {name} is a class",
                )
            notes.append(f"{place}: taken for a class, not for a split: it has no class folders inside")
        if clash := [s for s in subs if alike(s) != alike(name) and (is_class(s) if is_class else alike(s) in known)]:
            raise fault(
                f"{place}: {several(clash)} inside it is called like another class",
                f"move such folders out of {name} if they are classes, else rename them",
            )
        if len({split_of(sub) for sub in subs} - {None}) > 1:
            raise fault(
                f"{place}: the splits {several(subs)} lie inside a class folder",
                f"turn it round: {split_of(subs[0]) or 'train'}/{name}/",
            )
        if look.photos or len(subs) < 2:
            continue
        if _FOLD.fullmatch(name):
            raise fault(
                f"{place}: looks like a part of the data, not a class: it holds {several(subs)}",
                "give each such folder as a data folder of its own; classes of the same name are put together",
            )
        if all(repeated[alike(sub)] == 1 and not re.search(r"\d", sub) for sub in subs):
            mixed.append(name)
    if told := [f"{name} ({several(subs)})" for name, subs in deeper.items() if subs]:
        notes.append(f"{folder}: photos in folders inside a class folder count for that class: {several(told)}")
    return ClassNames(names, tuple(notes), tuple(mixed))


def inside(folder: Path, fault: Fault) -> Inside:
    """Look into one folder; links that lead back above themselves are left out.

    Raises:
        EdgeclfError: of the kind ``fault``: it cannot be read.
    """
    folders, left_alone, photos = [], [], False
    real = os.path.realpath(folder)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == UNSORTED:
                    continue
                if is_folder(entry):
                    if is_ignored(entry.name):
                        left_alone.append(entry.name)
                    elif not lies_in(real, os.path.realpath(entry.path)):
                        folders.append(entry.name)
                else:
                    photos = photos or (is_photo_name(entry.name) and not is_ignored(entry.name))
    except FileNotFoundError:
        raise fault(f"{folder}: no such folder", "check the name") from None
    except NotADirectoryError:
        raise fault(f"{folder}: is not a folder", "give a folder with one sub-folder of photos per class") from None
    except OSError as error:
        raise unreadable_folder(error, fault) from error
    return Inside(tuple(sorted(folders)), photos, tuple(sorted(left_alone)))


def unreadable_folder(error: OSError, fault: Fault) -> EdgeclfError:
    """A folder passed over in silence would make the metrics wrong."""
    return fault(f"{error.filename}: the folder cannot be read ({error.strerror})", "check its permissions")


def holds_photos(folder: Path, fault: Fault) -> bool:
    """Whether there is any photo below a folder; heat maps of ours are none."""

    def stop(error: OSError) -> None:
        raise unreadable_folder(error, fault) from error

    return any(not is_overlay(path) for path in image_files(str(folder), stop))


def _split_within(name: str) -> str | None:
    """The split that a word in a longer name says: seg_train, images-test."""
    return next((split for word in re.split(r"[\W_]+", name) if (split := split_of(word))), None)
