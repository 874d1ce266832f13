"""The longest pause within a burst."""

from datetime import datetime, timedelta

import pytest
from edgeclf_training.dataset.bursts import burst_groups
from edgeclf_training.dataset.scan import Scanned


def scan(milliseconds: int) -> Scanned:
    taken = datetime(2026, 5, 1, 12) + timedelta(milliseconds=milliseconds)
    return Scanned(taken=taken.isoformat(timespec="milliseconds"), camera="a")


@pytest.mark.parametrize("pause", [1, 100, 300, 1001, 2500, 5000])
def test_a_pause_of_exactly_the_longest_one_is_within(pause: int) -> None:
    """Milliseconds: float64 holds neither the times nor their difference exactly."""
    for first in range(0, 1000, 7):
        scans = [scan(first), scan(first + pause)]
        assert burst_groups(scans, pause / 1000).tolist() == [0, 0]
        assert burst_groups(scans, (pause - 0.5) / 1000).tolist() == [0, 1]
