"""The gate: is the file as good as the trained network, as far as the held-out photos can show?

Both predicted the same photos, so only the photos on which they disagree count: those *lost* (right before, wrong now)
and those *gained* (wrong before, right now). One file loses 3 and gains 2, another one loses 1 and gains none: both
drop by one photo, but the drop of the second one is known more exactly.
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
# How far beyond the budget a drop may be where it may be chance; the larger of photos and points counts.
_EXCUSED_PHOTOS = 2
_EXCUSED_POINTS = 1.0
_EXCUSED_CLASS_POINTS = 10.0


@dataclass(frozen=True)
class Budget:
    """What a file may lose, in points of accuracy: overall, and in any one class."""

    drop: float = MAX_DROP
    class_drop: float = MAX_CLASS_DROP


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The labels of the held-out photos, and what the trained network predicts for them.

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


def within_budget(lost: int, gained: int, photos: int, budget: float, excused: float, level: float = 0.95) -> bool:
    """Whether a drop is within a budget, as far as the sample can show.

    A drop beyond the budget fails where the paired interval lies above 0: then it is not chance. For a small sample,
    which proves little, there is a limit as well: a drop fails if it is more than two photos *and* more than
    ``excused`` points beyond the budget. So of 70 photos (1.4 points each) with a budget of 0.5 points, a net loss of 2
    passes and of 3 fails; of 10,000 a net loss of 55 fails if 55 were lost and none gained, and passes if 1055 were
    lost and 1000 gained.

    Args:
        lost, gained, photos, level: as for ``paired_interval``.
        budget: points.
        excused: points.
    """
    net = lost - gained
    beyond = net - budget * photos / 100
    if beyond <= 0:
        return True
    low, _ = paired_interval(lost, gained, photos, level)
    return low <= 0 and beyond <= max(_EXCUSED_PHOTOS, excused * photos / 100)


def measure(
    held_out: HeldOut,
    predictions: Predictions,
    budget: Budget,
    calibration: str = "none",
    float_layers: tuple[str, ...] = (),
) -> Gate:
    """Compare a file with the trained network.

    Each class is judged like all photos together, with two differences: its interval is corrected for the number of
    classes (Bonferroni), and 10 points beyond the budget are excused instead of 1, because among many classes of few
    photos one will lose some by chance.

    Args:
        held_out: the labels and the network's predictions.
        predictions: the file's.
        budget: what it may lose.
        calibration: how INT8 ranges were chosen, "none" for floats; only recorded.
        float_layers: layers left in float; only recorded.

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
            passed = within_budget(class_lost, class_gained, photos, budget.class_drop, _EXCUSED_CLASS_POINTS, level)
            drops.append((not passed, (class_lost - class_gained) / photos, -index))
    failed, worst, index = max(drops, default=(False, 0.0, 0))
    photos, net = len(labels), int(lost.sum()) - int(gained.sum())
    low, high = paired_interval(int(lost.sum()), int(gained.sum()), photos)
    overall = within_budget(int(lost.sum()), int(gained.sum()), photos, budget.drop, _EXCUSED_POINTS)
    return Gate(
        split=held_out.split,
        photos=photos,
        correct_before=int(before.sum()),
        correct_after=int(after.sum()),
        agreeing=predictions.agreeing(held_out.reference),
        drop=_percent(net / photos if photos else 0.0),
        drop_low=_percent(low),
        drop_high=_percent(high),
        worst_class=held_out.classes[-index] if drops else None,
        worst_drop=_percent(worst),
        ece_before=_calibration_error(held_out.reference, held_out),
        ece_after=_calibration_error(predictions, held_out),
        max_drop=budget.drop,
        max_class_drop=budget.class_drop,
        calibration=calibration,
        float_layers=float_layers,
        passed=overall and not failed,
    )


def verdict(gate: Gate) -> str:
    """What a gate found, in one line."""
    worst = f", {gate.worst_class} {_change(gate.worst_drop)}" if gate.worst_class else ""
    allowed = f"-{gate.max_drop:g} allowed, -{gate.max_class_drop:g} in a class"
    return (
        f"{gate.correct_after} of {gate.photos} {gate.split} photos right, {gate.correct_before} before: "
        f"{_change(gate.drop)} points ({_change(gate.drop_high)} to {_change(gate.drop_low)}){worst}; {allowed}: "
        f"{'within budget' if gate.passed else 'OUT OF BUDGET'}"
    )


def _change(drop: float) -> str:
    return f"{-drop + 0.0:+.1f}"


def _percent(share: float) -> float:
    return round(100 * share, 4)


def _calibration_error(predictions: Predictions, held_out: HeldOut) -> float:
    return round(
        expected_calibration_error(reliability(*confidence(predictions.logits, held_out.labels, held_out.temperature))),
        6,
    )
