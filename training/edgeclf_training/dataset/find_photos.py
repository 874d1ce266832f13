"""From data folders to labelled photos: which folder is a split, which a class, and what is refused or told.

Files are only ever read. Folders that links lead back to are left out; so is what is hidden.
"""

import hashlib
import os
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeclf.class_names import alike, finder, natural, several
from edgeclf.errors import DataError
from edgeclf.evaluation.class_folders import (
    HELD_OUT,
    SPLITS,
    check_sorted,
    loose_photos,
    read_class_folders,
    split_of,
    unreadable_folder,
)
from edgeclf.evaluation.folder_layout import read_layout
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.files.photo_names import UNSORTED, has_raw_suffix, is_ignored, is_photo_name
from edgeclf.files.walk import image_files
from edgeclf.images.camera_raw import left_out

from edgeclf_training.dataset.class_name_checks import REFUSAL, check_distinct, check_readable, folders_alike
from edgeclf_training.dataset.samples import Sample


@dataclass(frozen=True)
class Found:
    """What lies under the data folders, before any photo is opened.

    Attributes:
        classes: class names in index order.
        parts: samples of "train", "val" and "test": class by class, each in a seeded order that does not depend on
            where the data folder lies.
        others: visible files in class folders whose names are not those of images.
        loose: photos beside the class folders, in none of them.
        unsorted: folders called ``_unsorted`` beside class folders: nobody has said yet what their photos show.
        notes: how the folders were read, a line each.
        empty: class folders without photos; this and the next are refused, except where data is only checked.
        alike: class folders whose names a file system or a person takes for one.
        refusals: class folders called like the word for a photo that is not answered.
        mixed: class folders that look like several classes put together; never refused.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, tuple[Sample, ...]]
    others: tuple[Path, ...]
    loose: tuple[Path, ...] = ()
    unsorted: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    alike: tuple[tuple[Path, ...], ...] = ()
    refusals: tuple[Path, ...] = ()
    mixed: tuple[Path, ...] = ()


@dataclass
class _Gathered:
    """What was found so far: photos by part and class, and the folders of each class name."""

    photos: dict[str, dict[str, list["_Placed"]]] = field(default_factory=lambda: {part: {} for part in SPLITS})
    places: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    others: list[Path] = field(default_factory=list)
    loose: list[Path] = field(default_factory=list)
    unsorted: list[Path] = field(default_factory=list)
    mixed: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_photos(
    roots: PathLike | Sequence[PathLike],
    *,
    seed: int = 0,
    only: Sequence[str] = (),
    max_per_class: int | None = None,
    checking: bool = False,
) -> Found:
    """Find the photos under one or more data folders.

    A data folder holds splits (``train/``, and optionally ``val/`` and ``test/``, or other names of
    ``edgeclf.evaluation.class_folders.SPLIT_NAMES``), each with one folder per class; or class folders alone; or one
    folder that wraps all this. Of several data folders, some may themselves be splits
    (``train photos/train photos/val``). What lies in ``_unsorted`` (see `edgeclf watch --review`) is left out: its
    folders are guesses.

    Args:
        roots: data folders; classes of the same name are merged.
        seed: of the order, and of the choice that ``max_per_class`` makes.
        only: class names to use; all if empty.
        max_per_class: training photos per class (validation photos set aside from them included).
        checking: let pass, and list, what training refuses but a check can go on with: classes without training photos
            (if not all are), or whose names are not to be told apart.

    Raises:
        DataError: a folder is missing, cannot be read, lies in ``_unsorted`` or holds no class folders, fewer than two
            classes, a class without photos, or one that is tested but never trained; or what a folder means is not
            clear.
    """
    roots = as_paths(roots)
    for root in roots:
        _check_folder(root, several_given=len(roots) > 1)
    got = _Gathered()
    # What a class is called, the train folder says.
    for part, folder in sorted(_parts(roots, got), key=lambda placed: SPLITS.index(placed[0])):
        _gather(part, folder, only, got)
    classes = tuple(sorted(got.photos["train"]))
    where = ", ".join(map(str, roots))
    empty = tuple(label for label in classes if not got.photos["train"][label])
    twins = folders_alike(got.places)
    refusals = tuple(path for label, paths in got.places.items() if alike(label) == REFUSAL for path in paths)
    if not checking:
        check_distinct(twins, refusals)
    _check_classes(where, roots, classes, only, got)
    if empty and (not checking or empty == classes):
        raise DataError(f"{where}: no images in class folder {several(empty)}", "add photos, or remove it")
    if list(classes) != sorted(classes, key=natural) and any(any(c.isdigit() for c in label) for label in classes):
        got.notes.append(f"class index: by characters, not by number: {', '.join(classes[:3])}, ...; go by the names")
    if raws := [path for path in got.others if has_raw_suffix(path.name)]:
        got.notes.append(f"{left_out(len(raws))}, first: {raws[0]}")
    parts = {}
    for part in SPLITS:
        chosen: dict[Path, Sample] = {}  # the same folder may be given twice
        for label in classes:
            photos = sorted(got.photos[part].get(label, []), key=lambda f: (_shuffle_key(f, seed), f.sample.path))
            chosen.update((f.sample.path, f.sample) for f in photos[: max_per_class if part == "train" else None])
        parts[part] = tuple(chosen.values())
    return Found(
        classes,
        parts,
        tuple(got.others),
        tuple(got.loose),
        tuple(got.unsorted),
        tuple(dict.fromkeys(got.notes)),
        empty,
        twins,
        refusals,
        tuple(got.mixed),
    )


def _check_folder(root: Path, several_given: bool) -> None:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "no such folder"
        remedy = "give a folder with one sub-folder of photos per class, or a .zip of one"
        if several_given and root.exists():  # what a shell makes of photos/*
            remedy = _above(root)
        raise DataError(f"{root}: {what}", remedy)
    check_sorted(
        root,
        DataError,
        "look at each, move it to the folder of its class beside _unsorted, and name the folder of those",
    )


def _above(path: Path) -> str:
    return f"give the folder above: edgeclf train {shlex.quote(os.path.dirname(os.path.abspath(path)))}"


def _parts(roots: Sequence[Path], got: _Gathered) -> Iterator[tuple[str, Path]]:
    """The folders of class folders, and the part each belongs to."""
    split_roots = {root: split_of(os.path.basename(os.path.abspath(root))) for root in roots}
    held_out = [root for root, split in split_roots.items() if split in HELD_OUT]
    if len(split_roots) == 1:
        held_out = []  # then it is meant
    elif len(held_out) == len(split_roots):
        raise DataError(
            f"{several([str(r) for r in held_out])}: folders to validate and test with, none to train on",
            _above(roots[0]),
        )
    for root in split_roots:
        layout = read_layout(
            root,
            DataError,
            alone=len(split_roots) == 1,
            strays=f"call a split val or test, move class folders into the train folder, and others out of {root}",
        )
        got.notes += layout.notes
        above = {layout.root} - set(layout.parts.values())  # of the parts, each says its own
        got.unsorted += (folder / UNSORTED for folder in above if (folder / UNSORTED).is_dir())
        split = split_roots[root] if root in held_out else None
        if split and "all" in layout.parts:
            got.notes.append(f"{root}: taken for the {split} folder, as its name says")
        elif "all" not in layout.parts and "train" not in layout.parts:
            names = several([folder.name for folder in layout.parts.values()])
            raise DataError(f"{root}: {names} without a train folder", "put what is to train into a folder train")
        for part, folder in layout.parts.items():
            yield (split or "train") if part == "all" else part, folder


def _gather(part: str, folder: Path, only: Sequence[str], got: _Gathered) -> None:
    chosen = finder(only)
    there = read_class_folders(folder, DataError, (lambda name: chosen(name) is not None) if only else None)
    got.notes += there.notes
    got.mixed += (folder / name for name in there.mixed)
    if (folder / UNSORTED).is_dir():
        got.unsorted.append(folder / UNSORTED)
    got.loose += loose_photos(folder)
    earlier = list(got.places)
    find = finder(earlier)
    for name in there.names:
        label = name if (known := find(name)) is None else earlier[known]  # macOS may spell it otherwise
        if only and chosen(label) is None:
            continue
        got.places[label].append(folder / name)
        photos = got.photos[part].setdefault(label, [])
        for path in _files(folder / name):
            if _is_image(path):
                photos.append(_placed(path, folder / name, label))
            else:
                got.others.append(path)


def _is_image(path: Path) -> bool:
    return is_photo_name(path.name) and not is_ignored(path.name)


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder, as ``image_files`` finds photos."""

    def stop(error: OSError) -> None:
        raise unreadable_folder(error, DataError) from error

    for name in image_files(os.path.abspath(folder), stop, wanted=lambda _: True):
        if "\n" in name or "\r" in name:
            raise DataError(f"{str(name)!r}: a line break in a file name", "rename it")
        yield Path(name)


