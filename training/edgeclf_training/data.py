"""From photo folders to lists of samples: finding photos, naming classes, splitting. Files are only ever read."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from edgeclf.contract import ImageContract
from edgeclf.errors import DataError, PhotoError
from edgeclf.files import image_files, write_atomically
from edgeclf.image import upright_rgb
from edgeclf.session import usable_threads

VALIDATION_SHARE = 0.2
SPLITS = ("train", "val", "test")
_VAL_NAMES = ("val", "valid", "validation")
_SPLIT_NAMES = frozenset((*_VAL_NAMES, "train", "training", "test", "testing"))


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
    """A file that cannot be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Split:
    """The photos of a run.

    Attributes:
        classes: class names in index order: sorted by code point, on every machine alike.
        train, val, test: the samples; ``test`` is empty unless the data has a test folder.
        val_origin: "the val folder" or how validation photos were set aside.
        skipped: files left out because they cannot be read.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    val_origin: str
    skipped: tuple[Skipped, ...] = ()

    def part(self, name: str) -> tuple[Sample, ...]:
        """The samples of "train", "val" or "test"."""
        samples: tuple[Sample, ...] = getattr(self, name)
        return samples

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the sorted lists: split, class, file name and size, but no folder names."""
        lines = sorted(f"{part}\t{s.label}\t{s.path.name}\t{s.size}" for part in SPLITS for s in self.part(part))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def read_split(
    roots: Sequence[Path],
    *,
    seed: int = 0,
    only: Sequence[str] = (),
    max_per_class: int | None = None,
    earlier: Split | None = None,
) -> Split:
    """Find the photos under one or more data folders and split them.

    A data folder holds ``train/`` and optionally ``val/`` and ``test/``, each with one folder per class, or class
    folders alone. Without ``val/`` a seeded, stratified 20 % of the training photos validates.

    Args:
        roots: data folders; classes of the same name are merged.
        seed: of the split and of the choice that ``max_per_class`` makes.
        only: class names to use; all if empty.
        max_per_class: training photos per class (validation photos set aside from them included).
        earlier: the split of the run this one goes on from. Its photos, known by class, file name and size, stay in
            the parts they were in, whatever folder they are found in now: nothing trained on ever validates.

    Raises:
        DataError: a folder is missing or holds no class folders, fewer than two classes, a class without photos, a
            class that is tested but never trained, or too few photos to set any aside for validation.
    """
    found: dict[str, dict[str, list[_Found]]] = {part: {} for part in SPLITS}
    for root in roots:
        _check_folder(root)
        for part, folder in _parts(root).items():
            for label, photos in _class_folders(folder, only).items():
                found[part].setdefault(label, []).extend(photos)
    classes = tuple(sorted(found["train"]))
    _check_classes(classes, found, only, roots)

    known = {s.identity: part for part in SPLITS for s in earlier.part(part)} if earlier else {}
    parts: dict[str, set[Sample]] = {part: set() for part in SPLITS}
    fresh: dict[str, list[Sample]] = {}
    for part in SPLITS:
        for label in classes:
            photos = sorted(found[part].get(label, []), key=lambda f: (_shuffle_key(f, seed), f.sample.path))
            for photo in photos[: max_per_class if part == "train" else None]:
                home = known.get(photo.sample.identity, part)
                if home == "train" and photo.sample.identity not in known:
                    fresh.setdefault(label, []).append(photo.sample)
                else:
                    parts[home].add(photo.sample)
    set_aside = not any(found["val"].values())
    for samples in fresh.values():
        held = max(1, round(len(samples) * VALIDATION_SHARE)) if set_aside and len(samples) > 1 else 0
        parts["val"].update(samples[:held])
        parts["train"].update(samples[held:])
    if not parts["val"]:
        raise DataError("too few photos to set any aside for validation", "give at least 2 per class, or a val folder")
    origin = f"{VALIDATION_SHARE:.0%} of the training photos, seed {seed}" if set_aside else "the val folder"
    train, val, test = (tuple(sorted(parts[part])) for part in SPLITS)
    return Split(classes, train, val, test, origin)


