"""How heat maps drawn on photos are told from photos: by a mark inside, whatever they are called.

The mark is a JPEG's comment, a PNG's text, or the software in a WebP's EXIF. A marked file is never taken for a photo,
unless it is named alone.
"""

import os
from typing import IO, Any

from PIL import Image

from edgeclf.errors import PhotoError
from edgeclf.files.timed_io import read_ends

OVERLAY_ENDING = "-cam.jpg"
OVERLAY_MARK = b"edgeclf heat map"
OVERLAY_KIND = "heat-map"  # of the PhotoError that a heat map among photos is
_HEAD, _TAIL = 256, 512  # bytes; Pillow writes comments and text at the start, a WebP's EXIF at the end
_EXIF_SOFTWARE = 0x0131


def is_marked(data: bytes) -> bool:
    """Whether the bytes of a file are those of a heat map of ours."""
    return OVERLAY_MARK in data[:_HEAD] or (data.startswith(b"RIFF") and OVERLAY_MARK in data[-_TAIL:])


def is_overlay(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a heat map of ours drawn on a photo, which may be replaced and need not be classified."""
    try:
        return is_marked(read_ends(os.fspath(path), _HEAD, _TAIL))
    except PhotoError:
        return False


def not_a_photo(path: str) -> PhotoError:
    """The error that a heat map among photos is; commands leave it out and count it."""
    return PhotoError(
        OVERLAY_KIND, f"{path}: is a heat map of edgeclf, not a photo", "name it alone to classify it", path
    )


def marked(picture: Image.Image) -> Image.Image:
    """A PIL image that carries the mark into the JPEG it is saved as; it is changed in place."""
    picture.info["comment"] = OVERLAY_MARK
    return picture


def save_marked(picture: Image.Image, file: IO[bytes], suffix: str) -> None:
    """Write a PIL image with the mark: ``.png``, ``.webp``, else JPEG."""
    kind = {".png": "PNG", ".webp": "WEBP"}.get(suffix.lower(), "JPEG")
    extra: dict[str, Any] = {}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo  # only now: photos that are JPEGs do without

        extra["pnginfo"] = PngInfo()
        extra["pnginfo"].add_text("Software", OVERLAY_MARK.decode())
    elif kind == "WEBP":
        exif = Image.Exif()
        exif[_EXIF_SOFTWARE] = OVERLAY_MARK.decode()
        extra["exif"] = exif.tobytes()
    marked(picture).save(file, kind, quality=90, **extra)
