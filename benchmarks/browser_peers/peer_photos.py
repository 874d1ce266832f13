"""The photos: small ones as they are, and 12 megapixels, baseline and progressive."""

import io
from dataclasses import dataclass
from pathlib import Path

from photos import real_photos
from PIL import Image

TIMED = 20  # small photos
LARGE = 5  # of each coding


@dataclass(frozen=True)
class PeerPhotos:
    """JPEGs without a rotation in their EXIF, which Python's transformers does not obey.

    Attributes:
        small: of about 500 pixels.
        large: 12 megapixels, baseline.
        progressive: the same, progressive.
    """

    small: list[bytes]
    large: list[bytes]
    progressive: list[bytes]


def peer_photos(data: Path, count: int) -> PeerPhotos:
    """So many small photos, and the first of them enlarged."""
    small = [data for path in real_photos(data, 4 * count) if (data := _upright(path)) is not None][:count]
    large = [Image.open(io.BytesIO(one)).convert("RGB").resize((4000, 3000)) for one in small[:LARGE]]
    return PeerPhotos(small, [_jpeg(one) for one in large], [_jpeg(one, progressive=True) for one in large])


def _upright(path: Path) -> bytes | None:
    with Image.open(path) as image:
        fits = image.mode == "RGB" and 300 <= max(image.size) <= 800 and image.getexif().get(0x112, 1) == 1
    return path.read_bytes() if fits else None


def _jpeg(image: Image.Image, progressive: bool = False) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, progressive=progressive)
    return file.getvalue()
