"""Resizing that gives the same bytes with every version of Pillow.

Pillow resizes along one axis after the other and rounds between the two steps. The order depends on the version: up to
Pillow 12 the horizontal axis is first, since Pillow 13 the one that is cheaper for the shape. Here each axis has a call
of its own, the horizontal one first.
"""

import math

import numpy as np
from PIL import Image

_BILINEAR = Image.Resampling.BILINEAR
_SUPPORT = {_BILINEAR: 1.0, Image.Resampling.BOX: 0.5, Image.Resampling.BICUBIC: 2.0}  # reach of a filter, pixels

Box = tuple[float, float, float, float]


def resized(
    image: Image.Image, size: tuple[int, int], box: Box | None = None, method: Image.Resampling = _BILINEAR
) -> Image.Image:
    """Resize horizontally, then vertically, with antialiasing.

    Args:
        image: of a mode that Pillow can filter ("L", "RGB", "F", ...).
        size: width and height of the result.
        box: the part of the image to resize (left, top, right, bottom), pixels; the whole image if None.
        method: bilinear, bicubic or box filter.

    Raises:
        MemoryError: the image between the two steps does not fit in memory.
    """
    left, top, right, bottom = box or (0, 0, *image.size)
    width, height = size
    # Pillow takes float32. Rounded here first, the numbers are exact after an integer is subtracted below.
    top, bottom = float(np.float32(top)), float(np.float32(bottom))
    reach = _SUPPORT[method] * max(1.0, (bottom - top) / height) + 2
    first, last = max(0, math.floor(top - reach)), min(image.height, math.ceil(bottom + reach))
    if last - first < image.height:  # leave out rows that do not contribute
        image = image.crop((0, first, image.width, last))
    rows = image.resize((width, image.height), method, box=(left, 0, right, image.height))
    return rows.resize(size, method, box=(0, top - first, width, bottom - first))


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """Reduce an image to at most ``side`` pixels on its longer side, bicubic; a smaller image is returned unchanged."""
    longest = max(image.size)
    if longest <= side:
        return image
    width, height = (max(1, round(length * side / longest)) for length in image.size)
    return resized(image, (width, height), None, Image.Resampling.BICUBIC)
