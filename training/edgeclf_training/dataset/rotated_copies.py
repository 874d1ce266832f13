"""Near-duplicates that were rotated or mirrored: their pixels and hashes differ completely."""

import itertools

import numpy as np
from numpy.typing import NDArray

from edgeclf_training.dataset.duplicates import near_pairs
from edgeclf_training.dataset.scan import dct_rows

_NOISE = 4.0  # grey levels by which each pixel of a thumbnail may differ after saving again, all in one direction
_DCT_SIZE = 8  # lowest coefficients per axis, as in ``scan.perceptual_hash``
_BATCH = 8192  # thumbnails hashed at a time


def rotated_pairs(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> set[tuple[int, int]]:
    """Find pictures in ``ours`` and ``theirs`` that are nearly the same except that one is rotated or mirrored.

    Every thumbnail is turned into a standard position: of its eight positions (four rotations, mirrored or not) the one
    that gets brighter to the right and, less so, to the bottom. If two positions are equally good, both are used. Then
    near-duplicates are searched as usual. Pairs that needed no relative rotation are left out: they are not rotated
    copies, and photos of a fixed camera all look similar.

    Args:
        ours, theirs: square grey thumbnails, uint8 ``[N, side * side]``.

    Returns:
        Pairs of an index into ``ours`` and an index into ``theirs``.
    """
    if not len(ours) or not len(theirs):
        return set()
    (a, left, a_turn), (b, right, b_turn) = _standard_positions(ours), _standard_positions(theirs)
    forms, turns = np.concatenate([left, right]), np.concatenate([a_turn, b_turn])
    pairs = near_pairs(_hashes(forms), forms.reshape(len(forms), -1))
    return {(int(a[i]), int(b[j - len(a)])) for i, j in pairs if i < len(a) <= j and turns[i] != turns[j]}


def _standard_positions(thumbs: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """Indices, thumbnails in standard position, uint8 ``[M, side, side]``, and the turn (0..7) that each needed."""
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
    """Hashes of thumbnails, as ``scan.perceptual_hash`` makes them; uint64 ``[N]``."""
    rows, hashes = dct_rows(thumbs.shape[1], _DCT_SIZE), []
    for start in range(0, len(thumbs), _BATCH):
        part = thumbs[start : start + _BATCH].astype(np.float64)
        low = np.round((rows @ part @ rows.T).reshape(len(part), -1), 3)
        bits = low > np.sort(low[:, 1:], axis=1)[:, 31:32]
        hashes.append(np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64))
    return np.concatenate(hashes)
