"""How large a photo may be: pixels that are decoded, and bytes that are read."""

from edgeclf.errors import PhotoError

MAX_DECODED_PIXELS = 48 * 2**20
MAX_FILE_BYTES = 256 * 2**20


def check_pixels(size: tuple[int, int], name: str | None) -> None:
    """Refuse a photo of too many pixels.

    Args:
        size: width and height at which it is decoded, pixels.
        name: the photo's path, None if it has none.

    Raises:
        PhotoError: there are more than ``MAX_DECODED_PIXELS``.
    """
    if size[0] * size[1] > MAX_DECODED_PIXELS:
        raise too_many_pixels(f"{size[0]} x {size[1]}", name)


def too_many_pixels(count: str, name: str | None) -> PhotoError:
    """The error for a photo of too many pixels; ``count`` says how many, for people."""
    limit = f"the limit is {MAX_DECODED_PIXELS / 1e6:.0f} megapixels"
    message = f"{name or 'the photo'}: {count} pixels to decode, {limit}"
    return PhotoError("too-large", message, "save it smaller, or as JPEG", name)
