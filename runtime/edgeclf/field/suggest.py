"""Which photos are worth a label most: together they are like as many others as possible, and unlike labelled ones.

Each photo counts as covered as far as it is like a labelled or a chosen one, and more if the model is unsure about it.
One after another the photo is chosen that covers most of what is not covered yet (facility location, a submodular
function; Wei, Iyer and Bilmes 2015, "Submodularity in data subset selection and active learning"). docs/suggest.md
compares it with other ways.

What is like what is seen from the mean of all photos, with nearly equal photos counted as one. With each counted, the
mean of a folder with many photos of one scene lies on that scene; seen from there its noise looks like large
differences, and most suggestions are of this scene.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.field.photo_vectors import PhotoVectors, directions

MAX_CANDIDATES = 4000  # their similarities to each other take 64 MB; of more photos so many are taken, evenly spread
ONE_SCENE = 0.9  # cosine before centring above which photos count as one; median 0.97 in a scene, 0.4 of other photos
WIDTH = 0.3  # of the similarity exp(-d^2 / (WIDTH * s)), with s the median squared distance of different photos
UNSURE_SHARE = 0.5  # how much being unsure counts; the rest counts for every photo equally
ALIKE = 0.6  # cosine from which photos look alike: 94 to 100 % of such pairs of dishes and insects were of one class
_BLOCK = 2048  # photos that are compared at once
_NO_GAIN = 1e-3  # of what one photo weighs; a copy gains 0, and a photo saved again as JPEG (quality 95) about 0.02
_NO_DISTANCE = 1e-5  # squared; 16 bits and float32 products are no finer, and copies must have a distance of 0
_UNRELATED = 2.0  # squared distance of directions with nothing in common
_AT_MEAN = 1e-3  # distance from the mean below which a vector of 16 bits has no direction


@dataclass(frozen=True)
class Suggestion:
    """A photo that is worth a label.

    Attributes:
        photo: its number among the photos.
        gain: how much of what was not covered it covers, as a share of everything, 0..1.
        alike: numbers of photos that look like it, the most alike first; each belongs to one suggestion at most. Copies
            of known photos are not among them.
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
        count: how many to choose at most. Photos that add nothing are not chosen: copies of chosen or known ones.
        progress: called with (chosen, count).

    Returns:
        The suggestions, the most useful first. The same photos in the same order give the same suggestions.
    """
    if not len(photos) or count < 1:
        return ()
    candidates = _spread(len(photos), MAX_CANDIDATES)
    raw = photos.take(candidates)
    mean, shares = _mean(raw, known.take(_spread(len(known), MAX_CANDIDATES)))
    vectors = _directions(raw, mean)
    squared = _squared(vectors, vectors)
    width = WIDTH * _median(squared, raw, shares)
    similar = np.exp(-squared / width)
    del squared  # as large as ``similar``
    covered = np.zeros(len(candidates), np.float32)
    for start in range(0, len(known), _BLOCK):
        block = _directions(known.rows(start, start + _BLOCK), mean)
        covered = np.maximum(covered, np.exp(-_squared(vectors, block).min(1) / width))
    doubt = np.asarray(unsure, np.float32)[candidates]
    weights = (1 - UNSURE_SHARE) + UNSURE_SHARE * doubt / max(float(doubt.mean()), 1e-6)
    chosen: list[int] = []
    gains: list[float] = []
    for number in range(min(count, len(candidates))):
        gain = weights @ np.maximum(similar - covered[:, None], 0)
        best = int(gain.argmax())
        if gain[best] < _NO_GAIN * weights.mean():
            break
        chosen.append(best)
        gains.append(float(gain[best] / weights.sum()))
        covered = np.maximum(covered, similar[:, best])
        progress(number + 1, count)
    groups = _alike(photos, known, mean, vectors[chosen], candidates[chosen])
    return tuple(
        Suggestion(int(candidates[one]), gain, *group) for one, gain, group in zip(chosen, gains, groups, strict=True)
    )


def _mean(photos: NDArray[np.float32], known: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The mean of photos with and without a label, of which those of one scene count as one.

    Args:
        photos: without a label, float32 ``[photos, 128]``.
        known: with a label, float32 ``[known, 128]``.

    Returns:
        The mean, float32 ``[128]``, and how much each of ``photos`` counted, 0..1, float32 ``[photos]``.
    """
    every = np.concatenate((photos, known))
    units = directions(every, np.zeros_like(every[0]))
    like = np.zeros(len(every), np.int64)
    for start in range(0, len(every), _BLOCK):
        like[start : start + _BLOCK] = (units[start : start + _BLOCK] @ units.T > ONE_SCENE).sum(1)
    shares = (1 / np.maximum(like, 1)).astype(np.float32)
    return np.asarray(np.average(every, 0, shares), np.float32), shares[: len(photos)]


