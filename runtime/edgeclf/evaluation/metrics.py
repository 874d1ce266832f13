"""Counting answers: what was right, what was taken for what, and how far a counted share can be trusted.

Plain numpy, so that training, export and the edge count alike. Shares are 0..1 everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgeclf.class_names import several
from edgeclf.model.manifest import Figures

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]
Truths = NDArray[np.bool_]

BINS = 15
PAIRS = 20  # most confused pairs told
FEW = 5  # photos of a class below which its recall is mostly chance
_Z = 1.959964  # 97.5 % of the normal distribution lie below it


@dataclass(frozen=True)
class ClassFigures:
    """How one class fared; None for a share of nothing.

    Attributes:
        label: the class name.
        precision: right among the photos answered with this class.
        recall: right among the photos of this class.
        f1: harmonic mean of both.
        support: photos of this class.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class Confused:
    """``photos`` of the class ``true``, which has ``of`` in all, were taken for the class ``given``."""

    true: str
    given: str
    photos: int
    of: int


@dataclass(frozen=True)
class Bin:
    """One bar of a reliability diagram.

    Attributes:
        low, high: the confidences it holds, low < confidence <= high.
        photos: how many.
        confidence: their mean confidence.
        accuracy: their share of right answers.
    """

    low: float
    high: float
    photos: int
    confidence: float
    accuracy: float


def count(labels: Labels, given: Labels, classes: int, split: str) -> Figures:
    """Right and wrong answers.

    Args:
        labels: true class indices, int64 ``[photos]``, each in ``range(classes)``.
        given: answered class indices, int64 ``[photos]``, likewise.
        classes: number of classes.
        split: recorded.

    Raises:
        ValueError: the arrays differ in length, or an index is out of range.
    """
    if labels.shape != given.shape:
        raise ValueError(f"{labels.shape} labels, {given.shape} answers")
    if any(len(indices) and not 0 <= indices.min() <= indices.max() < classes for indices in (labels, given)):
        raise ValueError(f"a class index is not within 0..{classes - 1}")
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, given), 1)
    return Figures(split, len(labels), int(confusion.trace()), tuple(tuple(row) for row in confusion.tolist()))


def per_class(figures: Figures, classes: Sequence[str]) -> tuple[ClassFigures, ...]:
    """Precision, recall, F1 and support of each class, in class order (``classes``: names in index order)."""
    counts = np.array(figures.confusion, np.int64).reshape(len(classes), len(classes))
    return tuple(
        ClassFigures(
            label,
            precision=right / given if given else None,
            recall=right / support if support else None,
            f1=2 * right / (support + given) if support + given else None,
            support=support,
        )
        for label, right, support, given in zip(
            classes, counts.diagonal().tolist(), counts.sum(1).tolist(), counts.sum(0).tolist(), strict=True
        )
    )


def balanced(figures: Figures) -> float | None:
    """Balanced accuracy, 0..1: the mean recall of the classes that have photos, each counted alike; None without any.

    Where one class has most of the photos, the plain accuracy is little more than that class's recall.
    """
    recalls = [row[i] / sum(row) for i, row in enumerate(figures.confusion) if i < len(row) and sum(row) > 0]
    return sum(recalls) / len(recalls) if recalls else None


def right_of(figures: Figures) -> str:
    """For people: how many were right, and the balanced accuracy."""
    even = balanced(figures)
    mean = "" if even is None else f"; balanced accuracy {even:.1%} (mean recall of the classes)"
    return f"{figures.correct} of {figures.photos} photos right ({figures.accuracy:.1%}){mean}"


def guessed(figures: Figures) -> tuple[float, float]:
    """How many would be right by chance: the mean, and the standard deviation, of the same answers dealt out at random.

    Both are exact, over all orders of the answers.
    """
    counts = np.array(figures.confusion, np.int64)
    there, given = counts.sum(1).astype(float), counts.sum(0).astype(float)
    photos = there.sum()
    if photos < 2:
        return float((there * given).sum()), 0.0
    mean = (there * given).sum() / photos
    both = (there * given).sum() ** 2 - (there**2 * given**2).sum() + (there * (there - 1) * given * (given - 1)).sum()
    variance = both / (photos * (photos - 1)) + mean - mean**2
    return float(mean), math.sqrt(max(0.0, variance))


