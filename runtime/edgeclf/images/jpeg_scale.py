"""The JPEG scale rule: a JPEG is decoded at the smallest scale that still has enough pixels for the network input.

libjpeg decodes at 1/1, 1/2, 1/4 or 1/8 of the width and height. The smallest scale is used at which the photo is
still ``draft_margin`` times as large as the contract needs; a 12-megapixel photo then decodes several times faster.
"""

import io
import math
from typing import Any

from PIL import Image, JpegImagePlugin

from edgeclf.images.contract import ImageContract
from edgeclf.images.file_format import UnfitError
from edgeclf.images.jpeg_complete import decode_complete
from edgeclf.images.jpeg_header import jpeg_header
from edgeclf.images.limits import check_pixels

_MAX_SCANS_PER_MEGAPIXEL = 1000  # with so many scans, a JPEG of 1 megapixel takes about two seconds


def decode_jpeg(data: bytes, name: str | None, contract: ImageContract | None) -> tuple[Image.Image, tuple[int, int]]:
    """Decode a JPEG at the scale that the contract allows.

    Args:
        data: the file.
        name: its path, None if it has none.
        contract: what the photo is decoded for; None decodes every pixel.

    Returns:
        The decoded image, and the width and height that the file states (before the scale, and before EXIF).

    Raises:
        PhotoError: too many pixels.
        UnfitError: a part is missing, or Pillow cannot read this kind of JPEG. Pillow raises nearly anything else.
    """
    header = jpeg_header(data, _MAX_SCANS_PER_MEGAPIXEL)
    size = (header.width, header.height)
    if header.multiple_scans:  # libjpeg holds all coefficients in memory, whatever the scale
        check_pixels(size, name)

    def decode(file: Any) -> Image.Image:
        # Not Image.open: it refuses a photo by the size in its header, also where the scaled photo is small.
        image = JpegImagePlugin.JpegImageFile(file)
        _set_scale(image, contract)
        check_pixels(image.size, name)
        image.load()
        return image

    try:
        return decode_complete(data, header, decode), size
    except (OSError, SyntaxError, ValueError) as error:
        if header.rare:
            what = f"is a {header.rare} JPEG, which this installation cannot read"
            raise UnfitError("unsupported", what, "save it as a plain JPEG") from error
        raise


def scaled_size(data: bytes, contract: ImageContract | None) -> tuple[int, int]:
    """Width and height at which ``decode_jpeg`` decodes a JPEG. Pillow raises nearly anything."""
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    _set_scale(image, contract)
    return image.size


def _set_scale(image: JpegImagePlugin.JpegImageFile, contract: ImageContract | None) -> None:
    if contract is not None:
        needed = contract.placement(*image.size).scale * contract.draft_margin
        image.draft(None, tuple(math.ceil(side * needed) for side in image.size))  # type: ignore[arg-type]
