"""Which photos train, validate and test. The same or nearly the same photo is never in two of these parts."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import HELD_OUT, SPLITS
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.images.contract import ImageContract

from edgeclf_training.dataset.duplicates import exact_groups
from edgeclf_training.dataset.exclusions import (
    Entry,
    grouped_by,
    leave_out_conflicts,
    leave_out_copies,
    leave_out_duplicates_of_held_out,
    leave_out_listed,
    leave_out_trained,
    photos_text,
)
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.found import Found
from edgeclf_training.dataset.known_photos import (
    KnownPhoto,
    as_known,
    find_known,
    merge_known,
    near_duplicates_of_known,
)
from edgeclf_training.dataset.labels_table import read_labels
from edgeclf_training.dataset.samples import Sample, Skipped, Split
from edgeclf_training.dataset.scan import Scanned, scan

VALIDATION_SHARE = 0.2
UNGROUPED = "--no-group-near-duplicates"


def read_split(
    roots: PathLike | Sequence[PathLike],
    *,
    seed: int = 0,
    val_split: str = "random",
    group_near: bool = True,
    only: Sequence[str] = (),
    max_per_class: int | None = None,
    earlier: Sequence[KnownPhoto] = (),
    contract: ImageContract | None = None,
    quarantine: Mapping[Path, str] | None = None,
    labels: PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Split:
    """Find the photos in one or more data folders, scan each, and split them into train, val and test.

    Left out are: photos that cannot be read, copies of a photo in ``train``, training photos that ``val`` or ``test``
    has too, and, except from ``test``, photos that lie in several classes, because their label is not known.
    Near-duplicates stay in one part. Without ``val/``, 20 % of the training photos are set aside for validation: chosen
    by the seed, evenly from the classes, whole groups of near-duplicates at a time.

    Args:
        roots, seed, only, max_per_class: as for ``find_photos``.
        val_split: "random", or "first" to set aside the first fifth of each class by path, as some tools do.
        group_near: keep near-duplicates in one part; if False, only photos with the same pixels.
        earlier: the photos of the run that this one continues, and of the runs before it. They are found again by their
            content; name and class may have changed. A photo that was trained on, or nearly the same photo, never
            validates or tests: it is left out of ``val`` and ``test``. A photo that validated or tested does so again,
            unless the data has a folder for this part.
        contract: how photos will be decoded; needed for photos so large that they are only decoded at reduced scale.
        quarantine: absolute paths to leave out, each with the reason; see ``read_quarantine``.
        labels: a table that gives the labels instead of the class folders; see ``read_labels``.
        progress: called with (photos scanned, photos in all).

    Returns:
        The photos of each part, what was left out and why, and notes.

    Raises:
        DataError: see ``find_photos`` and ``read_labels``; or a class has no training photo left, or no validation
            photo is left.
    """
    roots = as_paths(roots)
    table = read_labels(labels) if labels else None
    found = find_photos(roots, seed=seed, only=only, max_per_class=max_per_class, labels=table)
    skipped: list[Skipped] = []
    notes = [*(f"{folder}: left out, its photos are not sorted yet" for folder in found.unsorted), *found.notes]
    if found.loose:
        notes.append(f"left out, in no class folder: {photos_text(len(found.loose))}, first: {found.loose[0]}")
    entries = leave_out_listed(_placed(found), quarantine or {}, skipped, notes)
    scans = scan([e.sample.path for e in entries], contract, progress)
    return _split(found, entries, scans, skipped, notes, seed, val_split, group_near, earlier)


def foreseen_split(found: Found, scans: Mapping[Path, Scanned]) -> Split:
    """The split that ``read_split`` would make with its default options, of photos that are scanned already.

    Args:
        found: the photos.
        scans: of each photo.

    Raises:
        DataError: see ``read_split``.
    """
    return _split(found, _placed(found), scans, [], [], 0, "random", True, ())


def _split(
    found: Found,
    entries: list[Entry],
    scans: Mapping[Path, Scanned],
    skipped: list[Skipped],
    notes: list[str],
    seed: int,
    val_split: str,
    group_near: bool,
    earlier: Sequence[KnownPhoto],
) -> Split:
    skipped += (Skipped(e.sample.path, scans[e.sample.path].reason) for e in entries if scans[e.sample.path].kind)
    parts_with_folder = {part for part in SPLITS if found.parts[part]}
    entries = _grouped(
        [e for e in entries if not scans[e.sample.path].kind], scans, earlier, parts_with_folder, group_near
    )
    _check_left(found.classes, entries, "no readable training photo is left in %s", _first(skipped))
    _note_known(entries, notes)
    entries = leave_out_trained(entries, skipped, notes)
    entries = leave_out_conflicts(entries, skipped, notes)
    entries = leave_out_copies(entries, skipped, notes)
    _check_left(found.classes, entries, "no usable training photo is left in %s", _first(skipped))
    entries = leave_out_duplicates_of_held_out(entries, skipped, notes)
    same, remedy = "nearly the same", f"add other photos, or train with {UNGROUPED}"
    if not group_near:
        same, remedy = "the same", "add other photos"
    _check_left(found.classes, entries, f"every training photo in %s is {same} as one of val or test", remedy)
    _note_near(entries, notes)

    set_aside = not found.parts["val"]
    parts: dict[str, set[Sample]] = {part: {e.sample for e in entries if e.home == part} for part in SPLITS}
    fresh: dict[int, list[Sample]] = defaultdict(list)
    if set_aside:
        for e in entries:
            if e.home == "train" and not e.near_trained:
                fresh[e.near].append(e.sample)
        groups = list(fresh.values())
        if val_split == "first":
            groups.sort(key=lambda group: min(s.path for s in group))
        aside = _set_aside(groups)
        parts["train"] -= aside
        parts["val"] |= aside
    if not parts["val"] and not set_aside:
        raise DataError(
            "no usable validation photo is left",
            "add photos to val that can be read, that are not in train, and that no earlier run trained on",
        )
    if not parts["val"] and any(e.near_trained for e in entries):
        raise DataError(
            "no validation photo is left: the earlier run trained on these photos, or on nearly the same ones",
            "add photos that it did not train on, or its validation photos",
        )
    if not parts["val"]:
        raise DataError(
            "too few photos to set any aside for validation",
            f"give at least 2 different photos per class, or a val folder, or use {UNGROUPED}",
        )
    origin = found.val_source
    if set_aside:
        how = f"seed {seed}" if val_split == "random" else "the first by name"
        origin = f"{VALIDATION_SHARE:.0%} of the training photos, {how}"
    train, val, test = (tuple(sorted(parts[part])) for part in SPLITS)
    validated = {sample.label for sample in val}
    alike = {s.label for group in fresh.values() if len(group) > 1 for s in group}
    for label in found.classes:
        if label not in validated:
            why = (
                f" (most of its photos are nearly the same: {UNGROUPED} sets some aside)"
                if group_near and label in alike
                else ""
            )
            notes.append(f"{label}: no validation photos, its accuracy is unknown{why}")
    used = [as_known(part, sample, scans[sample.path]) for part in SPLITS for sample in sorted(parts[part])]
    return Split(found.classes, train, val, test, origin, tuple(skipped), tuple(notes), merge_known(earlier, used))


def _placed(found: Found) -> list[Entry]:
    entries: dict[Path, Entry] = {}
    for part in SPLITS:
        for sample in found.parts[part]:
            entries[sample.path] = Entry(sample, part, part)
    return list(entries.values())


def _grouped(
    entries: list[Entry],
    scans: Mapping[Path, Scanned],
    earlier: Sequence[KnownPhoto],
    parts_with_folder: set[str],
    group_near: bool,
) -> list[Entry]:
    """Entries with their groups, and with what an earlier run used them for.

    Args:
        parts_with_folder: parts that the data has a folder for: the user decides about those.
    """
    of = [scans[e.sample.path] for e in entries]
    known = find_known([e.sample for e in entries], of, earlier)
    same = exact_groups(of)
    near, parts = near_duplicates_of_known(of, earlier) if group_near else (same, {})
    by_name = ((group, "train") for group, k in zip(near.tolist(), known, strict=True) if k and k.part == "train")
    parts |= dict(by_name)
    there = {group for group, k in zip(near.tolist(), known, strict=True) if k}
    grouped = []
    for e, k, exact, group in zip(entries, known, same.tolist(), near.tolist(), strict=True):
        # If the photo that validated is gone, a copy of it that was saved again validates instead.
        part = k.part if k else None if group in there else parts.get(group)
        if parts.get(group) == "train":  # nearly the same as a photo that was trained on
            part = "train"
        home = part if part and e.placed == "train" and part not in parts_with_folder - {"train"} else e.placed
        grouped.append(Entry(e.sample, e.placed, home, k, exact, group, parts.get(group, "")))
    return grouped


def _note_known(entries: list[Entry], notes: list[str]) -> None:
    if near := sum(bool(e.near_part) and not e.known for e in entries):
        notes.append(
            f"{near} of {photos_text(len(entries))} nearly the same as photos of earlier runs: "
            "saved again, rotated or mirrored"
        )
    if chose := sum(e.placed == "test" and e.known is not None and e.known.part == "val" for e in entries):
        notes.append(
            f"{photos_text(chose)} of test validated an earlier run and selected its weights: "
            "test accuracy is optimistic"
        )
    known = [(e.sample, e.known) for e in entries if e.known]
    if not known:
        return
    parts = Counter(k.part for _, k in known)
    uses = {"train": "trained on", "val": "used for validation", "test": "used for testing"}
    counts = ", ".join(f"{parts[part]} {word}" for part, word in uses.items() if parts[part])
    other = sum((s.label, s.path.name) != (k.label, k.name) for s, k in known)
    renamed = f"; {other} of them with another name or class" if other else ""
    notes.append(f"{len(known)} of {photos_text(len(entries))} found in earlier runs by content: {counts}{renamed}")
    if named := sum(k.scan is None for _, k in known):
        notes.append(f"{photos_text(named)} of these found by file size and name only: their content was not stored")


def _note_near(entries: list[Entry], notes: list[str]) -> None:
    groups = [group for group in grouped_by(entries, "near") if len(group) > 1]
    if together := [group for group in groups if any(e.home == "train" for e in group)]:
        count = "1 group" if len(together) == 1 else f"{len(together)} groups"
        notes.append(f"{count} of near-duplicates ({photos_text(sum(map(len, together)))}), each kept in one part")
    if conflicting := [group for group in groups if len({e.sample.label for e in group}) > 1]:
        first, other = (
            conflicting[0][0],
            next(e for e in conflicting[0] if e.sample.label != conflicting[0][0].sample.label),
        )
        count = "1 group" if len(conflicting) == 1 else f"{len(conflicting)} groups"
        notes.append(
            f"{count} of near-duplicates in more than one class, first: {first.sample.path} and {other.sample.path}"
        )
    in_both = [group for group in groups if {*HELD_OUT} <= {e.home for e in group}]
    if in_both:
        notes.append(
            f"{photos_text(sum(e.home == 'val' for g in in_both for e in g))} of val nearly the same as photos of test"
        )


def _set_aside(groups: Sequence[Sequence[Sample]]) -> set[Sample]:
    """Choose whole groups for validation: in the given order, those that fit into a fifth of each of their classes."""
    total = Counter(s.label for group in groups for s in group)
    target = {label: max(1, round(n * VALIDATION_SHARE)) if n > 1 else 0 for label, n in total.items()}
    held: Counter[str] = Counter()
    chosen: set[Sample] = set()

    def take(group: Sequence[Sample]) -> None:
        chosen.update(group)
        held.update(s.label for s in group)

    def fits(group: Sequence[Sample], limit: Mapping[str, int]) -> bool:
        return all(held[label] + n <= limit[label] for label, n in Counter(s.label for s in group).items())

    for group in groups:
        if fits(group, target):
            take(group)
    for label in sorted(label for label in total if target[label] and not held[label]):
        # All groups of the class are larger than its fifth: take the smallest, if every class keeps a training photo.
        possible = [
            g for g in groups if any(s.label == label for s in g) and fits(g, {k: n - 1 for k, n in total.items()})
        ]
        if possible:
            take(min(possible, key=len))
    return chosen


def _check_left(classes: Sequence[str], entries: list[Entry], what: str, remedy: str) -> None:
    if lost := sorted(set(classes) - {e.sample.label for e in entries if e.home == "train"}):
        raise DataError(what % ", ".join(lost), remedy)


def _first(skipped: list[Skipped]) -> str:
    return f"first: {skipped[0].reason}" if skipped else ""
