"""Going on from an earlier run: what becomes of its classes, its photos, and the rows of its last layer."""

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from edgeclf.class_names import finder, several
from edgeclf.errors import DataError, UsageError
from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf.events import Listener

from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.class_changes import ClassChanges, read_class_changes
from edgeclf_training.dataset.earlier_photos import EarlierPhotos
from edgeclf_training.dataset.samples import Sample, Split
from edgeclf_training.networks import Network
from edgeclf_training.run.relocate import is_there, relocated
from edgeclf_training.run.run_folder import Run


def changes_of(options: TrainOptions, start: Run) -> ClassChanges:
    """What ``--rename``, ``--drop`` and ``--merge`` make of the classes of an earlier run.

    Raises:
        UsageError: see ``read_class_changes``.
    """
    return read_class_changes(start.classes, options.rename, options.drop, options.merge)


def earlier_photos(options: TrainOptions, start: Run, changes: ClassChanges, on_event: Listener) -> EarlierPhotos:
    """The photos of an earlier run that are still in their places, or in the zip that it was trained from.

    Args:
        options: of the run that goes on; ``earlier_photos`` says whether its photos are used.
        start: the earlier run.
        changes: of its classes.
        on_event: gets messages and progress.
    """
    parts = {part: _relabelled(_only_in(start.split, part), changes) for part in SPLITS}
    counts = Counter(s.label for samples in parts.values() for s in samples)
    if not options.earlier_photos:
        return EarlierPhotos(start.folder, changes, wanted=False, counts=counts)
    with contextlib.suppress(DataError):  # its zip is gone or damaged: photos that are missing are reported later
        start = relocated(start, on_event=on_event)
    parts = {part: _relabelled(_only_in(start.split, part), changes) for part in SPLITS}
    there = {part: tuple(filter(is_there, samples)) for part, samples in parts.items()}
    return EarlierPhotos(start.folder, changes, there, counts=counts, folds=bool(start.split.folds))


def _only_in(split: Split, part: str) -> tuple[Sample, ...]:
    """The photos of a part. With folds each photo also trains, in the network that is kept: so none only validates."""
    return () if split.folds and part == "val" else split.part(part)


def _relabelled(samples: Sequence[Sample], changes: ClassChanges) -> tuple[Sample, ...]:
    labelled = ((s, changes.label(s.label)) for s in samples)
    return tuple(Sample(s.path, label, s.size) for s, label in labelled if label is not None)


def start_from(network: Network, earlier: Network, changes: ClassChanges, classes: Sequence[str]) -> None:
    """Start ``network`` from an earlier one: all weights, and in the last layer the rows of the classes it knows.

    A renamed class keeps its row. For a class that unites k earlier ones the probability of the union is wanted, whose
    logit is log(sum(exp(z_i))). At equal z_i its linear approximation is mean(z_i) + log(k): so weights are the mean of
    the rows, and the bias is the mean plus log(k). A new class keeps the initial row of ``network``.

    Args:
        network: changed in place; same architecture and head as ``earlier``.
        earlier: the network to copy from.
        changes: of its classes.
        classes: names in index order, of ``network``.
    """
    state = earlier.state_dict()
    last = f"head.linears.{len(network.head.linears) - 1}"
    own = network.state_dict()
    weight, bias = own[f"{last}.weight"].clone(), own[f"{last}.bias"].clone()
    for index, label in enumerate(classes):
        if rows := list(changes.rows(label)):
            weight[index] = state[f"{last}.weight"][rows].mean(0)
            bias[index] = state[f"{last}.bias"][rows].mean(0) + math.log(len(rows))
    network.load_state_dict({**state, f"{last}.weight": weight, f"{last}.bias": bias})


def check_nothing_to_learn(options: TrainOptions, changes: ClassChanges, classes: Sequence[str]) -> None:
    """Refuse new classes if no epoch trains them.

    Raises:
        UsageError: there is one.
    """
    new = [label for label in classes if not changes.rows(label)]
    if new and options.epochs == 0:
        raise UsageError(f"--epochs 0 cannot teach the new class {several(new)}", "give at least 1 epoch, such as 3")


def class_lines(changes: ClassChanges, now: Sequence[str]) -> Iterator[str]:
    """Messages about renamed, merged, dropped, missing, new and kept classes, if any class changed."""
    known, there = finder(changes.kept), finder(now)
    new = [name for name in now if known(name) is None]
    gone = [name for name in changes.kept if there(name) is None]
    yield from changes.lines()
    if gone:
        yield f"classes removed, no photos of them here: {several(gone)}; the new model cannot predict them"
    if new:
        yield f"new classes, trained from random weights: {several(new)}"
    if gone or new or changes.lines():
        kept = [name for name in now if known(name) is not None]
        yield f"classes kept, with their trained weights: {several(kept) if kept else 'none'}"


def lineage_line(start: Run, changes: ClassChanges, classes: Sequence[str]) -> str:
    """What the lineage of a model says about the run that it started from."""
    known = finder(changes.kept)
    new = [label for label in classes if known(label) is None]
    parts = [f"an earlier run, {start.folder.resolve().name}", changes.summary(), f"new: {several(new)}" if new else ""]
    return "; ".join(part for part in parts if part)
