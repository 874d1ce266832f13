"""Finding photos again that were turned or mirrored since: their pixels and hashes are all others by then."""

import itertools

import numpy as np
from numpy.typing import NDArray

from edgeclf_training.dataset.duplicates import near_pairs
from edgeclf_training.dataset.scan import dct_rows

# Each pixel of a thumbnail may differ by so many grey levels, in the same direction, after saving again.
_NOISE = 4.0
_LOW = 8
_AT_ONCE = 8192  # thumbnails


def turned_pairs(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> set[tuple[int, int]]:
    """Pairs of an index into ``ours`` and one into ``theirs`` that show nearly the same picture, turned or mirrored.

    Every picture is brought into the one of its eight positions in which it gets brighter to the right and, less, to
    the bottom (where two positions are close, into both); then near-duplicates are looked for as usual. Pairs that lie
    alike are passed over: those are no turned ones, and what a fixed camera took looks alike all over.

    Args:
        ours, theirs: square grey thumbnails, uint8 ``[N, side * side]``.
    """
    if not len(ours) or not len(theirs):
        return set()
    (a, left, a_turn), (b, right, b_turn) = _positions(ours), _positions(theirs)
    forms, turns = np.concatenate([left, right]), np.concatenate([a_turn, b_turn])
    pairs = near_pairs(_hashes(forms), forms.reshape(len(forms), -1))
    return {(int(a[i]), int(b[j - len(a)])) for i, j in pairs if i < len(a) <= j and turns[i] != turns[j]}


def _positions(thumbs: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """Indices, thumbnails in their positions, uint8 ``[M, side, side]``, and which of eight turns each took."""
    side = round(thumbs.shape[1] ** 0.5)
    square = thumbs.reshape(-1, side, side)
    ramp = np.arange(side) - (side - 1) / 2
    across = (square.sum(axis=1, dtype=np.float64) * ramp).sum(axis=1)
    down = (square.sum(axis=2, dtype=np.float64) * ramp).sum(axis=1)
    most, least = np.maximum(abs(across), abs(down)), np.minimum(abs(across), abs(down))
    enough = 2 * most + least - _NOISE * float(np.linalg.norm(ramp)) * side**0.5
    indices, forms, turns = [], [], []
    for turn, (right, bottom, swapped) in enumerate(itertools.product((1, -1), (1, -1), (False, True))):
        x, y = right * across, bottom * down
        at = np.flatnonzero((2 * y + x if swapped else 2 * x + y) >= enough)
        turned = square[at, ::bottom, ::right]
        indices.append(at)
        forms.append(turned.swapaxes(1, 2) if swapped else turned)
        turns.append(np.full(len(at), turn))
    return np.concatenate(indices), np.ascontiguousarray(np.concatenate(forms)), np.concatenate(turns)


def _hashes(thumbs: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """As ``scan.perceptual_hash``, of thumbnails; uint64 ``[N]``."""
    rows, hashes = dct_rows(thumbs.shape[1], _LOW), []
    for start in range(0, len(thumbs), _AT_ONCE):
        part = thumbs[start : start + _AT_ONCE].astype(np.float64)
        low = np.round((rows @ part @ rows.T).reshape(len(part), -1), 3)
        bits = low > np.sort(low[:, 1:], axis=1)[:, 31:32]
        hashes.append(np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64))
    return np.concatenate(hashes)
