"""Labelled photos, how they are split, and the lists of them that a run keeps."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf.files.atomic_write import write_atomically

if TYPE_CHECKING:
    from edgeclf_training.dataset.known_photos import KnownPhoto

KNOWN_PHOTOS_FILE = "known.jsonl"  # beside the lists: photos of this run and of the runs before it, see known_photos


@dataclass(frozen=True, order=True)
class Sample:
    """One labelled photo: its file, its class name, and the file's size in bytes."""

    path: Path
    label: str
    size: int


@dataclass(frozen=True)
class Skipped:
    """A file that is left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Split:
    """The photos of a run.

    Attributes:
        classes: class names in index order, sorted by code point.
        train: training photos.
        val: validation photos.
        test: test photos; empty unless the data has a test folder.
        val_origin: where the validation photos come from: "the val folder", or the rule that chose them.
        skipped: files left out: unreadable, duplicates, or on the quarantine list.
        notes: what was found and decided about duplicates, the quarantine list and more, one line each.
        folds: fold number, from 1, of each photo of ``val``, if they are validated by cross-validation: then ``train``
            holds these photos too, and each is validated by a network that was not trained on its fold.
        known: what identifies these photos and those of earlier runs; empty if the split was read from lists.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    val_origin: str
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    folds: Mapping[Sample, int] = field(default_factory=dict, repr=False)
    known: "tuple[KnownPhoto, ...]" = field(default=(), compare=False, repr=False)

    def part(self, name: str) -> tuple[Sample, ...]:
        """The samples of "train", "val" or "test"."""
        samples: tuple[Sample, ...] = getattr(self, name)
        return samples

    def with_parts(self, parts: Mapping[str, Sequence[Sample]]) -> "Split":
        """This split with other samples in "train", "val" and "test"."""
        train, val, test = (tuple(parts[part]) for part in SPLITS)
        return replace(self, train=train, val=val, test=test)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the sorted lists of part, class, file name and size. Folder names do not change it."""
        lines = sorted(f"{part}\t{s.label}\t{s.path.name}\t{s.size}" for part in SPLITS for s in self.part(part))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def write_lists(split: Split, folder: Path) -> None:
    """Write the split as text files.

    ``train.txt``, ``val.txt`` and ``test.txt`` hold class, bytes and path of each photo, separated by tabs;
    ``skipped.txt`` holds path and reason, ``notes.txt`` the notes; ``folds.txt`` the fold of each photo in ``val.txt``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lists = {part: [f"{s.label}\t{s.size}\t{s.path}" for s in split.part(part)] for part in SPLITS}
    lists["skipped"] = [f"{s.path}\t{s.reason}" for s in split.skipped]
    lists["notes"] = list(split.notes)
    if split.folds:
        lists["folds"] = [str(split.folds[s]) for s in split.val]
    for name, lines in lists.items():
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        write_atomically(folder / f"{name}.txt", partial(_write, data=data))


def read_lists(folder: Path, classes: Sequence[str], val_origin: str) -> Split:
    """Read what ``write_lists`` wrote.

    Raises:
        DataError: a list is missing or damaged.
    """
    parts: dict[str, tuple[Sample, ...]] = {}
    name = ""
    try:
        for name in SPLITS:
            rows = [line.split("\t", 2) for line in _lines(folder / f"{name}.txt")]
            parts[name] = tuple(Sample(Path(path), label, int(size)) for label, size, path in rows)
        name = "skipped"
        rows_skipped = [line.rsplit("\t", 1) for line in _lines(folder / "skipped.txt")]
        skipped = tuple(Skipped(Path(path), reason) for path, reason in rows_skipped)
        name = "notes"
        notes = tuple(_lines(folder / "notes.txt"))
        name = "folds"
        numbers = map(int, _lines(folder / "folds.txt")) if (folder / "folds.txt").exists() else ()
        folds = dict(zip(parts["val"], numbers, strict=True)) if numbers else {}
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / name}.txt cannot be read ({error})", "train again") from error
    return Split(tuple(classes), parts["train"], parts["val"], parts["test"], val_origin, skipped, notes, folds)


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "surrogateescape").split("\n")[:-1]


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def choose_evenly(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """Choose at most ``count`` samples at random, as evenly from all classes as possible.

    Args:
        samples: to choose from.
        count: how many at most.
        seed: of the choice.

    Returns:
        The chosen samples, in the order of ``samples``.
    """
    rank_in_class: dict[str, int] = {}
    ranked = []
    for position in np.random.default_rng(seed).permutation(len(samples)):
        label = samples[position].label
        rank_in_class[label] = rank_in_class.get(label, 0) + 1
        ranked.append((rank_in_class[label], int(position)))  # the first of every class, then the second of every class
    chosen = sorted(ranked, key=lambda r: r[0])[:count]
    return [samples[position] for position in sorted(position for _, position in chosen)]
