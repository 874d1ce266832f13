"""What a data folder is made of: splits, class folders, and folders that merely wrap them. One reading for all."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
class Layout:
    """How a data folder is read.

    Attributes:
        root: the data folder, past what merely wraps it.
        parts: the folder of class folders of "train", "val" and "test"; of "all" where the data is not split.
        strays: folders of photos beside the splits, where those are not refused.
        notes: what people should know about this reading, a line each.
    """

    root: Path
    parts: dict[str, Path]
    strays: tuple[str, ...]
    notes: tuple[str, ...]


def split_of(name: str) -> str | None:
    """ "train", "val" or "test" if a folder's name says so, in whatever case, "set" or "data" behind it or not."""
    plain = re.sub(r"[\W_]+", "", name.casefold())
    return _SPLIT_OF.get(re.sub(r"(set|data)$", "", plain))


def read_layout(
    data: Path, fault: Fault, *, is_class: IsClass = lambda _: False, alone: bool = True, strays: str = ""
) -> Layout:
    """Tell splits, class folders and wrappers apart.

    Args:
        data: a folder.
        fault: the error to raise.
        is_class: whether a name is known to be a class: it then is none of a split, nor of a wrapper.
        alone: no other data folder is given: a folder that merely wraps class folders is looked through. With several,
            one that holds a single class is no wrapper.
        strays: what to do about folders of photos beside splits; if empty, they are listed, not refused.

    Raises:
        EdgeclfError: of the kind ``fault``: a folder cannot be read, or what the data folder means is not clear.
    """
    notes: list[str] = []
    root = _unwrap(data, fault, is_class, alone, "")
    here = inside(root, fault)
    looks = {name: inside(root / name, fault) for name in here.folders if split_of(name)}

    def is_named_class(name: str) -> bool:
        return is_class(name) and not any(map(is_class, looks[name].folders))

    named = {name: split for name in looks if (split := split_of(name)) and not is_named_class(name)}
    others = [name for name in here.folders if name not in named]
    nested = [name for name in named if looks[name].folders]
    flat = [name for name in named if name not in nested and looks[name].photos]
    filled = [name for name in others if holds_photos(root / name, fault)] if named else others
    held_out = [name for name in flat if named[name] != "train"]  # to be a class, it must be needed as one
    if flat and not nested and (not filled or len({named[name] for name in flat}) > 1 or (held_out and filled[1:])):
        raise fault(
            f"{root}: {several(flat)} hold{'s' * (len(flat) == 1)} photos, but no class folders",
            "put the photos of each class into a folder of its name inside; if such a name is that of a class, "
            "call the class folder otherwise",
        )
    parts = {"all": root}
    if nested or (named and not others):
        parts, filled = _splits(root, named, filled, fault, strays), filled
    else:
        filled = []
    known: set[str] = set()  # a class is no wrapper, even if it is the only one that is tested
    for split in SPLIT_NAMES:
        if split in parts:
            parts[split] = _unwrap(parts[split], fault, lambda n: is_class(n) or n in known, alone, split)
            known.update(inside(parts[split], fault).folders if split == "train" else ())
    entered = [(data, root), *((root / name, parts[split]) for name, split in named.items() if split in parts)]
    notes += (f"{a}: its photos are taken from {b.relative_to(a)}, the folder inside" for a, b in entered if a != b)
    for folder in dict.fromkeys((data, root, *parts.values())):
        if left := inside(folder, fault).left_alone:
            notes.append(f"{folder}: left alone: {several(left)}")
    return Layout(root, parts, tuple(filled), tuple(notes))


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


def class_folders(folder: Path, fault: Fault, is_class: IsClass | None = None) -> ClassNames:
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
    """A folder passed over in silence would make the figures wrong."""
    return fault(f"{error.filename}: the folder cannot be read ({error.strerror})", "check its permissions")


def holds_photos(folder: Path, fault: Fault) -> bool:
    """Whether there is any photo below a folder; heat maps of ours are none."""

    def stop(error: OSError) -> None:
        raise unreadable_folder(error, fault) from error

    return any(not is_overlay(path) for path in image_files(str(folder), stop))


def _splits(root: Path, named: dict[str, str], filled: Sequence[str], fault: Fault, strays: str) -> dict[str, Path]:
    by_split: dict[str, list[str]] = defaultdict(list)
    for name, split in named.items():
        by_split[split].append(name)
    if twice := next((names for names in by_split.values() if len(names) > 1), None):
        raise fault(f"{root}: {several(twice)} mean the same split", "put their photos into one of them")
    if filled and strays:
        what = f"lie{'s' * (len(filled) == 1)} beside {several(list(named))}, in no split"
        raise fault(f"{root}: {several(filled)} {what}", f"{strays}; a class called like a split needs another name")
    return {split: root / names[0] for split, names in by_split.items()}


def _split_within(name: str) -> str | None:
    """The split that a word in a longer name says: seg_train, images-test."""
    return next((split for word in re.split(r"[\W_]+", name) if (split := split_of(word))), None)


def _unwrap(folder: Path, fault: Fault, is_class: IsClass, alone: bool, part: str) -> Path:
    """Past folders that merely wrap the data (a folder of photos of one class wraps nothing)."""
    folders = inside(folder, fault).folders
    if len(folders) > 1:  # beside a wrapped dataset there may be folders without photos, of labels or papers
        beside = folders
        folders = tuple(name for name in beside if not split_of(name) and _wraps_splits(folder / name, fault))
        if len(folders) != 1 or any(holds_photos(folder / name, fault) for name in beside if name not in folders):
            return folder
    if len(folders) != 1 or is_class(folders[0]):
        return folder
    inner = folder / folders[0]
    look = inside(inner, fault)
    if not look.folders or (look.photos and not _wraps_splits(inner, fault)):
        return folder
    found = _unwrap(inner, fault, is_class, alone, part)
    wraps_classes = alone and (part or not split_of(folders[0])) and len(inside(found, fault).folders) > 1
    return found if wraps_classes or _wraps_splits(found, fault) else folder


def _wraps_splits(folder: Path, fault: Fault) -> bool:
    names = inside(folder, fault).folders
    return any(split_of(name) and inside(folder / name, fault).folders for name in names)
