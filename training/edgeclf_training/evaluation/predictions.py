"""What a trained network answers on held-out photos, and counting it."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgeclf.concurrency import in_order
from edgeclf.errors import PhotoError
from edgeclf.evaluation.metrics import count
from edgeclf.files.atomic_write import write_atomically
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf.model.manifest import Figures
from edgeclf.model.session import usable_threads
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from edgeclf_training.dataset.samples import Sample, Skipped
from edgeclf_training.networks import Network

RUINED = 10.0  # times the loss of guessing, which is ln(classes): no network gets there by learning
LOWER_RATE = "train again with a lower --head-rate and --base-rate"


@dataclass(frozen=True, eq=False)
class Answers:
    """A network's answers on one split: logits only, so that a hundred thousand photos fit in memory.

    Attributes:
        split: "validation" or "test".
        samples: the photos answered.
        logits: float32 ``[photos, classes]``.
        labels: true class indices, int64 ``[photos]``.
        missing: photos that can no longer be read, and why.
    """

    split: str
    samples: tuple[Sample, ...]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    missing: tuple[Skipped, ...] = ()

    @property
    def figures(self) -> Figures:
        """The counts."""
        return count(self.labels, self.logits.argmax(1), self.logits.shape[1], self.split)


def ask(
    network: Network,
    samples: Sequence[Sample],
    classes: Sequence[str],
    contract: ImageContract,
    split: str,
    *,
    device: str = "cpu",
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Answers:
    """Ask the network about every photo; those that vanished since are noted, and the rest go on.

    Args:
        network: put in eval mode; on the CPU afterwards.
        samples: the photos.
        classes: class names in index order.
        contract: how photos become network input.
        split: "validation" or "test"; recorded.
        device: torch device to compute on.
        batch_size: photos at a time.
        progress: called with (photos done, photos in all).
    """
    network.eval().to(device)
    index = {name: i for i, name in enumerate(classes)}
    answered: list[Sample] = []
    missing: list[Skipped] = []
    logits = [np.zeros((0, len(classes)), np.float32)]
    done = 0
    images = in_order(partial(_read, contract=contract), samples, usable_threads())
    with torch.inference_mode(), closing(images):
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            read = []
            for sample, image in zip(batch, islice(images, len(batch)), strict=True):
                if isinstance(image, PhotoError):
                    missing.append(Skipped(sample.path, image.message))
                else:
                    answered.append(sample)
                    read.append(image)
            if read:
                logits.append(network(torch.from_numpy(np.stack(read)).to(device)).float().cpu().numpy())
            done += len(batch)
            if progress:
                progress(done, len(samples))
    network.cpu()
    labels = np.array([index[s.label] for s in answered], dtype=np.int64)
    return Answers(split, tuple(answered), np.concatenate(logits), labels, tuple(missing))


def _read(sample: Sample, contract: ImageContract) -> NDArray[np.uint8] | PhotoError:
    try:
        return network_input(sample.path, contract)
    except PhotoError as error:
        return error


def evaluate(network: Network, photos: DataLoader[Any], classes: int, split: str, device: str = "cpu") -> Figures:
    """Count right and wrong answers.

    Args:
        network: put in eval mode.
        photos: batches of (uint8 ``[N, size, size, 3]``, int64 ``[N]``).
        classes: number of classes.
        split: "validation" or "test"; recorded.
        device: torch device to compute on.
    """
    network.eval().to(device)
    logits, labels = [np.zeros((0, classes), np.float32)], [np.zeros(0, np.int64)]
    with torch.inference_mode():
        for images, truth in photos:
            logits.append(network(images.to(device)).float().cpu().numpy())
            labels.append(truth.numpy())
    network.cpu()
    return count(np.concatenate(labels), np.concatenate(logits).argmax(1), classes, split)


@dataclass(frozen=True)
class Divergence:
    """A training whose loss ran away.

    Attributes:
        line: what happened, for people.
        kept: whether the weights that are kept are ruined too.
    """

    line: str
    kept: bool


def diverged(losses: Sequence[float | None], kept: int | None, classes: int) -> Divergence | None:
    """Whether training diverged: the kept epoch's validation loss, or the last one's, is far above that of guessing.

    Where earlier weights are kept, the last loss counts also if it is ten times the lowest and twice that of guessing.

    Args:
        losses: validation loss (cross-entropy) of each epoch; None and NaN for what is no number.
        kept: the epoch, from 1, whose weights are kept; 0 for those the run started from, None for not known.
        classes: number of classes.
    """
    guessing = math.log(max(2, classes))
    values = [math.inf if loss is None or not math.isfinite(loss) else loss for loss in losses]
    if not values:
        return None
    if kept and values[kept - 1] > RUINED * guessing:
        of = f"the validation loss of epoch {kept}, whose weights are kept, is {_loss(values[kept - 1])}"
        return Divergence(f"training diverged: {of}; guessing gives {guessing:.2g}", True)
    if kept != len(values) and values[-1] > min(RUINED * guessing, max(2 * guessing, 10 * min(values))):
        rose = f"the validation loss is {_loss(values[-1])} in the last epoch; guessing gives {guessing:.2g}"
        which = f"epoch {kept}" if kept else "the start"
        return Divergence(f"training diverged: {rose}; the weights of {which}, from before that, are kept", False)
    return None


def _loss(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "no number"


def write_confusion(figures: Figures, classes: Sequence[str], folder: Path) -> None:
    """Write ``confusion.csv``: rows are true classes, columns predicted ones. Its picture is in the report.

    It begins with a byte order mark: spreadsheets would garble the names without.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true \\ predicted", *classes])
    writer.writerows([name, *row] for name, row in zip(classes, figures.confusion, strict=True))
    write_atomically(folder / "confusion.csv", lambda f: f.write(text.getvalue().encode("utf-8-sig")))
