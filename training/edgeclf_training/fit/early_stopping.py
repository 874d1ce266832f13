"""Which epoch is the best one, and when a phase of training stops early.

An epoch is better than another if more validation photos are right; if equally many are, if its validation loss is
lower. Epochs without a finite validation loss are never better. A phase stops early when none of its last ``patience``
epochs was better than all epochs before it.
"""

import math
from collections.abc import Iterable

AccuracyAndLoss = tuple[float, float]  # validation accuracy, 0..1, and validation loss of one epoch


def is_better(epoch: AccuracyAndLoss, earlier: Iterable[AccuracyAndLoss]) -> bool:
    """Whether an epoch did better on the validation photos than all earlier ones.

    Args:
        epoch: its validation accuracy (0..1) and loss.
        earlier: accuracy and loss of the epochs before it, in all phases, if the loss is finite; and of the initial
            weights of the run, with an infinite loss.

    Returns:
        True also if there is no earlier one; False if the epoch's loss is infinite or NaN.
    """
    ranks = [_rank(one) for one in earlier]
    return math.isfinite(epoch[1]) and (not ranks or _rank(epoch) > max(ranks))


def stops_early(epochs_since_best: int, epochs_in_phase: int, patience: int) -> bool:
    """Whether a phase ends now, before all its epochs are done.

    Args:
        epochs_since_best: epochs since the best one of the run; 0 right after it.
        epochs_in_phase: number of finished epochs of this phase. Each phase gets at least ``patience`` epochs.
        patience: the option ``--early-stopping``, in epochs; 0 never stops early.
    """
    return patience > 0 and min(epochs_since_best, epochs_in_phase) >= patience


def _rank(epoch: AccuracyAndLoss) -> tuple[float, float]:
    accuracy, loss = epoch
    return accuracy, -loss
