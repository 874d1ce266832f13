"""The report's plots: curves with gaps, and the epoch that they mark."""

from dataclasses import replace

from edgeclf.model.manifest import Metrics
from edgeclf_training.report.metrics_json import best_epoch
from edgeclf_training.report.plots import training_curve


def test_the_best_epoch_is_none_where_the_start_was_better() -> None:
    rows = [{"epoch": 1, "val_accuracy": 0.5, "val_loss": 1.0}, {"epoch": 2, "val_accuracy": 0.5, "val_loss": 0.5}]
    metrics = Metrics("validation", 10, 5, ((5, 5), (0, 0)))
    assert best_epoch(rows, [metrics]) == 2
    assert best_epoch(rows, [replace(metrics, correct=6)]) == 0
    assert best_epoch([{"epoch": 1, "val_accuracy": 0.5, "val_loss": None}], []) is None


def test_curves_with_holes_are_drawn() -> None:
    rows = [{"epoch": n, "phase": "fine-tune", "train_loss": None, "val_loss": 1 / n} for n in (1, 2, 3)]
    assert "currentColor" in training_curve(rows, "loss", 3)
