"""Which epoch is the best one, and when a phase stops early."""

import math

import pytest
from edgeclf_training.fit.early_stopping import is_better, stops_early


@pytest.mark.parametrize(
    ("epoch", "earlier", "better"),
    [
        ((0.5, 1.0), [], True),
        ((0.6, 2.0), [(0.5, 1.0)], True),  # accuracy comes first
        ((0.5, 0.9), [(0.5, 1.0)], True),  # then the loss
        ((0.5, 1.0), [(0.5, 1.0)], False),  # equal is not better
        ((0.5, 0.9), [(0.6, 2.0), (0.4, 0.1)], False),  # one that was better is enough
        ((0.5, 1.0), [(0.5, math.inf)], True),  # as good as the weights the run started from
        ((0.9, math.inf), [(0.5, 1.0)], False),
        ((0.9, math.nan), [], False),
    ],
)
def test_an_epoch_is_better_by_accuracy_then_by_loss(
    epoch: tuple[float, float], earlier: list[tuple[float, float]], better: bool
) -> None:
    assert is_better(epoch, earlier) is better


@pytest.mark.parametrize(
    ("since_best", "in_phase", "patience", "stops"),
    [
        (2, 5, 3, False),
        (3, 5, 3, True),
        (4, 5, 3, True),
        (9, 2, 3, False),  # the best epoch is in the phase before: this one has its chance first
        (9, 3, 3, True),
        (500, 500, 0, False),
    ],
)
def test_a_phase_stops_after_so_many_epochs_without_a_better_one(
    since_best: int, in_phase: int, patience: int, stops: bool
) -> None:
    assert stops_early(since_best, in_phase, patience) is stops
