"""The metrics of a run as plain values: what ``metrics.json`` holds and the page shows."""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeclf.evaluation.calibration_text import reaches_aim
from edgeclf.evaluation.metrics import (
    balanced_accuracy,
    expected_calibration_error,
    most_confused,
    per_class,
    reliability,
    remarks,
    wilson_interval,
)
from edgeclf.model.manifest import Calibration, Metrics

from edgeclf_training.dataset.exclusion_counts import count_left_out
from edgeclf_training.evaluation.calibration import confidence
from edgeclf_training.evaluation.divergence import diverged
from edgeclf_training.evaluation.label_doubts import LabelDoubt, doubtful_labels
from edgeclf_training.evaluation.predictions import Predictions
from edgeclf_training.report.gradcam import Evidence
from edgeclf_training.run.run_folder import Run

SCHEMA_VERSION = 1


def collect_metrics(
    run: Run,
    predictions: Sequence[Predictions],
    calibration: Calibration | None,
    evidence: Evidence,
    recipe: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """Everything that ``metrics.json`` holds: plain values; numbers are finite, undefined ones are None.

    Args:
        run: finished or interrupted.
        predictions: for the validation photos, and for the test photos if there are any.
        calibration: None if no validation photo could be read.
        evidence: of heat maps for photos of the last split.
        recipe: (option, value) pairs.

    Returns:
        The object that is written as JSON; its keys are stable.
    """
    curves = read_curves(run.folder / "metrics.csv")
    split = run.split
    doubts: tuple[LabelDoubt, ...] = ()
    if split.folds and calibration is not None and predictions[0].split == "validation":
        doubts = doubtful_labels(predictions[0], run.classes, calibration.temperature)
    parts = {"train": split.train, "validation": split.val, "test": split.test}
    counted = {part: Counter(sample.label for sample in samples) for part, samples in parts.items()}
    best = best_epoch(curves, run.metrics, run.options.keep or "best") if run.best_epoch is None else run.best_epoch
    loss = "train_loss" if split.folds else "val_loss"  # with folds, nothing is validated while the last network trains
    divergence = diverged([row.get(loss) for row in curves], best, len(run.classes))
    return {
        "schema_version": SCHEMA_VERSION,
        "headline": predictions[-1].split,
        "run": {
            "architecture": run.options.arch,
            "head": run.options.head,
            "classes": list(run.classes),
            "contract": run.contract.to_dict(),
            "interrupted": not run.metrics,
            **asdict(run.provenance),
        },
        "recipe": dict(recipe),
        "photos": {
            **{part: len(samples) for part, samples in parts.items()},
            "per_class": {label: {part: counts[label] for part, counts in counted.items()} for label in run.classes},
            "validation_origin": split.val_origin,
            "skipped": len(split.skipped),
            "left_out": count_left_out(split.skipped),
            "notes": list(split.notes),
            "missing": sum(len(p.missing) for p in predictions),
        },
        "splits": {p.split: _split_metrics(p, run.classes, calibration) for p in predictions},
        "calibration": None if calibration is None else {**asdict(calibration), "reached": reaches_aim(calibration)},
        "evidence": asdict(evidence),
        "doubtful_labels": [{**asdict(doubt), "path": str(doubt.path)} for doubt in doubts],
        "earlier_classes": run.forgetting.report() if run.forgetting else None,
        "curves": curves,
        "best_epoch": best,
        "diverged": divergence.message if divergence else None,
    }


def _split_metrics(predictions: Predictions, classes: Sequence[str], calibration: Calibration | None) -> dict[str, Any]:
    metrics = predictions.metrics
    values: dict[str, Any] = {
        "photos": metrics.photos,
        "correct": metrics.correct,
        "accuracy": metrics.accuracy if metrics.photos else None,
        "interval": list(wilson_interval(metrics.correct, metrics.photos)),
        "balanced_accuracy": balanced_accuracy(metrics),
        "remarks": list(remarks(metrics, classes)),
        "missing": len(predictions.missing),
        "confusion": [list(row) for row in metrics.confusion],
        "per_class": [asdict(one) for one in per_class(metrics, classes)],
        "confused": [pair.to_dict() for pair in most_confused(metrics, classes)],
        "calibration": None,
    }
    if calibration is not None and metrics.photos:
        before, right = confidence(predictions.logits, predictions.labels)
        after, _ = confidence(predictions.logits, predictions.labels, calibration.temperature)
        bars = {"before": reliability(before, right), "after": reliability(after, right)}
        predicted = after >= calibration.threshold
        values["calibration"] = {
            **{f"ece_{when}": expected_calibration_error(b) for when, b in bars.items()},
            "reliability": {when: [asdict(one) for one in b] for when, b in bars.items()},
            "answered": int(predicted.sum()),
            "wrong": int((predicted & ~right).sum()),
        }
    return values


def read_curves(path: Path) -> list[dict[str, Any]]:
    """The rows of ``metrics.csv`` with numbers as numbers, None if not finite; empty if there is no file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{k: _number(v) for k, v in row.items() if k} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []


def best_epoch(curves: Sequence[Mapping[str, Any]], metrics: Sequence[Metrics], keep: str = "best") -> int | None:
    """The epoch whose weights were kept, for runs of older versions that do not record it.

    It is the last epoch, or the one with the most validation photos right, then with the lowest loss.

    Args:
        curves: rows of ``metrics.csv``.
        metrics: of the run, validation first; empty if it was interrupted.
        keep: the option ``--keep``.

    Returns:
        0 for the weights that the run started from; None if not known.
    """
    known = [row for row in curves if row.get("val_accuracy") is not None and row.get("val_loss") is not None]
    if not known:
        return None
    if keep == "last":
        return int(known[-1]["epoch"])
    best = max(known, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    if metrics and round(best["val_accuracy"] * metrics[0].photos) < metrics[0].correct:
        return 0
    return int(best["epoch"])


def _number(text: str | None) -> Any:
    try:
        value = float(text or "nan")
    except ValueError:
        return text
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and "." not in (text or "") else value
