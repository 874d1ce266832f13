"""One way to make the file, tried: what the model predicts for the held-out photos, and what the gate finds."""

from dataclasses import dataclass

from edgeclf.events import Listener, log
from edgeclf.model.manifest import Gate

from edgeclf_export.pack.build import BuiltModel
from edgeclf_export.verify.gate import Budget, HeldOut, measure
from edgeclf_export.verify.photos import NetworkInputs
from edgeclf_export.verify.predictions import Predictions, model_predictions


@dataclass(frozen=True, eq=False)
class HeldOutCheck:
    """What every attempt is judged by.

    Attributes:
        photos: the held-out photos.
        held_out: their labels, and what the trained network predicts.
        budget: what a file may lose.
    """

    photos: NetworkInputs
    held_out: HeldOut
    budget: Budget


@dataclass(frozen=True, eq=False)
class Attempt:
    """A model that is not sealed yet, what it predicted, and what the gate found."""

    model: BuiltModel
    predictions: Predictions
    gate: Gate


def attempt(
    model: BuiltModel,
    check: HeldOutCheck,
    on_event: Listener = log,
    calibration: str = "none",
    float_layers: tuple[str, ...] = (),
) -> Attempt:
    """Let a model predict the held-out photos, and compare it with the trained network.

    Args:
        model: not sealed yet.
        check: what it is judged by.
        on_event: gets ``Progress``.
        calibration: as for ``measure``.
        float_layers: as for ``measure``.

    Raises:
        ExportError: logits are not finite.
        PhotoError: a photo cannot be read.
    """
    predictions = model_predictions(model, check.photos, on_event)
    return Attempt(model, predictions, measure(check.held_out, predictions, check.budget, calibration, float_layers))
