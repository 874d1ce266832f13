"""The end of a training run: metrics with the saved weights, calibration, and the files of a finished run."""

import shlex
from dataclasses import replace

from edgeclf.errors import DataError
from edgeclf.evaluation.calibration_text import calibration_text
from edgeclf.events import Listener, say

from edgeclf_training.dataset.quarantine import write_quarantine
from edgeclf_training.dataset.scan import absolute
from edgeclf_training.evaluation.calibration import calibrate
from edgeclf_training.evaluation.divergence import LOWER_LEARNING_RATE, diverged
from edgeclf_training.evaluation.label_doubts import LabelDoubt, doubtful_labels
from edgeclf_training.fit.measure_forgetting import measure_forgetting
from edgeclf_training.fit.messages import report_metrics
from edgeclf_training.fit.preflight import writing
from edgeclf_training.networks import Network
from edgeclf_training.report import write_report
from edgeclf_training.report.confusion_matrix import write_confusion_csv
from edgeclf_training.report.predictions import held_out_predictions
from edgeclf_training.run.history import CHECKPOINT, History
from edgeclf_training.run.run_folder import Run, resume_command, save_run

DOUBTFUL_LABELS = "doubtful-labels.txt"


def finish(run: Run, network: Network, history: History, on_event: Listener, report: bool) -> Run:
    """Compute the metrics with the saved weights, and write the files of a finished run."""
    if history.best is None:
        raise DataError("training diverged: no epoch has a finite validation loss", LOWER_LEARNING_RATE)
    o, epochs = run.options, history.epochs
    if len(epochs) < o.epochs:
        say(
            on_event,
            f"{len(epochs)} of {o.epochs} epochs: --early-stopping, {o.early_stopping} without improvement",
        )
    if epochs and history.best.epoch and history.best.phase != epochs[-1].phase and o.keep != "last":
        say(on_event, f"no {epochs[-1].phase} epoch was better; try more --epochs or a lower --backbone-lr")
    if epochs:
        say(on_event, _kept(history.best.epoch, epochs[-1].epoch, o.keep or "best"))
    divergence = diverged([e.loss for e in epochs], history.best.epoch, len(run.classes))
    if divergence and not divergence.weights_unusable:
        say(on_event, f"{divergence.message}; {LOWER_LEARNING_RATE}")
    predictions = held_out_predictions(run, network, on_event, o.device)
    calibration = calibrate(predictions[0].logits, predictions[0].labels)
    metrics = tuple(p.metrics for p in predictions)
    run = replace(run, metrics=metrics, calibration=calibration, best_epoch=history.best.epoch)
    run = replace(run, forgetting=measure_forgetting(run, network, on_event))
    doubts = doubtful_labels(predictions[0], run.classes, calibration.temperature) if run.split.folds else ()
    with writing(run.folder, f"then resume with `{resume_command(run.folder)}`"):
        write_confusion_csv(run.metrics[-1], run.classes, run.folder)
        if doubts:
            reasons = {absolute(doubt.path): _reason(doubt) for doubt in doubts}
            write_quarantine(run.folder / DOUBTFUL_LABELS, reasons)
        save_run(run)  # the last file: from now on the run has finished
        (run.folder / CHECKPOINT).unlink(missing_ok=True)
    for f in run.metrics:
        report_metrics(on_event, f, run.classes)
    for line in run.forgetting.lines() if run.forgetting else ():
        say(on_event, line)
    say(on_event, f"calibrated: {calibration_text(calibration)}")
    if doubts:
        first = doubts[0]
        count = "1 photo is" if len(doubts) == 1 else f"{len(doubts)} photos are"
        say(on_event, f"{count} probably labelled wrong, first: {first.path}: {_reason(first)}")
        say(on_event, f"see report.html; correct the list {run.folder / DOUBTFUL_LABELS}, then give it to --quarantine")
    if report:
        with writing(run.folder, f"then make the report with `edgeclf report {shlex.quote(str(run.folder))}`"):
            write_report(run, network, predictions, on_event=on_event)
        say(on_event, f"report: {run.folder / 'report.html'}")
    if divergence and divergence.weights_unusable:
        raise DataError(divergence.message, LOWER_LEARNING_RATE)
    return run


def _kept(epoch: int, last: int, keep: str) -> str:
    if epoch == 0:
        return "every epoch was clearly worse than the network before, whose weights are kept"
    why = ", after which it diverged or became clearly worse than before" if keep == "last" and epoch != last else ""
    return f"{keep}: epoch {epoch}{why}; its weights are kept"


def _reason(doubt: LabelDoubt) -> str:
    return f"labelled {doubt.label}, predicted {doubt.predicted} ({doubt.predicted_probability:.0%})"
