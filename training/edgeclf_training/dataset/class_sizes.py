"""Classes with too few photos to learn, or for metrics to say anything about, before anyone trains on them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from edgeclf.class_names import natural
from edgeclf.errors import DataError
from edgeclf.evaluation.metrics import MIN_PHOTOS_FOR_RECALL

from edgeclf_training.dataset.exclusions import in_words
from edgeclf_training.dataset.find_photos import Found
from edgeclf_training.dataset.scan import Scanned
from edgeclf_training.dataset.split import foreseen_split

TINY_CLASS, FEW_PHOTOS = 5, 20  # training photos: too few to learn from, and few
IMBALANCE, LOPSIDED = 5, 20  # photos of the largest class to those of another: worth a note, and a problem

Told = tuple[str, Literal["problem", "note"], str, list[str]]  # kind, severity, what it is, and a line for each class


def uneven(trained: Mapping[str, int]) -> Iterator[Told]:
    """Tiny, small and uneven classes, smallest first; nothing is said where no case is.

    Args:
        trained: training photos that can be read, by class; those of none are left out.
    """
    sizes = sorted(trained.items(), key=lambda pair: (pair[1], natural(pair[0])))
    tiny = [f"{label}: {in_words(n)}" for label, n in sizes if n < TINY_CLASS]
    few = [f"{label}: {in_words(n)}" for label, n in sizes if TINY_CLASS <= n < FEW_PHOTOS]
    yield "tiny-classes", "problem", f"classes with fewer than {TINY_CLASS} training photos, too few to learn", tiny
    yield "few-photos", "note", f"classes with fewer than {FEW_PHOTOS} training photos", few
    if sizes:
        large, most = sizes[-1]
        yield (
            "imbalance",
            "problem" if most >= LOPSIDED * sizes[0][1] else "note",
            "classes of very different size (a network that never answers small ones is mostly right)",
            [f"{label}: {in_words(n)}, {large}: {most}" for label, n in sizes if most >= IMBALANCE * n],
        )


def held_out(found: Found, scans: Mapping[Path, Scanned], trained: Mapping[str, int]) -> Iterator[Told]:
    """Classes about which the metrics will say nothing, or little, by the split that training would make.

    Args:
        found: the photos.
        scans: each photo looked at.
        trained: as in ``uneven``; a class without any is told elsewhere.
    """
    try:
        split = foreseen_split(replace(found, classes=tuple(c for c in found.classes if trained.get(c))), scans)
    except DataError as error:
        yield "no-split", "problem", "training refuses these photos", [str(error)]
        return
    classes = sorted(split.classes, key=natural)
    val, test = (Counter(s.label for s in part) for part in (split.val, split.test))
    none = "classes that will have no photos to validate with (nothing will be known about them)"
    yield "no-validation", "problem", none, [label for label in classes if not val[label]]
    if found.parts["val"]:
        few = [f"{label}: {in_words(val[label])}" for label in classes if 0 < val[label] < MIN_PHOTOS_FOR_RECALL]
        yield "few-validation", "note", f"classes with fewer than {MIN_PHOTOS_FOR_RECALL} validation photos", few
    if found.parts["test"]:
        yield "no-test", "note", "classes without test photos", [label for label in classes if not test[label]]
