"""Exact duplicates (the same pixels) and near-duplicates (the same picture, saved or edited again).

Two photos are near-duplicates if

* their 64-bit perceptual hashes differ in at most 6 bits and their grey 16 x 16 thumbnails correlate by at least 0.8,
  or in at most 8 bits and by at least 0.9; and
* nothing in the scene has changed, judged at 32 x 32 (``scene_change``). A fixed camera takes many photos of one
  scene; those with another subject are not near-duplicates.

docs/design.md has the measurements.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeclf_training.dataset.scan import Scanned
from edgeclf_training.dataset.scene_change import residuals, same_scene

NEAR_BITS = 8  # near-duplicates differ in at most so many bits of the hash
CERTAIN_BITS = 6  # no pair that differs in at most so many bits is missed
_MIN_CORRELATION = np.array([0.8] * 7 + [0.9] * 2)  # of thumbnails; the index is the number of bits that differ
_MIN_CONTRAST = 2.0  # standard deviation, grey levels: the hash of a plainer photo is noise
_MAX_COMPARISONS = 100  # per photo and band of the hash: a fixed camera may have taken thousands of similar photos
_BATCH = 1024  # thumbnails, or pairs of thumbnails, that are compared at a time
_POPCOUNT = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)


def exact_groups(scans: Sequence[Scanned]) -> NDArray[np.int64]:
    """For each photo the index of the first photo with the same pixels; int64 ``[N]``."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(s.pixels, index) for index, s in enumerate(scans)], np.int64)


def near_groups(scans: Sequence[Scanned]) -> NDArray[np.int64]:
    """For each photo the smallest index in its group of near-duplicates; int64 ``[N]``."""
    first = exact_groups(scans)
    distinct = np.flatnonzero(first == np.arange(len(first)))
    if len(distinct) < 2:
        return first
    own = [scans[index] for index in distinct.tolist()]
    hashes = np.array([scan.phash for scan in own], np.uint64)
    thumbs = np.frombuffer(b"".join(scan.thumb for scan in own), np.uint8).reshape(len(own), -1)
    groups = np.arange(len(first))
    groups[distinct] = distinct[group_pairs(len(distinct), near_pairs(hashes, thumbs))]
    return np.asarray(groups[first], np.int64)


def near_pairs(hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of near-duplicates, the most similar first.

    Args:
        hashes: perceptual hashes, uint64 ``[N]``.
        thumbs: grey thumbnails, uint8 ``[N, side * side]``; the side is even.

    Returns:
        Pairs of indices.
    """
    contrasts = (thumbs[start : start + _BATCH].std(axis=1) for start in range(0, len(thumbs), _BATCH))
    usable = np.flatnonzero(np.concatenate([np.empty(0), *contrasts]) >= _MIN_CONTRAST)
    candidates = usable[_near_hashes(hashes[usable])]
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(candidates), _BATCH):
        pairs = candidates[start : start + _BATCH]
        differing_bits = _bits_apart(*hashes[pairs.T])
        pairs = pairs[_correlation(*(_halved(thumbs[side]) for side in pairs.T)) >= _MIN_CORRELATION[differing_bits]]
        pairs = pairs[same_scene(residuals(thumbs, pairs))]
        rest = residuals(thumbs, pairs[:, ::-1])  # the roles exchanged
        same = same_scene(rest)
        distance = (rest[same] ** 2).mean(axis=1)
        found += zip(distance.tolist(), *pairs[same].T.tolist(), strict=True)
    return [(left, right) for _, left, right in sorted(found)]


def group_pairs(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Join pairs of near-duplicates to groups.

    Two groups become one when at least half of all pairs between them are near-duplicates. So the photos of a burst
    are one group. A long series in which a subject moves slowly becomes several groups; chains of pairs would join it
    all.

    Args:
        count: number of photos.
        pairs: indices of near-duplicates, the most similar pair first.

    Returns:
        For each photo the smallest index in its group, int64 ``[count]``.
    """
    group = list(range(count))
    members: dict[int, list[int]] = {index: [index] for index in group}
    across: dict[int, dict[int, int]] = {}  # number of pairs between two groups
    for pair in pairs:
        a, b = group[pair[0]], group[pair[1]]
        if a == b:
            continue
        across.setdefault(a, {})[b] = across.setdefault(b, {})[a] = across.get(a, {}).get(b, 0) + 1
        to: int | None = b
        while to is not None:
            if 2 * across[a][to] >= len(members[a]) * len(members[to]):
                a, gone = sorted((a, to), key=lambda g: -len(members[g]) - len(across[g]))
                for index in members[gone]:
                    group[index] = a
                members[a] += members.pop(gone)
                for other, number in across.pop(gone).items():
                    del across[other][gone]
                    if other != a:
                        across[a][other] = across[other][a] = across[a].get(other, 0) + number
                near = across[a].items()
                to = next((g for g, n in near if 2 * n >= len(members[a]) * len(members[g])), None)
            else:
                to = None
    smallest = {name: min(indices) for name, indices in members.items()}
    return np.array([smallest[name] for name in group], np.int64)


def _near_hashes(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs of indices whose hashes differ in at most ``NEAR_BITS`` bits: the smaller first, sorted; int64 ``[M, 2]``.

    Two hashes that differ in at most k bits agree in at least one of k + 1 bands, so only photos that share a band are
    compared: multi-index hashing (Norouzi, Punjani, Fleet, 2012). With the 7 bands used here no pair up to 6 bits apart
    is missed. Of pairs 8 bits apart 2 % are missed; 9 bands would miss none but take ten times as long.
    """
    bands = CERTAIN_BITS + 1
    edges = [round(band * 64 / bands) for band in range(bands + 1)]
    found = [np.empty(0, np.int64)]
    for low, high in itertools.pairwise(edges):
        key = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.lexsort((hashes, key))  # sorted, similar hashes are neighbours
        key, sorted_hashes = key[order], hashes[order]
        compared = np.zeros(len(order), np.int64)
        here = np.arange(len(order))
        step = 1
        # Compare neighbours with the same key, at growing distance. A key equal at one distance is equal at all smaller
        # ones, for the keys are sorted.
        while True:
            here = here[here + step < len(order)]
            here = here[(key[here] == key[here + step]) & (compared[here] < _MAX_COMPARISONS)]
            if not len(here):
                break
            close = here[_bits_apart(sorted_hashes[here], sorted_hashes[here + step]) <= NEAR_BITS]
            compared[close] += 1
            ends = order[close], order[close + step]
            found.append(np.minimum(*ends) * len(hashes) + np.maximum(*ends))
            step += 1
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(1, len(hashes))), axis=1)


def _bits_apart(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    if hasattr(np, "bitwise_count"):  # numpy 2
        return np.asarray(np.bitwise_count(a ^ b), np.int64)
    return np.asarray(_POPCOUNT[(a ^ b).view(np.uint8).reshape(-1, 8)].sum(axis=1), np.int64)


def _halved(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails of half the side, float32 ``[N, side * side / 4]``."""
    half = round(thumbs.shape[1] ** 0.5) // 2
    return np.asarray(thumbs.reshape(-1, half, 2, half, 2).mean(axis=(2, 4), dtype=np.float32).reshape(len(thumbs), -1))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y = (side - side.mean(axis=1, keepdims=True) for side in (a, b))
    norms = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.asarray((x * y).sum(axis=1) / np.maximum(norms, 1e-6), np.float32)
