"""Which photos are the same: exactly (the same pixels) and nearly (the same picture, saved or processed again).

Near means: perceptual hashes at most 6 bits of 64 apart and grey 16 x 16 thumbnails that correlate by 0.8 or more, or
8 bits and 0.9; and at 32 x 32 nothing is elsewhere (``elsewhere``): a camera that never moves takes photos of one
scene, and they are not near-duplicates for that. docs/design.md has the figures.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeclf_training.dataset.scan import Scanned
from edgeclf_training.dataset.scene_change import still_there, unexplained

NEAR_BITS, CERTAIN_BITS = 8, 6
_LEAST_CORRELATION = np.array([0.8] * 7 + [0.9] * 2)  # by bits apart
_FLAT = 2.0  # standard deviation, grey levels: below it a hash is noise
_MOST = 100  # photos of a near hash that one is compared with, a band: a fixed camera may have taken thousands
_AT_ONCE = 1024  # thumbnails, or pairs of them
_POPCOUNT = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)


def exact_groups(scans: Sequence[Scanned]) -> NDArray[np.int64]:
    """For each photo the index of the first with the same pixels; int64 ``[N]``."""
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
    groups[distinct] = distinct[joined(len(distinct), near_pairs(hashes, thumbs))]
    return np.asarray(groups[first], np.int64)


def near_pairs(hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of nearly the same photos, the nearest first.

    Args:
        hashes: uint64 ``[N]``.
        thumbs: grey uint8 ``[N, side * side]``, side even.
    """
    parts = (thumbs[start : start + _AT_ONCE].std(axis=1) for start in range(0, len(thumbs), _AT_ONCE))
    lively = np.flatnonzero(np.concatenate([np.empty(0), *parts]) >= _FLAT)
    candidates = lively[_near_hashes(hashes[lively])]
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(candidates), _AT_ONCE):
        pairs = candidates[start : start + _AT_ONCE]
        apart = _bits_apart(*hashes[pairs.T])
        pairs = pairs[_correlation(*(_halved(thumbs[side]) for side in pairs.T)) >= _LEAST_CORRELATION[apart]]
        pairs = pairs[still_there(unexplained(thumbs, pairs))]
        rest = unexplained(thumbs, pairs[:, ::-1])  # the other way round
        there = still_there(rest)
        distance = (rest[there] ** 2).mean(axis=1)
        found += zip(distance.tolist(), *pairs[there].T.tolist(), strict=True)
    return [(left, right) for _, left, right in sorted(found)]


def joined(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """For each of ``count`` photos the smallest index in its group; int64 ``[count]``.

    Two groups are joined when at least half of the photos across are pairs. So a burst is one group, and photos in
    which a subject is a little further in each than in another are many: by chains of pairs all would be one.

    Args:
        count: of photos.
        pairs: the nearest first.
    """
    group = list(range(count))
    members: dict[int, list[int]] = {index: [index] for index in group}
    across: dict[int, dict[int, int]] = {}  # by group and group: pairs
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
    """Pairs of indices, the smaller first, in order; int64 ``[M, 2]``.

    Two hashes that differ in at most k bits agree in at least one of k + 1 bands, so only photos that share a band are
    compared: multi-index hashing (Norouzi, Punjani, Fleet, 2012). With the 7 bands used here no pair up to 6 bits apart
    is missed, and 2 % of those 8 bits apart are; 9 bands would take ten times as long.
    """
    bands = CERTAIN_BITS + 1
    edges = [round(band * 64 / bands) for band in range(bands + 1)]
    found = [np.empty(0, np.int64)]
    for low, high in itertools.pairwise(edges):
        key = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.lexsort((hashes, key))  # the likeliest are neighbours
        key, sorted_hashes = key[order], hashes[order]
        compared = np.zeros(len(order), np.int64)
        here = np.arange(len(order))
        step = 1
        while True:  # neighbours of the same key at growing distance; the same key further on implies it nearer by
            here = here[here + step < len(order)]
            here = here[(key[here] == key[here + step]) & (compared[here] < _MOST)]
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