def _median(squared: NDArray[np.float32], photos: NDArray[np.float32], shares: NDArray[np.float32]) -> float:
    """The median squared distance of photos that are not of one scene, each counted by its share.

    Args:
        squared: distances of the centred photos, float32 ``[photos, photos]``.
        photos: not centred, float32 ``[photos, 128]``.
        shares: float32 ``[photos]``.
    """
    step = 1 + len(photos) // 500  # so many rows are enough for a median
    units = directions(photos, np.zeros_like(photos[0]))
    different = units[::step] @ units.T <= ONE_SCENE
    if not different.any():
        return _UNRELATED  # one scene only: what differs is noise, or small
    distances, counts = squared[::step][different], np.outer(shares[::step], shares)[different]
    order = distances.argsort()
    sums = counts[order].cumsum(dtype=np.float64)
    return max(float(distances[order[np.searchsorted(sums, sums[-1] / 2)]]), 1e-6)


def _directions(vectors: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """As ``directions``; photos that lie at the mean have one direction, so that copies of one photo look alike.

    Args:
        vectors: float32 ``[photos, 128]``.
        mean: float32 ``[128]``.
    """
    seen = directions(vectors, mean)
    seen[np.linalg.norm(vectors - mean, axis=1) < _AT_MEAN] = np.eye(1, len(mean), dtype=np.float32)
    return seen


def _squared(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances of vectors of length 1, float32 ``[some, others]``; exactly 0 of copies."""
    squared: NDArray[np.float32] = some @ others.T
    squared *= -2
    squared += 2 - _NO_DISTANCE
    np.maximum(squared, 0, out=squared)
    return squared


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most so many numbers below ``count``, evenly spread: photos of one burst or place lie beside each other."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def _alike(
    photos: PhotoVectors,
    known: PhotoVectors,
    mean: NDArray[np.float32],
    chosen: NDArray[np.float32],
    numbers: NDArray[np.int64],
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """For each chosen photo those of which it is the nearest chosen one, if they look alike and need a label."""
    groups: list[list[tuple[float, int]]] = [[] for _ in numbers]
    if not groups:
        return []
    taken = set(numbers.tolist())
    labelled = {content for start in range(0, len(known), _BLOCK) for content in _hashes(known, start)}
    for start in range(0, len(photos), _BLOCK):
        cosines = _directions(photos.rows(start, start + _BLOCK), mean) @ chosen.T
        nearest, contents = cosines.argmax(1), _hashes(photos, start)
        for row in np.flatnonzero(cosines.max(1) >= ALIKE):
            if (photo := start + int(row)) not in taken and contents[row] not in labelled:
                groups[nearest[row]].append((min(1.0, float(cosines[row, nearest[row]])), photo))
    ordered = [sorted(group, key=lambda pair: (-pair[0], pair[1])) for group in groups]
    return [(tuple(photo for _, photo in group), tuple(cosine for cosine, _ in group)) for group in ordered]


def _hashes(photos: PhotoVectors, start: int) -> list[int]:
    """Of the vectors of a block of photos: equal for copies, and shorter than the vectors to keep."""
    return [hash(row.tobytes()) for row in photos.rows(start, start + _BLOCK)]
