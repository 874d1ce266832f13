"""Small copies of a few held-out photos in the run folder: an export can be checked without the original photos."""

import io
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from edgeclf.errors import PhotoError
from edgeclf.files.atomic_write import write_atomically
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import Photo, upright_rgb
from edgeclf.images.resize import resized
from PIL import Image

from edgeclf_training.dataset.samples import Sample, choose_evenly

MOST = 32  # photos
FOLDER = "kept"
_LIST = "kept.txt"
_QUALITY, _SHAPE = 90, 2.0  # JPEG quality, 1..95; maximum aspect ratio (long side / short side)


def keep_photos(samples: Sequence[Sample], contract: ImageContract, run: Path, seed: int) -> None:
    """Write at most ``MOST`` of the photos, spread over the classes, as small JPEGs without metadata.

    Args:
        samples: held-out photos; unreadable ones are skipped.
        contract: sets the size of the copies.
        run: the run folder; gets ``kept/000.jpg``, ... and a list of their classes.
        seed: of the random choice.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    lines = []
    for number, sample in enumerate(choose_evenly(samples, MOST, seed)):
        try:
            jpeg = small_jpeg(sample.path, math.ceil(contract.size / contract.crop_fraction), _QUALITY)
        except PhotoError:
            continue
        name = f"{number:03}.jpg"
        write_atomically(folder / name, partial(_write, jpeg))
        lines.append(f"{sample.label}\t{len(jpeg)}\t{name}\n")
    write_atomically(folder / _LIST, partial(_write, "".join(lines).encode("utf-8", "surrogateescape")))


def small_jpeg(photo: Photo, side: int, quality: int) -> bytes:
    """A photo as a small JPEG, upright and without metadata: no EXIF, GPS position, comment or colour profile.

    Args:
        photo: any input of the preprocessing. A panorama is cropped to its centre.
        side: the short side, pixels, unless the photo is smaller.
        quality: of the JPEG, 1..95.

    Raises:
        PhotoError: it cannot be read.
    """
    image = upright_rgb(photo, ImageContract(side))
    short = min(image.size)
    width, height = (min(length, int(_SHAPE * short)) for length in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    scale = min(1.0, side / short)
    size = (round(width * scale), round(height * scale))
    small = resized(image, size, (left, top, left + width, top + height))
    file = io.BytesIO()
    # Through an array: Pillow would write the comments and XMP data of the image into the new file.
    Image.fromarray(np.asarray(small)).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def kept_photos(run: Path) -> list[Sample]:
    """The photos that ``keep_photos`` wrote and that still exist; empty for a run of an older version."""
    try:
        text = (run / FOLDER / _LIST).read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return []
    rows = [line.split("\t") for line in text.split("\n")]
    samples = [Sample(run / FOLDER / row[2], row[0], int(row[1])) for row in rows if len(row) == 3 and row[1].isdigit()]
    return [sample for sample in samples if sample.path.is_file()]


def _write(data: bytes, file: IO[bytes]) -> None:
    file.write(data)
