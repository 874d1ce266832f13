"""The one preprocessing function. Training, validation, calibration and inference all use it.

    path | bytes | file object | PIL image | uint8 array  ->  upright RGB  ->  network input uint8 [H, W, 3]

The rules:

* Upright: all eight EXIF orientations are applied. Unreadable EXIF counts as upright.
* Formats: JPEG (progressive, arithmetic-coded, CMYK; 8 bits), MPO, PNG, GIF, BMP, TIFF, WebP, AVIF, JPEG 2000, PPM,
  PGM, PBM, TGA, PCX, and HEIC with the extra ``[heic]``. The content decides, never the file's name. A 12-bit, lossless
  or hierarchical JPEG is "unsupported" if the installed Pillow cannot read it; so is every camera raw file
  (``edgeclf.images.camera_raw``).
* A JPEG with a missing part is "damaged" (``edgeclf.images.jpeg_complete``).
* RGB: grey becomes three equal channels; transparent pixels are laid over white; Pillow converts palette, CMYK
  (inverted, as Adobe writes it into JPEGs), YCbCr, LAB and HSV. 16-bit colour keeps its high byte, or all 16 bits if
  the high bytes use less than half of their range (``edgeclf.images.deep_colour``). Integer grey of 16 or 32 bits is
  scaled from the depth that the file states, or from the range of its values (``edgeclf.images.deep_grey``); under
  preprocessing version 1, colour always keeps its high byte, and grey is scaled from 0..65535. Floats are stretched
  from their own minimum..maximum. Colour profiles are ignored. The first frame of an animation or stack is used.
* JPEGs from a path, bytes or a file object decode at 1/2, 1/4 or 1/8 scale as long as the decoded photo is still
  ``draft_margin`` times as large as the network input (``edgeclf.images.jpeg_scale``).
* Limits (``edgeclf.images.limits``): at most ``MAX_DECODED_PIXELS`` pixels are decoded, counted at the scale at which
  they are decoded. JPEGs with several scans count in full, because libjpeg keeps them in memory in full. Pillow holds
  that many pixels in 192 MiB, in two to four times that while it converts transparency or 16 bits, in five times for
  JPEG 2000. A JPEG's pixels times its scans are at most a billion. Formats that Pillow decodes in Python have lower
  limits (``edgeclf.images.open_image``); files of very many small parts are refused (``edgeclf.images.file_format``).
  A file is read completely, at most ``MAX_FILE_BYTES``, before anything is decoded. Pillow's own global limit is not
  changed.
* Reading a file from a disk that does not respond ends after a time limit (``edgeclf.files.hanging_disk``).
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edgeclf.errors import PhotoError
from edgeclf.files.hanging_disk import reason
from edgeclf.images import limits
from edgeclf.images.camera_raw import is_raw
from edgeclf.images.contract import ImageContract
from edgeclf.images.file_format import UnfitError, check_parts, file_format
from edgeclf.images.jpeg_scale import decode_jpeg, scaled_size
from edgeclf.images.limits import check_pixels, too_many_pixels
from edgeclf.images.open_image import (
    is_negative,
    load_complete,
    open_photo,
    replace_slow_decoding,
    stated_grey_range,
    tile_size,
)
from edgeclf.images.orientation_and_colour import preprocessing_version, to_rgb, to_upright_rgb
from edgeclf.images.photo_bytes import Photo as Photo
from edgeclf.images.photo_bytes import photo_bytes
from edgeclf.images.resize import resized, shrunk

# An upright RGB image, and the upright photo's width and height in full.
_Upright: TypeAlias = tuple[Image.Image, tuple[int, int]]

# Network input uint8 [size, size, 3]; the photo reduced for display; width and height of the upright photo in full.
InputAndDisplay: TypeAlias = tuple[NDArray[np.uint8], Image.Image, tuple[int, int]]


def network_input(photo: Photo, contract: ImageContract) -> NDArray[np.uint8]:
    """Make the network input of a photo.

    Args:
        photo: as for ``upright_rgb``.
        contract: how photos become network input.

    Returns:
        RGB uint8 ``[size, size, 3]``.

    Raises:
        PhotoError: the photo cannot be read.
        TypeError: it is not a photo.
    """
    if is_network_input(photo, contract):  # saves half a millisecond
        return photo.copy()
    return fit(upright_rgb(photo, contract), contract)


def network_input_and_display(photo: Photo, contract: ImageContract, display_side: int) -> InputAndDisplay:
    """Read a photo once, for the network and for display.

    Args:
        photo: as for ``upright_rgb``.
        contract: how photos become network input.
        display_side: longest side of the displayed photo, pixels.

    Returns:
        The network input, RGB uint8 ``[size, size, 3]``; the upright RGB photo, reduced to ``display_side`` if it is
        larger; and the upright photo's width and height in full.

    Raises:
        PhotoError: the photo cannot be read.
        TypeError: it is not a photo.
    """
    # A contract whose network input is the display: of it only the JPEG scale is used.
    display = ImageContract(size=display_side, resize="pad", draft_margin=1.0)
    decoded = upright_for_each(photo, contract, display)
    image = fit(next(decoded)[0], contract)
    upright, size = next(decoded)
    return image, shrunk(upright, display_side), size


def is_network_input(photo: Photo, contract: ImageContract) -> TypeGuard[NDArray[np.uint8]]:
    """Whether a photo is an array that already is the network input: preprocessing would change nothing."""
    side = contract.size
    if not (isinstance(photo, np.ndarray) and photo.shape == (side, side, 3) and photo.dtype == np.uint8):
        return False
    where = contract.placement(side, side)
    return where.source == where.target == (0, 0, side, side)


def upright_rgb(photo: Photo, contract: ImageContract | None = None) -> Image.Image:
    """Decode a photo to an upright RGB image: the first half of preprocessing. Augmentation comes after it.

    Args:
        photo: a path, the bytes of an image file, a binary file object, a PIL image (left unchanged), or a uint8 array
            ``[H, W]``, ``[H, W, 1]``, ``[H, W, 3]`` (RGB) or ``[H, W, 4]`` (RGBA).
        contract: allows a JPEG to decode at reduced scale; None decodes every pixel.

    Raises:
        PhotoError: the photo cannot be read; ``kind`` says why.
        TypeError: it is not a photo.
    """
    return upright_with_size(photo, contract)[0]


def upright_with_size(photo: Photo, contract: ImageContract | None) -> tuple[Image.Image, tuple[int, int]]:
    """``upright_rgb``, and the upright photo's width and height in full, whatever scale it was decoded at."""
    return next(upright_for_each(photo, contract))


