"""Counts, calibration error and intervals, by hand and against published values."""

import itertools

import numpy as np
import pytest
from edgeclf.evaluation.metrics import (
    ConfusedPair,
    balanced_accuracy,
    compute_metrics,
    correct_by_chance,
    expected_calibration_error,
    most_confused,
    paired_interval,
    per_class,
    reliability,
    remarks,
    wilson_interval,
)
from edgeclf.model.manifest import Metrics


def test_counts_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    labels, given = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    metrics = compute_metrics(labels, given, 5, "test")
    assert (metrics.split, metrics.photos) == ("test", 200)
    assert metrics.correct == sum(a == b for a, b in zip(labels, given, strict=True))
    for true in range(5):
        for answer in range(5):
            pairs = [1 for a, b in zip(labels, given, strict=True) if (a, b) == (true, answer)]
            assert metrics.confusion[true][answer] == len(pairs)
    nothing = compute_metrics(labels[:0], given[:0], 2, "test")
    assert (nothing.photos, nothing.correct, nothing.confusion) == (0, 0, ((0, 0), (0, 0)))


@pytest.mark.parametrize(("labels", "given"), [([0, 1], [0]), ([0, 3], [0, 0]), ([0, 0], [0, -1])])
def test_what_cannot_be_counted_is_refused(labels: list[int], given: list[int]) -> None:
    with pytest.raises(ValueError, match=r"predictions|index"):
        compute_metrics(np.array(labels), np.array(given), 3, "test")


def test_shares_of_nothing_are_none_not_zero() -> None:
    metrics = Metrics("test", 3, 2, ((2, 0, 0), (1, 0, 0), (0, 0, 0)))
    rows = per_class(metrics, ("a", "b", "c"))
    assert [r.precision for r in rows] == [pytest.approx(2 / 3), None, None]
    assert [r.recall for r in rows] == [1.0, 0.0, None]
    assert [r.f1 for r in rows] == [pytest.approx(0.8), 0.0, None]
    assert [r.support for r in rows] == [2, 1, 0]
    assert most_confused(metrics, ("a", "b", "c")) == (ConfusedPair("b", "a", 1, 1),)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_have_photos() -> None:
    assert balanced_accuracy(Metrics("test", 62, 61, ((60, 0, 0), (1, 1, 0), (0, 0, 0)))) == pytest.approx(0.75)
    assert balanced_accuracy(Metrics("test", 0, 0, ((0, 0), (0, 0)))) is None
    assert balanced_accuracy(Metrics("test", 3, 3, ())) is None, "a model file may lack its confusions"


@pytest.mark.parametrize(
    "confusion", [((2, 1), (1, 2)), ((5, 0), (1, 0)), ((1, 1, 0), (0, 1, 1), (2, 0, 1)), ((1, 0),) * 2]
)
def test_guessing_is_the_same_answers_in_every_order(confusion: tuple[tuple[int, ...], ...]) -> None:
    pairs = [(t, g) for t, row in enumerate(confusion) for g, photos in enumerate(row) for _ in range(photos)]
    orders = itertools.permutations([given for _, given in pairs])
    right = [sum(t == g for (t, _), g in zip(pairs, order, strict=True)) for order in orders]
    metrics = Metrics("test", len(pairs), sum(t == g for t, g in pairs), confusion)
    assert correct_by_chance(metrics) == pytest.approx((np.mean(right), np.std(right)), abs=1e-9)


@pytest.mark.parametrize(
    ("confusion", "says"),
    [
        (
            ((60, 0), (1, 0)),
            (
                "not clearly better than guessing: 60 of 61 photos right, guessing gives about 60",
                "never predicted, so all photos of it are wrong: b",
                "fewer than 5 photos: recall is mostly chance: b",
            ),
        ),
        (((60, 0), (0, 1)), ("fewer than 5 photos: recall is mostly chance: b",)),
        (
            ((50, 10), (10, 0)),
            (
                "not clearly better than guessing: 50 of 70 photos right, guessing gives about 53",
                "predicted, but never correctly: b",
            ),
        ),
        (((6, 0), (0, 6)), ()),
        (((20, 20), (19, 21)), ("not clearly better than guessing: 41 of 80 photos right, guessing gives about 40",)),
        (((30, 10), (10, 30)), ()),
        (
            ((0, 9), (9, 0)),
            (
                "not clearly better than guessing: 0 of 18 photos right, guessing gives about 9",
                "predicted, but never correctly: a, b",
            ),
        ),
        (((9, 0), (0, 0)), ("no photos: accuracy is unknown: b",)),
        (((0, 0), (0, 0)), ()),
    ],
)
def test_what_the_accuracy_hides_is_said(confusion: tuple[tuple[int, ...], ...], says: tuple[str, ...]) -> None:
    photos, right = sum(map(sum, confusion)), sum(row[i] for i, row in enumerate(confusion))
    assert remarks(Metrics("test", photos, right, confusion), ("a", "b")) == says


