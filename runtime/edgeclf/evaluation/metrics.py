"""Metrics of predictions on labelled photos, and confidence intervals of them.

Plain numpy, so that training, export and the device compute the same. Shares are 0..1 everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgeclf.class_names import several
from edgeclf.model.manifest import Metrics

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]
Truths = NDArray[np.bool_]

CALIBRATION_BINS = 15
MAX_CONFUSED_PAIRS = 20
MIN_PHOTOS_FOR_RECALL = 5  # with fewer photos of a class its recall is mostly chance
_Z = 1.959964  # 97.5 % of the normal distribution lie below it


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class. A share is None where there are no photos to count.

    Attributes:
        label: the class name.
        precision: share of correct photos among those predicted as this class.
        recall: share of correct photos among those of this class.
        f1: harmonic mean of both.
        support: photos of this class.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class ConfusedPair:
    """``photos`` of the ``of`` photos of class ``true`` were predicted as class ``predicted``."""

    true: str
    predicted: str
    photos: int
    of: int

    def to_dict(self) -> dict[str, str | int]:
        """Plain data for JSON, with the keys of ``evaluate --json`` and ``metrics.json``."""
        return {"true": self.true, "given": self.predicted, "photos": self.photos, "of": self.of}


@dataclass(frozen=True)
class Bin:
    """One bar of a reliability diagram.

    Attributes:
        low, high: the range of confidences, low < confidence <= high.
        photos: number of photos in that range.
        confidence: their mean confidence.
        accuracy: their share of correct predictions.
    """

    low: float
    high: float
    photos: int
    confidence: float
    accuracy: float


def compute_metrics(labels: Labels, predicted: Labels, classes: int, split: str) -> Metrics:
    """Compare predictions with the true classes.

    Args:
        labels: true class indices, int64 ``[photos]``, each in ``range(classes)``.
        predicted: predicted class indices, int64 ``[photos]``, likewise.
        classes: number of classes.
        split: name of the split, kept in the result.

    Raises:
        ValueError: the arrays differ in length, or an index is out of range.
    """
    if labels.shape != predicted.shape:
        raise ValueError(f"{labels.shape} labels, {predicted.shape} predictions")
    if any(len(indices) and not 0 <= indices.min() <= indices.max() < classes for indices in (labels, predicted)):
        raise ValueError(f"a class index is not within 0..{classes - 1}")
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    return Metrics(split, len(labels), int(confusion.trace()), tuple(tuple(row) for row in confusion.tolist()))


def per_class(metrics: Metrics, classes: Sequence[str]) -> tuple[ClassMetrics, ...]:
    """Precision, recall, F1 and support of each class, in class order (``classes``: names in index order)."""
    counts = np.array(metrics.confusion, np.int64).reshape(len(classes), len(classes))
    return tuple(
        ClassMetrics(
            label,
            precision=correct / predicted if predicted else None,
            recall=correct / support if support else None,
            f1=2 * correct / (support + predicted) if support + predicted else None,
            support=support,
        )
        for label, correct, support, predicted in zip(
            classes, counts.diagonal().tolist(), counts.sum(1).tolist(), counts.sum(0).tolist(), strict=True
        )
    )


def balanced_accuracy(metrics: Metrics) -> float | None:
    """Balanced accuracy, 0..1: the mean recall of the classes that have photos, with equal weights; None without any.

    If one class has most of the photos, the plain accuracy is little more than the recall of that class.
    """
    recalls = [row[i] / sum(row) for i, row in enumerate(metrics.confusion) if i < len(row) and sum(row) > 0]
    return sum(recalls) / len(recalls) if recalls else None


def accuracy_text(metrics: Metrics) -> str:
    """One line for people: how many photos are right, and the balanced accuracy."""
    balanced = balanced_accuracy(metrics)
    mean = "" if balanced is None else f"; balanced accuracy {balanced:.1%} (mean recall of the classes)"
    return f"{metrics.correct} of {metrics.photos} photos right ({metrics.accuracy:.1%}){mean}"


def correct_by_chance(metrics: Metrics) -> tuple[float, float]:
    """How many photos would be correct if the same predictions were assigned to the photos at random.

    Returns:
        Mean and standard deviation of the number of correct photos, exact over all orders of the predictions.
    """
    counts = np.array(metrics.confusion, np.int64)
    true, predicted = counts.sum(1).astype(float), counts.sum(0).astype(float)  # photos of each class
    photos = true.sum()
    products = true * predicted
    if photos < 2:
        return float(products.sum()), 0.0
    mean = products.sum() / photos
    pairs = products.sum() ** 2 - (products**2).sum() + (products * (true - 1) * (predicted - 1)).sum()
    variance = pairs / (photos * (photos - 1)) + mean - mean**2
    return float(mean), math.sqrt(max(0.0, variance))


def remarks(metrics: Metrics, classes: Sequence[str]) -> tuple[str, ...]:
    """Problems that the accuracy hides.

    These are predictions that are no better than guessing (not more correct than 95 % of all random orders of them),
    and classes that were never predicted, never predicted correctly, or have few photos or none.

    Args:
        metrics: of one split.
        classes: names in index order.

    Returns:
        One line for each problem; nothing if there is none, or without photos.
    """
    rows = per_class(metrics, classes)
    tested = [row for row in rows if row.support]
    if not tested:
        return ()
    mean, deviation = correct_by_chance(metrics)
    by_chance = len(tested) > 1 and metrics.correct <= mean + 1.645 * deviation + 1e-9
    cases = (
        ("never predicted, so all photos of it are wrong", [r.label for r in tested if r.precision is None]),
        ("predicted, but never correctly", [r.label for r in tested if r.recall == 0 and r.precision is not None]),
        ("no photos: accuracy is unknown", [r.label for r in rows if not r.support]),
        (
            f"fewer than {MIN_PHOTOS_FOR_RECALL} photos: recall is mostly chance",
            [r.label for r in tested if r.support < MIN_PHOTOS_FOR_RECALL],
        ),
    )
    right = f"{metrics.correct} of {metrics.photos} photos right, guessing gives about {mean:.0f}"
    guess = (f"not clearly better than guessing: {right}",) if by_chance else ()
    return (*guess, *(f"{what}: {several(names)}" for what, names in cases if names))


def most_confused(
    metrics: Metrics, classes: Sequence[str], limit: int = MAX_CONFUSED_PAIRS
) -> tuple[ConfusedPair, ...]:
    """The pairs of classes with the most mistakes, at most ``limit``, most photos first; equal ones in class order."""
    counts = np.array(metrics.confusion, np.int64).reshape(len(classes), len(classes))
    support = counts.sum(1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:limit]
    return tuple(
        ConfusedPair(classes[i], classes[j], int(counts[i, j]), int(support[i]))
        for i, j in (divmod(int(flat), len(classes)) for flat in order)
        if counts[i, j]
    )


def reliability(confidences: Floats, right: Truths, bins: int = CALIBRATION_BINS) -> tuple[Bin, ...]:
    """Confidence against accuracy in bins of equal width (Guo et al. 2017); empty bins are left out.

    Args:
        confidences: best probabilities, float ``[photos]``, 0..1.
        right: whether the best class is the true one, bool ``[photos]``.
        bins: number of bins between 0 and 1.
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


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv:1706.04599).

    The mean gap between confidence and accuracy, weighted by photos; 0 without photos.
    """
    photos = sum(b.photos for b in bins)
    return sum(b.photos * abs(b.confidence - b.accuracy) for b in bins) / photos if photos else 0.0


def wilson_interval(part: int, whole: int) -> tuple[float, float]:
    """95 % confidence interval of the share ``part / whole`` (Wilson 1927): low and high; 0 and 1 if ``whole`` is 0."""
    if not whole:
        return 0.0, 1.0
    z = _Z
    share = part / whole
    middle = share + z * z / (2 * whole)
    reach = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def paired_interval(lost: int, gained: int, photos: int, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the accuracy lost between two classifiers on the same photos.

    Tango's score interval for the difference of paired proportions (Tango 1998, Statistics in Medicine 17:891-908;
    recommended for small samples by Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33:2850-2875). It
    excludes 0 exactly where McNemar's test is significant.

    Args:
        lost: photos that only the first predicted correctly.
        gained: photos that only the second predicted correctly.
        photos: all photos.
        level: of confidence, 0..1.

    Returns:
        Low and high as shares, -1..1; positive where the second is worse. -1 and 1 without photos.
    """
    if not photos:
        return -1.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    estimate = (lost - gained) / photos

    def score(difference: float) -> float:
        """How many standard errors the estimate lies above ``difference``; falls as ``difference`` grows."""
        b = -lost - gained + (2 * photos - lost + gained) * difference
        c = -gained * difference * (1 - difference)
        share = (math.sqrt(max(0.0, b * b - 8 * photos * c)) - b) / (
            4 * photos
        )  # of photos gained: the most likely value
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
