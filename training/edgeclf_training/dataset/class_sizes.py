"""Classes with too few photos to learn from, or to measure accuracy with."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from edgeclf.class_names import natural
from edgeclf.errors import DataError
from edgeclf.evaluation.metrics import MIN_PHOTOS_FOR_RECALL

from edgeclf_training.dataset.exclusions import photos_text
from edgeclf_training.dataset.found import Found
from edgeclf_training.dataset.group_rules import GroupRule
from edgeclf_training.dataset.scan import Scanned
from edgeclf_training.dataset.split import foreseen_split
from edgeclf_training.dataset.split_options import SplitOptions

TOO_FEW_PHOTOS = 5  # training photos of a class: fewer are a problem
FEW_PHOTOS = 20  # fewer are worth a note
UNEVEN_RATIO = 5  # photos of the largest class to those of another: from here worth a note
VERY_UNEVEN_RATIO = 20  # from here a problem

SizeFinding = tuple[
    str, Literal["problem", "note"], str, list[str]
]  # kind, severity, the kind in words, a line for each class


def uneven(trained: Mapping[str, int]) -> Iterator[SizeFinding]:
    """Classes with few training photos and classes of very different size, the smallest first.

    Args:
        trained: number of training photos that can be read, by class; classes without one are not in it.
    """
    sizes = sorted(trained.items(), key=lambda pair: (pair[1], natural(pair[0])))
    tiny = [f"{label}: {photos_text(n)}" for label, n in sizes if n < TOO_FEW_PHOTOS]
    few = [f"{label}: {photos_text(n)}" for label, n in sizes if TOO_FEW_PHOTOS <= n < FEW_PHOTOS]
    yield (
        "tiny-classes",
        "problem",
        f"classes with fewer than {TOO_FEW_PHOTOS} training photos, too few to learn from",
        tiny,
    )
    yield "few-photos", "note", f"classes with fewer than {FEW_PHOTOS} training photos", few
    if sizes:
        large, most = sizes[-1]
        yield (
            "imbalance",
            "problem" if most >= VERY_UNEVEN_RATIO * sizes[0][1] else "note",
            "classes of very different size (accuracy can be high although small classes are never predicted)",
            [f"{label}: {photos_text(n)}, {large}: {most}" for label, n in sizes if most >= UNEVEN_RATIO * n],
        )


def held_out(
    found: Found, scans: Mapping[Path, Scanned], trained: Mapping[str, int], rule: GroupRule | None = None
) -> Iterator[SizeFinding]:
    """Classes with no or few validation or test photos in the split that training would make.

    Args:
        found: the photos.
        scans: the scan of each photo.
        trained: as for ``uneven``.
        rule: how photos are grouped.
    """
    try:
        split = foreseen_split(
            replace(found, classes=tuple(c for c in found.classes if trained.get(c))), scans, SplitOptions(rule=rule)
        )
    except DataError as error:
        yield "no-split", "problem", "training refuses these photos", [str(error)]
        return
    classes = sorted(split.classes, key=natural)
    val, test = (Counter(s.label for s in part) for part in (split.val, split.test))
    none = "classes that will have no validation photos (their accuracy will be unknown)"
    yield "no-validation", "problem", none, [label for label in classes if not val[label]]
    if found.parts["val"]:
        few = [f"{label}: {photos_text(val[label])}" for label in classes if 0 < val[label] < MIN_PHOTOS_FOR_RECALL]
        yield "few-validation", "note", f"classes with fewer than {MIN_PHOTOS_FOR_RECALL} validation photos", few
    if found.parts["test"]:
        yield "no-test", "note", "classes without test photos", [label for label in classes if not test[label]]
