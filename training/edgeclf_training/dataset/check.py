"""What is wrong, odd or worth knowing about data folders, before anyone trains on them. Photos are only ever read."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeclf.class_names import natural
from edgeclf.evaluation.class_folders import SPLITS
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.images.overlay_mark import OVERLAY_KIND

from edgeclf_training.dataset.class_sizes import held_out, uneven
from edgeclf_training.dataset.duplicates import exact_groups, near_groups
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.portable_names import odd_names
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.dataset.scan import Scanned, scan

HUGE, TINY_SIDE, LONG = 10.0, 32, 2.5  # times the median pixels; pixels; long side to short
_PLAIN_BITS, _TINY_PALETTE = 1.0, 64
_SUFFIXES = {
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

Severity = Literal["problem", "note"]


@dataclass(frozen=True)
class Item:
    """One case of a finding: the files it is about, and what there is to say."""

    paths: tuple[Path, ...]
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """Cases of one kind.

    Attributes:
        kind: a stable key, such as "damaged" or "exact-duplicates".
        severity: a "problem" is worth doing something about; a "note" is worth knowing.
        what: for people.
        items: never empty.
    """

    kind: str
    severity: Severity
    what: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        photos, readable: counts.
        classes: photos by class and part ("train", "val", "test").
        findings: problems first.
        quarantine: photos that are better left out, and why.
    """

    photos: int
    readable: int
    classes: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]
    quarantine: Mapping[Path, str]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings worth doing something about."""
        return tuple(f for f in self.findings if f.severity == "problem")


@dataclass(frozen=True)
class _Photo:
    sample: Sample
    part: str
    scanned: Scanned

    @property
    def path(self) -> Path:
        return self.sample.path


def check_data(roots: PathLike | Sequence[PathLike], progress: Callable[[int, int], None] | None = None) -> Report:
    """Look at every file under data folders.

    Args:
        roots: see ``find_photos``; zips go through ``open_data`` first.
        progress: called with (photos looked at, photos in all).

    Raises:
        DataError: see ``find_photos``.
    """
    roots = as_paths(roots)
    found = find_photos(roots, checking=True)
    scans = scan([s.path for part in SPLITS for s in found.parts[part]], None, progress)
    photos = [_Photo(s, part, scans[s.path]) for part in SPLITS for s in sorted(found.parts[part])]
    good = [p for p in photos if not p.scanned.kind]
    counts = Counter((p.sample.label, p.part) for p in photos)
    classes = {label: {part: counts[label, part] for part in SPLITS} for label in sorted(found.classes, key=natural)}
    trained = Counter(p.sample.label for p in good if p.part == "train")
    quarantine: dict[Path, str] = {}
    findings = [
        *_unreadable(photos, quarantine),
        *_placeholders(good, quarantine),
        *_duplicates(good, quarantine),
        *_formats(good),
        _finding("other-files", "note", "files that training ignores (not called like images)", _each(found.others)),
        _finding("loose", "problem", "photos in no class folder (training leaves them out)", _each(found.loose)),
        _finding(
            "empty-classes",
            "problem",
            "class folders without photos",
            [Item((), name) for name in sorted(found.empty, key=natural)],
        ),
        _finding("unsorted", "note", "folders nobody has sorted yet (training leaves them out)", _each(found.unsorted)),
        _finding(
            "classes-alike",
            "problem",
            "class folders that cannot be told apart everywhere (training refuses them)",
            _items((paths, "") for paths in found.alike),
        ),
        _finding(
            "class-called-unknown",
            "problem",
            "class folders called like the answer to a photo of no class (training refuses them)",
            _each(found.refusals),
        ),
        _finding("mixed-class", "problem", "folders that may be several classes put together", _each(found.mixed)),
        _finding("layout", "note", "how the folders were read", [Item((), note) for note in found.notes]),
        *(
            _finding(kind, severity, what, [Item((), case) for case in cases])
            for kind, severity, what, cases in (*uneven(trained), *held_out(found, scans, trained))
        ),
        *_shapes(good),
        *(
            _finding(kind, "problem", what, _items(cases))
            for kind, what, cases in odd_names(roots, _all(photos, found.others))
        ),
    ]
    present = [f for f in findings if f.items]
    return Report(
        len(photos), len(good), classes, tuple(sorted(present, key=lambda f: f.severity != "problem")), quarantine
    )


def _unreadable(photos: Iterable[_Photo], quarantine: dict[Path, str]) -> Iterable[Finding]:
    cases: dict[str, list[Item]] = defaultdict(list)
    for p in photos:
        s = p.scanned
        if not s.kind:
            continue
        if s.kind == OVERLAY_KIND:  # left out by training anyway
            cases[s.kind].append(Item((p.path,), ""))
            continue
        kind = "not-an-image" if s.kind == "not-an-image" else "unreadable"
        # The path is said already.
        reason = s.reason.removeprefix(f"{p.path}: ") + (
            f" (looks like {s.format})" if s.format and kind != "unreadable" else ""
        )
        cases[kind].append(Item((p.path,), reason))
        quarantine[p.path] = reason
    yield _finding("unreadable", "problem", "damaged or unreadable photos", cases["unreadable"])
    yield _finding("not-an-image", "problem", "files called like images that are none", cases["not-an-image"])
    yield _finding(OVERLAY_KIND, "note", "heat maps made by edgeclf, which are no photos", cases[OVERLAY_KIND])


def _placeholders(photos: Iterable[_Photo], quarantine: dict[Path, str]) -> Iterable[Finding]:
    items = []
    for p in photos:
        s = p.scanned
        tiny = s.mode in ("1", "P") and s.colours <= _TINY_PALETTE
        if s.entropy < _PLAIN_BITS or tiny:
            what = "nearly one colour" if s.entropy < _PLAIN_BITS else "hardly any colours"
            reason = f"suspected placeholder: {what} ({s.colours} colours, {s.format})"
            items.append(Item((p.path,), reason))
            quarantine.setdefault(p.path, reason)
    yield _finding("placeholder", "problem", "suspicious: look like placeholders, not photos", items)


def _duplicates(photos: list[_Photo], quarantine: dict[Path, str]) -> Iterable[Finding]:
    scans = [p.scanned for p in photos]
    exact = _grouped(photos, exact_groups(scans).tolist())
    near = _grouped(photos, near_groups(scans).tolist())
    torn = [g for g in exact if _labels(g) > 1]
    for group in torn:
        for p in group:
            quarantine.setdefault(p.path, "same photo under more than one class")
    for group in exact:
        first, *copies = sorted(group, key=lambda p: (SPLITS[::-1].index(p.part), p.path))  # test keeps its own
        for p in copies:
            quarantine.setdefault(p.path, f"same photo as {first.path}")
    only_near = [g for g in near if len({p.scanned.pixels for p in g}) > 1]
    for kind, severity, what, groups in (
        ("label-conflicts", "problem", "the same photo under more than one class", torn),
        ("exact-duplicates", "problem", "the same photo more than once", [g for g in exact if _labels(g) == 1]),
        (
            "split-leaks",
            "problem",
            "the same or nearly the same photo in more than one split",
            [g for g in near if len({p.part for p in g}) > 1],
        ),
        (
            "near-label-conflicts",
            "problem",
            "nearly the same photo under more than one class",
            [g for g in only_near if _labels(g) > 1],
        ),
        ("near-duplicates", "note", "nearly the same photo (training keeps such groups on one side)", only_near),
    ):
        yield _finding(kind, severity, what, [Item(tuple(p.path for p in g)) for g in groups])


def _formats(photos: Iterable[_Photo]) -> Iterable[Finding]:
    cases: dict[str, list[Item]] = defaultdict(list)
    for p in photos:
        s = p.scanned
        suffix = p.path.suffix.lower()
        if suffix not in _SUFFIXES.get(s.format, suffix).split():
            cases["wrong-suffix"].append(Item((p.path,), f"is {s.format}"))
        if s.frames > 1 and s.format != "MPO":
            cases["animated"].append(Item((p.path,), f"{s.format}, {s.frames} frames; the first counts"))
        if s.depth:
            cases["deep-grey"].append(Item((p.path,), f"{s.format}, {s.depth}"))
        if s.mode not in ("RGB", "L"):
            cases["colour-modes"].append(Item((p.path,), f"{s.format}, mode {s.mode}"))
    yield _finding(
        "wrong-suffix", "note", "files whose content is another format than the suffix says", cases["wrong-suffix"]
    )
    yield _finding("animated", "note", "animations and stacks", cases["animated"])
    yield _finding(
        "deep-grey", "note", "grey photos of 16 bits or more that use only a part of them", cases["deep-grey"]
    )
    yield _finding(
        "colour-modes", "note", "palette, transparent, CMYK or 16-bit photos (converted by rule)", cases["colour-modes"]
    )


def _shapes(photos: list[_Photo]) -> Iterable[Finding]:
    if not photos:
        return
    turned = [p for p in photos if p.scanned.orientation != 1]
    upright = sum(p.scanned.height > p.scanned.width for p in photos)
    wide = sum(p.scanned.width > p.scanned.height for p in photos)
    mix = [Item((), f"{wide} landscape, {upright} portrait, {len(photos) - wide - upright} square")]
    yield _finding(
        "orientation", "note", "photos turned by EXIF (edgeclf turns them upright)", _each(p.path for p in turned)
    )
    yield _finding(
        "mixed-shapes", "note", "landscape and portrait mixed", mix if min(wide, upright) > 0.05 * len(photos) else []
    )
    median = statistics.median(p.scanned.width * p.scanned.height for p in photos)
    cases: dict[str, list[Item]] = defaultdict(list)
    for p in photos:
        width, height = p.scanned.width, p.scanned.height
        item = Item((p.path,), f"{width} x {height}")
        if width * height > HUGE * median:
            cases["very-large"].append(item)
        if min(width, height) < TINY_SIDE:
            cases["very-small"].append(item)
        if max(width, height) >= LONG * min(width, height):
            cases["odd-shape"].append(item)
    yield _finding(
        "very-large", "note", f"more than {HUGE:.0f} times as many pixels as the median photo", cases["very-large"]
    )
    yield _finding("very-small", "note", f"shorter side below {TINY_SIDE} pixels", cases["very-small"])
    yield _finding("odd-shape", "note", f"long side at least {LONG} times the short one", cases["odd-shape"])


def _finding(kind: str, severity: str, what: str, items: Iterable[Item]) -> Finding:
    return Finding(kind, "problem" if severity == "problem" else "note", what, tuple(items))


def _each(paths: Iterable[Path]) -> list[Item]:
    return [Item((path,)) for path in paths]


def _items(cases: Iterable[tuple[tuple[Path, ...], str]]) -> list[Item]:
    return [Item(paths, detail) for paths, detail in cases]


def _all(photos: Iterable[_Photo], others: Iterable[Path]) -> list[Path]:
    return [*(p.path for p in photos), *others]


def _grouped(photos: list[_Photo], groups: list[int]) -> list[list[_Photo]]:
    members: dict[int, list[_Photo]] = defaultdict(list)
    for photo, group in zip(photos, groups, strict=True):
        members[group].append(photo)
    return [group for group in members.values() if len(group) > 1]


def _labels(group: Iterable[_Photo]) -> int:
    return len({p.sample.label for p in group})
