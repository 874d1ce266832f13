"""The mark by which overlays (heat maps drawn on photos) are distinguished from photos, whatever their names.

The mark is a JPEG's comment, a PNG's text, or the software in a WebP's EXIF. A marked file is not treated as a photo,
unless it is the only file that the user names.
"""

import os
from typing import IO, Any

from PIL import Image

from edgeclf.errors import PhotoError
from edgeclf.files.hanging_disk import read_ends

OVERLAY_ENDING = "-cam.jpg"
OVERLAY_MARK = b"edgeclf heat map"
OVERLAY_KIND = "heat-map"  # ``kind`` of the PhotoError for an overlay among photos
_HEAD_BYTES, _TAIL_BYTES = 256, 512  # Pillow writes comments and text at the start, a WebP's EXIF at the end
_EXIF_SOFTWARE = 0x0131


def is_marked(data: bytes) -> bool:
    """Whether the bytes of a file are those of an overlay made by edgeclf."""
    return OVERLAY_MARK in data[:_HEAD_BYTES] or (data.startswith(b"RIFF") and OVERLAY_MARK in data[-_TAIL_BYTES:])


def is_overlay(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an overlay made by edgeclf, which may be replaced and is not classified."""
    try:
        return is_marked(read_ends(os.fspath(path), _HEAD_BYTES, _TAIL_BYTES))
    except PhotoError:
        return False


def not_a_photo(path: str) -> PhotoError:
    """The error for an overlay among photos; commands leave the file out and count it."""
    return PhotoError(
        OVERLAY_KIND, f"{path}: is a heat map of edgeclf, not a photo", "name it alone to classify it", path
    )


def marked(picture: Image.Image) -> Image.Image:
    """Mark a PIL image, in place: a JPEG that it is saved as has the mark."""
    picture.info["comment"] = OVERLAY_MARK
    return picture


def save_marked(picture: Image.Image, file: IO[bytes], suffix: str) -> None:
    """Write a PIL image with the mark, as PNG or WebP by its suffix, else as JPEG."""
    kind = {".png": "PNG", ".webp": "WEBP"}.get(suffix.lower(), "JPEG")
    extra: dict[str, Any] = {}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo  # imported only for PNG

        extra["pnginfo"] = PngInfo()
        extra["pnginfo"].add_text("Software", OVERLAY_MARK.decode())
    elif kind == "WEBP":
        exif = Image.Exif()
        exif[_EXIF_SOFTWARE] = OVERLAY_MARK.decode()
        extra["exif"] = exif.tobytes()
    marked(picture).save(file, kind, quality=90, **extra)
