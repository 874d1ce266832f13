"""Photos as tensors. Every random decision of a sample depends on (seed, epoch, index) alone."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from edgeclf.contract import ImageContract
from edgeclf.image import fit, network_input, upright_rgb
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from edgeclf_training.augment import pipeline
from edgeclf_training.data import Sample

Key = tuple[int, int]  # epoch, index


class PhotoDataset(Dataset[tuple[Tensor, int]]):
    """Samples through the runtime's own door.

    Items are asked for by (epoch, index), which is all that augmentation depends on: results are the same for any
    number of workers, and in a resumed run.

    Args:
        samples: the photos.
        classes: class names in index order.
        contract: how photos become network input.
        augment: "default" or "none".
        seed: of the augmentation.
    """

    def __init__(
        self, samples: Sequence[Sample], classes: Sequence[str], contract: ImageContract, augment: str, seed: int
    ) -> None:
        self._paths = [str(s.path) for s in samples]
        index = {name: i for i, name in enumerate(classes)}
        self._labels = [index[s.label] for s in samples]
        self._contract = contract
        self._augment = pipeline(contract) if augment != "none" else None
        self._seed = seed

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
            pixels = np.asarray(photo) if self._contract.resize == "crop" else fit(photo, self._contract)
            self._augment.set_random_seed(int(np.random.SeedSequence((self._seed, epoch, index)).generate_state(1)[0]))
            image = np.ascontiguousarray(self._augment(image=pixels)["image"])
        return torch.from_numpy(image), self._labels[index]


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index): shuffled anew each epoch, by (seed, epoch) only, or in order."""

    def __init__(self, count: int, seed: int, *, shuffle: bool) -> None:
        self._count, self._seed, self._shuffle = count, seed, shuffle
        self._epoch = 0
        self.epochs_before = 0  # of earlier phases, so that no phase repeats another's augmentation

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch with its number within the phase."""
        self._epoch = self.epochs_before + epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self._count)
        if self._shuffle:
            order = np.random.default_rng((self._seed, self._epoch)).permutation(self._count)
        return ((self._epoch, int(index)) for index in order)


def loader(dataset: PhotoDataset, batch_size: int, workers: int, *, seed: int = 0, shuffle: bool) -> DataLoader[Key]:
    """Batches of (uint8 ``[N, size, size, 3]``, int64 ``[N]``)."""
    count = len(dataset)
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=EpochSampler(count, seed, shuffle=shuffle),
        # A last batch of one photo would break batch norm; with less than a batch there is nothing to drop.
        drop_last=shuffle and count > batch_size and count % batch_size == 1,
        num_workers=min(workers, max(1, count // batch_size)) if workers else 0,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