def upright_for_each(photo: Photo, *contracts: ImageContract | None) -> Iterator[_Upright]:
    """``upright_with_size`` for one contract after another, lazily.

    The photo is read once. It is decoded once for successive contracts that give the same pixels: the same scale for a
    JPEG, the same preprocessing version for others. Only the latest decoded image is kept.

    Raises:
        PhotoError: the photo cannot be read; ``kind`` says why.
        TypeError: it is not a photo.
    """
    decode, pixels_key = _decoder(photo)
    upright = key = None
    for contract in contracts:
        wanted = pixels_key(contract) if len(contracts) > 1 else None
        if upright is None or wanted != key:
            upright = None  # frees its memory before the next one is decoded
            upright, key = decode(contract), wanted
        yield upright


def fit(upright: Image.Image, contract: ImageContract) -> NDArray[np.uint8]:
    """Resize an upright RGB image to the network input: the second half of preprocessing.

    Returns:
        RGB uint8 ``[size, size, 3]``.

    Raises:
        PhotoError: the image is so long and narrow that resizing it would need too much memory.
    """
    where = contract.placement(*upright.size)
    left, top, right, bottom = where.target
    # Between the horizontal and the vertical step the image has the target's width and the source's height.
    if (right - left) * (where.source[3] - where.source[1]) > limits.MAX_DECODED_PIXELS:
        raise PhotoError(
            "too-large",
            f"{upright.width} x {upright.height} pixels are too long and narrow a shape for a photo",
            "crop it",
        )
    small = resized(upright, (right - left, bottom - top), where.source)
    if small.size != (contract.size, contract.size):
        canvas = Image.new("RGB", (contract.size, contract.size))
        canvas.paste(small, (left, top))
        small = canvas
    return np.array(small, dtype=np.uint8)


