"""How a data folder is laid out: split folders, class folders, and folders that merely wrap them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.class_names import several
from edgeclf.evaluation.class_folders import SPLITS, Fault, IsClass, holds_photos, inside, split_of


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
    for split in SPLITS:
        if split in parts:
            parts[split] = _unwrap(parts[split], fault, lambda n: is_class(n) or n in known, alone, split)
            known.update(inside(parts[split], fault).folders if split == "train" else ())
    entered = [(data, root), *((root / name, parts[split]) for name, split in named.items() if split in parts)]
    notes += (f"{a}: its photos are taken from {b.relative_to(a)}, the folder inside" for a, b in entered if a != b)
    for folder in dict.fromkeys((data, root, *parts.values())):
        if left := inside(folder, fault).left_alone:
            notes.append(f"{folder}: left alone: {several(left)}")
    return Layout(root, parts, tuple(filled), tuple(notes))


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
