"""How heat maps drawn on photos are told from photos: by a mark inside, whatever they are called.

The mark is a JPEG's comment, a PNG's text, or the software in a WebP's EXIF. A marked file is never taken for a photo,
unless it is named alone.
"""

import os
from typing import IO, Any

from edgeclf.errors import PhotoError
from edgeclf.reading import read_ends

OVERLAY_ENDING = "-cam.jpg"
OVERLAY_MARK = b"edgeclf heat map"
OVERLAY_KIND = "heat-map"  # of the PhotoError that a heat map among photos is
_HEAD, _TAIL = 256, 512  # bytes; Pillow writes comments and text at the start, a WebP's EXIF at the end
_EXIF_SOFTWARE = 0x0131


class FoundPath(str):
    """A path that was found in a folder or by a pattern, or named beside others: a heat map there is no photo."""

    __slots__ = ()


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


def save_marked(picture: Any, file: IO[bytes], suffix: str) -> None:
    """Write a PIL image with the mark: ``.png``, ``.webp``, else JPEG."""
    if suffix == ".png":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_text("Software", OVERLAY_MARK.decode())
        picture.save(file, "PNG", pnginfo=text)
    elif suffix == ".webp":
        exif = picture.getexif()
        exif[_EXIF_SOFTWARE] = OVERLAY_MARK.decode()
        picture.save(file, "WEBP", quality=90, exif=exif.tobytes())
    else:
        picture.save(file, "JPEG", quality=90, comment=OVERLAY_MARK)
