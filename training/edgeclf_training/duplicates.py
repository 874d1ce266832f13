"""Which photos are the same: exactly (the same pixels) and nearly (the same picture, saved or processed again).

Near means: perceptual hashes at most 6 bits of 64 apart and grey 16 x 16 thumbnails that correlate by 0.8 or more, or
8 bits and 0.9. Measured on 4,317 flowers and 4,998 dishes: the 31 and 6 pairs found so are, by eye, all the same scene
(copies, other colours, shots of one burst); at 8 bits without the thumbnails, and at 10 bits with them, different
scenes meet by chance.

A fixed camera makes photos that are alike all over but for their subject. So in a large group what all have in common,
its median, is taken off, and photos are near only if the rest is alike too, or next to nothing.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeclf_training.scan import Scanned

NEAR_BITS, CERTAIN_BITS = 8, 6
_LEAST_CORRELATION = np.array([0.8] * 7 + [0.9] * 2)  # by bits apart
_FLAT = 2.0  # standard deviation, grey levels: below it a hash is noise
_SCENE = 8  # photos of a group beyond which it may be one scene
_REST_ALIKE, _REST_NOTHING = 0.95, 2.0  # correlation; grey levels of any thumbnail pixel
_POPCOUNT = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)


def exact_groups(scans: Sequence[Scanned]) -> NDArray[np.int64]:
    """For each photo the index of the first with the same pixels; int64 ``[N]``."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(s.pixels, index) for index, s in enumerate(scans)], np.int64)


def near_groups(scans: Sequence[Scanned]) -> NDArray[np.int64]:
    """For each photo the smallest index among those it is nearly the same as, through others too; int64 ``[N]``."""
    parent = exact_groups(scans)
    distinct = np.flatnonzero(parent == np.arange(len(parent))).tolist()
    if len(distinct) < 2:
        return parent
    hashes = np.array([scans[i].phash for i in distinct], np.uint64)
    thumbs = np.frombuffer(b"".join(scans[i].thumb for i in distinct), np.uint8).reshape(len(distinct), -1)
    pairs = np.array(list(near_pairs(hashes, thumbs)), np.int64).reshape(-1, 2)
    joined = np.arange(len(distinct))
    _join(joined, pairs)
    for left, right in pairs[_without_scenes(thumbs, pairs, joined)].tolist():
        a, b = _root(parent, distinct[left]), _root(parent, distinct[right])
        parent[max(a, b)] = min(a, b)
    return np.array([_root(parent, index) for index in range(len(parent))], np.int64)


def near_pairs(hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Pairs of nearly the same photos.

    Two hashes that differ in at most k bits agree in at least one of k + 1 bands, so only photos that share a band are
    compared: multi-index hashing (Norouzi, Punjani, Fleet, 2012). With the 7 bands used here no pair up to 6 bits apart
    is missed, and 2 % of those 8 bits apart are; 9 bands would take ten times as long.

    Args:
        hashes: uint64 ``[N]``.
        thumbs: grey uint8 ``[N, 256]``.
    """
    spread = thumbs.std(axis=1)
    lively = np.flatnonzero(spread >= _FLAT)
    hashes, bands = hashes[lively], CERTAIN_BITS + 1
    edges = [round(band * 64 / bands) for band in range(bands + 1)]
    seen: set[tuple[int, int]] = set()
    for low, high in itertools.pairwise(edges):
        key = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(key, kind="stable")
        key, sorted_hashes = key[order], hashes[order]
        here = np.arange(len(order))
        step = 1
        while True:  # neighbours of the same key at growing distance; the same key further on implies it nearer by
            here = here[here + step < len(order)]
            here = here[key[here] == key[here + step]]
            if not len(here):
                break
            apart = _bits_apart(sorted_hashes[here], sorted_hashes[here + step])
            close, apart = here[apart <= NEAR_BITS], apart[apart <= NEAR_BITS]
            left, right = lively[order[close]], lively[order[close + step]]
            alike = _correlation(thumbs[left], thumbs[right]) >= _LEAST_CORRELATION[apart]
            seen.update(zip(left[alike].tolist(), right[alike].tolist(), strict=True))
            step += 1
    yield from sorted({(min(pair), max(pair)) for pair in seen})


def _bits_apart(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    if hasattr(np, "bitwise_count"):  # numpy 2
        return np.asarray(np.bitwise_count(a ^ b), np.int64)
    return np.asarray(_POPCOUNT[(a ^ b).view(np.uint8).reshape(-1, 8)].sum(axis=1), np.int64)


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    x, y = (side - side.mean(axis=1, keepdims=True) for side in (a.astype(np.float64), b.astype(np.float64)))
    norms = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.asarray((x * y).sum(axis=1) / norms, np.float64)


def _without_scenes(
    thumbs: NDArray[np.uint8], pairs: NDArray[np.int64], joined: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pairs are near for more than the scene that their group has in common; bool ``[pairs]``.

    Args:
        thumbs: grey uint8 ``[N, 256]``.
        pairs: int64 ``[pairs, 2]``.
        joined: parents of the groups that the pairs make, int64 ``[N]``.
    """
    roots = np.array([_root(joined, index) for index in range(len(joined))], np.int64)
    keep = np.ones(len(pairs), bool)
    groups, sizes = np.unique(roots, return_counts=True)
    for group in groups[sizes > _SCENE]:
        members = np.flatnonzero(roots == group)
        here = np.flatnonzero(roots[pairs[:, 0]] == group)
        levels = thumbs[members].astype(np.float64)
        levels -= levels.mean(axis=1, keepdims=True)
        scene = np.median(levels, axis=0)
        scene -= scene.mean()
        rest = levels - np.outer(levels @ scene / max(float(scene @ scene), 1e-9), scene)  # whatever the exposure
        norms = np.maximum(np.linalg.norm(rest, axis=1), 1e-9)
        a, b = (np.searchsorted(members, side) for side in pairs[here].T)
        for start in range(0, len(here), 1 << 16):
            i, j = a[start : start + (1 << 16)], b[start : start + (1 << 16)]
            alike = (rest[i] * rest[j]).sum(axis=1) / (norms[i] * norms[j]) >= _REST_ALIKE
            keep[here[start : start + (1 << 16)]] = alike | (abs(rest[i] - rest[j]).max(axis=1) <= _REST_NOTHING)
    return keep


def _join(parent: NDArray[np.int64], pairs: NDArray[np.int64]) -> None:
    for left, right in pairs.tolist():
        a, b = _root(parent, left), _root(parent, right)
        parent[max(a, b)] = min(a, b)


def _root(parent: NDArray[np.int64], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = int(parent[index])
    return index
