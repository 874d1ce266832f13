"""From a photo's bytes to a Pillow image about to be decoded; all formats but JPEG, which the door opens itself."""

import contextlib
import functools
import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from edgeclf.files.photo_names import FORMATS
from edgeclf.images.sniff import UnfitError, sniff

if TYPE_CHECKING:
    from edgeclf.images.deep_grey import Range

_SLOW = {"ppm_plain": 2**18, "bmp_rle": 2**21}  # pixels: Pillow decodes these in Python, a few seconds of them
_PHOTOMETRIC = 262  # a TIFF tag
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF tags


def open_photo(data: bytes, kind: str) -> Image.Image:
    """Read an image file's header.

    Args:
        data: the file.
        kind: what ``edgeclf.images.sniff.sniff`` takes it for.

    Raises:
        UnfitError: it cannot be read with what is installed. Pillow raises nearly anything else.
    """
    if kind == "HEIC":
        return _open_heic(data)
    if kind == "TIFF":
        _hush_tiff()
    Image.init()
    try:
        return Image.open(_Watched(data), formats=[name for name in FORMATS if name in Image.OPEN])
    except UnidentifiedImageError as error:
        if kind == "AVIF" and "AVIF" not in Image.OPEN:
            raise UnfitError("unsupported", "is AVIF, which needs a newer Pillow", "pip install -U pillow") from error
        raise


class _Watched(io.BytesIO):
    """The bytes of a file; ``wanting`` says whether more was asked for than there is."""

    wanting = False

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.wanting |= not found
        return found


def load_whole(image: Image.Image) -> None:
    """Load an image that ``open_photo`` gave, whatever somebody set Pillow's LOAD_TRUNCATED_IMAGES to.

    Raises:
        UnfitError: the file ends early. Pillow raises nearly anything else.
    """
    file = getattr(image, "fp", None)
    if isinstance(file, _Watched):
        file.wanting = False  # headers are read as far as they go
    image.load()
    if ImageFile.LOAD_TRUNCATED_IMAGES and isinstance(file, _Watched) and file.wanting:
        raise UnfitError("damaged", "damaged (a part of its picture is missing)")


def tile_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of a TIFF's tiles, which are decoded whole, however small the photo; else 1 x 1."""
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1)
    if not (isinstance(width, int) and isinstance(height, int)):
        raise UnfitError("damaged", "damaged (its tiles have no size)")
    return width, height


def stated_by(image: Image.Image, data: bytes = b"", kind: str = "") -> tuple[int, int] | None:
    """The range of its grey values that a file states (``edgeclf.images.deep_grey``); ask before it is decoded.

    Args:
        image: the file's, as ``open_photo`` gave it; of anybody else's image only what a TIFF states is known.
        data: the file.
        kind: what ``edgeclf.images.sniff.sniff`` takes it for.
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
    """Whether a TIFF's lowest grey is white (PhotometricInterpretation 0), which Pillow minds in 8 bits only."""
    return image.mode.startswith(("I", "F")) and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


def deep_grey(data: bytes) -> "Range | None":
    """The range of values of a file of whole-number grey of more than 8 bits, None for any other.

    Raises: as ``open_photo`` and ``prepare``; to be asked of files that the door has read.
    """
    from edgeclf.images.deep_grey import is_deep, used_range

    kind = sniff(data)
    image = open_photo(data, kind)
    stated = stated_by(image, data, kind)
    image = prepare(image, data)
    image.load()
    return used_range(np.asarray(image), stated) if is_deep(image.mode) else None


def prepare(image: Image.Image, data: bytes) -> Image.Image:
    """See to it that decoding takes no longer than the photo's size suggests.

    Raises:
        UnfitError: "too-large" for the Python code that Pillow would decode it with.
    """
    for codec, _, offset, args in getattr(image, "tile", ())[:1]:
        if image.width * image.height > _SLOW.get(codec, math.inf):
            what = f"{image.width} x {image.height} pixels, stored in a way that decodes slowly"
            raise UnfitError("too-large", what, "save it as PNG")
        if codec == "ppm":
            return _ppm(image, data, offset, args[-1])
    return image


def _ppm(image: Image.Image, data: bytes, offset: int, most: int) -> Image.Image:
    """A binary PPM or PGM whose samples are 0..most: what Pillow's Python code makes of it, a hundred times faster."""
    full, kind = (65535, np.int32) if image.mode == "I" else (255, np.uint8)
    shape = (image.height, image.width, 3) if image.mode == "RGB" else (image.height, image.width)
    steps = np.arange(65536 if most > 255 else 256)
    table = np.minimum(np.rint(steps / most * full), full).astype(kind)
    samples = np.frombuffer(data, ">u2" if most > 255 else np.uint8, math.prod(shape), offset)
    return Image.fromarray(table[samples].reshape(shape))


def _open_heic(data: bytes) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise UnfitError("unsupported", "is HEIC, which needs an extra", 'pip install "edgeclf[heic]"') from error
    image: Image.Image = HeifImageFile(io.BytesIO(data))
    return image


@functools.cache
def _hush_tiff() -> None:
    """libtiff prints to stderr what it dislikes, Pillow logs it to there; the error that is raised says it already."""
    import ctypes
    import logging

    from PIL import _imaging

    logging.getLogger("PIL").addHandler(logging.NullHandler())  # who asks for logs gets them all the same
    with contextlib.suppress(AttributeError, OSError):  # linked in another way: its lines stay
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
