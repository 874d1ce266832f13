"""Resizing, the same bytes with every Pillow.

Pillow reduces and enlarges along one axis after the other and rounds between. Which axis comes first is its own affair:
always the horizontal one up to Pillow 12, since 13 whichever is cheaper for the shape. So each axis gets a call of its
own here, and the order is ours: horizontal first.
"""

import math

import numpy as np
from PIL import Image

_BILINEAR = Image.Resampling.BILINEAR
_SUPPORT = {_BILINEAR: 1.0, Image.Resampling.BOX: 0.5, Image.Resampling.BICUBIC: 2.0}  # pixels to each side

Box = tuple[float, float, float, float]


def resized(
    image: Image.Image, size: tuple[int, int], box: Box | None = None, method: Image.Resampling = _BILINEAR
) -> Image.Image:
    """Resize horizontally, then vertically, with antialiasing.

    Args:
        image: of a mode that Pillow resizes by filter ("L", "RGB", "F", ...).
        size: width and height of the result.
        box: the part to take (left, top, right, bottom), pixels; the whole image if None.
        method: bilinear, bicubic or box filter.

    Raises:
        MemoryError: the shape is so odd that what lies between the two steps does not fit.
    """
    left, top, right, bottom = box or (0, 0, *image.size)
    width, height = size
    # As float32, in which Pillow takes them: less a whole number they are exact then, and nothing is rounded otherwise.
    top, bottom = float(np.float32(top)), float(np.float32(bottom))
    reach = _SUPPORT[method] * max(1.0, (bottom - top) / height) + 2
    first, last = max(0, math.floor(top - reach)), min(image.height, math.ceil(bottom + reach))
    if last - first < image.height:  # rows that nothing is made of
        image = image.crop((0, first, image.width, last))
    rows = image.resize((width, image.height), method, box=(left, 0, right, image.height))
    return rows.resize(size, method, box=(0, top - first, width, bottom - first))


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """An image no larger than ``side`` in either direction, its shape kept; bicubic. A smaller one as it is."""
    longest = max(image.size)
    if longest <= side:
        return image
    width, height = (max(1, round(length * side / longest)) for length in image.size)
    return resized(image, (width, height), None, Image.Resampling.BICUBIC)
