"""Photos of earlier runs, found again by their content: name, class and folder may have changed since."""

import base64
import dataclasses
import json
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from edgeclf.errors import DataError
from edgeclf.files.atomic_write import write_atomically
from numpy.typing import NDArray

from edgeclf_training.dataset.duplicates import near_groups
from edgeclf_training.dataset.rotated_copies import rotated_pairs
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.dataset.scan import Scanned

# Fields of a scan that do not identify the photo.
_NOT_KEPT = {"kind", "reason", "format", "mode", "frames", "orientation", "entropy", "colours", "depth"}


@dataclass(frozen=True)
class KnownPhoto:
    """A photo that this run, or a run before it, has used.

    Attributes:
        part: "train" if any of these runs trained on it, else "val" or "test": what the last of them used it for.
        label: its class when it was last used.
        name: its file name then.
        size: of its file then, bytes.
        scan: its content; None if a version without known.jsonl used it and the file has moved since.
        group: the rule of ``--group-by`` and the name of its group then; "" if it was in none.
    """

    part: str
    label: str
    name: str
    size: int
    scan: Scanned | None = None
    group: str = ""


def as_known(part: str, sample: Sample, scan: Scanned | None, group: str = "") -> KnownPhoto:
    """The ``KnownPhoto`` of a photo that this run uses for ``part``."""
    return KnownPhoto(part, sample.label, sample.path.name, sample.size, scan, group)


def find_known(
    samples: Sequence[Sample], scans: Sequence[Scanned], known: Iterable[KnownPhoto]
) -> list[KnownPhoto | None]:
    """Find each photo among those of earlier runs.

    Two photos are the same if their bytes or their pixels are equal. A known photo without ``scan`` is compared by file
    name and size. Its size alone is enough if only one known photo and only one photo here have it: so renamed photos
    are found. If several known photos match, one that a run trained on is returned.

    Args:
        samples: the photos.
        scans: of the photos, in the same order.
        known: photos of earlier runs.

    Returns:
        For each photo the known photo that it is, or None.
    """
    known = tuple(known)
    unique_sizes = {size for size, count in Counter(sample.size for sample in samples).items() if count == 1}
    unique_sizes &= {
        size for size, count in Counter(photo.size for photo in known if not photo.scan).items() if count == 1
    }
    index: dict[Hashable, KnownPhoto] = {}
    for photo in known:
        content = photo.scan and (photo.scan.sha256, photo.scan.pixels)
        for key in content or (name_key(photo.name, photo.size), *({photo.size} & unique_sizes)):
            if key not in index or photo.part == "train":
                index[key] = photo
    found: list[KnownPhoto | None] = []
    for sample, scan in zip(samples, scans, strict=True):
        keys = (scan.sha256, scan.pixels, name_key(sample.path.name, sample.size), sample.size)
        hits = (index[key] for key in keys if key in index)
        found.append(min(hits, key=lambda photo: photo.part != "train", default=None))
    return found


def near_duplicates_of_known(
    scans: Sequence[Scanned], known: Iterable[KnownPhoto]
) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Group photos and known photos that are nearly the same. The files of known photos may be gone.

    Args:
        scans: of the photos.
        known: photos of earlier runs; those without ``scan`` are not compared.

    Returns:
        The group number of each photo, int64 ``[N]``; and what earlier runs used a group for, if it holds a known photo
        or a rotated or mirrored copy of one: "train" if a run trained on any of them.
    """
    here = {scan.sha256: scan for scan in scans}
    length = len(scans[0].thumb) if scans else 0  # other versions may have kept thumbnails of another size
    past = [(k.part, here.get(k.scan.sha256, k.scan)) for k in known if k.scan and len(k.scan.thumb) == length]
    groups = near_groups([*scans, *(scan for _, scan in past)])
    parts: dict[int, str] = {}
    for (part, _), group in zip(past, groups[len(scans) :].tolist(), strict=True):
        if part == "train" or group not in parts:
            parts[group] = part
    ours = groups[: len(scans)]
    new = [index for index, group in enumerate(ours.tolist()) if parts.get(group) != "train"]
    rotated = rotated_pairs(_thumbs([scans[index] for index in new]), _thumbs([scan for _, scan in past]))
    for (part, _), group in ((past[j], int(ours[new[i]])) for i, j in rotated):
        if part == "train" or group not in parts:
            parts[group] = part
    return ours, parts


def _thumbs(scans: Sequence[Scanned]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(scan.thumb for scan in scans), np.uint8).reshape(len(scans), -1 if scans else 0)


def merge_known(earlier: Iterable[KnownPhoto], now: Iterable[KnownPhoto]) -> tuple[KnownPhoto, ...]:
    """All known photos after a run. A photo that any run trained on stays "train"; else the later use counts."""
    photos: dict[Hashable, KnownPhoto] = {}
    for photo in (*earlier, *now):
        key = photo.scan.sha256 if photo.scan else name_key(photo.name, photo.size)
        before = photos.get(key)
        if before:
            part = "train" if before.part == "train" else photo.part
            photo = dataclasses.replace(photo, part=part, group=photo.group or before.group)
        photos[key] = photo
    return tuple(photos.values())


def write_known(photos: Sequence[KnownPhoto], path: Path) -> None:
    """Write one JSON object per line, bytes as base64."""

    def write(file: IO[bytes]) -> None:
        for photo in photos:
            scan = {k: v for k, v in vars(photo.scan).items() if k not in _NOT_KEPT} if photo.scan else None
            row = {**vars(photo), "scan": scan}
            file.write(json.dumps(row, default=lambda data: base64.b64encode(data).decode()).encode() + b"\n")

    write_atomically(path, write)


def read_known(path: Path) -> tuple[KnownPhoto, ...]:
    """Read what ``write_known`` wrote. Fields that a later version added are ignored.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is damaged.
    """
    empty = Scanned()
    try:
        with path.open("rb") as file:
            return tuple(_photo(json.loads(line), empty) for line in file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read ({error})", "restore it from a backup of this run") from error


def _photo(row: dict[str, Any], empty: Scanned) -> KnownPhoto:
    scan: dict[str, Any] | None = row["scan"]
    if scan is not None:
        scan = {k: v for k, v in scan.items() if hasattr(empty, k)}
        scan |= {k: base64.b64decode(v) for k, v in scan.items() if isinstance(getattr(empty, k), bytes)}
    seen = Scanned(**scan) if scan else None
    return KnownPhoto(row["part"], row["label"], row["name"], row["size"], seen, row.get("group", ""))


def name_key(name: str, size: int) -> Hashable:
    """Name, in one Unicode form, and size: files whose content is not known are the same if this key is equal."""
    return unicodedata.normalize("NFC", name), size
