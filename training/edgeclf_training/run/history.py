"""What a run saves after every epoch: metrics, the best weights, and a checkpoint to resume from."""

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytorch_lightning as pl
import torch
from edgeclf.errors import DataError
from edgeclf.evaluation.metrics import wilson_interval
from edgeclf.files.atomic_write import write_atomically
from lightning_fabric.plugins import CheckpointIO
from torch import Tensor

from edgeclf_training.fit.early_stopping import is_better, stops_early
from edgeclf_training.networks import Network

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "network.pt"


@dataclass(frozen=True)
class Epoch:
    """Metrics of one epoch; a row of metrics.csv. Accuracies are shares, 0..1; ``seconds`` is wall time.

    The training metrics are of augmented and mixed photos under the smoothed loss, taken while the weights change.
    ``val_loss`` and ``val_accuracy`` are NaN if nothing is validated.
    """

    epoch: int
    phase: str
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float

    @property
    def loss(self) -> float:
        """The validation loss; the training loss if nothing is validated."""
        return self.train_loss if math.isnan(self.val_accuracy) else self.val_loss


class History(pl.callbacks.Checkpoint):
    """Records each epoch and writes, atomically and in this order: checkpoint, best weights, metrics.csv.

    ``fit.early_stopping`` tells which epoch is best and when a phase stops early. A checkpoint holds the best weights
    too: a run that was killed between two writes resumes from a consistent state.

    Args:
        folder: the run folder; gets ``checkpoint.pt``, ``network.pt`` and ``metrics.csv``.
        keep: "best", or "last" to count every epoch as better than the one before.
        patience: a phase stops after this many epochs without improvement; 0: never early.
        report: called after each finished epoch.
        run_folder: of the run that this is a fold of; ``folder`` if None.
    """

    def __init__(
        self,
        folder: Path,
        keep: str,
        patience: int,
        report: Callable[[Epoch], None],
        run_folder: Path | None = None,
    ) -> None:
        self.epochs: list[Epoch] = []
        self.best: Epoch | None = None
        self.phase = 0  # index of the current phase
        self.phase_done = False
        self._better = 0  # the last epoch that was better than all before it
        self._floor = 0.0  # validation accuracy below which an epoch is clearly worse than the initial weights
        self._weights: dict[str, Tensor] = {}
        self.folder, self._keep, self._patience, self._report = folder, keep, patience, report
        self.run_folder = run_folder or folder
        self._started = 0.0

    def start_from(self, network: Network, correct: int, photos: int) -> None:
        """Record the initial weights as epoch 0, so that the run never saves weights that are clearly worse than these.

        Clearly worse is a validation accuracy below the 95 % interval of theirs. A stricter rule would keep them too
        often: they were chosen by many of the same validation photos, so their accuracy there is too good
        (docs/few-photos.md).

        Args:
            network: has these weights.
            correct: validation photos that it predicts correctly.
            photos: all validation photos.
        """
        self._floor, _ = wilson_interval(correct, photos)
        self.best = Epoch(0, "before", math.inf, 0.0, math.inf, self._floor, 0.0)
        self._weights = _copy(network)
        if trainer_rank() == 0:
            self._write_weights()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Validation of the epoch is over by now: Lightning runs it inside the training epoch."""
        metrics = pl_module.epoch_metrics()  # on every process: it synchronises
        seconds = round(time.perf_counter() - self._started, 2)
        epoch = Epoch(len(self.epochs) + 1, pl_module.phase.name, seconds=seconds, **metrics)
        self.epochs.append(epoch)
        if is_better(_accuracy_and_loss(epoch), map(_accuracy_and_loss, self._earlier())):
            self._better = epoch.epoch
        kept = self._better == epoch.epoch or (self._keep == "last" and not epoch.val_accuracy < self._floor)
        if math.isfinite(epoch.loss) and kept:
            self.best = epoch
            self._weights = _copy(pl_module.validated)
        in_phase = trainer.current_epoch + 1
        if stops_early(epoch.epoch - self._better, in_phase, self._patience):
            trainer.should_stop = True
        self.phase_done = trainer.should_stop or in_phase == pl_module.phase.epochs
        self._write(trainer)
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                values = {k: v for k, v in asdict(epoch).items() if isinstance(v, float)}
                logger.log_metrics(values, step=epoch.epoch)
            self._report(epoch)

    def _earlier(self) -> list[Epoch]:
        """The epochs that a new epoch is compared with: all before it, and the initial weights."""
        start = [self.best] if self.best and self.best.epoch == 0 else []
        return [*start, *(e for e in self.epochs[:-1] if math.isfinite(e.val_loss))]

    def _write(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.folder / CHECKPOINT)  # on every process: it synchronises
        if trainer.is_global_zero:
            if self.best is self.epochs[-1]:
                self._write_weights()
            self._write_csv()

    def state_dict(self) -> dict[str, Any]:
        """What Lightning puts into a checkpoint: plain values and tensors."""
        return {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best": asdict(self.best) if self.best else None,
            "weights": self._weights,
            "phase": self.phase,
            "phase_done": self.phase_done,
            "better": self._better,
            "floor": self._floor,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        self.epochs = [Epoch(**values) for values in state_dict["epochs"]]
        self.best = Epoch(**state_dict["best"]) if state_dict["best"] else None
        self._weights = state_dict["weights"]
        self.phase, self.phase_done = state_dict["phase"], state_dict["phase_done"]
        self._better = state_dict["better"]
        self._floor = state_dict.get("floor", 0.0)  # runs that an older version began have none

    def resume(self, network: Network) -> bool:
        """Load the checkpoint of the run folder; returns whether there is one.

        If the run was killed while it wrote, the other files are rewritten to match the checkpoint.

        Raises:
            DataError: the checkpoint is damaged, or holds anything but tensors and plain values.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        try:
            saved = read_checkpoint(path)
            self.load_state_dict(saved["callbacks"][self.state_key])
            prefix = "network."
            weights = {k.removeprefix(prefix): v for k, v in saved["state_dict"].items() if k.startswith(prefix)}
            network.load_state_dict(weights)
            if self.best is not None:
                network_keys = network.state_dict().keys()
                if self._weights.keys() != network_keys:
                    raise KeyError("weights")
        except (KeyError, TypeError, RuntimeError, AttributeError, IndexError) as error:
            raise DataError(f"{path}: not a checkpoint of this run ({type(error).__name__})", "train again") from error
        if trainer_rank() == 0:
            if self.best is not None:
                self._write_weights()
            self._write_csv()
        return True

    def load_best(self, network: Network) -> None:
        """Put the best weights so far into ``network``, if any epoch was finite."""
        if self._weights:
            network.load_state_dict(self._weights)

    def _write_weights(self) -> None:
        write_atomically(self.folder / WEIGHTS, partial(_save, self._weights))

    def _write_csv(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, [f.name for f in fields(Epoch)])
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in self.epochs)
        write_atomically(self.folder / "metrics.csv", lambda f: f.write(text.getvalue().encode()))


class AtomicCheckpoints(CheckpointIO):
    """Lets Lightning write checkpoints atomically, and read them without unpickling code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_atomically(Path(path), partial(_save, checkpoint))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _save(state: dict[str, Any], file: IO[bytes]) -> None:
    """Serialise in memory first: torch hides the ``OSError`` of a full disk."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    file.write(buffer.getbuffer())


def trainer_rank() -> int:
    """The rank of this training process; only rank 0 writes files and reports events."""
    return int(getattr(pl.utilities.rank_zero_only, "rank", 0) or 0)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint: tensors and plain values only, never code.

    Raises:
        DataError: it is damaged, or a pickle of anything else.
    """
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere inside the unpickler
        raise DataError(
            f"{path}: damaged, or not a checkpoint written by edgeclf ({type(error).__name__})",
            "delete it to begin this run again",
        ) from error
    return saved


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}


def _accuracy_and_loss(epoch: Epoch) -> tuple[float, float]:
    return epoch.val_accuracy, epoch.val_loss