@dataclass(frozen=True)
class _Placed:
    """A sample and its place within the class folder, which the seeded order goes by."""

    sample: Sample
    place: str


def _placed(path: Path, folder: Path, label: str) -> _Placed:
    try:
        size = path.stat().st_size
    except OSError:  # a link to nowhere or to itself: reported as unreadable, like any other photo
        size = 0
    return _Placed(Sample(path, label, size), os.path.relpath(path, os.path.abspath(folder)).replace(os.sep, "/"))


def _check_classes(
    where: str, roots: Sequence[Path], classes: tuple[str, ...], only: Sequence[str], got: _Gathered
) -> None:
    find = finder(classes)
    if unknown := sorted(name for name in only if find(name) is None):
        raise DataError(
            f"{where}: no class folder {several(unknown)}",
            'check --classes; a name with a comma goes in double quotes: A,"B, small"',
        )
    above = {os.path.dirname(os.path.abspath(root)) for root in roots}
    if len(classes) < 2 and len(roots) > 1 and len(above) == 1 and got.loose:
        raise DataError(f"{where}: each holds photos, but no class folders", _above(roots[0]))
    if not classes:
        loose = f", but {len(got.loose)} photos in none" if len(got.loose) > 1 else ""
        raise DataError(
            f"{where}: no class folders{loose}", "put the photos of each class into a sub-folder of its name"
        )
    if len(classes) == 1:
        raise DataError(f"{where}: only one class, {classes[0]}", "add at least one more class folder to tell it from")
    for part in HELD_OUT:
        if extra := sorted(set(got.photos[part]) - set(classes)):
            raise DataError(f"{where}: {part} has {several(extra)}, train has not", "train needs every class")
    check_readable(where, classes)


def _shuffle_key(found: _Placed, seed: int) -> bytes:
    """A seeded order that depends on nothing but the class and the place within its folder."""
    key = f"{seed}\0{found.sample.label}\0{found.place}"
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
