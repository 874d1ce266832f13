"""Writes the two report files of a run."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeclf.errors import DataError
from edgeclf.events import Listener, log, progress
from edgeclf.files.atomic_write import write_over

from edgeclf_training.dataset.samples import choose_evenly
from edgeclf_training.evaluation.calibration import calibrate
from edgeclf_training.evaluation.predictions import Predictions
from edgeclf_training.networks import Network
from edgeclf_training.report.gradcam import evidence
from edgeclf_training.report.metrics_json import collect_metrics
from edgeclf_training.report.mistakes import mistakes
from edgeclf_training.report.page import page
from edgeclf_training.report.predictions import held_out_predictions
from edgeclf_training.run.run_folder import Run

_MAX_EXPLAINED_PHOTOS = 200  # photos whose heat maps are measured


def write_report(
    run: Run,
    network: Network | None = None,
    predictions: Sequence[Predictions] | None = None,
    *,
    recipe: Sequence[tuple[str, str]] | None = None,
    on_event: Listener = log,
) -> dict[str, Any]:
    """Write ``report.html`` and ``metrics.json`` into the run folder.

    Args:
        run: a finished or interrupted run.
        network: its network on the CPU; read from the run folder if None.
        predictions: for the validation split, then for the test split if there is one; made now if None. Photos
            that cannot be read any more are reported and left out.
        recipe: (option, value) pairs to show; the run's options if None.
        on_event: gets messages and progress.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        DataError: the network cannot be read, no held-out photo is left, or the folder cannot be written.
    """
    network = network or run.network()
    predictions = predictions or held_out_predictions(run, network, on_event)
    if not any(len(p.labels) for p in predictions):
        raise DataError(
            f"{run.folder}: none of its {sum(len(p.missing) for p in predictions)} held-out photos can be read",
            "name the folder or zip where they are now: --data PHOTOS",
        )
    shown = next(p for p in reversed(predictions) if len(p.labels))
    calibration = run.calibration
    if calibration is None and len(predictions[0].labels):  # interrupted
        calibration = calibrate(predictions[0].logits, predictions[0].labels)
    explained = choose_evenly(shown.samples, _MAX_EXPLAINED_PHOTOS, run.options.seed) if run.options.cam else []
    with progress(on_event, "explaining photos") as update:
        found = evidence(network, explained, run.contract, update)
    with progress(on_event, "drawing the report") as update:
        update(0, 0)
        chosen = recipe if recipe is not None else [(k, str(v)) for k, v in asdict(run.options).items()]
        metrics = collect_metrics(
            run, [p for p in predictions if p is shown or len(p.labels)], calibration, found, chosen
        )
        temperature = calibration.temperature if calibration else 1.0
        gallery = mistakes(network, shown, run.classes, run.contract, temperature, run.data, run.options.cam)
        missing = [skipped for p in predictions for skipped in p.missing]
        html = page(metrics, gallery, run.folder.resolve().name, run.split.skipped, missing)
    text = json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False)
    try:
        write_over(run.folder / "metrics.json", lambda f: f.write(f"{text}\n".encode()), _is_ours, "metrics")
        page_bytes = html.encode("utf-8", "backslashreplace")
        write_over(run.folder / "report.html", lambda f: f.write(page_bytes), _is_ours, "a report")
    except OSError as error:
        raise DataError(
            f"{run.folder}: the report cannot be written ({error.strerror or error})", "check the folder"
        ) from error
    return metrics


def _is_ours(path: str) -> bool:
    """Whether a file is a report or its metrics, of any version of edgeclf."""
    head = Path(path).read_bytes()
    is_page = b'name="generator" content="edgeclf"' in head or b"right</title>" in head
    return is_page or (b'"headline"' in head and b'"splits"' in head)
