"""Knowing a photo again by what is in it, whatever it is called, whatever class it is in and wherever it lies."""

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
from edgeclf_training.dataset.rotated_copies import turned_pairs
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.dataset.scan import Scanned

# What tells nothing about the picture, or only why there is none.
_NOT_KEPT = {"kind", "reason", "format", "mode", "frames", "orientation", "entropy", "colours", "depth"}


@dataclass(frozen=True)
class Known:
    """A photo that a run has used, or a run that one went on from.

    Attributes:
        part: "train" if any of these runs trained on it, else what the last of them used it for: "val" or "test".
        label, name, size: its class, its file's name and bytes when it was last used.
        scan: its content; None if an older version used it and it is no longer where that run found it.
    """

    part: str
    label: str
    name: str
    size: int
    scan: Scanned | None = None


def known_as(part: str, sample: Sample, scan: Scanned | None) -> Known:
    """What is to be remembered of a photo that is used for ``part``."""
    return Known(part, sample.label, sample.path.name, sample.size, scan)


def recognise(samples: Sequence[Sample], scans: Sequence[Scanned], known: Iterable[Known]) -> list[Known | None]:
    """What is known of each photo: of the same bytes or pixels, or, where content was not kept, of its name and size.

    There a size counts alone, too, if it is that of one known photo and one photo here: renamed ones are found so. Of
    several answers the one that says "trained on" counts.
    """
    known = tuple(known)
    once = {size for size, count in Counter(sample.size for sample in samples).items() if count == 1}
    once &= {size for size, count in Counter(photo.size for photo in known if not photo.scan).items() if count == 1}
    index: dict[Hashable, Known] = {}
    for photo in known:
        content = photo.scan and (photo.scan.sha256, photo.scan.pixels)
        for key in content or (name_key(photo.name, photo.size), *({photo.size} & once)):
            if key not in index or photo.part == "train":
                index[key] = photo
    found: list[Known | None] = []
    for sample, scan in zip(samples, scans, strict=True):
        keys = (scan.sha256, scan.pixels, name_key(sample.path.name, sample.size), sample.size)
        hits = (index[key] for key in keys if key in index)
        found.append(min(hits, key=lambda photo: photo.part != "train", default=None))
    return found


def near_known(scans: Sequence[Scanned], known: Iterable[Known]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Groups of near-duplicates among photos and known ones, which need not be there any more.

    Returns:
        For each photo its group, int64 ``[N]``; and for groups with a known photo, or one that is such a photo turned
        or mirrored, what that was used for: "train" if any was trained on.
    """
    here = {scan.sha256: scan for scan in scans}
    like = len(scans[0].thumb) if scans else 0  # another version may have kept another size: not to be compared
    past = [(k.part, here.get(k.scan.sha256, k.scan)) for k in known if k.scan and len(k.scan.thumb) == like]
    groups = near_groups([*scans, *(scan for _, scan in past)])
    parts: dict[int, str] = {}
    for (part, _), group in zip(past, groups[len(scans) :].tolist(), strict=True):
        if part == "train" or group not in parts:
            parts[group] = part
    ours = groups[: len(scans)]
    new = [index for index, group in enumerate(ours.tolist()) if parts.get(group) != "train"]
    turned = turned_pairs(_thumbs([scans[index] for index in new]), _thumbs([scan for _, scan in past]))
    for (part, _), group in ((past[j], int(ours[new[i]])) for i, j in turned):
        if part == "train" or group not in parts:
            parts[group] = part
    return ours, parts


def _thumbs(scans: Sequence[Scanned]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(scan.thumb for scan in scans), np.uint8).reshape(len(scans), -1 if scans else 0)


def merged(earlier: Iterable[Known], now: Iterable[Known]) -> tuple[Known, ...]:
    """All that is known after a run: what was once trained on stays so, else the later use counts."""
    photos: dict[Hashable, Known] = {}
    for photo in (*earlier, *now):
        key = photo.scan.sha256 if photo.scan else name_key(photo.name, photo.size)
        before = photos.get(key)
        photos[key] = dataclasses.replace(photo, part="train") if before and before.part == "train" else photo
    return tuple(photos.values())


def write_known(photos: Sequence[Known], path: Path) -> None:
    """Write one JSON object a line."""

    def write(file: IO[bytes]) -> None:
        for photo in photos:
            scan = {k: v for k, v in vars(photo.scan).items() if k not in _NOT_KEPT} if photo.scan else None
            row = {**vars(photo), "scan": scan}
            file.write(json.dumps(row, default=lambda data: base64.b64encode(data).decode()).encode() + b"\n")

    write_atomically(path, write)


def read_known(path: Path) -> tuple[Known, ...]:
    """Read what ``write_known`` wrote; what a later version added is passed over.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is damaged.
    """
    plain = Scanned()
    try:
        with path.open("rb") as file:
            return tuple(_photo(json.loads(line), plain) for line in file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read ({error})", "copy it from a whole copy of this run") from error


def _photo(row: dict[str, Any], plain: Scanned) -> Known:
    scan: dict[str, Any] | None = row["scan"]
    if scan is not None:
        scan = {k: v for k, v in scan.items() if hasattr(plain, k)}
        scan |= {k: base64.b64decode(v) for k, v in scan.items() if isinstance(getattr(plain, k), bytes)}
    return Known(row["part"], row["label"], row["name"], row["size"], Scanned(**scan) if scan else None)


def name_key(name: str, size: int) -> Hashable:
    """What two files must share to be taken for one where content is not known; not how a disk spells accents."""
    return unicodedata.normalize("NFC", name), size
