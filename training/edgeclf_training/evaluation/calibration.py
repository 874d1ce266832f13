"""Calibration: a temperature for the probabilities, and the threshold below which a photo is "unknown".

Both are chosen on the validation photos, from their logits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from edgeclf.evaluation.metrics import Floats, Labels, Truths, expected_calibration_error, reliability
from edgeclf.model.manifest import Calibration
from numpy.typing import NDArray

TEMPERATURES = (0.05, 20.0)  # the range that is searched
WRONG_SHARE = 0.05  # at most so many of the photos above the threshold should be wrong
KEPT_SHARE = 0.99  # of the correct predictions, so many reach the threshold
ANSWERED_SHARE = 0.5  # of all photos, at least so many reach the threshold
_GRID = 10_000  # thresholds are multiples of 1 / _GRID
_ROWS = 4096  # photos at a time: softmax in float64 of 100,000 photos needs much memory


@dataclass(frozen=True)
class Threshold:
    """A threshold and its result on the photos that it was chosen on.

    Attributes:
        value: photos whose confidence is below it are "unknown"; 0..1.
        answered: number of photos that reach it.
        wrong: how many of these are predicted wrongly.
        reached: whether at most ``WRONG_SHARE`` of the answered photos are wrong.
    """

    value: float
    answered: int
    wrong: int
    reached: bool


def calibrate(logits: Floats, labels: Labels) -> Calibration:
    """Choose temperature and threshold.

    Args:
        logits: ``[photos, classes]``, at least one photo.
        labels: true class indices ``[photos]``.

    Returns:
        Both, with their results on these photos.
    """
    temperature = fit_temperature(logits, labels)
    before, right = confidence(logits, labels)
    after, _ = confidence(logits, labels, temperature)
    chosen = choose_threshold(after, right)
    return Calibration(
        temperature,
        chosen.value,
        len(labels),
        chosen.answered,
        chosen.wrong,
        expected_calibration_error(reliability(before, right)),
        expected_calibration_error(reliability(after, right)),
    )


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature that makes the true classes most likely (Guo et al. 2017, arXiv:1706.04599).

    Minimises the negative log-likelihood of softmax(logits / T) with Platt's targets (Platt 1999): of n photos, the
    true class counts (n + 1) / (n + 2) and the other classes share the rest. So the temperature stays
    moderate if only a few photos are given and all are predicted correctly. With many photos it makes no difference.

    The loss is convex in 1 / T: bisection on its slope finds the minimum.

    Args:
        logits: ``[photos, classes]``, finite.
        labels: true class indices ``[photos]``.

    Returns:
        A temperature within ``TEMPERATURES``.
    """
    low, high = (math.log(1 / t) for t in reversed(TEMPERATURES))
    for _ in range(40):
        middle = (low + high) / 2
        if _slope(logits, labels, math.exp(middle)) < 0:
            low = middle
        else:
            high = middle
    return round(math.exp(-(low + high) / 2), 6)


def _slope(logits: Floats, labels: Labels, inverse: float) -> float:
    """Derivative of the loss, summed over the photos, with respect to 1 / T."""
    count, classes = logits.shape
    rest = 1 / (count + 2) / max(1, classes - 1)
    total = 0.0
    for rows in _slices(count):
        scores = _shifted(logits[rows])
        shares = np.exp(scores * inverse)
        shares /= shares.sum(1, keepdims=True)
        true = scores[np.arange(len(scores)), labels[rows]]
        expected = true * (count + 1) / (count + 2) + (scores.sum(1) - true) * rest
        total += float((shares * scores).sum() - expected.sum())
    return total


def confidence(logits: Floats, labels: Labels, temperature: float = 1.0) -> tuple[NDArray[np.float64], Truths]:
    """Confidence of each photo: the probability of its predicted class.

    Returns:
        The confidences, float64 ``[photos]``, 0..1; and whether each prediction is correct, bool ``[photos]``.
    """
    best = np.zeros(len(logits))
    for rows in _slices(len(logits)):
        best[rows] = 1 / np.exp(_shifted(logits[rows]) / temperature).sum(1)
    return best, np.asarray(logits.argmax(1) == labels)


def choose_threshold(confidences: Floats, right: Truths) -> Threshold:
    """Choose the lowest threshold at which at most ``WRONG_SHARE`` of the answered photos are wrong.

    Two limits apply:

    * It is not lower than the confidence that ``KEPT_SHARE`` of the correct predictions reach. Photos of none of the
      classes, which the validation photos do not contain, often have a lower confidence. Without this limit a good
      network would answer all of them.
    * At least ``ANSWERED_SHARE`` of the photos reach it. With fewer photos the choice would depend on chance.

    If no threshold within these limits has few enough wrong photos, the lowest one within the first limit is returned,
    with ``reached`` False.

    Args:
        confidences: of each photo, 0..1, ``[photos]``.
        right: whether each prediction is correct, bool ``[photos]``.
    """
    steps = np.floor(confidences * _GRID).astype(int)
    kept = np.sort(steps[right])
    floor = int(kept[int(len(kept) * (1 - KEPT_SHARE))]) if len(kept) else 0
    lowest: Threshold | None = None
    for step in np.unique(np.append(steps[steps >= floor], floor)):
        answered = int((steps >= step).sum())
        wrong = int((~right & (steps >= step)).sum())
        found = Threshold(int(step) / _GRID, answered, wrong, wrong <= WRONG_SHARE * answered)
        lowest = lowest or found
        if found.reached and (found is lowest or answered >= ANSWERED_SHARE * len(steps)):
            return found
    assert lowest is not None
    return lowest


def _shifted(logits: Floats) -> NDArray[np.float64]:
    """Logits as float64, minus the largest one of each row."""
    wide = logits.astype(np.float64)
    return np.asarray(wide - wide.max(1, keepdims=True))


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, count, _ROWS))
