"""Opening photos of all formats but JPEG (``edgeclf.images.jpeg_scale``) with Pillow, before they are decoded."""

import contextlib
import functools
import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from edgeclf.files.photo_names import FORMATS
from edgeclf.images.file_format import UnfitError, file_format

if TYPE_CHECKING:
    from edgeclf.images.deep_grey import Range

_MAX_PIXELS_IN_PYTHON = {"ppm_plain": 2**18, "bmp_rle": 2**21}  # Pillow decodes these in Python: a few seconds
_PHOTOMETRIC = 262  # a TIFF tag
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF tags


def open_photo(data: bytes, kind: str) -> Image.Image:
    """Read an image file's header.

    Args:
        data: the file.
        kind: its format, as ``edgeclf.images.file_format.file_format`` gives it.

    Returns:
        The image, not decoded yet.

    Raises:
        UnfitError: the installed packages cannot read this format. Pillow raises nearly anything else.
    """
    if kind == "HEIC":
        return _open_heic(data)
    if kind == "TIFF":
        _silence_libtiff()
    Image.init()
    try:
        return Image.open(_Watched(data), formats=[name for name in FORMATS if name in Image.OPEN])
    except UnidentifiedImageError as error:
        if kind == "AVIF" and "AVIF" not in Image.OPEN:
            raise UnfitError("unsupported", "is AVIF, which needs a newer Pillow", "pip install -U pillow") from error
        raise


class _Watched(io.BytesIO):
    """A file in memory; ``wanting`` is true if the decoder asked for more bytes than there are."""

    wanting = False

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.wanting |= not found
        return found


def load_complete(image: Image.Image) -> None:
    """Decode an image that ``open_photo`` gave, and check that it is complete, also with LOAD_TRUNCATED_IMAGES set.

    Raises:
        UnfitError: the file is truncated. Pillow raises nearly anything else.
    """
    file = getattr(image, "fp", None)
    if isinstance(file, _Watched):
        file.wanting = False  # reading the header may reach the end of the file
    image.load()
    if ImageFile.LOAD_TRUNCATED_IMAGES and isinstance(file, _Watched) and file.wanting:
        raise UnfitError("damaged", "damaged (a part of the image is missing)")


def tile_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of a TIFF's tiles, 1 x 1 for others. Tiles are decoded in full, also if the photo is smaller."""
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1)
    if not (isinstance(width, int) and isinstance(height, int)):
        raise UnfitError("damaged", "damaged (the size of its tiles is invalid)")
    return width, height


def stated_grey_range(image: Image.Image, data: bytes = b"", kind: str = "") -> tuple[int, int] | None:
    """The range of grey values that a file states (``edgeclf.images.deep_grey``). To be called before decoding.

    Args:
        image: the image, as ``open_photo`` gave it. Of other PIL images only a TIFF's tags are known.
        data: the file.
        kind: its format, as ``edgeclf.images.file_format.file_format`` gives it.

    Returns:
        The lowest and the highest value; None if the file states none, or has no more than 8 bits.
    """
    from edgeclf.images.deep_colour import has_high_bytes_only
    from edgeclf.images.deep_grey import is_deep, stated_range

    if not (is_deep(image.mode) or has_high_bytes_only(image)):
        return None
    codec, args = next(((tile[0], tile[3]) for tile in getattr(image, "tile", ())), ("", None))
    return stated_range(
        data, kind, getattr(image, "tag_v2", {}), args[-1] if args and codec.startswith("ppm") else None
    )


def is_negative(image: Image.Image) -> bool:
    """Whether a TIFF's lowest value is white (PhotometricInterpretation 0). Pillow handles that for 8 bits only."""
    return image.mode.startswith(("I", "F")) and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


def deep_grey(data: bytes) -> "Range | None":
    """The range of values of a photo with integer grey of more than 8 bits; None for other photos.

    Raises: as ``open_photo`` and ``replace_slow_decoding``; call it for photos that preprocessing could read.
    """
    from edgeclf.images.deep_grey import is_deep, used_range

    kind = file_format(data)
    image = open_photo(data, kind)
    stated = stated_grey_range(image, data, kind)
    image = replace_slow_decoding(image, data)
    image.load()
    return used_range(np.asarray(image), stated) if is_deep(image.mode) else None


def replace_slow_decoding(image: Image.Image, data: bytes) -> Image.Image:
    """Make sure that decoding does not run slow Python code of Pillow for long.

    Returns:
        The image, or a decoded one that replaces it.

    Raises:
        UnfitError: "too-large": Pillow decodes this format in Python, and it has too many pixels for that.
    """
    for codec, _, offset, args in getattr(image, "tile", ())[:1]:
        if image.width * image.height > _MAX_PIXELS_IN_PYTHON.get(codec, math.inf):
            what = f"{image.width} x {image.height} pixels, stored in a format that decodes slowly"
            raise UnfitError("too-large", what, "save it as PNG")
        if codec == "ppm":
            return _ppm(image, data, offset, args[-1])
    return image


def _ppm(image: Image.Image, data: bytes, offset: int, maximum: int) -> Image.Image:
    """Decode a binary PPM or PGM with samples 0..maximum: the same pixels as Pillow's Python code, 100 times faster."""
    full, kind = (65535, np.int32) if image.mode == "I" else (255, np.uint8)
    shape = (image.height, image.width, 3) if image.mode == "RGB" else (image.height, image.width)
    steps = np.arange(65536 if maximum > 255 else 256)
    table = np.minimum(np.rint(steps / maximum * full), full).astype(kind)
    samples = np.frombuffer(data, ">u2" if maximum > 255 else np.uint8, math.prod(shape), offset)
    return Image.fromarray(table[samples].reshape(shape))


def _open_heic(data: bytes) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise UnfitError("unsupported", "is HEIC, which needs an extra", 'pip install "edgeclf[heic]"') from error
    image: Image.Image = HeifImageFile(io.BytesIO(data))
    return image


@functools.cache
def _silence_libtiff() -> None:
    """Stop libtiff and Pillow from printing warnings to stderr; the errors that they raise say the same."""
    import ctypes
    import logging

    from PIL import _imaging

    logging.getLogger("PIL").addHandler(logging.NullHandler())  # a program that configures logging still gets them
    with contextlib.suppress(AttributeError, OSError):  # Pillow is linked in another way: libtiff still prints
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
