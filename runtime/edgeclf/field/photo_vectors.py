"""Short vectors to compare many photos by: their pooled features, projected at random to 128 numbers of 16 bits.

A random projection keeps distances (Johnson and Lindenstrauss 1984). 100,000 photos take 26 MB, in place of the 512 MB
of their features.
"""

import numpy as np
from numpy.typing import NDArray

LENGTH = 128
_FIRST_ROWS = 256


class PhotoVectors:
    """The vectors of photos, one after another.

    Two of them with the same length of features may be compared with each other.
    """

    def __init__(self) -> None:
        self._projection: NDArray[np.float32] | None = None
        self._rows = np.empty((_FIRST_ROWS, LENGTH), np.float16)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, features: NDArray[np.float32]) -> None:
        """Add one photo.

        Args:
            features: of ``Classifier.features``, float32 ``[K]``, the same K for all photos.
        """
        if self._projection is None:
            shape = (len(features), LENGTH)
            self._projection = np.random.default_rng(0).standard_normal(shape, np.float32) / np.float32(LENGTH**0.5)
        if self._count == len(self._rows):
            self._rows = np.concatenate((self._rows, np.empty_like(self._rows)))
        length = np.linalg.norm(features)
        self._rows[self._count] = (features / (length or 1.0)) @ self._projection
        self._count += 1

    def rows(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """The vectors of the photos ``start`` to ``stop``, float32 ``[photos, 128]``; lengths are about 1."""
        return self._rows[: self._count][start:stop].astype(np.float32)

    def take(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of these photos, float32 ``[numbers, 128]``."""
        return self._rows[numbers].astype(np.float32)

    def mean(self) -> NDArray[np.float32]:
        """Their mean, float32 ``[128]``; zeros without photos."""
        total = np.zeros(LENGTH, np.float64)
        for start in range(0, self._count, 4096):
            total += self.rows(start, start + 4096).sum(0, dtype=np.float64)
        return np.asarray(total / max(1, self._count), np.float32)


def directions(vectors: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors seen from the mean of all, with length 1: products of two are the cosine of their angle.

    Args:
        vectors: float32 ``[photos, 128]``.
        mean: of the photos that are compared, float32 ``[128]``.
    """
    centred = vectors - mean
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12), np.float32)
