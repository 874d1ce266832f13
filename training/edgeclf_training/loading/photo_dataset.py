"""Photos as tensors. Every random decision of a sample depends on (seed, epoch, index) alone."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from edgeclf.files.tar_index import known_indexes
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import fit, network_input, upright_rgb
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.loading.augment import crops_at_random, pipeline
from edgeclf_training.loading.loader_processes import BatchLoader

Key = tuple[int, int]  # epoch, index


class PhotoDataset(Dataset[tuple[Tensor, int]]):
    """Photos after the runtime's own preprocessing.

    The key of an item is (epoch, index). Augmentation depends only on the key and the seed, so results are the same
    for any number of workers and in a resumed run.

    Args:
        samples: the photos.
        classes: class names in index order.
        contract: how photos become network input.
        augmentation: resolved options of the augmentation; None: photos as at inference.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        classes: Sequence[str],
        contract: ImageContract,
        augmentation: TrainOptions | None = None,
    ) -> None:
        self._paths = [str(s.path) for s in samples]
        self._tars = known_indexes(self._paths)  # a loader process that unpickles them need not read headers again
        index = {name: i for i, name in enumerate(classes)}
        self.labels = [index[s.label] for s in samples]
        self._contract = contract
        self._augment = pipeline(contract, augmentation) if augmentation is not None else None
        # A random crop needs the whole photo; any other augmentation starts from network input, as at inference.
        self._whole = augmentation is not None and crops_at_random(contract, augmentation)
        self._seed = augmentation.seed if augmentation is not None else 0

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        """Image uint8 ``[size, size, 3]`` RGB, class index.

        Raises:
            PhotoError: the file became unreadable after it was checked.
        """
        epoch, index = key
        if self._augment is None:
            image = network_input(self._paths[index], self._contract)
        else:
            photo = upright_rgb(self._paths[index], self._contract)
            pixels = np.asarray(photo) if self._whole else fit(photo, self._contract)
            self._augment.set_random_seed(int(np.random.SeedSequence((self._seed, epoch, index)).generate_state(1)[0]))
            image = self._augment(image=pixels)["image"]
        return torch.from_numpy(np.array(image)), self.labels[index]


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index): in order, or shuffled for each epoch with a seed from (seed, epoch).

    Process ``rank`` of ``world`` gets every ``world``-th photo, so that each step uses the same photos as with one
    process. In training all processes get equally many photos, and fewer than ``world`` photos are left out; in
    validation every photo is used once.
    """

    def __init__(
        self, count: int, seed: int, *, shuffle: bool, epochs_before: int, rank: int, world: int, epochs_done: int = 0
    ) -> None:
        self._count, self._seed, self._shuffle = count, seed, shuffle
        self._epochs_before = epochs_before  # epochs of earlier phases, so that no phase repeats their augmentation
        # In a resumed phase Lightning starts the loader, whose processes read ahead, before it sets the epoch.
        self._epoch = epochs_before + epochs_done
        self._rank, self._world = rank, world

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch with its number within the phase."""
        self._epoch = self._epochs_before + epoch

    def __len__(self) -> int:
        if self._shuffle:
            return self._count // self._world
        return len(range(self._rank, self._count, self._world))

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self._count)
        if self._shuffle:
            order = np.random.default_rng((self._seed, self._epoch)).permutation(self._count)
        mine = order[self._rank :: self._world][: len(self)]
        return ((self._epoch, int(index)) for index in mine)


def loader(
    dataset: Dataset[tuple[Tensor, int]],
    batch_size: int,
    workers: int,
    *,
    shuffle: bool,
    seed: int = 0,
    epochs_before: int = 0,
    epochs_done: int = 0,
    rank: int = 0,
    world: int = 1,
) -> DataLoader[Key]:
    """Batches of (uint8 ``[N, size, size, 3]``, int64 ``[N]``).

    Args:
        dataset: its keys are (epoch, index).
        batch_size: photos per step, summed over all training processes.
        workers: loader processes.
        shuffle: True for training.
        seed: of the shuffled order.
        epochs_before, epochs_done: epochs of earlier phases, and of this phase before it was resumed.
        rank, world: index of this training process, and their number.
    """
    size = len(dataset)  # type: ignore[arg-type]
    sampler = EpochSampler(
        size, seed, shuffle=shuffle, epochs_before=epochs_before, epochs_done=epochs_done, rank=rank, world=world
    )
    count, share = len(sampler), max(1, batch_size // world)
    processes = min(workers, max(1, count // share))
    return BatchLoader(
        dataset,
        share,
        processes,
        sampler=sampler,
        # A last batch of one photo would break batch norm; with less than a batch there is nothing to drop.
        drop_last=shuffle and count > share and count % share == 1,
        keep=True,
    )
