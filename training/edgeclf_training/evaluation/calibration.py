"""Confidence that can be believed: a temperature, and a threshold below which a photo is "unknown".

Both are chosen on the validation photos, from their logits alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from edgeclf.evaluation.metrics import Floats, Labels, Truths, expected_calibration_error, reliability
from edgeclf.model.manifest import Calibration
from numpy.typing import NDArray

TEMPERATURES = (0.05, 20.0)
WRONG_SHARE = 0.05  # of the answered photos
KEPT_SHARE = 0.99  # of the right answers
ANSWERED_SHARE = 0.5  # of all photos
_GRID = 10_000  # thresholds are multiples of 1 / _GRID
_ROWS = 4096  # at a time: softmax in double precision of a hundred thousand photos need not lie in memory at once


@dataclass(frozen=True)
class Threshold:
    """A threshold and what it gives on the photos it was chosen on.

    Attributes:
        value: photos whose confidence is below it are "unknown", 0..1.
        answered: photos that reach it.
        wrong: how many of those are wrong.
        reached: at most ``WRONG_SHARE`` of the answered photos are wrong.
    """

    value: float
    answered: int
    wrong: int
    reached: bool


def calibrate(logits: Floats, labels: Labels) -> Calibration:
    """Temperature and threshold, with what they give on the photos they were chosen on.

    Args:
        logits: ``[photos, classes]``, at least one photo.
        labels: true class indices ``[photos]``.
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
    """The temperature under which the true classes are likeliest (Guo et al. 2017, arXiv:1706.04599).

    Minimises the negative log-likelihood of softmax(logits / T) with Platt's targets (Platt 1999): of n photos, the
    true class counts (n + 1) / (n + 2) and the other classes share the rest. So a handful of photos, all answered
    right, do not make the network certain of everything; with many photos the difference vanishes.

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
        wanted = true * (count + 1) / (count + 2) + (scores.sum(1) - true) * rest
        total += float((shares * scores).sum() - wanted.sum())
    return total


def confidence(logits: Floats, labels: Labels, temperature: float = 1.0) -> tuple[NDArray[np.float64], Truths]:
    """Each photo's best probability (float64 ``[photos]``, 0..1), and whether its class is the true one."""
    best = np.zeros(len(logits))
    for rows in _slices(len(logits)):
        best[rows] = 1 / np.exp(_shifted(logits[rows]) / temperature).sum(1)
    return best, np.asarray(logits.argmax(1) == labels)


def choose_threshold(confidences: Floats, right: Truths) -> Threshold:
    """The lowest threshold, so the most coverage, at which at most ``WRONG_SHARE`` of the answered photos are wrong.

    It never lies below the confidence that ``KEPT_SHARE`` of the right answers reach: photos of no class at all, which
    no validation set holds, are less certain than that, and a good network would otherwise answer them all. Nor does it
    answer fewer than ``ANSWERED_SHARE`` of the photos: beyond that a few photos decide, by chance, and the network
    would be of no use. Where that does not suffice, the lowest of these thresholds is taken, ``reached`` is False, and
    the probability of each answer says how far to trust it.
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
    """Logits as float64 with the largest of each row at 0."""
    wide = logits.astype(np.float64)
    return np.asarray(wide - wide.max(1, keepdims=True))


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, count, _ROWS))
