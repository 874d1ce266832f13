"""Runs the training phases in order, on one or several devices; a run can be resumed after every epoch."""

import contextlib
import logging
import re
import signal
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from edgeclf.errors import BackendError, DataError, PhotoError, UsageError
from edgeclf.events import Listener, Progress
from torch.utils.data import DataLoader

from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.frozen_features import FeatureSource, class_counts, compute_features
from edgeclf_training.fit.lightning_module import FineTuning, Phase
from edgeclf_training.fit.lost_processes import LOST, take_over
from edgeclf_training.loading.loader_processes import loader_errors
from edgeclf_training.loading.photo_dataset import Key, PhotoDataset, loader
from edgeclf_training.networks import Network, freeze
from edgeclf_training.run.history import CHECKPOINT, AtomicCheckpoints, History, trainer_rank
from edgeclf_training.run.run_folder import resume_command

# What gloo and NCCL say when the process that they wait for is gone.
_LOST = re.compile(r"closed by peer|reset by peer|broken pipe|remote process exited", re.IGNORECASE)


def fit_phases(
    network: Network,
    phases: list[Phase],
    train: PhotoDataset,
    val: PhotoDataset | None,
    history: History,
    options: TrainOptions,
    *,
    classes: int,
    logger: Any,
    on_event: Listener,
    resumed: bool = False,
    features: FeatureSource | None = None,
) -> None:
    """Train through the phases; afterwards ``network`` has the best weights by validation, if any loss was finite.

    Each phase has its own Trainer, so that the optimiser and the parameters that DDP synchronises are exactly the
    trainable ones.

    Args:
        network: changed in place.
        phases: in order.
        train, val: the photos; without ``val`` nothing is validated.
        history: records the epochs; with ``resumed``, it already holds those of the checkpoint.
        options: resolved.
        classes: number of classes.
        logger: Lightning's, or False.
        on_event: gets the progress of each epoch, and of the computation of frozen features.
        resumed: ``history`` and ``network`` come from a checkpoint.
        features: gives the frozen features, if not each run computes its own.

    Raises:
        UsageError: the GPU's memory is too small.
        DataError: a photo can no longer be read.
        OSError: the disk is full.
    """
    counts = class_counts(train.labels, classes)
    terminate = signal.getsignal(signal.SIGTERM)
    children: list[Any] = []
    if options.device == "cuda":
        network.to(
            memory_format=torch.channels_last
        )  # the photos have this layout, and tensor cores are faster with it
    for number, phase in enumerate(phases):
        if resumed and (number < history.phase or (number == history.phase and history.phase_done)):
            continue
        mid_phase = resumed and number == history.phase and bool(history.epochs)
        freeze(network, phase.unfreeze)
        before = sum(p.epochs for p in phases[:number])
        steps = _Steps(on_event, before, sum(p.epochs for p in phases))
        supervision = _Supervision(terminate, children, _after_a_loss(history))
        trainer = make_trainer(phase.epochs, options, [history, supervision, steps], logger)
        on_features = phase.unfreeze is None and trainer.world_size == 1
        done = sum(e.phase == phase.name for e in history.epochs) if mid_phase else 0
        resume = resume_command(history.run_folder)
        with _as_errors(history), loader_errors(resume, options.workers or 0), _ending(children):
            loaders = _Loaders(network, train, val, trainer, options, before, done, features)
            batches = loaders.features(phase, history.folder, on_event) if on_features else loaders.photos()
            module = FineTuning(network, phase, options, counts, before, on_features)
            history.phase, history.phase_done = number, False
            checkpoint = history.folder / CHECKPOINT if mid_phase else None
            trainer.fit(module, *batches, ckpt_path=checkpoint, weights_only=True)
        network.cpu()
    children.clear()  # they may end now
    if torch.distributed.is_initialized():  # only one process does the steps that follow
        torch.distributed.destroy_process_group()
    if trainer_rank() == 0:
        history.load_best(network)
    network.eval()


def make_trainer(epochs: int, options: TrainOptions, callbacks: list[pl.Callback], logger: Any) -> pl.Trainer:
    """Lightning's Trainer for one phase, on the devices and with the precision of the options."""
    gpu = options.device == "cuda"
    many = options.devices * options.num_nodes > 1
    precision = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[options.precision]
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if gpu else "cpu",
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy="ddp" if many else "auto",
        precision=precision,  # type: ignore[arg-type]
        callbacks=callbacks,
        plugins=[AtomicCheckpoints()],
        logger=logger,
        enable_model_summary=False,
        enable_progress_bar=False,  # `_Steps` reports progress instead
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,  # EpochSampler passes the epoch to the augmentation and divides the photos
        gradient_clip_val=options.clip or None,
    )


