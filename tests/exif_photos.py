"""Photos with EXIF, as Pillow writes it into files of each format."""

import io
from dataclasses import asdict
from typing import Any

from edgeclf.images.photo_facts import PhotoFacts
from helpers import draw
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

TAKEN, OFFSET, FRACTION, SERIAL = 0x9003, 0x9011, 0x9291, 0xA431
SOUTH = {1: "S", 2: (54.0, 30.0, 36.0), 3: "W", 4: (36.0, 45.0, IFDRational(9, 2))}
WHOLE = {TAKEN: "2026:11:27 03:26:04", OFFSET: "-03:00", FRACTION: "25", SERIAL: "H77"}
TOLD = {
    "taken": "2026-11-27T03:26:04.250-03:00",
    "camera": "Canon EOS R7 (H77)",
    "latitude": -54.51,
    "longitude": -36.75125,
}


def told(facts: PhotoFacts) -> dict[str, Any]:
    """What facts say, by the keys of records."""
    return {key: value for key, value in asdict(facts).items() if value is not None and key != "serial"}


def profiles(size: int) -> bytes:
    """Segments of a JPEG of so many bytes in all, at least 4, that say nothing: a colour profile may stand so."""
    most, parts = 65537, []
    while size:
        length = size if size <= most else min(most, size - 4)
        parts.append(b"\xff\xe2" + (length - 2).to_bytes(2, "big") + bytes(length - 4))
        size -= length
    return b"".join(parts)


def with_exif(
    exif: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
    *,
    make: str = "Canon",
    model: str = "Canon EOS R7",
    order: str = "<",
    form: str = "JPEG",
    photo: Image.Image | None = None,
) -> bytes:
    """The file of a photo.

    Args:
        exif, gps: tag -> value, in the directories of these names.
        make, model: of the camera; empty: no such tag.
        order: "<" or ">", of the bytes of numbers.
        form: of the file, by Pillow's name.
        photo: a small drawn one if None.
    """
    found = Image.Exif()
    found.endian = order
    for tag, text in ((0x010F, make), (0x0110, model)):
        if text:
            found[tag] = text
    found.get_ifd(0x8769).update(exif or {})
    found.get_ifd(0x8825).update(gps or {})
    buffer = io.BytesIO()
    (photo or draw(1)).save(buffer, form, exif=found.tobytes())
    return buffer.getvalue()
