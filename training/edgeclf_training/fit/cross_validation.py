"""K-fold cross-validation: every photo is predicted by a network that was not trained on it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from edgeclf.errors import DataError
from edgeclf.evaluation.metrics import accuracy_text
from edgeclf.events import Listener, say

from edgeclf_training.config.resolve import phases_of
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.evaluation.divergence import LOWER_LEARNING_RATE
from edgeclf_training.evaluation.predictions import predict
from edgeclf_training.fit.frozen_features import FeatureSource, compute_features, computed_once, features_of
from edgeclf_training.fit.messages import report_epoch
from edgeclf_training.fit.phases import fit_phases
from edgeclf_training.loading.photo_dataset import PhotoDataset
from edgeclf_training.networks import Network
from edgeclf_training.run.history import History
from edgeclf_training.run.out_of_fold import fold_folder, is_finished, save_fold
from edgeclf_training.run.run_folder import Run


def shared_features(run: Run) -> FeatureSource:
    """The frozen features of all photos of a run, computed once for all its folds and the network trained on all."""
    train, val = photo_sets(run)
    return computed_once(partial(compute_features, train, val, run.folder))


def train_folds(run: Run, initial: Callable[[], Network], features: FeatureSource, on_event: Listener) -> None:
    """Train the network of each fold that is not finished yet, and keep its predictions.

    Args:
        run: with its folds; some may be finished or have begun.
        initial: makes the network that every fold starts from, the same each time.
        features: of ``shared_features``.
        on_event: gets messages and progress.

    Raises:
        DataError, UsageError, OSError: as ``fit_phases``.
    """
    folds, seconds = run.options.folds, 0.0
    train_row = {sample: row for row, sample in enumerate(run.split.train)}
    val_row = {sample: row for row, sample in enumerate(run.split.val)}
    for fold in range(1, folds + 1):
        if is_finished(run, fold):
            continue
        name = f"fold {fold}/{folds}"
        folder = fold_folder(run, fold)
        folder.mkdir(parents=True, exist_ok=True)
        report = partial(report_epoch, on_event, run.options.epochs, what=f"{name}, ")
        history = History(folder, "last", 0, report, run.folder)
        network = initial()
        resumed = history.resume(network)
        part = replace(run, split=run.split.with_parts(_parts(run, fold)))
        train, val = photo_sets(part)
        fit_phases(
            network,
            phases_of(run.options, network),
            train,
            val,
            history,
            run.options,
            classes=len(run.classes),
            logger=False,
            on_event=on_event,
            resumed=resumed,
            features=features_of(
                features, [train_row[s] for s in part.split.train], [val_row[s] for s in part.split.val]
            ),
        )
        if history.best is None:
            raise DataError(f"{name}: training diverged, no epoch has a finite loss", LOWER_LEARNING_RATE)
        found = predict(network, part.split.val, run.classes, run.contract, "validation", device=run.options.device)
        save_fold(run, fold, found)
        shutil.rmtree(folder)  # this fold created it; the network was only needed for these predictions
        seconds = sum(epoch.seconds for epoch in history.epochs)
        left = f"about {_duration(seconds * (folds + 1 - fold))} left" if seconds else ""
        say(on_event, f"{name}: {accuracy_text(found.metrics)}; {left}")


def photo_sets(run: Run) -> tuple[PhotoDataset, PhotoDataset]:
    """The training photos, augmented as the options say, and the validation photos."""
    o = run.options
    return (
        PhotoDataset(run.split.train, run.classes, run.contract, o if o.augment != "none" else None),
        PhotoDataset(run.split.val, run.classes, run.contract),
    )


def _parts(run: Run, fold: int) -> dict[str, tuple[Sample, ...]]:
    """Trains on all photos but those of the fold, which validate."""
    of = run.split.folds
    return {
        "train": tuple(sample for sample in run.split.train if of.get(sample) != fold),
        "val": tuple(sample for sample in run.split.val if of[sample] == fold),
        "test": (),
    }


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
