"""Trains the head on stored features: the frozen backbone runs once per photo and view, not once per epoch."""

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from edgeclf.events import Listener, progress
from torch import Tensor
from torch.utils.data import Dataset

from edgeclf_training.config.options import TrainOptions
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


class FeatureRows(Dataset[tuple[Tensor, int]]):
    """Some of the photos of ``PooledFeatures``, under the indices 0, 1, 2, ...

    Args:
        features: of more photos.
        rows: indices of the photos.
    """

    def __init__(self, features: "PooledFeatures | FeatureRows", rows: Sequence[int]) -> None:
        self.labels: list[int] = [features.labels[row] for row in rows]
        self._features, self._rows = features, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        epoch, index = key
        return self._features[epoch, self._rows[index]]


Features = tuple["PooledFeatures | FeatureRows", "PooledFeatures | FeatureRows | None"]
"""Of the training photos, and of the validation photos if any are validated."""
FeatureSource = Callable[[Network, TrainOptions, int, Listener], Features]
"""Gives them, for a network with frozen features, resolved options and the number of epochs."""


def compute_features(
    train: PhotoDataset,
    val: PhotoDataset | None,
    folder: Path,
    network: Network,
    options: TrainOptions,
    epochs: int,
    on_event: Listener,
) -> Features:
    """The frozen features of the training and of the validation photos.

    Args:
        train, val: the photos; None if nothing is validated.
        folder: where the temporary files are created.
        network: its features and pool are run.
        options: resolved.
        epochs: of the frozen phase.
        on_event: gets the progress.
    """
    views = min(epochs, options.frozen_views) if options.augment != "none" else 1
    with progress(on_event, "computing frozen features") as update:
        compute = partial(
            PooledFeatures,
            network,
            batch_size=options.batch_size,
            workers=options.workers or 0,
            device=options.device,
            folder=folder,
            progress=update,
        )
        return compute(photos=train, views=views), compute(photos=val, views=1) if val else None


def computed_once(source: FeatureSource) -> FeatureSource:
    """A source that computes at its first call, and gives the same features from then on, whatever it is given."""
    computed: list[Features] = []

    def remembered(network: Network, options: TrainOptions, epochs: int, on_event: Listener) -> Features:
        if not computed:
            computed.append(source(network, options, epochs, on_event))
        return computed[0]

    return remembered


def features_of(source: FeatureSource, train: Sequence[int], val: Sequence[int]) -> FeatureSource:
    """The features of some photos of a source, by their indices in ``train`` and ``val`` of the source."""

    def chosen(network: Network, options: TrainOptions, epochs: int, on_event: Listener) -> Features:
        all_train, all_val = source(network, options, epochs, on_event)
        return FeatureRows(all_train, train), FeatureRows(all_val, val) if all_val and val else None

    return chosen


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
