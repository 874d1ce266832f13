"""From photo folders to lists of samples: finding photos, naming classes, and the lists a run keeps.

Files are only ever read. Folders that links lead back to are left out; so is what is hidden.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from edgeclf.errors import DataError
from edgeclf.files import UNSORTED, write_atomically
from edgeclf.folders import VAL_NAMES
from edgeclf.image import SUFFIXES

SPLITS = ("train", "val", "test")
_SPLIT_NAMES = frozenset((*VAL_NAMES, "train", "training", "test", "testing"))


@dataclass(frozen=True, order=True)
class Sample:
    """One labelled photo: its file, its class name, and the file's size in bytes."""

    path: Path
    label: str
    size: int

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells a photo apart wherever its folder lies: class, file name, size."""
        return self.label, self.path.name, self.size


@dataclass(frozen=True)
class Skipped:
    """A file that is left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Split:
    """The photos of a run.

    Attributes:
        classes: class names in index order: sorted by code point, on every machine alike.
        train, val, test: the samples; ``test`` is empty unless the data has a test folder.
        val_origin: "the val folder" or how validation photos were set aside.
        skipped: files left out: unreadable, duplicates, or on the quarantine list.
        notes: what was found and decided about duplicates and the quarantine list, a line each.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    val_origin: str
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def part(self, name: str) -> tuple[Sample, ...]:
        """The samples of "train", "val" or "test"."""
        samples: tuple[Sample, ...] = getattr(self, name)
        return samples

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the sorted lists: split, class, file name and size, but no folder names."""
        lines = sorted(f"{part}\t{s.label}\t{s.path.name}\t{s.size}" for part in SPLITS for s in self.part(part))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Found:
    """What lies under the data folders, before any photo is opened.

    Attributes:
        classes: class names in index order.
        parts: samples of "train", "val" and "test": class by class, each in a seeded order that does not depend on
            where the data folder lies.
        others: visible files in class folders whose names are not those of images.
        loose: photos beside the class folders, in none of them.
        empty: class folders without photos, where those are not refused.
        unsorted: folders called ``_unsorted`` beside class folders: nobody has said yet what their photos show.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, tuple[Sample, ...]]
    others: tuple[Path, ...]
    loose: tuple[Path, ...] = ()
    empty: tuple[str, ...] = ()
    unsorted: tuple[Path, ...] = ()


def find_photos(
    roots: Sequence[Path],
    *,
    seed: int = 0,
    only: Sequence[str] = (),
    max_per_class: int | None = None,
    allow_empty: bool = False,
) -> Found:
    """Find the photos under one or more data folders.

    A data folder holds ``train/`` and optionally ``val/`` and ``test/``, each with one folder per class, or class
    folders alone. What lies in ``_unsorted`` (see `edgeclf watch --review`) is left out: its folders are guesses.

    Args:
        roots: data folders; classes of the same name are merged.
        seed: of the order, and of the choice that ``max_per_class`` makes.
        only: class names to use; all if empty.
        max_per_class: training photos per class (validation photos set aside from them included).
        allow_empty: a class may be without training photos, if not all are.

    Raises:
        DataError: a folder is missing, cannot be read, lies in ``_unsorted`` or holds no class folders, fewer than two
            classes, a class without photos, or one that is tested but never trained.
    """
    found: dict[str, dict[str, list[_Placed]]] = {part: {} for part in SPLITS}
    others: list[Path] = []
    unsorted: list[Path] = []
    loose: list[Path] = []
    for root in roots:
        _check_folder(root)
        for part, folder in _parts(root).items():
            unsorted += [folder / UNSORTED] * (folder / UNSORTED).is_dir()
            loose += _loose(folder)
            for label, place in _class_folders(folder, only).items():
                photos = found[part].setdefault(label, [])
                for path in _files(place):
                    if path.suffix.lower() in SUFFIXES:
                        photos.append(_placed(path, place, label))
                    else:
                        others.append(path)
    classes = tuple(sorted(found["train"]))
    empty = tuple(label for label in classes if not found["train"][label])
    _check_classes(classes, () if allow_empty and empty != classes else empty, found, only, roots)
    parts = {}
    for part in SPLITS:
        chosen: dict[Path, Sample] = {}  # the same folder may be given twice
        for label in classes:
            photos = sorted(found[part].get(label, []), key=lambda f: (_shuffle_key(f, seed), f.sample.path))
            chosen.update((f.sample.path, f.sample) for f in photos[: max_per_class if part == "train" else None])
        parts[part] = tuple(chosen.values())
    return Found(classes, parts, tuple(others), tuple(loose), empty, tuple(unsorted))


def write_lists(split: Split, folder: Path) -> None:
    """Write ``train.txt``, ``val.txt``, ``test.txt`` (class, bytes, path), ``skipped.txt`` (path, why), notes."""
    folder.mkdir(parents=True, exist_ok=True)
    lists = {part: [f"{s.label}\t{s.size}\t{s.path}" for s in split.part(part)] for part in SPLITS}
    lists["skipped"] = [f"{s.path}\t{s.reason}" for s in split.skipped]
    lists["notes"] = list(split.notes)
    for name, lines in lists.items():
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        write_atomically(folder / f"{name}.txt", partial(_write, data=data))


def read_lists(folder: Path, classes: Sequence[str], val_origin: str) -> Split:
    """Read what ``write_lists`` wrote.

    Raises:
        DataError: a list is missing or not as it was written.
    """
    parts: dict[str, tuple[Sample, ...]] = {}
    name = ""
    try:
        for name in SPLITS:
            rows = [line.split("\t", 2) for line in _lines(folder / f"{name}.txt")]
            parts[name] = tuple(Sample(Path(path), label, int(size)) for label, size, path in rows)
        name = "skipped"
        told = [line.rsplit("\t", 1) for line in _lines(folder / "skipped.txt")]
        skipped = tuple(Skipped(Path(path), reason) for path, reason in told)
        name = "notes"
        notes = tuple(_lines(folder / "notes.txt"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / name}.txt cannot be read ({error})", "train again") from error
    return Split(tuple(classes), parts["train"], parts["val"], parts["test"], val_origin, skipped, notes)


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "surrogateescape").split("\n")[:-1]


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}", "give a folder with one sub-folder of photos per class, or a .zip of one")
    if UNSORTED in (*Path(os.path.abspath(root)).parts, *Path(os.path.realpath(root)).parts):
        raise DataError(
            f"{root}: its photos are not sorted, the folders are guesses",
            "look at each, move it to the folder of its class beside _unsorted, and name the folder of those",
        )


def _parts(root: Path) -> dict[str, Path]:
    if not (root / "train").is_dir():
        return {"train": root}
    parts = {"train": root / "train"}
    for name in VAL_NAMES:
        if (root / name).is_dir():
            parts["val"] = root / name
            break
    if (root / "test").is_dir():
        parts["test"] = root / "test"
    return parts


@dataclass(frozen=True)
class _Placed:
    """A sample and its place within the class folder, which the seeded order goes by."""

    sample: Sample
    place: str


def _class_folders(folder: Path, only: Sequence[str]) -> dict[str, Path]:
    names = sorted(
        e.name for e in _listed(folder) if _is_folder(e) and not e.name.startswith(".") and e.name != UNSORTED
    )
    if odd := [name for name in names if name.lower() in _SPLIT_NAMES]:
        raise DataError(
            f"{folder}: {', '.join(odd)} looks like a split, not a class", "call the splits train, val and test"
        )
    # A link to a folder of photos is as good as the folder; one that leads back above itself would never end.
    real = os.path.realpath(folder)
    loops = {name for name in names if (real + os.sep).startswith(os.path.realpath(folder / name) + os.sep)}
    return {name: folder / name for name in names if name not in loops and (not only or name in only)}


def _loose(folder: Path) -> list[Path]:
    visible = (entry for entry in _listed(folder) if not entry.name.startswith("."))
    photos = [Path(entry.path) for entry in visible if Path(entry.name).suffix.lower() in SUFFIXES]
    return sorted(path for path in photos if path.is_file())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError as error:
        raise _unreadable_folder(error) from error


def _files(folder: Path) -> Iterator[Path]:
    """Visible files below a folder, sorted within each folder; links to further folders are not followed."""

    def stop(error: OSError) -> None:
        raise _unreadable_folder(error) from error

    for parent, folders, files in os.walk(os.path.abspath(folder), onerror=stop):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if "\n" in name or "\r" in name:
                raise DataError(f"{os.path.join(parent, name)!r}: a line break in a file name", "rename it")
            if not name.startswith("."):
                yield Path(parent, name)


def _unreadable_folder(error: OSError) -> DataError:
    return DataError(f"{error.filename}: the folder cannot be read ({error.strerror})", "check its permissions")


def _placed(path: Path, folder: Path, label: str) -> _Placed:
    try:
        size = path.stat().st_size
    except OSError:  # a link to nowhere or to itself: reported as unreadable, like any other photo
        size = 0
    return _Placed(Sample(path, label, size), os.path.relpath(path, os.path.abspath(folder)).replace(os.sep, "/"))


def _check_classes(
    classes: tuple[str, ...],
    empty: Sequence[str],
    found: dict[str, dict[str, list[_Placed]]],
    only: Sequence[str],
    roots: Sequence[Path],
) -> None:
    where = ", ".join(map(str, roots))
    if unknown := sorted(set(only) - set(classes)):
        raise DataError(f"{where}: no class folder {', '.join(unknown)}", "check the names given to --classes")
    if not classes:
        raise DataError(f"{where}: no class folders", "put the photos of each class into a sub-folder of its name")
    if empty:
        raise DataError(f"{where}: no images in class folder {', '.join(empty)}", "add photos, or remove it")
    if len(classes) == 1:
        raise DataError(f"{where}: only one class, {classes[0]}", "add at least one more class folder to tell it from")
    for part in ("val", "test"):
        if extra := sorted(set(found[part]) - set(found["train"])):
            raise DataError(f"{where}: {part} has {', '.join(extra)}, train has not", "train needs every class")
    if bad := [label for label in classes if not label.isprintable()]:
        raise DataError(f"{where}: class folder {bad[0]!r} has unprintable characters", "rename it")


def _shuffle_key(found: _Placed, seed: int) -> bytes:
    """A seeded order that depends on nothing but the class and the place within its folder."""
    key = f"{seed}\0{found.sample.label}\0{found.place}"
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def spread(samples: Sequence[Sample], most: int, seed: int) -> list[Sample]:
    """A seeded choice of at most ``most`` samples, as evenly from all classes as they allow, in their own order."""
    turn: dict[str, int] = {}
    ranked = []
    for position in np.random.default_rng(seed).permutation(len(samples)):
        label = samples[position].label
        turn[label] = turn.get(label, 0) + 1
        ranked.append((turn[label], int(position)))  # the first of every class, then the second of every class
    chosen = sorted(ranked, key=lambda r: r[0])[:most]
    return [samples[position] for position in sorted(position for _, position in chosen)]
