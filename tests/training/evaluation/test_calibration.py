"""Temperature and threshold, against brute force."""

import numpy as np
import pytest
from edgeclf.evaluation.calibration_text import MAX_WRONG_SHARE, calibration_text
from edgeclf.model.manifest import Calibration
from edgeclf_training.evaluation.calibration import (
    ANSWERED_SHARE,
    TEMPERATURES,
    calibrate,
    choose_threshold,
    confidence,
    fit_temperature,
)
from numpy.typing import NDArray


def answers(
    seed: int, photos: int, classes: int, scale: float, spread: float = 2.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Labels drawn from the softmax of logits, which then come out ``scale`` times too large. ``spread``: deviation."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (photos, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(classes, p=p) for p in shares])
    return (logits * scale).astype(np.float32), labels


def loss(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> float:
    """Negative log-likelihood, and that of the temperature before any photo was seen, written out."""
    scores = logits.astype(float) / temperature
    highest = scores.max(1, keepdims=True)
    logs = scores - np.log(np.exp(scores - highest).sum(1, keepdims=True)) - highest
    before = (np.log(temperature) - np.log(0.7)) ** 2 / (2 * 0.4**2)
    return float(before - logs[np.arange(len(labels)), labels].sum())


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
    found = fit_temperature(logits, labels)
    assert 0.4 < found < 0.7, "without what is known of other networks it would be 0.05"
    many = np.tile(labels, 100)
    assert fit_temperature(4.0 * np.eye(3, dtype=np.float32)[many], many) < found


def test_the_worst_logits_stay_within_the_bounds() -> None:
    labels = np.array([0, 1, 0, 1])
    wrong = 5.0 * np.eye(2, dtype=np.float32)[1 - labels]
    assert fit_temperature(wrong, labels) > 1.2
    many = np.tile(labels, 1000)
    assert fit_temperature(np.tile(wrong, (1000, 1)), many) > 10
    flat = np.zeros((4, 2), np.float32)
    assert TEMPERATURES[0] <= fit_temperature(flat, labels) <= TEMPERATURES[1]
    huge = 1e4 * np.eye(2, dtype=np.float32)[labels]
    assert np.isfinite(confidence(huge, labels, fit_temperature(huge, labels))[0]).all()


@pytest.mark.parametrize("seed", range(8))
def test_threshold_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photos = int(rng.integers(5, 400))
    confidences = rng.uniform(0.2, 1.0, photos) ** (1 / (1 + seed))
    right = rng.uniform(size=photos) < confidences
    found = choose_threshold(confidences, right)

    lowest = min(
        (t for t in confidences if 1 - confidences[confidences >= t].mean() <= MAX_WRONG_SHARE), default=0.9999
    )
    expected = np.exp((photos * np.log(lowest / (1 - lowest)) + 150 * np.log(0.92 / 0.08)) / (photos + 150))
    floor = np.sort(confidences[right])[int(right.sum() * 0.01)]
    tenth = np.sort(confidences)[-int(np.ceil(photos * ANSWERED_SHARE))]
    value = min(max(floor, expected / (1 + expected)), tenth)
    assert found.value == pytest.approx(value, abs=1.01e-4)
    assert found.answered == (confidences >= found.value).sum()
    assert found.wrong == (~right & (confidences >= found.value)).sum()


def test_threshold_keeps_99_of_100_right_answers_even_where_nothing_is_wrong() -> None:
    """Else the network would answer photos of no class at all, however uncertain."""
    confidences = np.linspace(0.97, 0.995, 200)
    found = choose_threshold(confidences, np.ones(200, bool))
    assert (found.answered, found.wrong) == (198, 0)
    assert found.value == pytest.approx(confidences[2], abs=1e-4)


def test_a_tenth_is_answered_where_5_percent_wrong_cannot_be_had_and_it_says_so() -> None:
    logits, labels = answers(0, 200, 5, 1.0)
    bad = calibrate(logits * 0.3, np.roll(labels, 1))
    assert bad.answered == 20
    assert bad.expected_wrong is not None
    assert bad.expected_wrong > MAX_WRONG_SHARE
    assert "(10%)" in calibration_text(bad)
    assert "the aim of 5% is not reached: rely on the probabilities" in calibration_text(bad)


def test_older_models_are_judged_by_their_counts() -> None:
    """They tell no expectation."""
    line = calibration_text(Calibration(1.0, 0.5, 60, 50, 4, 0.1, 0.1))
    assert "50 answered (83%), 4 of them wrong (8.0%); the aim of 5% is not reached" in line
    assert "aim" not in calibration_text(Calibration(1.0, 0.5, 60, 50, 2, 0.1, 0.1))


@pytest.mark.parametrize("photos", [60, 150, 400, 999])
@pytest.mark.parametrize(("scale", "limit"), [(2.0, 0.09), (4.0, MAX_WRONG_SHARE)])
def test_a_mediocre_network_answers_about_the_same_share_whichever_photos_judge_it(
    photos: int, scale: float, limit: float
) -> None:
    """62 and 80 % right. The rule before this one, which counted errors, answered 2, 25 and 9 photos of three times 60.

    The weaker network is wrong in 7 % of the tenth of the photos that it is most confident of.
    """
    logits, labels = answers(99, 4000, 5, 1.0, scale)
    shares, wrong = [], []
    for seed in range(10):
        found = calibrate(*answers(seed, photos, 5, 1.0, scale))
        confidences, right = confidence(logits, labels, found.temperature)
        answered = confidences >= found.threshold
        shares.append(answered.mean())
        wrong.append((~right[answered]).mean())
    assert np.ptp(shares) < {60: 0.35, 150: 0.22, 400: 0.22, 999: 0.18}[photos]
    assert np.mean(wrong) < limit
    assert max(wrong) < limit + 0.04


@pytest.mark.parametrize("photos", [60, 150, 400, 999])
def test_a_good_network_keeps_its_promise(photos: int) -> None:
    logits, labels = answers(photos, photos, 3, 1.0)
    logits = logits + 5 * np.eye(3, dtype=np.float32)[labels]
    found = calibrate(logits, labels)
    assert found.answered >= 0.9 * photos
    assert found.wrong <= 0.05 * found.answered
    assert "the aim" not in calibration_text(found)
