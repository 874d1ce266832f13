"""How similar two heat maps are."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.heatmaps.overlay import map_on_photo
from edgeclf.images.contract import ImageContract
from edgeclf.images.resize import resized

Map = NDArray[np.float32]
_PHOTO_SIDE = 224  # pixels; longest side of the reduced photo on which maps of different contracts are compared


def correlation(
    maps: tuple[Map, Map], contracts: tuple[ImageContract, ImageContract], photo: tuple[int, int]
) -> float | None:
    """Pearson correlation of two heat maps of one photo, -1..1.

    If both networks see the same part of the photo, the maps are compared on the finer of the two grids, to which the
    coarser map is enlarged bilinearly. Otherwise (one crops, the other does not) both are laid on the photo and
    compared where both networks see it.

    Args:
        maps: float32 ``[h, w]``, >= 0.
        contracts: how the photo became the input of each network.
        photo: width and height of the upright photo, pixels.

    Returns:
        The correlation; None if a map is constant.
    """
    views = [(c.resize, c.crop_fraction if c.resize == "crop" else 1.0) for c in contracts]
    one, two = _on_one_grid(*maps) if views[0] == views[1] else _on_the_photo(maps, contracts, photo)
    if not one.size or np.ptp(one) == 0 or np.ptp(two) == 0:
        return None
    return float(np.clip(np.corrcoef(one.ravel().astype(float), two.ravel().astype(float))[0, 1], -1, 1))


def _on_one_grid(one: Map, two: Map) -> tuple[Map, Map]:
    height, width = max(one.shape[0], two.shape[0]), max(one.shape[1], two.shape[1])
    return _resized(one, width, height), _resized(two, width, height)


def _resized(cam: Map, width: int, height: int) -> Map:
    if cam.shape == (height, width):
        return cam
    image = Image.fromarray(np.ascontiguousarray(cam, dtype=np.float32))
    return np.asarray(resized(image, (width, height)), dtype=np.float32)


def _on_the_photo(
    maps: tuple[Map, Map], contracts: tuple[ImageContract, ImageContract], photo: tuple[int, int]
) -> tuple[Map, Map]:
    """Both maps where both networks see the photo, reduced to ``_PHOTO_SIDE`` pixels: two arrays of the same length."""
    scale = min(1.0, _PHOTO_SIDE / max(photo))
    width, height = (max(1, round(side * scale)) for side in photo)
    seen = np.ones((height, width), bool)
    laid = []
    for cam, contract in zip(maps, contracts, strict=True):
        placement = contract.placement(width, height)
        laid.append(map_on_photo(cam, placement))
        left, top, right, bottom = (round(edge) for edge in placement.source)
        inside = np.zeros_like(seen)
        inside[top:bottom, left:right] = True
        seen &= inside
    return laid[0][seen], laid[1][seen]
