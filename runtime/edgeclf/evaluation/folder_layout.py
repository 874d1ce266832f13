"""The layout of a data folder: split folders, class folders, and folders that only wrap them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.class_names import several
from edgeclf.evaluation.folder_name_rules import SPLITS, ErrorType, IsClass, holds_photos, list_folder, split_of


@dataclass(frozen=True)
class Layout:
    """How a data folder is read.

    Attributes:
        root: the data folder, inside any folders that only wrap it.
        parts: for "train", "val" and "test" the folder that contains the class folders; for "all" if there are no
            splits.
        strays: folders of photos beside the splits, if those are not refused.
        notes: lines for people about decisions.
    """

    root: Path
    parts: dict[str, Path]
    strays: tuple[str, ...]
    notes: tuple[str, ...]


def read_layout(
    data: Path, error_type: ErrorType, *, is_class: IsClass = lambda _: False, alone: bool = True, strays: str = ""
) -> Layout:
    """Tell splits, class folders and wrappers apart.

    Args:
        data: a folder.
        error_type: the error to raise.
        is_class: whether a name is known to be a class: then it is neither a split nor a wrapper.
        alone: this is the only data folder, so a folder that only wraps class folders is entered. If there are several
            data folders, one that contains a single class is not a wrapper.
        strays: remedy for folders of photos beside splits, which are refused; if empty, they are listed.

    Raises:
        EdgeclfError: of the type ``error_type``: a folder cannot be read, or the layout is ambiguous.
    """
    notes: list[str] = []
    root = _unwrap(data, error_type, is_class, alone, "")
    here = list_folder(root, error_type)
    contents = {name: list_folder(root / name, error_type) for name in here.folders if split_of(name)}

    def is_named_class(name: str) -> bool:
        return is_class(name) and not any(map(is_class, contents[name].folders))

    named = {name: split for name in contents if (split := split_of(name)) and not is_named_class(name)}
    others = [name for name in here.folders if name not in named]
    nested = [name for name in named if contents[name].folders]
    flat = [name for name in named if name not in nested and contents[name].photos]
    filled = [name for name in others if holds_photos(root / name, error_type)] if named else others
    held_out = [name for name in flat if named[name] != "train"]  # a class only if there are no others
    if flat and not nested and (not filled or len({named[name] for name in flat}) > 1 or (held_out and filled[1:])):
        raise error_type(
            f"{root}: {several(flat)} hold{'s' * (len(flat) == 1)} photos, but no class folders",
            "put the photos of each class into a folder of its name inside; if such a name is that of a class, "
            "rename the class folder",
        )
    parts = {"all": root}
    if nested or (named and not others):
        parts, filled = _splits(root, named, filled, error_type, strays), filled
    else:
        filled = []
    known: set[str] = set()  # a class is not a wrapper, even if a split contains only that class
    for split in SPLITS:
        if split in parts:
            parts[split] = _unwrap(parts[split], error_type, lambda n: is_class(n) or n in known, alone, split)
            known.update(list_folder(parts[split], error_type).folders if split == "train" else ())
    entered = [(data, root), *((root / name, parts[split]) for name, split in named.items() if split in parts)]
    notes += (f"{a}: its photos are read from {b.relative_to(a)}, the folder inside" for a, b in entered if a != b)
    for folder in dict.fromkeys((data, root, *parts.values())):
        if ignored := list_folder(folder, error_type).ignored:
            notes.append(f"{folder}: ignored: {several(ignored)}")
    return Layout(root, parts, tuple(filled), tuple(notes))


def _splits(
    root: Path, named: dict[str, str], filled: Sequence[str], error_type: ErrorType, strays: str
) -> dict[str, Path]:
    by_split: dict[str, list[str]] = defaultdict(list)
    for name, split in named.items():
        by_split[split].append(name)
    if twice := next((names for names in by_split.values() if len(names) > 1), None):
        raise error_type(f"{root}: {several(twice)} mean the same split", "put their photos into one of them")
    if filled and strays:
        what = f"lie{'s' * (len(filled) == 1)} beside {several(list(named))}, in no split"
        raise error_type(
            f"{root}: {several(filled)} {what}", f"{strays}; a class with the name of a split needs another name"
        )
    return {split: root / names[0] for split, names in by_split.items()}


def _unwrap(folder: Path, error_type: ErrorType, is_class: IsClass, alone: bool, part: str) -> Path:
    """Enter folders that only wrap the data (a folder with photos of one class is not a wrapper)."""
    folders = list_folder(folder, error_type).folders
    if len(folders) > 1:  # beside a wrapped dataset there may be folders without photos, such as labels
        beside = folders
        folders = tuple(name for name in beside if not split_of(name) and _wraps_splits(folder / name, error_type))
        if len(folders) != 1 or any(holds_photos(folder / name, error_type) for name in beside if name not in folders):
            return folder
    if len(folders) != 1 or is_class(folders[0]):
        return folder
    inner = folder / folders[0]
    content = list_folder(inner, error_type)
    if not content.folders or (content.photos and not _wraps_splits(inner, error_type)):
        return folder
    found = _unwrap(inner, error_type, is_class, alone, part)
    wraps_classes = alone and (part or not split_of(folders[0])) and len(list_folder(found, error_type).folders) > 1
    return found if wraps_classes or _wraps_splits(found, error_type) else folder


def _wraps_splits(folder: Path, error_type: ErrorType) -> bool:
    names = list_folder(folder, error_type).folders
    return any(split_of(name) and list_folder(folder / name, error_type).folders for name in names)
