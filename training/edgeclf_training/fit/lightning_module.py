"""The LightningModule of one training phase."""

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.optimizer_and_schedule import (
    Mixer,
    class_weights,
    loss,
    make_optimizer,
    moving_average,
    parameter_groups,
    rate_factor,
)
from edgeclf_training.networks import Network, train_mode


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs with the same trainable stages.

    Attributes:
        name: "frozen" or "fine-tune"; shown and recorded.
        epochs: at least 1.
        unfreeze: first trainable stage, "all", or None for the head alone.
        head_lr: peak learning rate of the head; the stages' come from the options.
    """

    name: str
    epochs: int
    unfreeze: str | None
    head_lr: float


class FineTuning(pl.LightningModule):
    """One phase of training a network.

    Args:
        network: the network to train; stages are already frozen as ``phase.unfreeze`` says.
        phase: the phase to train.
        options: resolved.
        counts: training photos per class.
        epochs_before: number of epochs in earlier phases.
        on_features: batches hold pooled activations rather than photos, and only the head is run.
    """

    def __init__(
        self,
        network: Network,
        phase: Phase,
        options: TrainOptions,
        counts: tuple[int, ...],
        epochs_before: int = 0,
        on_features: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.phase = phase
        self._options = options
        self._epochs_before = epochs_before
        self._on_features = on_features
        self.averaged = moving_average(network, options.ema) if options.ema else None
        self._mix = None if on_features else Mixer(options, len(counts))
        weights = class_weights(counts) if options.balance else torch.ones(len(counts))
        self.register_buffer("class_weights", weights, persistent=False)
        for part in ("train", "val"):  # registered, so that they move with the module
            self.add_module(f"{part}_loss", MeanMetric(nan_strategy="disable"))
            accuracy = MulticlassAccuracy(num_classes=len(counts), average="micro", validate_args=False)
            self.add_module(f"{part}_accuracy", accuracy)

    @property
    def validated(self) -> Network:
        """The network that is validated and saved: the moving average if there is one, else the trained network."""
        if self.averaged is None:
            return self.network
        return cast(Network, self.averaged.module)

    def epoch_metrics(self) -> dict[str, float]:
        """Loss and accuracy of the epoch, ``train_`` and ``val_``; NaN if nothing is validated. Resets the metrics."""
        found = {}
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            metric = getattr(self, name)
            found[name] = float(metric.compute()) if metric.update_called else math.nan
            metric.reset()
        return found

    def on_train_epoch_start(self) -> None:
        train_mode(self.network, keep_statistics=self._options.batch_norm == "keep")

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Dropout and mixing depend on (seed, epoch, step, process) alone: a resumed run repeats them exactly."""
        key = (self._options.seed, self._epochs_before + self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        inputs, labels = batch
        if self._mix is not None:
            inputs, labels = self._mix(inputs, labels)
        logits = self._logits(self.network, inputs)
        step_loss = loss(logits, labels, self._options.label_smoothing, self.class_weights)  # type: ignore[arg-type]
        self._count("train", logits, labels.argmax(1) if labels.ndim > 1 else labels, step_loss)
        self.log("loss", step_loss.detach(), prog_bar=True, logger=False)
        return step_loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        inputs, labels = batch
        with torch.autocast(inputs.device.type, enabled=False):  # float32, as in the final metrics and the model file
            logits = self._logits(self.validated, inputs)
        self._count("val", logits, labels, loss(logits, labels, 0.0, None))

    def _logits(self, network: Network, inputs: Tensor) -> Tensor:
        logits: Tensor = network.head(inputs) if self._on_features else network(inputs)
        return logits.float()

    def _count(self, part: str, logits: Tensor, labels: Tensor, value: Tensor) -> None:
        # One value per photo: with nan_strategy="disable", torchmetrics 1.9 ignores the weight of a batch.
        getattr(self, f"{part}_loss").update(value.detach().expand(len(labels)))
        getattr(self, f"{part}_accuracy").update(logits.detach(), labels)

    def configure_optimizers(self) -> Any:
        """The schedule steps every batch and spans the phase."""
        optimizer = make_optimizer(parameter_groups(self.network, self._options, self.phase.head_lr), self._options)
        steps, o = max(1, int(self.trainer.estimated_stepping_batches)), self._options
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, steps, o.schedule, o.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
