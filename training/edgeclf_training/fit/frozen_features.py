"""Trains the head on stored features: the frozen backbone runs once per photo and view, not once per epoch."""

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from edgeclf_training.loading.loader_processes import BatchLoader
from edgeclf_training.loading.photo_dataset import Key, PhotoDataset
from edgeclf_training.networks import Network


class PooledFeatures(Dataset[tuple[Tensor, int]]):
    """The input of the head for each photo, float32 ``[C, h, w]``; the key of an item is (epoch, index), as for photos.

    Epoch ``e`` uses view ``e % views``. The activations are stored in a temporary file, which is deleted with this
    object: an MLP head needs 100 kB per photo, and a large folder would not fit in memory.

    Args:
        network: its features and pool are run, in eval mode.
        photos: input photos, with or without augmentation.
        views: number of passes over the photos, each with the augmentation of another epoch.
        batch_size, workers: of the pass over the photos.
        device: torch device to compute on.
        folder: where the temporary file is created.
        progress: called with (photos done, total number of photos).

    Raises:
        OSError: the disk is too small.
        PhotoError: a photo can no longer be read.
    """

    def __init__(
        self,
        network: Network,
        photos: PhotoDataset,
        views: int,
        *,
        batch_size: int,
        workers: int,
        device: str,
        folder: Path,
        progress: Callable[[int, int], None],
    ) -> None:
        self.labels = photos.labels
        keys = [(view, index) for view in range(views) for index in range(len(photos))]
        batches = BatchLoader(photos, batch_size, workers, sampler=keys)
        rows: np.memmap[tuple[int, ...], np.dtype[np.float32]] | None = None
        done = 0
        network.eval().to(device)
        with torch.inference_mode(), tempfile.TemporaryFile(dir=folder) as file:  # the mapping outlives the open file
            for images, _ in batches:
                pooled = _pooled(network, images.to(device)).float().cpu().numpy()
                if rows is None:
                    shape = (len(keys), *pooled.shape[1:])
                    _reserve(file, math.prod(shape) * 4)
                    rows = np.memmap(file, np.float32, "r+", shape=shape)
                rows[done : done + len(pooled)] = pooled
                done += len(pooled)
                progress(done, len(keys))
        network.cpu()
        assert rows is not None
        self._rows, self._views = rows, views

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        epoch, index = key
        row = (epoch % self._views) * len(self) + index
        return torch.from_numpy(np.array(self._rows[row])), self.labels[index]


def _reserve(file: IO[bytes], size: int) -> None:
    """Allocate the disk space now: writing to a memory-mapped file on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _pooled(network: Network, images: Tensor) -> Tensor:
    pooled: Tensor = network.pool(network.features(network.normalize(images)))
    # A linear head averages over the positions anyway.
    return pooled.mean((2, 3), keepdim=True) if len(network.head.linears) == 1 else pooled


def class_counts(labels: Sequence[int], classes: int) -> tuple[int, ...]:
    """Photos per class, in class-index order."""
    return tuple(int(n) for n in np.bincount(np.asarray(labels, dtype=np.int64), minlength=classes))
