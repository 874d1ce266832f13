"""The one preprocessing function: training, validation, calibration and inference all come through here.

    path | bytes | file object | PIL image | uint8 array  ->  upright RGB  ->  network input uint8 [H, W, 3]

Rules, the same everywhere:

* Upright: all eight EXIF orientations are applied. Unreadable EXIF counts as upright.
* Formats: JPEG (progressive, arithmetic-coded, CMYK; 8 bits), MPO, PNG, GIF, BMP, TIFF, WebP, AVIF, JPEG 2000, PPM and
  kin, TGA, PCX, and HEIC with the extra ``[heic]``. The content decides, never the file's name. A 12-bit, lossless or
  hierarchical JPEG is "unsupported" where this Pillow does not read it; so is every camera raw file
  (``edgeclf.images.camera_raw``).
* A JPEG of which a part is missing is "damaged" (``edgeclf.images.jpeg_complete``).
* RGB: grey becomes three equal channels; transparency is laid over white; Pillow converts palette, CMYK (inverted, as
  Adobe writes it into JPEGs), YCbCr, LAB and HSV. Of 16-bit colour the high byte is used, and all 16 bits where the
  high bytes use less than half of their range (``edgeclf.images.deep_colour``). Of 16- and 32-bit grey integers the
  depth that the file states is used, or the range of the values (``edgeclf.images.deep_grey``); version 1 of the rules
  always uses the high byte and 0..65535. Floats are stretched from their own minimum..maximum. Colour profiles are
  ignored. Of an animation or a stack the first frame is used.
* JPEGs from a path, bytes or a file object decode at 1/2, 1/4 or 1/8 scale as long as the decoded photo is still
  ``draft_margin`` times as large as the network input; a 12-megapixel photo then decodes several times faster.
* Limits: at most ``MAX_DECODED_PIXELS`` pixels are decoded (at the reduced scale, where one applies; JPEGs with several
  scans count in full, because libjpeg keeps them in memory in full). Pillow holds them in 192 MiB, two to four times
  that while it converts transparency or 16 bits, five times for JPEG 2000. A JPEG's pixels times its scans are at
  most a billion. What Pillow decodes in Python has lower limits (``edgeclf.images.open_image``); files with endless
  small parts are refused (``edgeclf.images.sniff``). At most ``MAX_FILE_BYTES`` are read, whole, before
  anything is decoded; of a stream, no more than that. Pillow's own global limit is not changed.
* A file whose disk does not answer is given up: ``edgeclf.files.timed_io``.
"""

import io
import math
import os
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from edgeclf.errors import PhotoError
from edgeclf.files.photo_names import SUFFIXES as SUFFIXES
from edgeclf.files.photo_names import FoundPath
from edgeclf.files.timed_io import read_regular, reason, too_many_bytes
from edgeclf.images.camera_raw import is_raw
from edgeclf.images.contract import PREPROCESSING_VERSION, ImageContract
from edgeclf.images.jpeg_complete import decode_whole
from edgeclf.images.open_image import is_negative, load_whole, open_photo, prepare, stated_by, tile_size
from edgeclf.images.overlay_mark import is_marked, not_a_photo
from edgeclf.images.resize import resized
from edgeclf.images.sniff import UnfitError, check_parts, jpeg_header, sniff

_Upright: TypeAlias = tuple[Image.Image, tuple[int, int]]
Photo: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[np.uint8]

MAX_DECODED_PIXELS = 48 * 2**20
MAX_FILE_BYTES = 256 * 2**20
_MAX_SCANS = 1000  # of a 1-megapixel JPEG, which takes about two seconds
_CHUNK = 2**20

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNING = frozenset(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))
_EXIF_ORIENTATION = 0x0112


def network_input(photo: Photo, contract: ImageContract) -> NDArray[np.uint8]:
    """A photo as the network takes it: RGB uint8 ``[size, size, 3]``.

    Raises:
        PhotoError: the photo cannot be read.
    """
    if is_network_input(photo, contract):  # saves half a millisecond
        return photo.copy()
    return fit(upright_rgb(photo, contract), contract)


