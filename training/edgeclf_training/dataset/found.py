"""What was found in data folders, and the order of photos that depends on the seed."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf.files.in_tar import size_and_time

from edgeclf_training.dataset.samples import Sample
from edgeclf_training.dataset.table_problems import Problem

VAL_FOLDER = "the val folder"


@dataclass(frozen=True)
class Found:
    """What was found in the data folders. No photo is opened for it.

    Attributes:
        classes: class names in index order.
        parts: samples of "train", "val" and "test", class by class. The order within a class depends on the seed and on
            paths inside the class folder only.
        others: visible files in class folders without an image extension.
        loose: photos beside the class folders.
        unsorted: folders named ``_unsorted`` beside class folders; the classes of their photos are guesses.
        notes: how the folders were read, one line each.
        empty: class folders without photos. These and the next two are refused, unless data is only checked.
        alike: class folders with too similar names, in groups.
        refusals: class folders named "unknown".
        mixed: class folders that may hold several classes; never refused.
        problems: of the labels table; refused as well.
        val_source: where the validation photos come from, if the user chose them.
        groups: of photos whose row in the labels table names a group, that group.
        unlisted: photos in the data folders that the labels table does not name.
        roots: the data folders, absolute.
        folders: the class folders, absolute; with a labels table the data folders. ``--group-by folder:N`` counts from
            them.
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
    problems: tuple[Problem, ...] = ()
    val_source: str = VAL_FOLDER
    groups: Mapping[Path, str] = field(default_factory=dict)
    unlisted: frozenset[Path] = frozenset()
    roots: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Placed:
    """A sample and its path inside the class folder, or inside the data folder if a table gives the labels.

    The seeded order depends on this path.
    """

    sample: Sample
    place: str


def placed(path: Path, place: str, label: str) -> Placed:
    """A photo with its size and its path inside the folder."""
    try:
        size, _ = size_and_time(path)
    except OSError:  # a broken link: reported as unreadable, like any other photo
        size = 0
    return Placed(Sample(path, label, size), place.replace(os.sep, "/"))


def in_seeded_order(
    photos: Mapping[str, Mapping[str, Sequence[Placed]]], classes: Sequence[str], seed: int, max_per_class: int | None
) -> dict[str, tuple[Sample, ...]]:
    """The photos of each part, class by class, in an order that depends on the seed, the class and the place only.

    Args:
        photos: by part and class.
        classes: in index order.
        seed: of the order.
        max_per_class: at most so many training photos of each class; all if None.
    """
    parts = {}
    for part in SPLITS:
        chosen: dict[Path, Sample] = {}  # the same folder may be given twice
        for label in classes:
            ordered = sorted(photos[part].get(label, []), key=lambda f: (_shuffle_key(f, seed), f.sample.path))
            chosen.update((f.sample.path, f.sample) for f in ordered[: max_per_class if part == "train" else None])
        parts[part] = tuple(chosen.values())
    return parts


def _shuffle_key(photo: Placed, seed: int) -> bytes:
    key = f"{seed}\0{photo.sample.label}\0{photo.place}"
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
