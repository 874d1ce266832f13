"""Predictions for the held-out photos of a run: what its metrics and its report are made from."""

from edgeclf.events import Listener, progress, say

from edgeclf_training.evaluation.predictions import Predictions, predict
from edgeclf_training.networks import Network
from edgeclf_training.run.out_of_fold import out_of_fold
from edgeclf_training.run.run_folder import Run


def held_out_predictions(run: Run, network: Network, on_event: Listener, device: str = "cpu") -> list[Predictions]:
    """For the validation photos, then for the test photos if there are any.

    With folds, validation photos are predicted by the networks of their folds: ``network`` was trained on them.

    Args:
        run: with its photos where they are now.
        network: its network, on the CPU.
        on_event: gets progress, and messages about photos that cannot be read any more.
        device: torch device to compute on.

    Raises:
        DataError: predictions of the folds are missing or damaged.
    """
    parts = [("validation", run.split.val), *([("test", run.split.test)] if run.split.test else [])]
    predictions = []
    for name, samples in parts:
        if name == "validation" and run.split.folds:
            predictions.append(out_of_fold(run))
            continue
        with progress(on_event, f"predicting {name} photos") as update:
            predictions.append(
                predict(network, samples, run.classes, run.contract, name, device=device, progress=update)
            )
    missing = [skipped for p in predictions for skipped in p.missing]
    for skipped in missing[:5]:
        say(on_event, f"left out: {skipped.reason}")
    if len(missing) > 5:
        say(on_event, f"left out: {len(missing) - 5} more")
    return predictions
