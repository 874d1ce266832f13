"""Colour of 16 bits. Pillow keeps only the high bytes; the low bytes are read by decoding the file a second time.

That is done only if the high bytes use less than half of their range: cameras of 10 or 12 bits, microscopes, dark
scans. The used range becomes 0..255 by the rule for grey (``edgeclf.images.deep_grey``), one range for all colours.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from edgeclf.images.deep_grey import SHARE, to_range, used_range

_ENDINGS = (";16B", ";16L", ";16N")
_HALF_RANGE = 128  # of a high byte
_ROWS = 256  # processed at a time


def has_high_bytes_only(image: Image.Image) -> bool:
    """Whether an image that is not decoded yet has colour of 16 bits."""
    return image.mode in ("RGB", "RGBA") and any(_raw_mode(tile[3]).endswith(_ENDINGS) for tile in _tiles(image))


def with_low_bytes(
    image: Image.Image, opened: Callable[[], Image.Image], stated: tuple[int, int] | None
) -> Image.Image:
    """Use all 16 bits of the colours if the high bytes use less than half of their range.

    Args:
        image: decoded, of mode "RGB" or "RGBA".
        opened: opens the same file again.
        stated: the range that the file states.

    Returns:
        The image, or one with other pixels.
    """
    counts = np.cumsum(np.array(image.histogram()[: 3 * 256]).reshape(3, 256).sum(0))
    out = counts[-1] // SHARE
    low, high = np.searchsorted(counts, (out, counts[-1] - 1 - out), side="right")
    if stated is None and high - low >= _HALF_RANGE:
        return image
    other = opened()
    other.tile = [_other_bytes(tile) for tile in _tiles(other)]  # type: ignore[attr-defined]
    other.load()
    values = np.empty((image.height, image.width, 3), np.uint16)
    for top in range(0, image.height, _ROWS):
        box = (0, top, image.width, min(top + _ROWS, image.height))
        values[top : box[3]] = np.asarray(image.crop(box))[..., :3]
        values[top : box[3]] <<= 8
        values[top : box[3]] |= np.asarray(other.crop(box))[..., :3]
    span = used_range(values, stated)
    if not (span.stretched or span.stated):
        return image
    result = Image.fromarray(to_range(values, span))
    if image.mode == "RGBA":
        result.putalpha(image.getchannel("A"))
    return result


def _tiles(image: Image.Image) -> list[Any]:
    return list(getattr(image, "tile", ()))


def _raw_mode(args: object) -> str:
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _other_bytes(tile: Any) -> Any:
    """A tile whose decoder takes the other byte of each 16-bit sample."""
    args = tile[3]
    mode = _raw_mode(args)
    high_first = mode.endswith("B") or (mode.endswith("N") and sys.byteorder == "big")
    mode = mode[:-1] + ("L" if high_first else "B")
    args = (mode, *args[1:]) if isinstance(args, tuple) else mode
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)  # a plain tuple up to Pillow 10