def is_network_input(photo: Photo, contract: ImageContract) -> TypeGuard[NDArray[np.uint8]]:
    """Whether a photo is an array with which nothing is left to do."""
    side = contract.size
    if not (isinstance(photo, np.ndarray) and photo.shape == (side, side, 3) and photo.dtype == np.uint8):
        return False
    where = contract.placement(side, side)
    return where.source == where.target == (0, 0, side, side)


def is_one_photo(photos: object) -> bool:
    """Whether what should be several photos is one: of a path each letter, of a picture each row would count."""
    if isinstance(photos, np.ndarray):
        return photos.ndim < 3 or (photos.ndim == 3 and photos.shape[2] in (1, 3, 4))
    one = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
    return isinstance(photos, one) or hasattr(photos, "read")


def upright_rgb(photo: Photo, contract: ImageContract | None = None) -> Image.Image:
    """Decode to an upright RGB image: the first half of the door, for those who augment before resizing.

    Args:
        photo: a path, the bytes of an image file, a binary file object, a PIL image (left unchanged), or a uint8 array
            ``[H, W]``, ``[H, W, 1]``, ``[H, W, 3]`` (RGB) or ``[H, W, 4]`` (RGBA).
        contract: allows a JPEG to decode at reduced scale; None decodes every pixel.

    Raises:
        PhotoError: the photo cannot be read; ``kind`` says why.
    """
    return upright_with_size(photo, contract)[0]


def upright_with_size(photo: Photo, contract: ImageContract | None) -> tuple[Image.Image, tuple[int, int]]:
    """``upright_rgb``, and the upright photo's width and height in full, whatever scale it was decoded at."""
    return next(upright_for_each(photo, contract))


def upright_for_each(photo: Photo, *contracts: ImageContract | None) -> Iterator[_Upright]:
    """``upright_with_size`` for one contract after another, lazily.

    The photo is read once. It is decoded once for neighbours that ask for the same pixels: those of a JPEG decoded at
    the same scale, or those of one version of the rules. What was decoded before is not kept.

    Raises:
        PhotoError: the photo cannot be read; ``kind`` says why.
        TypeError: it is no photo.
    """
    decode, pixels_for = _decoder(photo)
    upright = key = None
    for contract in contracts:
        wanted = pixels_for(contract) if len(contracts) > 1 else None
        if upright is None or wanted != key:
            upright = None  # before the next one takes memory
            upright, key = decode(contract), wanted
        yield upright


def _decoder(photo: Photo) -> tuple[Callable[[ImageContract | None], _Upright], Callable[[ImageContract | None], Any]]:
    """Read a photo: a function that decodes it for a contract, and one that says which pixels that would give."""
    if isinstance(photo, np.ndarray):
        image = _from_array(photo)
        return lambda contract: (_to_rgb(image, contract), image.size), _version
    if isinstance(photo, Image.Image):
        _check_pixels(photo.size, None)
        stated, negative = stated_by(photo), is_negative(photo)
        return lambda contract: _guarded(
            lambda: _finish(photo.copy(), photo.size, contract, stated, negative), None
        ), _version
    data, name = _file_bytes(photo)
    return lambda contract: _decode(data, name, contract), lambda contract: _pixels_for(data, contract)


def _file_bytes(photo: Any) -> tuple[bytes, str | None]:
    """What is in a photo's file, and the name it was given by."""
    if isinstance(photo, bytes | bytearray | memoryview):
        if len(photo) > MAX_FILE_BYTES:
            raise too_many_bytes(None, MAX_FILE_BYTES)
        return bytes(photo), None
    if isinstance(photo, str | os.PathLike):
        name = os.fspath(photo)
        data = read_regular(name, MAX_FILE_BYTES)
        if isinstance(name, FoundPath) and is_marked(data):
            raise not_a_photo(name)
        return data, name
    if hasattr(photo, "read"):
        return _file_bytes(read_photo_file(photo))
    raise TypeError(
        f"a photo is a path, bytes, a binary file, a PIL image or a uint8 array, not {type(photo).__name__}"
        + (" (several photos: predict_many)" if isinstance(photo, list | tuple) else "")
    )


