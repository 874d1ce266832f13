"""From a decoded image to upright RGB: EXIF orientation, transparency, colour modes and the depth of grey.

The rules are listed in ``edgeclf.images.preprocess``.
"""

from PIL import Image

from edgeclf.images.contract import PREPROCESSING_VERSION, ImageContract

_EXIF_ORIENTATION_TAG = 0x0112
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_WIDTH_AND_HEIGHT = frozenset(_TRANSPOSE_BY_ORIENTATION[orientation] for orientation in (5, 6, 7, 8))


def to_upright_rgb(
    image: Image.Image,
    size: tuple[int, int],
    contract: ImageContract | None,
    grey_range: tuple[int, int] | None = None,
    negative: bool = False,
) -> tuple[Image.Image, tuple[int, int]]:
    """Load an image, convert it to RGB and turn it upright.

    Args:
        image: decoded, or about to be.
        size: width and height that the file states, pixels.
        contract: its preprocessing version decides how deep grey becomes 8 bits; None: the newest version.
        grey_range: the lowest and highest grey value that the file states (``open_image.stated_grey_range``).
        negative: the lowest grey value is white.

    Returns:
        The upright RGB image, and the upright photo's width and height in full.

    Raises: whatever Pillow raises on a damaged file.
    """
    image.load()  # before the orientation is read: Pillow turns TIFFs upright while it loads them
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION_TAG, 1)
    except Exception:  # with damaged EXIF the pixels are still a photo
        orientation = 1
    rgb = to_rgb(image, contract, grey_range, negative)
    transpose = _TRANSPOSE_BY_ORIENTATION.get(orientation) if isinstance(orientation, int) else None
    swapped = image.size != size and image.size == size[::-1]  # a TIFF that Pillow has turned
    if transpose is not None:
        rgb = rgb.transpose(transpose)
        swapped ^= transpose in _SWAPS_WIDTH_AND_HEIGHT
    return rgb, (size[1], size[0]) if swapped else size


def to_rgb(
    image: Image.Image,
    contract: ImageContract | None,
    grey_range: tuple[int, int] | None = None,
    negative: bool = False,
) -> Image.Image:
    """An image of any Pillow mode as RGB; arguments as for ``to_upright_rgb``."""
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith("I") or mode == "F":
        from PIL import ImageChops

        from edgeclf.images.deep_grey import to_8_bits

        version = preprocessing_version(contract)
        grey = to_8_bits(image, version, grey_range)
        return (ImageChops.invert(grey) if negative and version > 1 else grey).convert("RGB")
    if mode == "La":
        image = image.convert("LA")  # the only conversion Pillow has for it
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        opaque = Image.new("RGB", rgba.size, "white")
        opaque.paste(rgba, mask=rgba)  # holds one copy in memory; compositing in RGBA would hold three
        return opaque
    return image.convert("RGB")


def preprocessing_version(contract: ImageContract | None) -> int:
    """The version of the rules that a contract asks for; the newest without a contract."""
    return contract.door if contract else PREPROCESSING_VERSION
