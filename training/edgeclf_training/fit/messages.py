"""Messages of a training run."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeclf.errors import UsageError
from edgeclf.evaluation.metrics import accuracy_text, remarks
from edgeclf.events import Listener, Message, say
from edgeclf.model.manifest import Metrics

from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.exclusion_counts import count_left_out, counts_text
from edgeclf_training.fit.preflight import discard
from edgeclf_training.networks import Loaded, Network
from edgeclf_training.run.earlier_run import changes_of, class_lines
from edgeclf_training.run.history import Epoch, History
from edgeclf_training.run.out_of_fold import has_begun
from edgeclf_training.run.run_folder import Run

_FREE_LICENCES = ("apache-2.0", "bsd-3-clause", "mit")  # of weights: any use is allowed if the authors are named


def check_heat_maps(network: Network, options: TrainOptions) -> None:
    """Refuse a network without heat maps, unless the options say that none are wanted.

    Raises:
        UsageError: it has none.
    """
    if options.cam and not network.has_heat_maps:
        raise UsageError(
            f"{options.arch} has no heat maps: what its classifier reads is no average over positions of the photo, as "
            "in networks of tokens (ViT, DINO)",
            "train it with --no-cam, or choose a network of convolutions",
        )


def describe(on_event: Listener, run: Run, loaded: Loaded | None, start: Run | None = None) -> None:
    """Report the network, the photos, the excluded photos with reasons, and the run folder."""
    o, split = run.options, run.split
    origin = f"from {run.start}" if run.start else f"weights: {loaded.source if loaded else 'none (from scratch)'}"
    say(on_event, f"{o.arch}, {o.head} head, {run.contract.size} px {run.contract.resize}, {origin}")
    if loaded is not None and loaded.licence.lower() not in (*_FREE_LICENCES, "unknown"):
        what = f"the licence of these weights is {loaded.licence}; read it before you pass the model on or sell its use"
        say(on_event, what, "warning")
    say(
        on_event,
        f"{len(split.classes)} classes: {len(split.train)} photos to train, {len(split.val)} to validate "
        f"({split.val_origin})" + (f", {len(split.test)} to test" if split.test else ""),
    )
    if start is not None:
        for line in class_lines(changes_of(run.options, start), run.classes):
            say(on_event, line)
    for note in split.notes:
        say(on_event, note)
    if split.skipped:
        say(on_event, f"left out: {counts_text(count_left_out(split.skipped))}")
    for skipped in split.skipped[:5]:
        say(on_event, f"skipped: {skipped.reason}")
    if len(split.skipped) > 5:
        say(on_event, f"skipped: {len(split.skipped) - 5} more, see split/skipped.txt")
    say(on_event, f"run folder: {run.folder}")


@dataclass(frozen=True)
class EpochEnd(Message):
    """An epoch is finished, and its checkpoint is written.

    Attributes:
        epoch: its number, losses, accuracies and time.
        epochs: total number of epochs of the run, unless it stops early.
    """

    epoch: Epoch = field(kw_only=True)
    epochs: int = field(kw_only=True)


def report_epoch(on_event: Listener, epochs: int, epoch: Epoch, what: str = "") -> None:
    """Send an ``EpochEnd``; ``what`` begins its text, such as "fold 2/5, "."""
    validated = f"validation loss {_loss(epoch.val_loss)}, accuracy {epoch.val_accuracy:.1%}; "
    text = (
        f"{what}epoch {epoch.epoch}/{epochs} ({epoch.phase}): "
        f"loss {_loss(epoch.train_loss)}, accuracy {epoch.train_accuracy:.1%}; "
        f"{'' if math.isnan(epoch.val_accuracy) else validated}{epoch.seconds:.0f} s"
    )
    on_event(EpochEnd(text, epoch=epoch, epochs=epochs))


def _loss(value: float) -> str:
    return f"{value:.3f}" if value < 1000 else f"{value:.3g}"


def report_metrics(on_event: Listener, metrics: Metrics, classes: Sequence[str]) -> None:
    """Report the metrics of one split, and warnings about its accuracy."""
    say(on_event, f"{metrics.split}: {accuracy_text(metrics)}")
    for line in remarks(metrics, classes):
        say(on_event, f"{metrics.split}: {line}")


def say_what_is_left(on_event: Listener, run: Run, history: History, resumed: bool) -> None:
    """After an interruption: report how to resume; delete the folder of a new run without a finished epoch."""
    folder = shlex.quote(str(run.folder))
    if not anything_kept(run, history):
        if resumed:
            say(on_event, f"interrupted before the end of an epoch; `edgeclf train --resume {folder}` begins again")
        else:
            discard(run.folder)
            say(on_event, "interrupted before the end of the first epoch: nothing is kept")
        return
    if run.split.folds and not history.epochs:
        say(on_event, f"interrupted: finished folds are kept; `edgeclf train --resume {folder}` resumes it")
        return
    say(
        on_event,
        f"interrupted: {len(history.epochs)} of {run.options.epochs} epochs are finished; "
        f"`edgeclf train --resume {folder}` resumes it, `edgeclf export {folder}` exports the best weights so far",
    )


def anything_kept(run: Run, history: History) -> bool:
    """Whether an interrupted run has anything to resume from."""
    return bool(history.epochs) or any(has_begun(run, fold) for fold in range(1, run.options.folds + 1))