def test_the_most_confused_pairs_come_first() -> None:
    metrics = Metrics("test", 30, 15, ((5, 1, 4), (0, 5, 5), (4, 1, 5)))
    pairs = most_confused(metrics, ("a", "b", "c"), limit=4)
    assert [(p.true, p.predicted, p.photos, p.of) for p in pairs] == [
        ("b", "c", 5, 10),
        ("a", "c", 4, 10),
        ("c", "a", 4, 10),
        ("a", "b", 1, 10),
    ]


def test_calibration_error_by_hand() -> None:
    bins = reliability(np.array([0.95, 0.97, 0.61, 0.65, 1.0]), np.array([True, False, True, True, True]))
    assert [b.photos for b in bins] == [2, 3]
    assert [b.accuracy for b in bins] == pytest.approx([1.0, 2 / 3])
    assert expected_calibration_error(bins) == pytest.approx((2 * (1 - 0.63) + 3 * abs(2.92 / 3 - 2 / 3)) / 5)
    assert all(b.low < b.confidence <= b.high for b in bins)
    assert expected_calibration_error(()) == 0.0


def test_wilson_interval_of_published_examples() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for part, whole, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        assert wilson_interval(part, whole) == pytest.approx((low, high), abs=1e-4)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson_interval(20, 20)[1] == 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


def supposed_score(lost: int, gained: int, photos: int, difference: float) -> float:
    """Tango's statistic by brute force: the likeliest shares with that difference, found by trying them all."""
    gains = np.linspace(max(0, -difference), (1 - difference) / 2, 200_001)[1:-1]
    losses, ties = gains + difference, 1 - 2 * gains - difference
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = lost * np.log(losses) + gained * np.log(gains) + (photos - lost - gained) * np.log(ties)
    gain = gains[np.nanargmax(likelihood)]
    return (lost - gained - photos * difference) / np.sqrt(photos * (2 * gain + difference - difference**2))


def test_the_interval_gives_published_and_derived_values() -> None:
    # Airway hyper-responsiveness before and after stem cell transplantation (Bentur et al. 2009), as computed by
    # Fagerland, Lydersen and Laake 2014 with Tango's score interval: -0.517 to -0.026.
    assert paired_interval(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
    # Without a photo they disagree on, the score equation is n d = z^2 (1 - d).
    assert paired_interval(0, 0, 70) == pytest.approx((-3.8415 / 73.8415, 3.8415 / 73.8415), abs=1e-4)
    assert paired_interval(0, 0, 0) == (-1, 1)
    for lost, gained, photos in ((7, 3, 60), (12, 1, 90), (40, 20, 160)):
        low, high = paired_interval(lost, gained, photos)
        assert supposed_score(lost, gained, photos, low) == pytest.approx(1.96, abs=1e-3)
        assert supposed_score(lost, gained, photos, high) == pytest.approx(-1.96, abs=1e-3)
    # It leaves out 0 where McNemar's statistic exceeds 1.96.
    for lost, gained in itertools.product(range(12), repeat=2):
        if lost + gained:
            low, high = paired_interval(lost, gained, 90)
            assert (low > 0 or high < 0) == (abs(lost - gained) / (lost + gained) ** 0.5 > 1.96)
            assert (-high, -low) == pytest.approx(paired_interval(gained, lost, 90)), "the order only turns the sign"


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Drawn anew with known shares: 95 % of the intervals hold the true difference."""
    rng = np.random.default_rng(1)
    for lost, gained, photos in ((0.05, 0.02, 200), (0.1, 0.1, 100), (0.15, 0.02, 70)):
        drawn = rng.multinomial(photos, [lost, gained, 1 - lost - gained], 2000)
        intervals = [paired_interval(int(b), int(c), photos) for b, c, _ in drawn]
        held = np.mean([low <= lost - gained <= high for low, high in intervals])
        assert 0.93 <= held <= 0.975