def _version(contract: ImageContract | None) -> int:
    return contract.door if contract else PREPROCESSING_VERSION


def _pixels_for(data: bytes, contract: ImageContract | None) -> Any:
    """Something that is equal for two contracts under which a file has the same pixels."""
    if sniff(data) != "JPEG":
        return _version(contract)
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        _reduce(image, contract)
    except Exception:  # said by whoever decodes it
        return contract
    return image.size


def fit(upright: Image.Image, contract: ImageContract) -> NDArray[np.uint8]:
    """Resize an upright RGB image to the network input, uint8 ``[size, size, 3]``: the second half of the door."""
    where = contract.placement(*upright.size)
    left, top, right, bottom = where.target
    if (right - left) * (where.source[3] - where.source[1]) > MAX_DECODED_PIXELS:  # what lies between the two steps
        raise PhotoError("too-large", f"{upright.width} x {upright.height} pixels are no photo's shape", "crop it")
    small = resized(upright, (right - left, bottom - top), where.source)
    if small.size != (contract.size, contract.size):
        canvas = Image.new("RGB", (contract.size, contract.size))
        canvas.paste(small, (left, top))
        small = canvas
    return np.array(small, dtype=np.uint8)


def read_photo_file(file: Any) -> bytes:
    """All of a file object, or just enough to see that it is too long. Raises TypeError for one in text mode."""
    chunks, length = [], 0
    while length <= MAX_FILE_BYTES and (chunk := file.read(_CHUNK)):  # not at once: small boards would reserve it all
        if not isinstance(chunk, bytes):  # the content of a text file must not pass for a path
            raise TypeError(f"a photo's file must be open in binary mode, not give {type(chunk).__name__}")
        chunks.append(chunk)
        length += len(chunk)
    return b"".join(chunks)


def _decode(data: bytes, name: str | None, contract: ImageContract | None) -> _Upright:
    def decode() -> _Upright:
        if not data:
            raise UnfitError("empty", "is empty (0 bytes)")
        kind = sniff(data)
        if kind == "JPEG":
            return _decode_jpeg(data, name, contract)
        if kind in ("TIFF", "") and is_raw(data, name):
            remedy = "export it as JPEG, or give the JPEG that the camera saved beside it"
            raise UnfitError("unsupported", "is a camera raw file, which cannot be read here", remedy)
        from edgeclf.images.deep_colour import (  # what JPEGs, most photos, never need
            has_high_bytes_only,
            with_low_bytes,
        )

        check_parts(kind, data)
        image = open_photo(data, kind)
        size = image.size
        _check_pixels(size, name)
        _check_pixels(tile_size(image), name)
        stated, negative = stated_by(image, data, kind), is_negative(image)
        deep = has_high_bytes_only(image) and (contract is None or contract.door > 1)
        image = prepare(image, data)
        load_whole(image)
        if deep:
            image = with_low_bytes(image, lambda: open_photo(data, kind), stated)
        _check_pixels(image.size, name)  # HEIC may say one size and hold another
        return _finish(image, size, contract, stated, negative)

    return _guarded(decode, name)


def _decode_jpeg(data: bytes, name: str | None, contract: ImageContract | None) -> _Upright:
    header = jpeg_header(data, _MAX_SCANS)
    size = (header.width, header.height)
    if header.held_whole:  # decodes at full scale inside, whatever comes out
        _check_pixels(size, name)

    def decode(file: Any) -> Image.Image:
        # Straight to the plugin: Image.open refuses by the file's own size what decodes small at reduced scale.
        image = JpegImagePlugin.JpegImageFile(file)
        _reduce(image, contract)
        _check_pixels(image.size, name)
        image.load()
        return image

    try:
        return _finish(decode_whole(data, header, decode), size, contract)
    except (OSError, SyntaxError, ValueError) as error:
        if header.rare:
            what = f"is a {header.rare} JPEG, which cannot be read here"
            raise UnfitError("unsupported", what, "save it as a plain JPEG") from error
        raise


