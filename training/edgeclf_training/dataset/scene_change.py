"""Does one photo show what another does, or the same place with something elsewhere? Told from small thumbnails.

Another light and a small move of the camera (shift, turn, zoom) change each pixel by a multiple of its value and of its
gradients. What least squares cannot explain so is small and all over in photos of one burst; a subject that is
elsewhere, gone or new leaves much of it in a few places and hardly any in the rest.
"""

import numpy as np
from numpy.typing import NDArray

# The largest difference to the median one; what rounding adds to the latter, in standard deviations of the photo.
_MOST, _ROUNDING = 20.0, 0.02
_RIDGE = 1e-5  # of explanations that are nearly the same: straight edges look alike shifted and turned


def unexplained(thumbs: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """What is left of the second thumbnail of each pair that the first does not explain.

    Args:
        thumbs: grey, uint8 ``[N, side * side]``.
        pairs: indices, int64 ``[M, 2]``.

    Returns:
        By pixel without the border, in standard deviations of the second, float32 ``[M, (side - 2) ** 2]``.
    """
    firsts, which = np.unique(pairs[:, 0], return_inverse=True)  # a photo has many pairs: its part is done once
    ways = _ways(_square(thumbs[firsts]))
    pixels = ways.shape[2]
    across = ways @ ways.swapaxes(1, 2) / pixels + _RIDGE * np.eye(ways.shape[1], dtype=np.float32)
    goal = _unit(_square(thumbs[pairs[:, 1]])[:, 1:-1, 1:-1].reshape(len(pairs), pixels, 1), axis=1)
    ways = ways[which]
    shares = np.linalg.solve(across[which], ways @ goal / pixels)
    return np.asarray((goal - ways.swapaxes(1, 2) @ shares)[:, :, 0], np.float32)


def still_there(rest: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether nothing is elsewhere, by what ``unexplained`` returns; bool ``[N]``."""
    rest = np.abs(rest)
    return np.asarray(rest.max(axis=1) <= _MOST * (np.median(rest, axis=1) + _ROUNDING))


def _square(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = round(thumbs.shape[1] ** 0.5)
    return thumbs.reshape(-1, side, side).astype(np.float32)


def _ways(photo: NDArray[np.float32]) -> NDArray[np.float32]:
    """How photos change with light, shift, turn and zoom; float32 ``[N, 5, pixels]``, each of mean 0 and unit size."""
    down = photo[:, 2:, 1:-1] - photo[:, :-2, 1:-1]
    right = photo[:, 1:-1, 2:] - photo[:, 1:-1, :-2]
    y, x = np.mgrid[-1 : 1 : down.shape[1] * 1j, -1 : 1 : down.shape[2] * 1j].astype(np.float32)
    ways = np.stack([photo[:, 1:-1, 1:-1], right, down, x * down - y * right, x * right + y * down], axis=1)
    return _unit(ways.reshape(*ways.shape[:2], down.shape[1] * down.shape[2]), axis=2)


def _unit(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    values = values - values.mean(axis=axis, keepdims=True)
    return np.asarray(values / np.maximum(values.std(axis=axis, keepdims=True), 1e-6), np.float32)
