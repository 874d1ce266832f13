"""Photos of a run as its network takes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf_training.dataset.samples import Sample, choose_evenly
from numpy.typing import NDArray


@dataclass(frozen=True)
class NetworkInputs:
    """Photos that are decoded when iterated over, one at a time, as often as needed: uint8 ``[size, size, 3]`` each.

    Iterating raises PhotoError where a photo cannot be read.

    Attributes:
        samples: the photos.
        contract: how photos become network inputs.
    """

    samples: tuple[Sample, ...]
    contract: ImageContract

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (network_input(sample.path, self.contract) for sample in self.samples)


def choose_photos(samples: Sequence[Sample], contract: ImageContract, most: int, seed: int) -> NetworkInputs:
    """A seeded choice of at most ``most`` photos, as evenly from all classes as they allow."""
    return NetworkInputs(tuple(choose_evenly(samples, most, seed)), contract)


def class_indices(samples: Sequence[Sample], classes: Sequence[str]) -> NDArray[np.int64]:
    """The true class of each photo, int64 ``[photos]``."""
    index = {name: position for position, name in enumerate(classes)}
    return np.array([index[sample.label] for sample in samples], dtype=np.int64)
