"""Temperature and threshold, against brute force."""

import numpy as np
import pytest
from edgeclf.evaluation.calibration_text import calibration_text
from edgeclf_training.evaluation.calibration import (
    ANSWERED_SHARE,
    TEMPERATURES,
    WRONG_SHARE,
    calibrate,
    choose_threshold,
    confidence,
    fit_temperature,
)
from numpy.typing import NDArray


def answers(seed: int, photos: int, classes: int, scale: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Labels drawn from the softmax of logits, which then come out ``scale`` times too large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (photos, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(classes, p=p) for p in shares])
    return (logits * scale).astype(np.float32), labels


def loss(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> float:
    """Negative log-likelihood with Platt's targets, written out."""
    count, classes = logits.shape
    scores = logits.astype(float) / temperature
    logs = (
        scores
        - np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True))
        - scores.max(1, keepdims=True)
    )
    targets = np.full((count, classes), 1 / (count + 2) / (classes - 1))
    targets[np.arange(count), labels] = (count + 1) / (count + 2)
    return float(-(targets * logs).sum())


@pytest.mark.parametrize(("photos", "classes", "scale"), [(5000, 3, 2.5), (400, 10, 0.4), (7, 2, 1.0), (60, 200, 3.0)])
def test_temperature_is_that_of_a_grid_search(photos: int, classes: int, scale: float) -> None:
    logits, labels = answers(photos, photos, classes, scale)
    grid = np.geomspace(*TEMPERATURES, 4001)
    best = grid[np.argmin([loss(logits, labels, t) for t in grid])]
    assert fit_temperature(logits, labels) == pytest.approx(best, rel=2e-3)


def test_temperature_finds_back_the_scale_and_mends_the_calibration() -> None:
    logits, labels = answers(1, 20_000, 5, 3.0)
    found = calibrate(logits, labels)
    assert found.temperature == pytest.approx(3.0, rel=0.05)
    assert found.ece_before > 0.1
    assert found.ece_after < 0.02
    assert found.photos == 20_000


def test_a_few_photos_all_right_do_not_make_it_certain_of_everything() -> None:
    labels = np.arange(6) % 3
    logits = 4.0 * np.eye(3, dtype=np.float32)[labels]
    best, right = confidence(logits, labels, fit_temperature(logits, labels))
    assert right.all()
    assert best == pytest.approx(7 / 8, abs=0.01), "of 6 photos, all right, the next is right in 7 of 8 cases"


def test_the_worst_logits_stay_within_the_bounds() -> None:
    labels = np.array([0, 1, 0, 1])
    wrong = 5.0 * np.eye(2, dtype=np.float32)[1 - labels]
    assert fit_temperature(wrong, labels) == pytest.approx(TEMPERATURES[1], rel=1e-3)
    flat = np.zeros((4, 2), np.float32)
    assert TEMPERATURES[0] <= fit_temperature(flat, labels) <= TEMPERATURES[1]
    huge = 1e4 * np.eye(2, dtype=np.float32)[labels]
    assert np.isfinite(confidence(huge, labels, fit_temperature(huge, labels))[0]).all()


@pytest.mark.parametrize("seed", range(8))
def test_threshold_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photos = int(rng.integers(5, 400))
    confidences = rng.uniform(0.2, 1.0, photos)
    right = rng.uniform(size=photos) < confidences ** (0.3 + seed / 4)
    found = choose_threshold(confidences, right)

    floor = np.sort(confidences[right])[int(right.sum() * 0.01)]
    fitting = []
    for step in range(10_001):
        threshold = step / 10_000
        kept = confidences >= threshold
        useful = threshold <= floor or kept.mean() >= ANSWERED_SHARE
        if threshold >= floor - 1e-4 and useful and (~right[kept]).mean() <= WRONG_SHARE:
            fitting.append((threshold, kept.sum()))
    assert found.reached == bool(fitting)
    if fitting:
        assert found.answered == fitting[0][1] == (confidences >= found.value).sum()
        assert found.wrong == (~right & (confidences >= found.value)).sum()
        assert found.value == pytest.approx(max(t for t, n in fitting if n == found.answered), abs=1.01e-4)


def test_threshold_keeps_99_of_100_right_answers_even_where_nothing_is_wrong() -> None:
    """Else the network would answer photos of no class at all, however uncertain."""
    confidences = np.linspace(0.6, 0.995, 200)
    found = choose_threshold(confidences, np.ones(200, bool))
    assert (found.answered, found.wrong, found.reached) == (198, 0, True)
    assert found.value == pytest.approx(confidences[2], abs=1e-4)


def test_without_a_good_threshold_nearly_everything_is_answered_and_it_says_so() -> None:
    confidences = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    found = choose_threshold(confidences, np.array([False, True, True, False, True, False]))
    assert (found.value, found.answered, found.wrong, found.reached) == (0.5, 5, 2, False)
    none_right = choose_threshold(confidences, np.zeros(6, bool))
    assert (none_right.value, none_right.answered, none_right.wrong, none_right.reached) == (0.0, 6, 6, False)


@pytest.mark.parametrize("photos", [60, 150, 400, 999])
@pytest.mark.parametrize("seed", range(3))
def test_a_mediocre_network_answers_however_many_photos_judge_it(photos: int, seed: int) -> None:
    """62 % right: 5 % wrong is to be had on a handful of photos only, which is of no use."""
    logits, labels = answers(seed, photos, 5, 1.0)
    found = calibrate(logits, labels)
    assert found.answered >= 0.9 * photos
    assert found.threshold < 0.5
    line = calibration_text(found)
    assert "no threshold leaves at most 5% of them wrong" in line
    assert f"{found.answered} answered" in line


@pytest.mark.parametrize("photos", [60, 150, 400, 999])
def test_a_good_network_keeps_its_promise(photos: int) -> None:
    logits, labels = answers(photos, photos, 3, 1.0)
    logits = logits + 5 * np.eye(3, dtype=np.float32)[labels]
    found = calibrate(logits, labels)
    assert found.answered >= 0.9 * photos
    assert found.wrong <= 0.05 * found.answered
    assert "no threshold" not in calibration_text(found)
