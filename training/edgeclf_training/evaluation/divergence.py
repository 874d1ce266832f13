"""Recognises a training that diverged: the validation loss rose far above the loss of guessing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOWER_LEARNING_RATE = "train again with a lower --head-lr and --backbone-lr"
# Multiples of the loss of guessing, ln(classes). No network reaches this loss by learning.
_DIVERGED_LOSS_RATIO = 10.0
_LATE_DIVERGED_LOSS_RATIO = 2.0  # of the last epoch, if its loss is also far above the lowest one:
_LATE_RISE_RATIO = 10.0


@dataclass(frozen=True)
class Divergence:
    """How a training diverged.

    Attributes:
        message: what happened, in one line.
        weights_unusable: the weights that are kept come from a diverged epoch.
    """

    message: str
    weights_unusable: bool


def diverged(losses: Sequence[float | None], kept: int | None, classes: int) -> Divergence | None:
    """Tell whether training diverged.

    It diverged if the validation loss of the kept epoch, or of the last epoch, is more than ten times the loss of
    guessing. If weights of an earlier epoch are kept, it also diverged if the last loss is more than ten times the
    lowest loss and more than twice the loss of guessing.

    Args:
        losses: validation loss (cross-entropy) of each epoch; None or NaN if it is not a number.
        kept: the epoch, counted from 1, whose weights are kept; 0 for the weights the run started from, None if not
            known.
        classes: number of classes.

    Returns:
        None if training did not diverge.
    """
    guessing = math.log(max(2, classes))
    values = [math.inf if loss is None or not math.isfinite(loss) else loss for loss in losses]
    if not values:
        return None
    if kept and values[kept - 1] > _DIVERGED_LOSS_RATIO * guessing:
        of = f"the validation loss of epoch {kept}, whose weights are kept, is {_loss(values[kept - 1])}"
        return Divergence(f"training diverged: {of}; guessing gives {guessing:.2g}", True)
    if kept != len(values) and values[-1] > min(
        _DIVERGED_LOSS_RATIO * guessing, max(_LATE_DIVERGED_LOSS_RATIO * guessing, _LATE_RISE_RATIO * min(values))
    ):
        rose = f"the validation loss is {_loss(values[-1])} in the last epoch; guessing gives {guessing:.2g}"
        which = f"epoch {kept}" if kept else "the start"
        return Divergence(f"training diverged: {rose}; the weights of {which}, from before that, are kept", False)
    return None


def _loss(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not a number"