def remarks(figures: Figures, classes: Sequence[str]) -> tuple[str, ...]:
    """What the share of right answers hides, a line each for people; nothing where all is well, or without photos.

    Classes that were never answered, never rightly, have few photos or none; answers that say no more than guessing
    (not beyond 95 % of all ways to deal them out).

    Args:
        figures: of one split.
        classes: names in index order.
    """
    rows = per_class(figures, classes)
    there = [row for row in rows if row.support]
    if not there:
        return ()
    mean, deviation = guessed(figures)
    by_chance = len(there) > 1 and figures.correct <= mean + 1.645 * deviation + 1e-9
    cases = (
        ("never answered, all photos of it wrong", [r.label for r in there if r.precision is None]),
        ("answered, but never rightly", [r.label for r in there if r.recall == 0 and r.precision is not None]),
        ("without photos, nothing is known about it", [r.label for r in rows if not r.support]),
        (f"fewer than {FEW} photos, recall mostly chance", [r.label for r in there if r.support < FEW]),
    )
    right = f"{figures.correct} of {figures.photos} photos right, guessing gives about {mean:.0f}"
    guess = (f"not clearly better than guessing: {right}",) if by_chance else ()
    return (*guess, *(f"{what}: {several(names)}" for what, names in cases if names))


def confused(figures: Figures, classes: Sequence[str], most: int = PAIRS) -> tuple[Confused, ...]:
    """At most ``most`` of the confused pairs, most photos first; equal ones in class order."""
    counts = np.array(figures.confusion, np.int64).reshape(len(classes), len(classes))
    support = counts.sum(1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    return tuple(
        Confused(classes[i], classes[j], int(counts[i, j]), int(support[i]))
        for i, j in (divmod(int(flat), len(classes)) for flat in order)
        if counts[i, j]
    )


def reliability(confidences: Floats, right: Truths, bins: int = BINS) -> tuple[Bin, ...]:
    """Confidence against accuracy in bins of equal width, as in Guo et al. 2017; empty bins are left out.

    Args:
        confidences: best probabilities, float ``[photos]``, 0..1.
        right: whether the best class is the true one, bool ``[photos]``.
        bins: how many the range 0..1 is cut into.
    """
    number = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    return tuple(
        Bin(
            int(i) / bins,
            (int(i) + 1) / bins,
            int((number == i).sum()),
            float(confidences[number == i].mean()),
            float(right[number == i].mean()),
        )
        for i in np.unique(number)
    )


def expected_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv:1706.04599).

    The mean gap between confidence and accuracy, weighted by photos; 0 without photos.
    """
    photos = sum(b.photos for b in bins)
    return sum(b.photos * abs(b.confidence - b.accuracy) for b in bins) / photos if photos else 0.0


def wilson(part: int, whole: int) -> tuple[float, float]:
    """95 % confidence interval of a share (Wilson 1927): low and high; all of 0..1 without photos."""
    if not whole:
        return 0.0, 1.0
    z = _Z
    share = part / whole
    middle = share + z * z / (2 * whole)
    reach = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def paired_interval(lost: int, gained: int, photos: int, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the accuracy lost between two classifiers that answered the same photos.

    Tango's score interval for the difference of paired proportions (Tango 1998, Statistics in Medicine 17:891-908;
    recommended for small samples by Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33:2850-2875). It
    leaves out 0 exactly where McNemar's test does.

    Args:
        lost: photos right by the first only.
        gained: photos right by the second only.
        photos: all photos.
        level: of confidence, 0..1.

    Returns:
        Low and high as shares, -1..1; positive where the second is worse. Everything without photos.
    """
    if not photos:
        return -1.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    estimate = (lost - gained) / photos

    def score(difference: float) -> float:
        """How many standard errors the estimate lies above a supposed difference; falls as that grows."""
        b = -lost - gained + (2 * photos - lost + gained) * difference
        c = -gained * difference * (1 - difference)
        share = (math.sqrt(max(0.0, b * b - 8 * photos * c)) - b) / (4 * photos)  # of photos gained, likeliest
        variance = photos * (2 * share + difference * (1 - difference))
        distance = lost - gained - photos * difference
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    def bisect(inside: float, outside: float, sign: int) -> float:
        for _ in range(60):
            middle = (inside + outside) / 2
            if sign * score(middle) < z:
                inside = middle
            else:
                outside = middle
        return inside

    low = -1.0 if estimate == -1 else bisect(estimate, -1.0, 1)
    high = 1.0 if estimate == 1 else bisect(estimate, 1.0, -1)
    return low, high
