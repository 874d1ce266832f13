"""What a run tells people while it goes on."""

import shlex
import shutil
from collections.abc import Iterator, Sequence

from edgeclf.class_names import finder, several
from edgeclf.cli.console import Console, printable
from edgeclf.evaluation.metrics import remarks, right_of
from edgeclf.model.manifest import Figures

from edgeclf_training.dataset.exclusion_counts import in_a_line, left_out
from edgeclf_training.networks import Loaded
from edgeclf_training.run.history import Epoch, History
from edgeclf_training.run.run_folder import Run


def describe(console: Console, run: Run, loaded: Loaded | None, start: Run | None = None) -> None:
    """Network, photos, what was left out and why, and where the run will lie."""
    o, split = run.options, run.split
    origin = f"from {run.start}" if run.start else f"weights: {loaded.source if loaded else 'none (from scratch)'}"
    console.line(f"{o.arch}, {o.head} head, {run.contract.size} px {run.contract.resize}, {origin}")
    console.line(
        f"{len(split.classes)} classes: {len(split.train)} photos to train, {len(split.val)} to validate "
        f"({split.val_origin})" + (f", {len(split.test)} to test" if split.test else "")
    )
    if start is not None:
        for line in _classes_since(start.classes, run.classes):
            console.line(printable(line))
    for note in split.notes:
        console.line(printable(note))
    if split.skipped:
        console.line(f"left out: {in_a_line(left_out(split.skipped))}")
    for skipped in split.skipped[:5]:
        console.line(f"skipped: {printable(skipped.reason)}")
    if len(split.skipped) > 5:
        console.line(f"skipped: {len(split.skipped) - 5} more, see split/skipped.txt")
    console.line(f"run folder: {run.folder}")


def _classes_since(before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """What going on from a run makes of its classes, if they are not the same."""
    known, there = finder(before), finder(now)
    kept = [name for name in now if known(name) is not None]
    new = [name for name in now if known(name) is None]
    if gone := [name for name in before if there(name) is None]:
        yield f"classes gone, no photos of them here: {several(gone)}; the new model cannot answer them"
    if new:
        yield f"classes new, learned from the start: {several(new)}"
    if gone or new:
        yield f"classes kept, with what was learned of them: {several(kept) if kept else 'none'}"


def report_epoch(console: Console, epochs: int, epoch: Epoch) -> None:
    """One line for a finished epoch."""
    console.line(
        f"epoch {epoch.epoch}/{epochs} ({epoch.phase}): "
        f"loss {_loss(epoch.train_loss)}, accuracy {epoch.train_accuracy:.1%}; "
        f"validation loss {_loss(epoch.val_loss)}, accuracy {epoch.val_accuracy:.1%}; {epoch.seconds:.0f} s"
    )


def _loss(value: float) -> str:
    return f"{value:.3f}" if value < 1000 else f"{value:.3g}"


def report_figures(console: Console, figures: Figures, classes: Sequence[str]) -> None:
    """What was counted on one split, and what its accuracy hides."""
    console.line(f"{figures.split}: {right_of(figures)}")
    for line in remarks(figures, classes):
        console.line(printable(f"{figures.split}: {line}"))


def say_what_is_left(history: History, run: Run, console: Console) -> None:
    """After an interruption: how to go on; a run without a finished epoch is removed."""
    if not history.epochs:
        shutil.rmtree(run.folder)  # made by this run, and nothing in it is of use
        console.line("interrupted before the first epoch was finished: nothing is kept")
        return
    folder = shlex.quote(str(run.folder))
    console.line(
        f"interrupted: {len(history.epochs)} of {run.options.epochs} epochs are finished; "
        f"`edgeclf train --resume {folder}` goes on, `edgeclf export {folder}` takes the best weights so far"
    )
