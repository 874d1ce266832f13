"""One model judged: what it predicts for the held-out photos, and what the gate finds."""

from dataclasses import dataclass

from edgeclf.events import Listener, log
from edgeclf.model.manifest import Gate

from edgeclf_export.pack.build import BuiltModel
from edgeclf_export.verify.gate import Budget, HeldOut, measure
from edgeclf_export.verify.photos import NetworkInputs
from edgeclf_export.verify.predictions import Predictions, model_predictions


@dataclass(frozen=True, eq=False)
class Criteria:
    """What every model is judged by.

    Attributes:
        photos: the held-out photos.
        held_out: their labels, and what the trained network predicts.
        budget: what a file may lose.
    """

    photos: NetworkInputs
    held_out: HeldOut
    budget: Budget


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a model predicted for the held-out photos, and what the gate found."""

    predictions: Predictions
    gate: Gate


def judge(
    model: BuiltModel,
    criteria: Criteria,
    on_event: Listener = log,
    calibration: str = "none",
    float_layers: tuple[str, ...] = (),
) -> Judgement:
    """Let a model predict the held-out photos, and compare it with the trained network.

    Args:
        model: not sealed yet.
        criteria: what it is judged by.
        on_event: gets ``Progress``.
        calibration: as for ``measure``.
        float_layers: as for ``measure``.

    Raises:
        ExportError: logits are not finite.
        PhotoError: a photo cannot be read.
        BackendError: onnxruntime is not installed.
    """
    predictions = model_predictions(model, criteria.photos, on_event)
    gate = measure(criteria.held_out, predictions, criteria.budget, calibration, float_layers)
    return Judgement(predictions, gate)
