"""From photo folders to lists of samples: finding photos, naming classes, splitting. Files are only ever read."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgeclf.contract import ImageContract
from edgeclf.errors import DataError, PhotoError
from edgeclf.image import SUFFIXES, upright_rgb
from edgeclf.session import usable_threads

VALIDATION_SHARE = 0.2
SPLITS = ("train", "val", "test")
_VAL_NAMES = ("val", "valid", "validation")


@dataclass(frozen=True, order=True)
class Sample:
    """One labelled photo: its file and its class name."""

    path: Path
    label: str


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
        lines = sorted(
            f"{part}\t{s.label}\t{s.path.name}\t{s.path.stat().st_size}" for part in SPLITS for s in self.part(part)
        )
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
        earlier: the split of the run this one goes on from; its photos stay in the parts they were in.

    Raises:
        DataError: a folder is missing or holds no class folders, fewer than two classes, a class without photos, or
            a class that is tested but never trained.
    """
    found: dict[str, dict[str, list[Sample]]] = {part: {} for part in SPLITS}
    for root in roots:
        _check_folder(root)
        for part, folder in _parts(root).items():
            for label, photos in _class_folders(folder, only).items():
                found[part].setdefault(label, []).extend(Sample(path, label) for path in photos)
    classes = tuple(sorted(found["train"]))
    _check_classes(classes, found, only, roots)

    train: list[Sample] = []
    val = [s for label in classes for s in found["val"].get(label, [])]
    test = [s for label in classes for s in found["test"].get(label, [])]
    known = {s.path: part for part in SPLITS for s in earlier.part(part)} if earlier else {}
    parts = {"train": train, "val": val, "test": test}
    set_aside = not val
    for label in classes:
        fresh: list[Sample] = []
        for sample in sorted(set(found["train"][label]), key=lambda s: _shuffle_key(s, seed))[:max_per_class]:
            (parts[known[sample.path]] if sample.path in known else fresh).append(sample)
        held = max(1, round(len(fresh) * VALIDATION_SHARE)) if set_aside and len(fresh) > 1 else 0
        val += fresh[:held]
        train += fresh[held:]
    origin = f"{VALIDATION_SHARE:.0%} of the training photos, seed {seed}" if set_aside else "the val folder"
    return Split(classes, tuple(sorted(train)), tuple(sorted(val)), tuple(sorted(test)), origin)


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
    """Write ``train.txt``, ``val.txt``, ``test.txt`` (class, tab, path) and ``skipped.txt`` (path, tab, why)."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in SPLITS:
        lines = (f"{s.label}\t{s.path}\n" for s in split.part(part))
        (folder / f"{part}.txt").write_text("".join(lines), "utf-8", "surrogateescape")
    skipped = (f"{s.path}\t{s.reason}\n" for s in split.skipped)
    (folder / "skipped.txt").write_text("".join(skipped), "utf-8", "surrogateescape")


def read_lists(folder: Path, classes: Sequence[str], val_origin: str) -> Split:
    """Read what ``write_lists`` wrote.

    Raises:
        DataError: a list is missing or not as it was written.
    """
    parts: dict[str, tuple[Sample, ...]] = {}
    for part in SPLITS:
        try:
            lines = (folder / f"{part}.txt").read_text("utf-8", "surrogateescape").splitlines()
            pairs = [line.split("\t", 1) for line in lines]
            parts[part] = tuple(Sample(Path(path), label) for label, path in pairs)
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / part}.txt cannot be read ({error})", "train again") from error
    return Split(tuple(classes), parts["train"], parts["val"], parts["test"], val_origin)


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


def _class_folders(folder: Path, only: Sequence[str]) -> dict[str, list[Path]]:
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))
    return {name: list(_photos(folder / name)) for name in names if not only or name in only}


def _photos(folder: Path) -> Iterable[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield Path(os.path.abspath(os.path.join(parent, name)))


def _check_classes(
    classes: tuple[str, ...], found: dict[str, dict[str, list[Sample]]], only: Sequence[str], roots: Sequence[Path]
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


def _shuffle_key(sample: Sample, seed: int) -> bytes:
    """A seeded order that depends on class and file name only, not on where the folder lies or what else is in it."""
    return hashlib.sha256(f"{seed}\0{sample.label}\0{sample.path.name}".encode("utf-8", "surrogateescape")).digest()


def _unreadable(path: Path, contract: ImageContract) -> str | None:
    try:
        upright_rgb(path, contract)
    except PhotoError as error:
        return error.message
    return None