@dataclass(frozen=True)
class _Loaders:
    """Training and validation batches of one phase; earlier phases had ``before`` epochs, this one ``done`` so far."""

    network: Network
    train: PhotoDataset
    val: PhotoDataset | None
    trainer: pl.Trainer
    options: TrainOptions
    before: int
    done: int
    source: FeatureSource | None

    def photos(self) -> tuple[DataLoader[Key], DataLoader[Key] | None]:
        """This process's share of the photos."""
        o, workers = self.options, self.options.workers or 0
        share = {"rank": self.trainer.global_rank, "world": self.trainer.world_size}
        return (
            loader(self.train, o.batch_size, workers, shuffle=True, **self._epochs(), **share),
            loader(self.val, o.batch_size, workers, shuffle=False, **share) if self.val else None,
        )

    def features(
        self, phase: Phase, folder: Path, on_event: Listener
    ) -> tuple[DataLoader[Key], DataLoader[Key] | None]:
        """The pooled activations of the photos, computed now."""
        batch_size = self.options.batch_size
        source = self.source or partial(compute_features, self.train, self.val, folder)
        train, val = source(self.network, self.options, phase.epochs, on_event)
        return (
            loader(train, batch_size, 0, shuffle=True, **self._epochs()),
            loader(val, batch_size, 0, shuffle=False) if val and self.val else None,
        )

    def _epochs(self) -> dict[str, int]:
        return {"seed": self.options.seed, "epochs_before": self.before, "epochs_done": self.done}


class _Supervision(pl.Callback):
    """Restores our SIGTERM handler, and watches the processes that the Trainer of the first phase started.

    Lightning's own handler starts a broadcast; from the second Trainer on, no other process takes part in it.
    """

    def __init__(self, terminate: Any, children: list[Any], remedy: str) -> None:
        self._terminate, self._children, self._remedy = terminate, children, remedy

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        take_over(getattr(trainer.strategy.launcher, "procs", None) or [], self._children, self._remedy)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)


class _Steps(pl.Callback):
    """Reports the steps of each epoch.

    Args:
        on_event: gets a ``Progress`` after each step.
        before: epochs of earlier phases.
        epochs: of all phases.
    """

    def __init__(self, on_event: Listener, before: int, epochs: int) -> None:
        self._on_event, self._before, self._epochs = on_event, before, epochs

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._on_event(Progress(self._task(trainer), batch_idx + 1, int(trainer.num_training_batches)))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        steps = int(trainer.num_training_batches)
        self._on_event(Progress(self._task(trainer), steps, steps, ended=True))

    def _task(self, trainer: pl.Trainer) -> str:
        return f"epoch {self._before + trainer.current_epoch + 1}/{self._epochs}, step"


@contextlib.contextmanager
def _ending(children: list[Any]) -> Iterator[None]:
    """If this process fails, kill the processes that the first phase started: they would wait for it forever."""
    try:
        yield
    except BaseException:
        for child in children:
            child.kill()
            child.wait()
        children.clear()
        raise


@contextlib.contextmanager
def _as_errors(history: History) -> Iterator[None]:
    try:
        yield
    except SystemExit as error:  # Lightning raises SystemExit on Ctrl-C
        raise KeyboardInterrupt from error
    except torch.cuda.OutOfMemoryError as error:
        raise UsageError("the GPU's memory is too small for this", "give a smaller --batch-size") from error
    except PhotoError as error:
        raise _photo_lost(error.message, history) from error
    except RuntimeError as error:
        if "PhotoError" in str(error):  # from a loader process: the message is its whole traceback
            raise _photo_lost(str(error).strip().splitlines()[-1].split(": ", 1)[-1], history) from error
        if torch.distributed.is_initialized() and _LOST.search(str(error)):
            raise BackendError(LOST, _after_a_loss(history)) from error
        raise


def _after_a_loss(history: History) -> str:
    return f"see whether memory ran out, then resume with `{resume_command(history.run_folder)}`"


def _photo_lost(message: str, history: History) -> DataError:
    """The error for a photo that was readable when the run began and no longer is."""
    return DataError(message, f"restore it, then resume with `{resume_command(history.run_folder)}`")


def check_logger(kind: str) -> None:
    """Check that this kind of log can be written; call it before anything is written.

    Raises:
        BackendError: tensorboard is not installed.
    """
    if kind == "tensorboard":
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: F401
        except ImportError as error:
            raise BackendError("tensorboard is not installed", "pip install tensorboard") from error


def make_logger(kind: str, out: Path) -> Any:
    """Lightning's logger; False for "csv": metrics.csv is always written."""
    if kind == "csv":
        return False
    return pl.loggers.TensorBoardLogger(save_dir=str(out), name="tensorboard", version="")


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's warnings on worker counts, idle GPUs and step counts: they do not concern our users."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        yield
