"""Which photos are worth a label most: together they are like as many others as possible, and unlike labelled ones.

Each photo counts as covered as far as it is like a labelled or a chosen one, and more if the model is unsure about it.
One after another the photo is chosen that covers most of what is not covered yet (facility location, a submodular
function; Wei, Iyer and Bilmes 2015, "Submodularity in data subset selection and active learning"). docs/suggest.md
compares it with other ways.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.field.photo_vectors import PhotoVectors, directions

MAX_CANDIDATES = 4000  # their similarities to each other take 64 MB; of more photos so many are taken, evenly spread
WIDTH = 0.3  # of the similarity exp(-d^2 / (WIDTH * s)), with s the median squared distance
UNSURE_SHARE = 0.5  # how much being unsure counts; the rest counts for every photo equally
ALIKE = 0.6  # cosine from which photos look alike: 94 to 100 % of such pairs of dishes and insects were of one class
_BLOCK = 2048  # photos that are compared at once


@dataclass(frozen=True)
class Suggestion:
    """A photo that is worth a label.

    Attributes:
        photo: its number among the photos.
        gain: how much of what was not covered it covers, as a share of everything, 0..1.
        alike: numbers of photos that look like it, the most alike first; each belongs to one suggestion at most.
        similarity: the cosine of each of ``alike``, ``ALIKE``..1.
    """

    photo: int
    gain: float
    alike: tuple[int, ...]
    similarity: tuple[float, ...]


def unsureness(probabilities: Sequence[float]) -> float:
    """How unsure the model is about a photo, 0..1: 1 minus the gap between its two best probabilities."""
    first, second, *_ = (*probabilities, 0.0, 0.0)
    return 1.0 - (first - second)


def choose(
    photos: PhotoVectors,
    unsure: Sequence[float],
    known: PhotoVectors,
    count: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Suggestion, ...]:
    """Choose the photos most worth a label.

    Args:
        photos: without a label.
        unsure: ``unsureness`` of each.
        known: photos with a label; may be empty.
        count: how many to choose; all if there are fewer.
        progress: called with (chosen, count).

    Returns:
        The suggestions, the most useful first. The same photos in the same order give the same suggestions.
    """
    if not len(photos) or count < 1:
        return ()
    mean = _mean(photos, known)
    candidates = _spread(len(photos), MAX_CANDIDATES)
    vectors = directions(photos.take(candidates), mean)
    squared = np.maximum(2 - 2 * (vectors @ vectors.T), 0)  # of two vectors of length 1
    width = WIDTH * max(float(np.median(squared[:: 1 + len(squared) // 500])), 1e-6)
    similar = np.exp(-squared / width)
    del squared  # as large as ``similar``
    covered = np.zeros(len(candidates), np.float32)
    for start in range(0, len(known), _BLOCK):
        block = directions(known.rows(start, start + _BLOCK), mean)
        covered = np.maximum(covered, np.exp(-(2 - 2 * (vectors @ block.T).max(1)) / width))
    doubt = np.asarray(unsure, np.float32)[candidates]
    weights = (1 - UNSURE_SHARE) + UNSURE_SHARE * doubt / max(float(doubt.mean()), 1e-6)
    chosen: list[int] = []
    gains: list[float] = []
    free = np.ones(len(candidates), bool)
    for number in range(min(count, len(candidates))):
        gain = weights @ np.maximum(similar - covered[:, None], 0)
        best = int(np.where(free, gain, -1).argmax())
        free[best] = False
        chosen.append(best)
        gains.append(float(gain[best] / weights.sum()))
        covered = np.maximum(covered, similar[:, best])
        progress(number + 1, count)
    groups = _alike(photos, mean, vectors[chosen], candidates[chosen])
    return tuple(
        Suggestion(int(candidates[one]), gain, *group) for one, gain, group in zip(chosen, gains, groups, strict=True)
    )


def _mean(photos: PhotoVectors, known: PhotoVectors) -> NDArray[np.float32]:
    total = len(photos) + len(known)
    return np.asarray((photos.mean() * len(photos) + known.mean() * len(known)) / total, np.float32)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most so many numbers below ``count``, evenly spread: photos of one burst or place lie beside each other."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def _alike(
    photos: PhotoVectors, mean: NDArray[np.float32], chosen: NDArray[np.float32], numbers: NDArray[np.int64]
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """For each chosen photo those of which it is the nearest chosen one, if they look alike."""
    groups: list[list[tuple[float, int]]] = [[] for _ in numbers]
    taken = set(numbers.tolist())
    for start in range(0, len(photos), _BLOCK):
        cosines = directions(photos.rows(start, start + _BLOCK), mean) @ chosen.T
        nearest = cosines.argmax(1)
        for row in np.flatnonzero(cosines.max(1) >= ALIKE):
            if (photo := start + int(row)) not in taken:
                groups[nearest[row]].append((min(1.0, float(cosines[row, nearest[row]])), photo))
    ordered = [sorted(group, key=lambda pair: (-pair[0], pair[1])) for group in groups]
    return [(tuple(photo for _, photo in group), tuple(cosine for cosine, _ in group)) for group in ordered]