def _reduce(image: JpegImagePlugin.JpegImageFile, contract: ImageContract | None) -> None:
    """Have a JPEG decoded at the smallest scale that the contract allows."""
    if contract is not None:
        needed = contract.placement(*image.size).scale * contract.draft_margin
        image.draft(None, tuple(math.ceil(side * needed) for side in image.size))  # type: ignore[arg-type]


def _guarded(decode: Callable[[], _Upright], name: str | None) -> _Upright:
    """Run a decoder; whatever Pillow raises on a hostile file becomes one PhotoError."""
    label = name or "the photo"
    try:
        return decode()
    except PhotoError:
        raise
    except UnfitError as error:
        raise PhotoError(error.kind, f"{label}: {error.what}", error.remedy, name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(label, None, name) from error
    except UnidentifiedImageError as error:
        raise PhotoError(
            "not-an-image", f"{label}: not an image that edgeclf reads", "save it as JPEG or PNG", name
        ) from error
    except MemoryError as error:
        raise PhotoError("too-large", f"{label}: does not fit in memory", "save it smaller", name) from error
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files
        what = "not an image that edgeclf reads" if isinstance(error, SyntaxError) else f"damaged ({reason(error)})"
        kind = "not-an-image" if isinstance(error, SyntaxError) else "damaged"
        raise PhotoError(kind, f"{label}: {what}", "copy it again from the camera", name) from error


def _finish(
    image: Image.Image,
    size: tuple[int, int],
    contract: ImageContract | None,
    stated: tuple[int, int] | None = None,
    negative: bool = False,
) -> _Upright:
    """Load, turn into RGB and turn upright; the file states ``size``, in full, and perhaps what its grey means."""
    image.load()  # before the orientation is read: Pillow turns TIFFs upright while loading
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # EXIF is a hint: whatever is wrong with it, the pixels are still a photo
        orientation = 1
    rgb = _to_rgb(image, contract, stated, negative)
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    turned = image.size != size and image.size == size[::-1]  # a TIFF, while loading
    if method is not None:
        rgb = rgb.transpose(method)
        turned ^= method in _TURNING
    return rgb, (size[1], size[0]) if turned else size


def _to_rgb(
    image: Image.Image, contract: ImageContract | None, stated: tuple[int, int] | None = None, negative: bool = False
) -> Image.Image:
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith("I") or mode == "F":
        from PIL import ImageChops

        from edgeclf.images.deep_grey import to_8_bits

        door = contract.door if contract else PREPROCESSING_VERSION
        grey = to_8_bits(image, door, stated)
        return (ImageChops.invert(grey) if negative and door > 1 else grey).convert("RGB")
    if mode == "La":
        image = image.convert("LA")  # the only conversion Pillow has for it
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        opaque = Image.new("RGB", rgba.size, "white")
        opaque.paste(rgba, mask=rgba)  # one copy, where compositing in RGBA would hold three
        return opaque
    return image.convert("RGB")


def _from_array(array: NDArray[np.uint8]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PhotoError(
            "not-an-image",
            f"an array of {array.dtype} {list(array.shape)} is no photo",
            "give uint8 [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA)",
        )
    if 0 in array.shape:
        raise PhotoError("empty", f"an array of shape {list(array.shape)} has no pixels", "give a photo")
    _check_pixels((array.shape[1], array.shape[0]), None)
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _check_pixels(size: tuple[int, int], name: str | None) -> None:
    if size[0] * size[1] > MAX_DECODED_PIXELS:
        raise _too_large(name or "the photo", size, name)


def _too_large(label: str, size: tuple[int, int] | None, name: str | None) -> PhotoError:
    found = f"{size[0]} x {size[1]} pixels to decode" if size else "far too many pixels to decode"
    limit = f"the limit is {MAX_DECODED_PIXELS / 1e6:.0f} megapixels"
    return PhotoError("too-large", f"{label}: {found}, {limit}", "save it smaller, or as JPEG", name)