def _decoder(photo: Photo) -> tuple[Callable[[ImageContract | None], _Upright], Callable[[ImageContract | None], Any]]:
    """Read a photo.

    Returns:
        A function that decodes it for a contract, and one whose result is equal for contracts that give equal pixels.
    """
    if isinstance(photo, np.ndarray):
        image = _from_array(photo)
        return lambda contract: (to_rgb(image, contract), image.size), preprocessing_version
    if isinstance(photo, Image.Image):
        check_pixels(photo.size, None)
        grey_range, negative = stated_grey_range(photo), is_negative(photo)
        return lambda contract: _as_photo_errors(
            lambda: to_upright_rgb(photo.copy(), photo.size, contract, grey_range, negative), None
        ), preprocessing_version
    data, name = photo_bytes(photo)
    return lambda contract: _as_photo_errors(lambda: _decode(data, name, contract), name), lambda contract: _pixels_key(
        data, contract
    )


def _pixels_key(data: bytes, contract: ImageContract | None) -> Any:
    """A value that is equal for two contracts under which a file has the same pixels."""
    if file_format(data) != "JPEG":
        return preprocessing_version(contract)
    try:
        return scaled_size(data, contract)
    except Exception:  # decoding it raises the error that the user sees
        return contract


def _decode(data: bytes, name: str | None, contract: ImageContract | None) -> _Upright:
    if not data:
        raise UnfitError("empty", "the file is empty (0 bytes)")
    kind = file_format(data)
    if kind == "JPEG":
        image, size = decode_jpeg(data, name, contract)
        return to_upright_rgb(image, size, contract)
    if kind in ("TIFF", "") and is_raw(data, name):
        remedy = "export it as JPEG, or give the JPEG that the camera saved beside it"
        raise UnfitError("unsupported", "is a camera raw file, which edgeclf cannot read", remedy)
    from edgeclf.images.deep_colour import has_high_bytes_only, with_low_bytes  # most photos are JPEGs, without need

    check_parts(kind, data)
    image = open_photo(data, kind)
    size = image.size
    check_pixels(size, name)
    check_pixels(tile_size(image), name)
    grey_range, negative = stated_grey_range(image, data, kind), is_negative(image)
    deep = has_high_bytes_only(image) and preprocessing_version(contract) > 1
    image = replace_slow_decoding(image, data)
    load_complete(image)
    if deep:
        image = with_low_bytes(image, lambda: open_photo(data, kind), grey_range)
    check_pixels(image.size, name)  # HEIC may state one size and hold another
    return to_upright_rgb(image, size, contract, grey_range, negative)


def _as_photo_errors(decode: Callable[[], _Upright], name: str | None) -> _Upright:
    """Run a decoder; whatever Pillow raises on a hostile file becomes a PhotoError."""
    label = name or "the photo"
    try:
        return decode()
    except PhotoError:
        raise
    except UnfitError as error:
        raise PhotoError(error.kind, f"{label}: {error.what}", error.remedy, name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many_pixels("far too many", name) from error
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


def _from_array(array: NDArray[np.uint8]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PhotoError(
            "not-an-image",
            f"an array of {array.dtype} {list(array.shape)} is not a photo",
            "give uint8 [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA)",
        )
    if 0 in array.shape:
        raise PhotoError("empty", f"an array of shape {list(array.shape)} has no pixels", "give a photo")
    check_pixels((array.shape[1], array.shape[0]), None)
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
