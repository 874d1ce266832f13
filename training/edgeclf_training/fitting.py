"""The fit: phase after phase, each resumable after every epoch, on one device or many."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from edgeclf.errors import DataError, PhotoError, UsageError
from torch.utils.data import DataLoader

from edgeclf_training.dataset import Key, PhotoDataset, loader
from edgeclf_training.features import PooledFeatures, class_counts
from edgeclf_training.fine_tuning import FineTuning, Phase
from edgeclf_training.history import CHECKPOINT, History
from edgeclf_training.networks import Network, freeze
from edgeclf_training.options import TrainOptions

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def fit_phases(
    network: Network,
    phases: list[Phase],
    train: PhotoDataset,
    val: PhotoDataset,
    history: History,
    options: TrainOptions,
    *,
    classes: int,
    logger: Any,
    progress: Progress,
    progress_bar: bool,
    resumed: bool = False,
) -> None:
    """Train through the phases; afterwards ``network`` holds the best weights by validation, if any epoch was finite.

    Each phase is a Trainer of its own, so that the optimiser, and what data parallelism synchronises, always match
    the stages that are trainable.

    Args:
        network: changed in place.
        phases: in order.
        train, val: the photos.
        history: what is remembered; with ``resumed``, what was.
        options: resolved.
        classes: number of classes.
        logger: Lightning's, or False.
        progress: makes a progress callback for a named stretch of work.
        progress_bar: show Lightning's.
        resumed: ``history`` and ``network`` come from a checkpoint.

    Raises:
        UsageError: the devices cannot share the batches.
        DataError: the checkpoint does not fit.
    """
    counts = class_counts(train.labels, classes)
    if options.device == "cuda":
        network.to(memory_format=torch.channels_last)  # photos come so already, and tensor cores want it
    for number, phase in enumerate(phases):
        if resumed and (number < history.phase or (number == history.phase and history.phase_done)):
            continue
        mid_phase = resumed and number == history.phase and bool(history.epochs)
        freeze(network, phase.unfreeze)
        trainer = make_trainer(phase.epochs, options, history, logger, progress_bar)
        before = sum(p.epochs for p in phases[:number])
        on_features = phase.unfreeze is None and trainer.world_size == 1
        batches, val_batches = _batches(network, phase, train, val, trainer, options, progress, before, on_features)
        module = FineTuning(network, phase, options, counts, before, on_features)
        history.phase, history.phase_done = number, False
        checkpoint = history.folder / CHECKPOINT if mid_phase else None
        with _as_errors(checkpoint, history):
            trainer.fit(module, batches, val_batches, ckpt_path=checkpoint, weights_only=True)
        network.cpu()
    if torch.distributed.is_initialized():  # what comes after is done by one process alone
        torch.distributed.destroy_process_group()
    if trainer_rank() == 0:
        history.load_best(network)
    network.eval()


def make_trainer(epochs: int, options: TrainOptions, history: History, logger: Any, progress_bar: bool) -> pl.Trainer:
    """Lightning's Trainer for one phase, on what the options name."""
    gpu = options.device == "cuda"
    many = options.devices * options.num_nodes > 1
    precision = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[options.precision]
    callbacks: list[pl.Callback] = [history]
    if progress_bar:
        callbacks.append(pl.callbacks.TQDMProgressBar(leave=False))
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if gpu else "cpu",
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy="ddp" if many else "auto",
        precision=precision,  # type: ignore[arg-type]
        callbacks=callbacks,
        logger=logger,
        enable_model_summary=False,
        enable_progress_bar=progress_bar,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,  # our sampler carries the epoch to the augmentation, and shares photos out
        gradient_clip_val=options.clip or None,
    )
    if options.batch_size % trainer.world_size:
        raise UsageError(
            f"--batch-size {options.batch_size} cannot be shared by {trainer.world_size} processes",
            f"give a multiple of {trainer.world_size}",
        )
    return trainer


def trainer_rank() -> int:
    """The number of this process among those that train together; 0 does all the writing and talking."""
    return int(getattr(pl.utilities.rank_zero_only, "rank", 0) or 0)


def _batches(
    network: Network,
    phase: Phase,
    train: PhotoDataset,
    val: PhotoDataset,
    trainer: pl.Trainer,
    options: TrainOptions,
    progress: Progress,
    before: int,
    on_features: bool,
) -> tuple[DataLoader[Key], DataLoader[Key]]:
    workers = options.workers or 0
    if on_features:
        views = min(phase.epochs, options.frozen_views) if options.augment != "none" else 1
        pass_over = {"batch_size": options.batch_size, "workers": workers, "device": options.device}
        with progress("running the frozen base") as update:
            train_set = PooledFeatures(network, train, views, progress=update, **pass_over)  # type: ignore[arg-type]
            val_set = PooledFeatures(network, val, 1, progress=update, **pass_over)  # type: ignore[arg-type]
        return (
            loader(train_set, options.batch_size, 0, seed=options.seed, epochs_before=before, shuffle=True),
            loader(val_set, options.batch_size, 0, shuffle=False),
        )
    share = {"rank": trainer.global_rank, "world": trainer.world_size}
    return (
        loader(train, options.batch_size, workers, seed=options.seed, epochs_before=before, shuffle=True, **share),
        loader(val, options.batch_size, workers, shuffle=False, **share),
    )


@contextlib.contextmanager
def _as_errors(checkpoint: Path | None, history: History) -> Iterator[None]:
    try:
        yield
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error
    except torch.cuda.OutOfMemoryError as error:
        raise UsageError("the GPU's memory is too small for this", "give a smaller --batch-size") from error
    except PhotoError as error:
        raise _gone(error.message, history) from error
    except (KeyError, RuntimeError) as error:
        if "PhotoError" in str(error):  # what a loader process makes of one: its whole trace as the message
            raise _gone(str(error).strip().splitlines()[-1].split(": ", 1)[-1], history) from error
        if checkpoint is None:
            raise
        raise DataError(f"{checkpoint}: does not fit this run ({error})", "delete it to begin again") from error


def _gone(message: str, history: History) -> DataError:
    """A photo that was read when the run began cannot be read any more."""
    return DataError(message, f"bring it back, then go on with `edgeclf train --resume {history.folder}`")
