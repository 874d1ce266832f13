"""Calibration: a temperature for the probabilities, and the threshold below which a photo is "unknown".

Both are chosen on the validation photos, from their logits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from edgeclf.evaluation.calibration_text import MAX_WRONG_SHARE
from edgeclf.evaluation.metrics import Floats, Labels, Truths, expected_calibration_error, reliability
from edgeclf.model.manifest import Calibration
from numpy.typing import NDArray

TEMPERATURES = (0.05, 20.0)  # the range that is searched
KEPT_SHARE = 0.99  # of the correct predictions, at most so many reach the threshold
ANSWERED_SHARE = 0.1  # of all photos, at least so many reach the threshold
_GRID = 10_000  # thresholds are multiples of 1 / _GRID
_ROWS = 4096  # photos at a time: softmax in float64 of 100,000 photos needs much memory

# What few photos cannot tell, other networks did: benchmarks/few_photos/confidence.py chose these four numbers.
_TEMPERATURE_BEFORE = (0.7, 0.4)  # median and log standard deviation of temperatures, before any photo was seen
_THRESHOLD_BEFORE = 0.92
_THRESHOLD_PHOTOS = 150  # the threshold above counts as much as so many photos


@dataclass(frozen=True)
class Threshold:
    """A threshold and its result on the photos that it was chosen on.

    Attributes:
        value: photos whose confidence is below it are "unknown"; 0..1.
        answered: number of photos that reach it.
        wrong: how many of these are predicted wrongly.
        expected_wrong: share of these that their confidences expect to be wrong, 0..1.
    """

    value: float
    answered: int
    wrong: int
    expected_wrong: float


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
        chosen.expected_wrong,
    )


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The most probable temperature (Guo et al. 2017, arXiv:1706.04599, with a prior).

    Minimises the negative log-likelihood of softmax(logits / T) plus that of log T under a normal distribution: its
    mean and deviation are those of networks that edgeclf trained. So 12 photos, all predicted correctly, do not make
    the network certain of everything. With hundreds of photos it makes no difference.

    Bisection on the slope finds the minimum.

    Args:
        logits: ``[photos, classes]``, finite.
        labels: true class indices ``[photos]``.

    Returns:
        A temperature within ``TEMPERATURES``.
    """
    median, deviation = _TEMPERATURE_BEFORE
    low, high = (math.log(1 / t) for t in reversed(TEMPERATURES))
    for _ in range(40):
        middle = (low + high) / 2
        inverse = math.exp(middle)
        before = (middle + math.log(median)) / deviation**2
        if _slope(logits, labels, inverse) * inverse + before < 0:
            low = middle
        else:
            high = middle
    return round(math.exp(-(low + high) / 2), 6)


def _slope(logits: Floats, labels: Labels, inverse: float) -> float:
    """Derivative of the negative log-likelihood, summed over the photos, with respect to 1 / T."""
    total = 0.0
    for rows in _slices(len(logits)):
        scores = _shifted(logits[rows])
        shares = np.exp(scores * inverse)
        shares /= shares.sum(1, keepdims=True)
        total += float((shares * scores).sum() - scores[np.arange(len(scores)), labels[rows]].sum())
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
    """Choose a threshold at which at most ``MAX_WRONG_SHARE`` of the answered photos are expected to be wrong.

    A calibrated confidence of 0.9 is wrong in one of ten cases. So the wrong share that a threshold lets through is
    expected from the confidences: counted errors are a handful, and vary from one choice of photos to the next. Of the
    lowest such threshold and ``_THRESHOLD_BEFORE`` the mean of the log odds is taken, weighted by numbers of photos.

    Two limits apply:

    * It is not lower than the confidence that ``KEPT_SHARE`` of the correct predictions reach. Photos of none of the
      classes, which the validation photos do not contain, often have a lower confidence. Without this limit a good
      network would answer all of them.
    * At least ``ANSWERED_SHARE`` of the photos reach it, even if more of them are expected to be wrong: a network that
      calls nearly every photo unknown helps nobody.

    Args:
        confidences: calibrated, of each photo, 0..1, ``[photos]``, at least one.
        right: whether each prediction is correct, bool ``[photos]``.
    """
    count = len(confidences)
    best_first = np.sort(confidences)[::-1]
    expected = np.cumsum(1 - best_first) / np.arange(1, count + 1)
    reached = np.flatnonzero(expected <= MAX_WRONG_SHARE)
    lowest = float(best_first[reached[-1]]) if len(reached) else 1.0
    share = count / (count + _THRESHOLD_PHOTOS)
    value = _probability(share * _log_odds(lowest) + (1 - share) * _log_odds(_THRESHOLD_BEFORE))
    kept = np.sort(confidences[right])
    if len(kept):
        value = max(value, float(kept[int(len(kept) * (1 - KEPT_SHARE))]))
    value = min(value, float(best_first[math.ceil(count * ANSWERED_SHARE) - 1]))
    value = math.floor(value * _GRID) / _GRID
    answered = confidences >= value
    wrong_share = float((1 - confidences[answered]).mean())
    return Threshold(value, int(answered.sum()), int((answered & ~right).sum()), wrong_share)


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1 / _GRID), 1 - 1 / _GRID)
    return math.log(bounded / (1 - bounded))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _shifted(logits: Floats) -> NDArray[np.float64]:
    """Logits as float64, minus the largest one of each row."""
    wide = logits.astype(np.float64)
    return np.asarray(wide - wide.max(1, keepdims=True))


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, count, _ROWS))
