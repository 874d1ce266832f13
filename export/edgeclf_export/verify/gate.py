"""The gate: is the file as good as the trained network, as far as the held-out photos can tell?

Both predicted the same photos, so what counts are the photos they disagree on: those *lost* (right before, wrong now)
and those *gained*. One file loses 3 and gains 2, another loses 1: the same drop, and the second one is better known.
"""

from dataclasses import dataclass

import numpy as np
from edgeclf.evaluation.metrics import expected_calibration_error, paired_interval, reliability
from edgeclf.model.manifest import Gate
from edgeclf_training.evaluation.calibration import confidence
from numpy.typing import NDArray

from edgeclf_export.verify.predictions import Predictions, not_finite

MAX_DROP = 0.5
MAX_CLASS_DROP = 2.0
# What doubt excuses beyond the budget, in photos and in points; whichever is more counts.
_DOUBT_PHOTOS = 2
_DOUBT = 1.0
_CLASS_DOUBT = 10.0


@dataclass(frozen=True)
class Budget:
    """What a file may lose, in points of accuracy: overall, and in any one class."""

    drop: float = MAX_DROP
    class_drop: float = MAX_CLASS_DROP


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The photos of a gate, and what the trained network predictions.

    Attributes:
        split: "validation" or "test".
        classes: class names in index order.
        labels: true class indices, int64 ``[photos]``.
        reference: the trained network's predictions.
        temperature: logits are divided by it before the softmax, > 0.
    """

    split: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    reference: Predictions
    temperature: float = 1.0


def within_budget(lost: int, gained: int, photos: int, budget: float, doubt: float, level: float = 0.95) -> bool:
    """Whether a drop is within a budget, as far as the sample can tell.

    A drop beyond the budget fails where the paired interval lies above 0: the loss is no chance. A sample too small to
    tell excuses only so much: a drop fails, too, where it is more than two photos *and* more than ``doubt`` points
    beyond the budget. So of 70 photos (1.4 points each) with a budget of 0.5 points, a net loss of 2 passes and of 3
    fails; of 10,000 a net loss of 55 fails if 55 were lost and none gained, and passes if 1055 were lost and 1000
    gained.

    Args:
        lost, gained, photos, level: as for ``paired_interval``.
        budget, doubt: in points.
    """
    net = lost - gained
    beyond = net - budget * photos / 100
    if beyond <= 0:
        return True
    low, _ = paired_interval(lost, gained, photos, level)
    return low <= 0 and beyond <= max(_DOUBT_PHOTOS, doubt * photos / 100)


def measure(
    held_out: HeldOut,
    predictions: Predictions,
    budget: Budget,
    calibration: str = "none",
    float_layers: tuple[str, ...] = (),
) -> Gate:
    """Compare a file with the trained network.

    Each class is judged as the whole is, with two differences: its interval allows for there being many classes
    (Bonferroni), and doubt excuses 10 points rather than 1, since among many classes of few photos some one will lose
    a few by chance.

    Args:
        held_out: the photos and the network's predictions.
        predictions: the file's.
        budget: what it may lose.
        calibration: how INT8 ranges were chosen, "none" for floats.
        float_layers: layers left in float; both are only recorded.

    Raises:
        ExportError: logits of the file or of the network are not finite.
    """
    for side in (held_out.reference, predictions):
        if not np.isfinite(side.logits).all():
            raise not_finite(side.name)
    labels, classes = held_out.labels, len(held_out.classes)
    before = held_out.reference.logits.argmax(1) == labels
    after = predictions.logits.argmax(1) == labels
    lost, gained = before & ~after, after & ~before
    counts = [np.bincount(labels[part], minlength=classes) for part in (lost, gained, np.ones_like(lost))]
    level = 1 - 0.05 / classes
    drops = []
    for index, (class_lost, class_gained, photos) in enumerate(zip(*(c.tolist() for c in counts), strict=True)):
        if class_lost > class_gained:
            passed = within_budget(class_lost, class_gained, photos, budget.class_drop, _CLASS_DOUBT, level)
            drops.append((not passed, (class_lost - class_gained) / photos, -index))
    failed, worst, index = max(drops, default=(False, 0.0, 0))
    photos, net = len(labels), int(lost.sum()) - int(gained.sum())
    low, high = paired_interval(int(lost.sum()), int(gained.sum()), photos)
    overall = within_budget(int(lost.sum()), int(gained.sum()), photos, budget.drop, _DOUBT)
    return Gate(
        split=held_out.split,
        photos=photos,
        correct_before=int(before.sum()),
        correct_after=int(after.sum()),
        agreeing=predictions.agreeing(held_out.reference),
        drop=_points(net / photos if photos else 0.0),
        drop_low=_points(low),
        drop_high=_points(high),
        worst_class=held_out.classes[-index] if drops else None,
        worst_drop=_points(worst),
        ece_before=_calibration_error(held_out.reference, held_out),
        ece_after=_calibration_error(predictions, held_out),
        max_drop=budget.drop,
        max_class_drop=budget.class_drop,
        calibration=calibration,
        float_layers=float_layers,
        passed=overall and not failed,
    )


def _points(share: float) -> float:
    return round(100 * share, 4)


def _calibration_error(predictions: Predictions, held_out: HeldOut) -> float:
    return round(
        expected_calibration_error(reliability(*confidence(predictions.logits, held_out.labels, held_out.temperature))),
        6,
    )
