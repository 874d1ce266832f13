"""Whether two photos of one place show the same scene, or a subject has moved, come or gone. Works on thumbnails.

Another light and a small movement of the camera (shift, rotation, zoom) change each pixel by a multiple of its value
and of its gradients. Least squares finds these multiples; what they do not explain is the residual. In photos of one
burst the residual is small everywhere. A subject that has moved, come or gone leaves a large residual in a few places.
"""

import numpy as np
from numpy.typing import NDArray

_MAX_RESIDUAL_RATIO = 20.0  # of the largest residual to the median one, in the same scene
_ROUNDING = 0.02  # what rounding of pixels adds to the median residual, in standard deviations of the photo
_RIDGE = 1e-5  # ridge regression: a straight edge looks the same shifted and rotated


def residuals(thumbs: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """The part of the second thumbnail of each pair that the first one does not explain.

    Args:
        thumbs: grey, uint8 ``[N, side * side]``.
        pairs: indices, int64 ``[M, 2]``.

    Returns:
        For each pixel except the border, in standard deviations of the second thumbnail, float32
        ``[M, (side - 2) ** 2]``.
    """
    firsts, which = np.unique(pairs[:, 0], return_inverse=True)  # a photo may be in many pairs
    changes = _changes(_square(thumbs[firsts]))
    pixels = changes.shape[2]
    across = changes @ changes.swapaxes(1, 2) / pixels + _RIDGE * np.eye(changes.shape[1], dtype=np.float32)
    goal = _unit(_square(thumbs[pairs[:, 1]])[:, 1:-1, 1:-1].reshape(len(pairs), pixels, 1), axis=1)
    changes = changes[which]
    factors = np.linalg.solve(across[which], changes @ goal / pixels)
    return np.asarray((goal - changes.swapaxes(1, 2) @ factors)[:, :, 0], np.float32)


def same_scene(residual: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether both photos of each pair show the same scene; bool ``[M]``.

    Args:
        residual: as ``residuals`` returns it.
    """
    size = np.abs(residual)
    return np.asarray(size.max(axis=1) <= _MAX_RESIDUAL_RATIO * (np.median(size, axis=1) + _ROUNDING))


def _square(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = round(thumbs.shape[1] ** 0.5)
    return thumbs.reshape(-1, side, side).astype(np.float32)


def _changes(photo: NDArray[np.float32]) -> NDArray[np.float32]:
    """How a photo changes with light, shift, rotation and zoom: float32 ``[N, 5, pixels]``, each with mean 0, std 1."""
    down = photo[:, 2:, 1:-1] - photo[:, :-2, 1:-1]
    right = photo[:, 1:-1, 2:] - photo[:, 1:-1, :-2]
    y, x = np.mgrid[-1 : 1 : down.shape[1] * 1j, -1 : 1 : down.shape[2] * 1j].astype(np.float32)
    changes = np.stack([photo[:, 1:-1, 1:-1], right, down, x * down - y * right, x * right + y * down], axis=1)
    return _unit(changes.reshape(*changes.shape[:2], down.shape[1] * down.shape[2]), axis=2)


def _unit(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    values = values - values.mean(axis=axis, keepdims=True)
    return np.asarray(values / np.maximum(values.std(axis=axis, keepdims=True), 1e-6), np.float32)
