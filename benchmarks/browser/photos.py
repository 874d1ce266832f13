"""The photos of the comparison: real ones, as they are and in the formats and sizes of the table."""

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

FOLDERS = ("hymenoptera", "penguins18", "flowers", "food5")  # under the data folder
_TWELVE_MEGAPIXELS = (4000, 3000)
_QUALITY = (60, 80, 95)  # of WebP


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    Attributes:
        name: of the row.
        share: of the photos that are made so: one in so many.
        make: the bytes of photo `number`, of its file; None if this installation cannot write them.
    """

    name: str
    share: int
    make: Callable[[int, Path], bytes | None]


def real_photos(data: Path, count: int) -> list[Path]:
    """So many photos of the folders, all large ones first: those of flowers and food are small."""
    found: list[Path] = []
    for folder in FOLDERS:
        paths = [path for path in sorted((data / folder).rglob("*.jp*g")) if path.is_file()]
        random.Random(folder).shuffle(paths)  # noqa: S311
        found += paths[: max(0, count - len(found))] if folder != "flowers" else paths[: (count - len(found)) // 2]
    return found


def _as_it_is(_: int, path: Path) -> bytes:
    return path.read_bytes()


def _large_jpeg(number: int, path: Path) -> bytes:
    """12 megapixels, of the codings that cameras and programs use, and each way to hold the camera."""
    image = _opened(path)
    size = _TWELVE_MEGAPIXELS if image.width >= image.height else _TWELVE_MEGAPIXELS[::-1]
    exif = Image.Exif()
    exif[0x112] = 1 + number % 8
    options: dict[str, Any] = {"quality": (75, 85, 92, 97)[number % 4], "subsampling": (2, 1, 0)[number // 4 % 3]}
    return _saved(image.resize(size), "JPEG", exif=exif, progressive=number % 5 == 4, **options)


def _png(number: int, path: Path) -> bytes:
    image = _opened(path)
    return _saved((image, image.convert("L"), image.quantize(256))[number % 8 if number % 8 < 3 else 0], "PNG")


def _transparent(number: int, path: Path, kind: str, **options: Any) -> bytes:
    image = _opened(path)
    image.putalpha(image.convert("L").rotate(90 * (number % 4)).resize(image.size))
    return _saved(image, kind, **options)


def _heic(_: int, path: Path) -> bytes | None:
    try:
        import pillow_heif
    except ModuleNotFoundError:
        return None
    file = io.BytesIO()
    pillow_heif.from_pillow(_opened(path)).save(file, quality=85)
    return file.getvalue()


KINDS = (
    Kind("JPEG, small", 1, _as_it_is),
    Kind("JPEG, 12 megapixels", 5, _large_jpeg),
    Kind("PNG", 2, _png),
    Kind("PNG, transparent", 5, lambda number, path: _transparent(number, path, "PNG")),
    Kind("WebP, lossless", 5, lambda _, path: _saved(_opened(path), "WEBP", lossless=True)),
    Kind("WebP", 2, lambda number, path: _saved(_opened(path), "WEBP", quality=_QUALITY[number % 3])),
    Kind("WebP, transparent", 5, lambda number, path: _transparent(number, path, "WEBP", quality=_QUALITY[number % 3])),
    Kind("AVIF", 5, lambda _, path: _saved(_opened(path), "AVIF", quality=75, speed=9)),
    Kind("HEIC", 20, _heic),
)


def files(kind: Kind, photos: list[Path]) -> Iterator[bytes]:
    """The files of a row; none if this installation cannot write them."""
    for number, path in enumerate(photos[:: kind.share]):
        data = kind.make(number, path)
        if data is None:
            return
        yield data


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
