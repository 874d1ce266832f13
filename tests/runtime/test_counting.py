"""Counts, calibration error and intervals, by hand and against published values."""

import numpy as np
import pytest
from edgeclf.counting import (
    Confused,
    confused,
    count,
    expected_error,
    paired_interval,
    per_class,
    reliability,
    wilson,
)
from edgeclf.manifest import Figures


def test_counts_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    labels, given = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    figures = count(labels, given, 5, "test")
    assert (figures.split, figures.photos) == ("test", 200)
    assert figures.correct == sum(a == b for a, b in zip(labels, given, strict=True))
    for true in range(5):
        for answer in range(5):
            pairs = [1 for a, b in zip(labels, given, strict=True) if (a, b) == (true, answer)]
            assert figures.confusion[true][answer] == len(pairs)
    nothing = count(labels[:0], given[:0], 2, "test")
    assert (nothing.photos, nothing.correct, nothing.confusion) == (0, 0, ((0, 0), (0, 0)))


@pytest.mark.parametrize(("labels", "given"), [([0, 1], [0]), ([0, 3], [0, 0]), ([0, 0], [0, -1])])
def test_what_cannot_be_counted_is_refused(labels: list[int], given: list[int]) -> None:
    with pytest.raises(ValueError, match=r"answers|index"):
        count(np.array(labels), np.array(given), 3, "test")


def test_shares_of_nothing_are_none_not_zero() -> None:
    figures = Figures("test", 3, 2, ((2, 0, 0), (1, 0, 0), (0, 0, 0)))
    rows = per_class(figures, ("a", "b", "c"))
    assert [r.precision for r in rows] == [pytest.approx(2 / 3), None, None]
    assert [r.recall for r in rows] == [1.0, 0.0, None]
    assert [r.f1 for r in rows] == [pytest.approx(0.8), 0.0, None]
    assert [r.support for r in rows] == [2, 1, 0]
    assert confused(figures, ("a", "b", "c")) == (Confused("b", "a", 1, 1),)


def test_the_most_confused_pairs_come_first() -> None:
    figures = Figures("test", 30, 15, ((5, 1, 4), (0, 5, 5), (4, 1, 5)))
    pairs = confused(figures, ("a", "b", "c"), most=4)
    assert [(p.true, p.given, p.photos, p.of) for p in pairs] == [
        ("b", "c", 5, 10),
        ("a", "c", 4, 10),
        ("c", "a", 4, 10),
        ("a", "b", 1, 10),
    ]


def test_calibration_error_by_hand() -> None:
    bins = reliability(np.array([0.95, 0.97, 0.61, 0.65, 1.0]), np.array([True, False, True, True, True]))
    assert [b.photos for b in bins] == [2, 3]
    assert [b.accuracy for b in bins] == pytest.approx([1.0, 2 / 3])
    assert expected_error(bins) == pytest.approx((2 * (1 - 0.63) + 3 * abs(2.92 / 3 - 2 / 3)) / 5)
    assert all(b.low < b.confidence <= b.high for b in bins)
    assert expected_error(()) == 0.0


def test_wilson_interval_of_published_examples() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for part, whole, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        assert wilson(part, whole) == pytest.approx((low, high), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson(20, 20)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Fagerland, Lydersen and Laake 2017, chapter 8: Bentur et al. 2009 and Cavo et al. 2012.
        ((1, 1, 7, 12), -0.507, -0.026),
        ((59, 6, 16, 80), -0.1186, -0.0046),
        # Armitage and Berry 1994, two media for tuberculosis.
        ((20, 12, 2, 16), 0.0562, 0.3292),
    ],
)
def test_paired_interval_of_published_examples(table: tuple[int, ...], low: float, high: float) -> None:
    digits = 5e-4 if low == -0.507 else 5e-5
    assert paired_interval(*table) == pytest.approx((low, high), abs=digits)
    both, first, second, neither = table
    assert paired_interval(both, second, first, neither) == pytest.approx((-high, -low), abs=digits)


def test_paired_interval_at_the_ends() -> None:
    assert paired_interval(0, 0, 0, 0) == (-1.0, 1.0)
    for table in ((20, 0, 0, 0), (0, 0, 0, 20), (10, 0, 0, 10)):
        low, high = paired_interval(*table)
        assert -0.25 < low < 0 < high < 0.25, "twenty photos without a difference prove no equality"
    assert paired_interval(0, 20, 0, 0)[1] == 1.0
    assert paired_interval(0, 0, 20, 0)[0] == -1.0


def test_paired_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(5)
    shares, photos = [0.8, 0.1, 0.04, 0.06], 60
    hits = 0
    for table in rng.multinomial(photos, shares, 2000).tolist():
        low, high = paired_interval(*table)
        hits += low <= shares[1] - shares[2] <= high
    assert 0.93 < hits / 2000 < 0.975
