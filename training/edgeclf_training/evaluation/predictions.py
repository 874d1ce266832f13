"""Predictions of a network for labelled photos, and how many of them are correct."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from edgeclf.concurrency import in_order
from edgeclf.errors import PhotoError
from edgeclf.evaluation.metrics import compute_metrics
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf.model.manifest import Metrics
from edgeclf.model.session import usable_threads
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from edgeclf_training.dataset.samples import Sample, Skipped
from edgeclf_training.networks import Network


@dataclass(frozen=True, eq=False)
class Predictions:
    """A network's predictions for one split. Only logits are kept: those of 100,000 photos fit in memory.

    Attributes:
        split: "validation" or "test".
        samples: the photos that were read.
        logits: float32 ``[photos, classes]``.
        labels: true class indices, int64 ``[photos]``.
        missing: photos that cannot be read any more, and why.
    """

    split: str
    samples: tuple[Sample, ...]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    missing: tuple[Skipped, ...] = ()

    @property
    def metrics(self) -> Metrics:
        """Photos, correct predictions and the confusion matrix."""
        return compute_metrics(self.labels, self.logits.argmax(1), self.logits.shape[1], self.split)


def predict(
    network: Network,
    samples: Sequence[Sample],
    classes: Sequence[str],
    contract: ImageContract,
    split: str,
    *,
    device: str = "cpu",
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Predict every photo. Photos that cannot be read any more are noted; the others are predicted all the same.

    Args:
        network: is put in eval mode; on the CPU afterwards.
        samples: the photos, with their true classes.
        classes: class names in index order.
        contract: how photos become network input.
        split: "validation" or "test"; recorded.
        device: torch device to compute on.
        batch_size: photos per forward pass.
        progress: called with (photos done, photos in all) after each batch.

    Returns:
        Logits and labels of the photos that were read, in the order of ``samples``.

    Raises:
        RuntimeError: torch cannot compute on the device.
    """
    network.eval().to(device)
    index = {name: i for i, name in enumerate(classes)}
    predicted: list[Sample] = []
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
                    predicted.append(sample)
                    read.append(image)
            if read:
                logits.append(network(torch.from_numpy(np.stack(read)).to(device)).float().cpu().numpy())
            done += len(batch)
            if progress:
                progress(done, len(samples))
    network.cpu()
    labels = np.array([index[s.label] for s in predicted], dtype=np.int64)
    return Predictions(split, tuple(predicted), np.concatenate(logits), labels, tuple(missing))


def _read(sample: Sample, contract: ImageContract) -> NDArray[np.uint8] | PhotoError:
    try:
        return network_input(sample.path, contract)
    except PhotoError as error:
        return error


def evaluate(network: Network, photos: DataLoader[Any], classes: int, split: str, device: str = "cpu") -> Metrics:
    """Count correct and wrong predictions of batches that are already network input.

    Args:
        network: is put in eval mode; on the CPU afterwards.
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
    return compute_metrics(np.concatenate(labels), np.concatenate(logits).argmax(1), classes, split)
