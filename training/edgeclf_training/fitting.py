"""The two-phase fit: base frozen, then unfrozen from a named stage, best weights by validation kept."""

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from edgeclf.files import write_atomically
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from edgeclf_training.dataset import EpochSampler
from edgeclf_training.networks import Network, freeze, train_mode


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one set of trainable stages.

    Attributes:
        name: "frozen" or "fine-tune"; shown and recorded.
        epochs: at least 1.
        unfreeze: first trainable stage, "all", or None for the head alone.
        head_rate, base_rate: peak learning rates.
        keep_statistics: batch norms keep their pretrained statistics; see ``train_mode``.
    """

    name: str
    epochs: int
    unfreeze: str | None
    head_rate: float
    base_rate: float
    keep_statistics: bool = False


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured; a row of metrics.csv. Accuracies are shares, 0..1; ``seconds`` is wall time."""

    epoch: int
    phase: str
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


class FineTuning(pl.LightningModule):
    """One phase of training a network."""

    def __init__(
        self, network: Network, classes: int, phase: Phase, weight_decay: float = 1e-4, label_smoothing: float = 0.1
    ) -> None:
        super().__init__()
        self.network = network
        self.phase = phase
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.loss = {part: MeanMetric(nan_strategy="disable") for part in ("train", "val")}
        self.accuracy = {
            part: MulticlassAccuracy(num_classes=classes, average="micro", validate_args=False)
            for part in ("train", "val")
        }
        for part in ("train", "val"):  # registered, so that they move with the module
            self.add_module(f"{part}_loss", self.loss[part])
            self.add_module(f"{part}_accuracy", self.accuracy[part])

    def on_train_epoch_start(self) -> None:
        train_mode(self.network, keep_statistics=self.phase.keep_statistics)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        return self._step("train", batch, self.label_smoothing)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        self._step("val", batch, 0.0)

    def _step(self, part: str, batch: tuple[Tensor, Tensor], smoothing: float) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        self.loss[part].update(loss.detach(), len(labels))
        self.accuracy[part].update(logits.detach(), labels)
        if part == "train":
            self.log("loss", loss.detach(), prog_bar=True, logger=False)
            self.log("acc", self.accuracy[part].compute(), prog_bar=True, logger=False)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW, no decay on norms and biases, warm-up then cosine, stepped every batch."""
        groups = []
        for parameters, rate in (
            (self.network.head.parameters(), self.phase.head_rate),
            (self.network.features.parameters(), self.phase.base_rate),
        ):
            trainable = [p for p in parameters if p.requires_grad]
            for decay, chosen in (
                (self.weight_decay, [p for p in trainable if p.ndim > 1]),
                (0.0, [p for p in trainable if p.ndim <= 1]),
            ):
                if chosen:
                    groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
        optimizer = torch.optim.AdamW(groups)
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmup_cosine(step: int, steps: int, warmup_share: float = 0.15) -> float:
    """Learning-rate factor 0..1: linear warm-up over a share of the steps, then half a cosine down to 1 %."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.01, 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))


class History(pl.Callback):
    """Records each epoch, keeps the best weights by validation, and writes both files atomically.

    Best is: most validation photos right, then lowest validation loss.

    Args:
        folder: the run folder; gets ``metrics.csv`` and ``network.pt``.
        network: what is trained.
        report: told of each finished epoch.
    """

    def __init__(self, folder: Path, network: Network, report: Callable[[Epoch], None]) -> None:
        self.epochs: list[Epoch] = []
        self.best: Epoch | None = None
        self._folder, self._network, self._report = folder, network, report
        self._started = 0.0

    def start_from(self, accuracy: float) -> None:
        """Count the weights the run starts from as epoch 0: going on may only make a network better.

        Args:
            accuracy: their share of validation photos right, 0..1.
        """
        self.best = Epoch(0, "before", math.inf, 0.0, math.inf, accuracy, 0.0)
        self._keep_weights()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation of the epoch is over by now: Lightning runs it inside the training epoch."""
        assert isinstance(pl_module, FineTuning)
        figures = {}
        for part in ("train", "val"):
            figures[f"{part}_loss"] = float(pl_module.loss[part].compute())
            figures[f"{part}_accuracy"] = float(pl_module.accuracy[part].compute())
            pl_module.loss[part].reset()
            pl_module.accuracy[part].reset()
        seconds = time.perf_counter() - self._started
        epoch = Epoch(len(self.epochs) + 1, pl_module.phase.name, seconds=round(seconds, 2), **figures)
        self.epochs.append(epoch)
        if math.isfinite(epoch.val_loss) and (self.best is None or _rank(epoch) > _rank(self.best)):
            self.best = epoch
            if trainer.is_global_zero:
                self._keep_weights()
        if trainer.is_global_zero:
            self._write_csv()
            for logger in trainer.loggers:
                values = {k: v for k, v in asdict(epoch).items() if isinstance(v, float)}
                logger.log_metrics(values, step=epoch.epoch)
            self._report(epoch)

    def _keep_weights(self) -> None:
        write_atomically(self._folder / "network.pt", lambda f: torch.save(self._network.state_dict(), f))

    def best_weights(self) -> dict[str, Tensor]:
        """The state dict of the best epoch so far."""
        weights: dict[str, Tensor] = torch.load(self._folder / "network.pt", map_location="cpu", weights_only=True)
        return weights

    def _write_csv(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, [f.name for f in fields(Epoch)])
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in self.epochs)
        write_atomically(self._folder / "metrics.csv", lambda f: f.write(text.getvalue().encode()))


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.val_accuracy, -epoch.val_loss


def fit_phases(
    network: Network,
    phases: list[Phase],
    train: DataLoader[Any],
    val: DataLoader[Any],
    history: History,
    *,
    classes: int,
    accelerator: str,
    logger: Any,
    progress_bar: bool,
) -> None:
    """Train through the phases; afterwards ``network`` holds the best weights by validation, if any epoch was finite.

    Each phase is a Trainer of its own, so that the optimiser, and what data parallelism synchronises, always match
    the stages that are trainable.
    """
    for phase in phases:
        freeze(network, phase.unfreeze)
        assert isinstance(train.sampler, EpochSampler)
        train.sampler.epochs_before = len(history.epochs)
        callbacks: list[pl.Callback] = [history]
        if progress_bar:
            callbacks.append(pl.callbacks.TQDMProgressBar(leave=False))
        trainer = pl.Trainer(
            max_epochs=phase.epochs,
            accelerator=accelerator,
            devices=1,
            callbacks=callbacks,
            logger=logger,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress_bar,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            use_distributed_sampler=False,  # our sampler carries the epoch to the augmentation
            gradient_clip_val=1.0,
        )
        try:
            trainer.fit(FineTuning(network, classes, phase), train, val)
        except SystemExit as error:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from error
        network.cpu()
    if history.best is not None:
        network.load_state_dict(history.best_weights())
    network.eval()
