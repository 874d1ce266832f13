"""Check data folders before training: what is wrong, odd or worth knowing. Photos are only ever read."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeclf.class_names import natural
from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf.files.paths import PathLike, as_paths

from edgeclf_training.dataset.class_sizes import held_out, uneven
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.findings import Finding, Item, Report, finding, item_per_path
from edgeclf_training.dataset.found import Found
from edgeclf_training.dataset.group_findings import burst_findings, group_findings
from edgeclf_training.dataset.group_rules import effective_rule, group_column, parse_rule
from edgeclf_training.dataset.labels_table import read_labels
from edgeclf_training.dataset.photo_findings import CheckedPhoto, photo_findings, shape_findings
from edgeclf_training.dataset.portable_names import odd_names
from edgeclf_training.dataset.scan import scan
from edgeclf_training.dataset.table_problems import KINDS


def check_data(
    roots: PathLike | Sequence[PathLike],
    progress: Callable[[int, int], None] | None = None,
    *,
    labels: PathLike | None = None,
    group_by: str | None = None,
) -> Report:
    """Look at every file in data folders.

    Args:
        roots: see ``find_photos``; zips go through ``open_data`` first.
        progress: called with (photos looked at, photos in all).
        labels: a table that gives the labels, see ``read_labels``; all its problems are findings.
        group_by: how photos will be grouped, as for ``read_split``.

    Returns:
        The findings, problems first, and the photos that are better left out of training.

    Raises:
        DataError: see ``find_photos`` and ``read_labels``; or no photo is in a group.
        UsageError: ``group_by`` is not a rule.
    """
    roots = as_paths(roots)
    table = read_labels(labels, group_column(parse_rule(group_by))) if labels else None
    rule = effective_rule(group_by, table)
    found = find_photos(roots, labels=table, checking=True)
    scans = scan([s.path for split in SPLITS for s in found.parts[split]], None, progress)
    photos = [CheckedPhoto(s, split, scans[s.path]) for split in SPLITS for s in sorted(found.parts[split])]
    readable = [p for p in photos if not p.scanned.kind]
    counts = Counter((p.sample.label, p.split) for p in photos)
    classes = {label: {split: counts[label, split] for split in SPLITS} for label in sorted(found.classes, key=natural)}
    trained = Counter(p.sample.label for p in readable if p.split == "train")
    quarantine: dict[Path, str] = {}
    findings = [
        *(
            finding(kind, "problem", what, [Item(p.paths, p.detail) for p in found.problems if p.kind == kind])
            for kind, what in KINDS.items()
        ),
        *photo_findings(photos, quarantine),
        *burst_findings(readable, rule),
        *group_findings(found, readable, rule),
        *_folder_findings(found),
        *(
            finding(kind, severity, what, [Item((), case) for case in cases])
            for kind, severity, what, cases in (*uneven(trained), *held_out(found, scans, trained, rule))
        ),
        *shape_findings(readable),
        *(
            finding(kind, "problem", what, [Item(paths, detail) for paths, detail in cases])
            for kind, what, cases in odd_names(roots, [*(p.path for p in photos), *found.others])
        ),
    ]
    present = sorted((f for f in findings if f.items), key=lambda f: f.severity != "problem")
    return Report(len(photos), len(readable), classes, tuple(present), quarantine)


def _folder_findings(found: Found) -> list[Finding]:
    empty = [Item((), name) for name in sorted(found.empty, key=natural)]
    return [
        finding(
            "other-files",
            "note",
            "files without an image extension (training ignores them)",
            item_per_path(found.others),
        ),
        finding(
            "loose", "problem", "photos outside class folders (training leaves them out)", item_per_path(found.loose)
        ),
        finding("empty-classes", "problem", "class folders without photos", empty),
        finding(
            "unsorted", "note", "folders with unsorted photos (training leaves them out)", item_per_path(found.unsorted)
        ),
        finding(
            "classes-alike",
            "problem",
            "class folders with too similar names (training refuses them)",
            [Item(paths) for paths in found.alike],
        ),
        finding(
            "class-called-unknown",
            "problem",
            "class folders named unknown, the label of photos below the threshold (training refuses them)",
            item_per_path(found.refusals),
        ),
        finding("mixed-class", "problem", "class folders that may hold several classes", item_per_path(found.mixed)),
        finding("layout", "note", "how the folders were read", [Item((), note) for note in found.notes]),
    ]
