"""Findings about single photos and duplicates: unreadable, placeholder, odd format or size, the same photo twice."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf.images.heatmap_mark import OVERLAY_KIND

from edgeclf_training.dataset.duplicates import exact_groups, near_groups
from edgeclf_training.dataset.findings import Finding, Item, finding, item_per_path
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.dataset.scan import Scanned

_VERY_LARGE_RATIO = 10.0  # pixels, to those of the median photo
_VERY_SMALL_SIDE = 32  # pixels, of the shorter side
_ODD_ASPECT_RATIO = 2.5  # long side to short side
_MIXED_SHAPES_SHARE = 0.05  # of the photos: so many must be landscape, and so many portrait
_PLACEHOLDER_ENTROPY = 1.0  # bits, see ``Scanned.entropy``; photos have 1.4 or more
_PLACEHOLDER_COLOURS = 64  # of a palette image
_EXTENSIONS = {
    "JPEG": ".jpg .jpeg .jpe .jfif .mpo",
    "MPO": ".jpg .jpeg .mpo",
    "PNG": ".png",
    "GIF": ".gif",
    "BMP": ".bmp .dib",
    "DIB": ".bmp .dib",
    "TIFF": ".tif .tiff",
    "WEBP": ".webp",
    "AVIF": ".avif",
    "HEIF": ".heic .heif .hif",
    "JPEG2000": ".jp2",
    "PPM": ".ppm .pgm .pbm .pnm",
    "TGA": ".tga",
    "PCX": ".pcx",
}


@dataclass(frozen=True)
class CheckedPhoto:
    """A photo with the split whose folder it lies in and what its scan found."""

    sample: Sample
    split: str
    scanned: Scanned

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.sample.path


def photo_findings(photos: list[CheckedPhoto], quarantine: dict[Path, str]) -> Iterator[Finding]:
    """Findings about what single photos and groups of photos show, each kind once; kinds without a case have no items.

    Args:
        photos: all photos, also those that cannot be read.
        quarantine: gets the photos that are better left out, with the reason.
    """
    readable = [photo for photo in photos if not photo.scanned.kind]
    yield from _unreadable(photos, quarantine)
    yield from _placeholders(readable, quarantine)
    yield from _duplicates(readable, quarantine)
    yield from _formats(readable)


def _unreadable(photos: Iterable[CheckedPhoto], quarantine: dict[Path, str]) -> Iterator[Finding]:
    cases: dict[str, list[Item]] = defaultdict(list)
    for p in photos:
        s = p.scanned
        if not s.kind:
            continue
        if s.kind == OVERLAY_KIND:  # training leaves it out anyway
            cases[s.kind].append(Item((p.path,), ""))
            continue
        kind = "not-an-image" if s.kind == "not-an-image" else "unreadable"
        # The path is named by the item.
        reason = s.reason.removeprefix(f"{p.path}: ") + (
            f" (content looks like {s.format})" if s.format and kind != "unreadable" else ""
        )
        cases[kind].append(Item((p.path,), reason))
        quarantine[p.path] = reason
    yield finding("unreadable", "problem", "damaged or unreadable photos", cases["unreadable"])
    yield finding("not-an-image", "problem", "image extension, but not an image", cases["not-an-image"])
    yield finding(OVERLAY_KIND, "note", "heat maps made by edgeclf, not photos", cases[OVERLAY_KIND])


def _placeholders(photos: Iterable[CheckedPhoto], quarantine: dict[Path, str]) -> Iterator[Finding]:
    items = []
    for p in photos:
        s = p.scanned
        few_colours = s.mode in ("1", "P") and s.colours <= _PLACEHOLDER_COLOURS
        if s.entropy < _PLACEHOLDER_ENTROPY or few_colours:
            what = "nearly one colour" if s.entropy < _PLACEHOLDER_ENTROPY else "very few colours"
            reason = f"probably a placeholder: {what} ({s.colours} colours, {s.format})"
            items.append(Item((p.path,), reason))
            quarantine.setdefault(p.path, reason)
    yield finding("placeholder", "problem", "probably placeholders, not photos", items)


def _duplicates(photos: list[CheckedPhoto], quarantine: dict[Path, str]) -> Iterator[Finding]:
    scans = [p.scanned for p in photos]
    exact = _grouped(photos, exact_groups(scans).tolist())
    near = _grouped(photos, near_groups(scans).tolist())
    conflicting = [g for g in exact if _labels(g) > 1]
    for group in conflicting:
        for p in group:
            quarantine.setdefault(p.path, "same photo in more than one class")
    for group in exact:
        # Of the copies one in test is kept, else one in val.
        first, *copies = sorted(group, key=lambda p: (SPLITS[::-1].index(p.split), p.path))
        for p in copies:
            quarantine.setdefault(p.path, f"same photo as {first.path}")
    only_near = [g for g in near if len({p.scanned.pixels for p in g}) > 1]
    for kind, severity, what, groups in (
        ("label-conflicts", "problem", "the same photo in more than one class", conflicting),
        ("exact-duplicates", "problem", "the same photo more than once", [g for g in exact if _labels(g) == 1]),
        (
            "split-leaks",
            "problem",
            "the same or nearly the same photo in more than one split",
            [g for g in near if len({p.split for p in g}) > 1],
        ),
        (
            "near-label-conflicts",
            "problem",
            "nearly the same photo in more than one class",
            [g for g in only_near if _labels(g) > 1],
        ),
        ("near-duplicates", "note", "nearly the same photo (training keeps each group in one split)", only_near),
    ):
        yield finding(kind, severity, what, [Item(tuple(p.path for p in g)) for g in groups])


def _formats(photos: Iterable[CheckedPhoto]) -> Iterator[Finding]:
    cases: dict[str, list[Item]] = defaultdict(list)
    for p in photos:
        s = p.scanned
        extension = p.path.suffix.lower()
        if extension not in _EXTENSIONS.get(s.format, extension).split():
            cases["wrong-suffix"].append(Item((p.path,), f"is {s.format}"))
        if s.frames > 1 and s.format != "MPO":
            cases["animated"].append(Item((p.path,), f"{s.format}, {s.frames} frames"))
        if s.depth:
            cases["deep-grey"].append(Item((p.path,), f"{s.format}, {s.depth}"))
        if s.mode not in ("RGB", "L"):
            cases["colour-modes"].append(Item((p.path,), f"{s.format}, mode {s.mode}"))
    yield finding("wrong-suffix", "note", "files whose extension does not match their format", cases["wrong-suffix"])
    yield finding("animated", "note", "files with several frames or pages (edgeclf uses the first)", cases["animated"])
    yield finding(
        "deep-grey", "note", "grey photos of 16 bits or more that use only part of the value range", cases["deep-grey"]
    )
    yield finding(
        "colour-modes",
        "note",
        "palette, transparent, CMYK or 16-bit photos (edgeclf converts them to RGB)",
        cases["colour-modes"],
    )


def shape_findings(photos: list[CheckedPhoto]) -> Iterator[Finding]:
    """Findings about the size, shape and EXIF orientation of photos that can be read."""
    if not photos:
        return
    rotated = [p for p in photos if p.scanned.orientation != 1]
    portrait = sum(p.scanned.height > p.scanned.width for p in photos)
    landscape = sum(p.scanned.width > p.scanned.height for p in photos)
    mix = [Item((), f"{landscape} landscape, {portrait} portrait, {len(photos) - landscape - portrait} square")]
    yield finding(
        "orientation",
        "note",
        "photos with an EXIF orientation (edgeclf turns them upright)",
        item_per_path(p.path for p in rotated),
    )
    yield finding(
        "mixed-shapes",
        "note",
        "landscape and portrait photos mixed",
        mix if min(landscape, portrait) > _MIXED_SHAPES_SHARE * len(photos) else [],
    )
    median = statistics.median(p.scanned.width * p.scanned.height for p in photos)
    cases: dict[str, list[Item]] = defaultdict(list)
    for p in photos:
        width, height = p.scanned.width, p.scanned.height
        item = Item((p.path,), f"{width} x {height}")
        if width * height > _VERY_LARGE_RATIO * median:
            cases["very-large"].append(item)
        if min(width, height) < _VERY_SMALL_SIDE:
            cases["very-small"].append(item)
        if max(width, height) >= _ODD_ASPECT_RATIO * min(width, height):
            cases["odd-shape"].append(item)
    yield finding(
        "very-large",
        "note",
        f"more than {_VERY_LARGE_RATIO:.0f} times as many pixels as the median photo",
        cases["very-large"],
    )
    yield finding("very-small", "note", f"shorter side below {_VERY_SMALL_SIDE} pixels", cases["very-small"])
    yield finding(
        "odd-shape", "note", f"long side at least {_ODD_ASPECT_RATIO} times the short side", cases["odd-shape"]
    )


def _grouped(photos: list[CheckedPhoto], groups: list[int]) -> list[list[CheckedPhoto]]:
    members: dict[int, list[CheckedPhoto]] = defaultdict(list)
    for photo, group in zip(photos, groups, strict=True):
        members[group].append(photo)
    return [group for group in members.values() if len(group) > 1]


def _labels(group: Iterable[CheckedPhoto]) -> int:
    return len({p.sample.label for p in group})
