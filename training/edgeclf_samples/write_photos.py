"""Writes the drawn photos to class folders, and the boxes of their field marks to ``marks.json``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgeclf.files.atomic_write import write_atomically
from edgeclf.files.paths import PathLike
from PIL import Image

from edgeclf_samples.photos import draw_photo
from edgeclf_samples.species import ALL_SPECIES, SPECIES

SCHEMA_VERSION = 1
MARKS_FILE = "marks.json"
JPEG_QUALITY = 88
MIN_SIZE, MAX_SIZE = 64, 2048  # pixels, of the longer side


def write_sample_data(
    folder: PathLike,
    *,
    per_class: int = 100,
    size: int = 224,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> SampleData:
    """Draw photos of six penguin species into one folder per species, and write where each shows its field mark.

    A photo depends on `seed`, its species and its number only, not on how many are drawn. Needs no network.

    Args:
        folder: Where to write; made if it does not exist, otherwise it must be empty.
        per_class: Photos of each species, 1 or more.
        size: Longest side of a photo in pixels, 64 to 2048; the shorter one has 70 to 100 % of it.
        seed: 0 or above; another seed gives other photos.
        progress: Called after each photo with how many are written and how many there will be.

    Returns:
        What was written. The file `marks.json` holds, for each photo, its label, the field mark's name and, in whole
        pixels, the boxes of mark (`box`) and bird (`bird`): x0, y0, x1, y1, the last two outside the box.

    Raises:
        ValueError: An argument is out of its range, or `folder` is not an empty folder.
        OSError: Writing failed; what was written before stays.
    """
    folder = Path(folder)
    _check(folder, per_class, size, seed)
    folder.mkdir(parents=True, exist_ok=True)
    total = per_class * len(ALL_SPECIES)
    photos: dict[str, dict[str, Any]] = {}
    for species in ALL_SPECIES:
        (folder / species.name).mkdir()
        for index in range(1, per_class + 1):
            name = f"{species.name}/{species.name}_{index:04d}.jpg"
            photo = draw_photo(species, index, size, seed)
            picture = Image.fromarray(photo.pixels)
            write_atomically(folder / name, partial(picture.save, format="JPEG", quality=JPEG_QUALITY))
            photos[name] = {
                "label": species.name,
                "mark": species.mark,
                "box": list(photo.mark),
                "bird": list(photo.bird),
            }
            if progress is not None:
                progress(len(photos), total)
    marks = {"schema_version": SCHEMA_VERSION, "seed": seed, "size": size, "photos": photos}
    text = json.dumps(marks, indent=1)
    write_atomically(folder / MARKS_FILE, lambda file: file.write(f"{text}\n".encode()))
    return SampleData(folder, SPECIES, total, folder / MARKS_FILE)


@dataclass(frozen=True)
class SampleData:
    """What `write_sample_data` wrote.

    Attributes:
        folder: The data set's folder.
        classes: Names of the classes, which are its sub-folders, in alphabetical order.
        photos: Number of photos of all classes together.
        marks_file: The JSON file with the boxes of marks and birds.
    """

    folder: Path
    classes: tuple[str, ...]
    photos: int
    marks_file: Path


def _check(folder: Path, per_class: int, size: int, seed: int) -> None:
    if per_class < 1:
        raise ValueError(f"per_class is {per_class}, but each species needs a photo: give 1 or more")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size is {size} pixels, which cannot be drawn: give {MIN_SIZE} to {MAX_SIZE}")
    if seed < 0:
        raise ValueError(f"seed is {seed}, but seeds count from 0: give 0 or a larger number")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder: name a new or an empty folder")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"folder {folder} is not empty, and nothing in it may be overwritten: name a new or empty one")