def drop_unreadable(split: Split, contract: ImageContract, progress: Callable[[int, int], None] | None = None) -> Split:
    """Decode every photo once through the door, in parallel, and leave out those that cannot be read.

    Args:
        split: as found.
        contract: decoding is done as training will do it.
        progress: called with (photos done, photos in all).

    Raises:
        DataError: nothing is left to train or to validate with, or a class has lost all its training photos.
    """
    samples = [s for part in SPLITS for s in split.part(part)]
    bad: dict[Path, str] = {}
    decode = partial(_unreadable, contract=contract)
    with ThreadPoolExecutor(usable_threads()) as pool:
        reasons = pool.map(decode, (s.path for s in samples))
        for done, (sample, reason) in enumerate(zip(samples, reasons, strict=True), 1):
            if reason is not None:
                bad[sample.path] = reason
            if progress:
                progress(done, len(samples))
    if not bad:
        return split
    train, val, test = (tuple(s for s in split.part(part) if s.path not in bad) for part in SPLITS)
    skipped = tuple(Skipped(path, reason) for path, reason in bad.items())
    kept = replace(split, train=train, val=val, test=test, skipped=skipped)
    lost = sorted(set(split.classes) - {s.label for s in kept.train})
    if lost:
        raise DataError(
            f"no readable training photo is left in {', '.join(lost)}", f"first: {next(iter(bad.values()))}"
        )
    if not kept.val:
        raise DataError("no readable validation photo is left", "add photos that can be read")
    return kept


def write_lists(split: Split, folder: Path) -> None:
    """Write ``train.txt``, ``val.txt``, ``test.txt`` (class, bytes, path) and ``skipped.txt`` (path, why)."""
    folder.mkdir(parents=True, exist_ok=True)
    lists = {part: [f"{s.label}\t{s.size}\t{s.path}" for s in split.part(part)] for part in SPLITS}
    lists["skipped"] = [f"{s.path}\t{s.reason}" for s in split.skipped]
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
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / name}.txt cannot be read ({error})", "train again") from error
    return Split(tuple(classes), parts["train"], parts["val"], parts["test"], val_origin, skipped)


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "surrogateescape").split("\n")[:-1]


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}", "give a folder with one sub-folder of photos per class")


def _parts(root: Path) -> dict[str, Path]:
    if not (root / "train").is_dir():
        return {"train": root}
    parts = {"train": root / "train"}
    for name in _VAL_NAMES:
        if (root / name).is_dir():
            parts["val"] = root / name
            break
    if (root / "test").is_dir():
        parts["test"] = root / "test"
    return parts


@dataclass(frozen=True)
class _Found:
    """A sample and its place within the class folder, which the seeded order goes by."""

    sample: Sample
    place: str


def _class_folders(folder: Path, only: Sequence[str]) -> dict[str, list[_Found]]:
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))
    if odd := [name for name in names if name.lower() in _SPLIT_NAMES]:
        raise DataError(
            f"{folder}: {', '.join(odd)} looks like a split, not a class", "call the splits train, val and test"
        )
    return {name: list(_photos(folder / name, name)) for name in names if not only or name in only}


def _photos(folder: Path, label: str) -> Iterable[_Found]:
    for name in image_files(str(folder)):
        if "\n" in name or "\r" in name:
            raise DataError(f"{name!r}: a line break in a file name", "rename it")
        path = Path(os.path.abspath(name))
        yield _Found(Sample(path, label, path.stat().st_size), os.path.relpath(name, folder).replace(os.sep, "/"))


def _check_classes(
    classes: tuple[str, ...], found: dict[str, dict[str, list[_Found]]], only: Sequence[str], roots: Sequence[Path]
) -> None:
    where = ", ".join(map(str, roots))
    if unknown := sorted(set(only) - set(classes)):
        raise DataError(f"{where}: no class folder {', '.join(unknown)}", "check the names given to --classes")
    if not classes:
        raise DataError(f"{where}: no class folders", "put the photos of each class into a sub-folder of its name")
    if empty := [label for label in classes if not found["train"][label]]:
        raise DataError(
            f"{where}: no images in class folder {', '.join(empty)}", "add photos, remove it, or choose with --classes"
        )
    if len(classes) == 1:
        raise DataError(f"{where}: only one class, {classes[0]}", "add at least one more class folder to tell it from")
    for part in ("val", "test"):
        if extra := sorted(set(found[part]) - set(classes)):
            raise DataError(f"{where}: {part} has {', '.join(extra)}, train has not", "train needs every class")
    if bad := [label for label in classes if not label.isprintable()]:
        raise DataError(f"{where}: class folder {bad[0]!r} has unprintable characters", "rename it")


def _shuffle_key(found: _Found, seed: int) -> bytes:
    """A seeded order that depends on nothing but the class and the place within its folder."""
    key = f"{seed}\0{found.sample.label}\0{found.place}"
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _unreadable(path: Path, contract: ImageContract) -> str | None:
    try:
        upright_rgb(path, contract)
    except PhotoError as error:
        return error.message
    return None
