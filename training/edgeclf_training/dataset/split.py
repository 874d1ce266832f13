"""Which photo trains, which validates, which tests: no photo, nor its twin, does more than one of these."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgeclf.errors import DataError
from edgeclf.evaluation.class_folders import HELD_OUT, SPLITS
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.images.contract import ImageContract

from edgeclf_training.dataset.duplicates import exact_groups
from edgeclf_training.dataset.exclusions import (
    Entry,
    grouped_by,
    in_words,
    leave_out_conflicts,
    leave_out_copies,
    leave_out_listed,
    leave_out_trained,
    leave_out_twins,
)
from edgeclf_training.dataset.find_photos import Found, find_photos
from edgeclf_training.dataset.known_photos import Known, known_as, merged, near_known, recognise
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
    earlier: Sequence[Known] = (),
    contract: ImageContract | None = None,
    quarantine: Mapping[Path, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Split:
    """Find the photos under one or more data folders, look at each, and split them.

    Photos that cannot be read are left out. So are copies of a photo within its class in ``train``, training photos
    that validate or test too, and, except from ``test``, photos filed under several classes: nobody knows which is
    right. Near-duplicates stay on one side. Without ``val/`` a seeded, stratified 20 % of the training photos, in whole
    groups of near-duplicates, validates.

    Args:
        roots, seed, only, max_per_class: see ``find_photos``.
        val_split: "random", or "first" to validate on the first fifth of each class by path, as some tools do.
        group_near: keep near-duplicates on one side; else only the same pixels are.
        earlier: the photos of the run this one goes on from, and of those before. They are known by their content,
            whatever they are called and whatever class they are in now. What was trained on, or is nearly the same,
            never validates or tests: in ``val`` and ``test`` it is left out. What validated or tested goes on doing so,
            except where the data has a folder for that.
        contract: how photos will be decoded; a photo that fits in memory only at reduced scale needs it.
        quarantine: absolute paths to leave out, and why; see ``read_quarantine``.
        progress: called with (photos looked at, photos in all).

    Raises:
        DataError: see ``find_photos``; or a class has no training photo left, or there is none to validate with.
    """
    roots = as_paths(roots)
    found = find_photos(roots, seed=seed, only=only, max_per_class=max_per_class)
    skipped: list[Skipped] = []
    notes = [*(f"{folder}: left out, nobody has sorted it yet" for folder in found.unsorted), *found.notes]
    if found.loose:
        notes.append(f"left out, in no class folder: {in_words(len(found.loose))}, first: {found.loose[0]}")
    entries = leave_out_listed(_placed(found), quarantine or {}, skipped, notes)
    scans = scan([e.sample.path for e in entries], contract, progress)
    return _split(found, entries, scans, skipped, notes, seed, val_split, group_near, earlier)


def foreseen_split(found: Found, scans: Mapping[Path, Scanned]) -> Split:
    """The split that ``read_split`` makes of photos that were looked at already, with all its defaults.

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
    earlier: Sequence[Known],
) -> Split:
    skipped += (Skipped(e.sample.path, scans[e.sample.path].reason) for e in entries if scans[e.sample.path].kind)
    own = {part for part in SPLITS if found.parts[part]}
    entries = _grouped([e for e in entries if not scans[e.sample.path].kind], scans, earlier, own, group_near)
    _check_left(found.classes, entries, "no readable training photo is left in %s", _first(skipped))
    _note_known(entries, notes)
    entries = leave_out_trained(entries, skipped, notes)
    entries = leave_out_conflicts(entries, skipped, notes)
    entries = leave_out_copies(entries, skipped, notes)
    _check_left(found.classes, entries, "no usable training photo is left in %s", _first(skipped))
    entries = leave_out_twins(entries, skipped, notes)
    same, remedy = "nearly the same", f"add others, or train with {UNGROUPED}"
    if not group_near:
        same, remedy = "the same", "add others"
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
        aside = _carve(groups)
        parts["train"] -= aside
        parts["val"] |= aside
    if not parts["val"] and not set_aside:
        raise DataError(
            "no usable validation photo is left",
            "add photos to val that can be read, are not in train, and that no earlier run trained on",
        )
    if not parts["val"] and any(e.near_trained for e in entries):
        raise DataError(
            "no photo is left to validate with: the earlier run trained on these, or on nearly the same",
            "add photos that it has not seen, or those it validated with",
        )
    if not parts["val"]:
        raise DataError(
            "too few photos to set any aside for validation",
            f"give at least 2 per class that are not nearly the same, a val folder, or {UNGROUPED}",
        )
    origin = "the val folder"
    if set_aside:
        how = f"seed {seed}" if val_split == "random" else "the first by name"
        origin = f"{VALIDATION_SHARE:.0%} of the training photos, {how}"
    train, val, test = (tuple(sorted(parts[part])) for part in SPLITS)
    validated = {sample.label for sample in val}
    alike = {s.label for group in fresh.values() if len(group) > 1 for s in group}
    for label in found.classes:
        if label not in validated:
            why = f" (most are nearly the same: {UNGROUPED} sets some aside)" if group_near and label in alike else ""
            notes.append(f"{label}: no photo to validate with, nothing will be known about it{why}")
    used = [known_as(part, sample, scans[sample.path]) for part in SPLITS for sample in sorted(parts[part])]
    return Split(found.classes, train, val, test, origin, tuple(skipped), tuple(notes), merged(earlier, used))


def _placed(found: Found) -> list[Entry]:
    entries: dict[Path, Entry] = {}
    for part in SPLITS:
        for sample in found.parts[part]:
            entries[sample.path] = Entry(sample, part, part)
    return list(entries.values())


def _grouped(
    entries: list[Entry], scans: Mapping[Path, Scanned], earlier: Sequence[Known], own: set[str], group_near: bool
) -> list[Entry]:
    """Entries with their groups, and with what an earlier run used them for.

    Args:
        own: parts that the data has folders for: those the user decides about.
    """
    of = [scans[e.sample.path] for e in entries]
    known = recognise([e.sample for e in entries], of, earlier)
    same = exact_groups(of)
    near, parts = near_known(of, earlier) if group_near else (same, {})
    by_name = ((group, "train") for group, k in zip(near.tolist(), known, strict=True) if k and k.part == "train")
    parts |= dict(by_name)
    there = {group for group, k in zip(near.tolist(), known, strict=True) if k}
    grouped = []
    for e, k, exact, group in zip(entries, known, same.tolist(), near.tolist(), strict=True):
        # Saved again, a photo that validated and is no longer there itself goes on validating.
        part = k.part if k else None if group in there else parts.get(group)
        if parts.get(group) == "train":  # whatever it was used for: it is nearly what was trained on
            part = "train"
        home = part if part and e.placed == "train" and part not in own - {"train"} else e.placed
        grouped.append(Entry(e.sample, e.placed, home, k, exact, group, parts.get(group, "")))
    return grouped


def _note_known(entries: list[Entry], notes: list[str]) -> None:
    if near := sum(bool(e.near_part) and not e.known for e in entries):
        notes.append(
            f"{near} of {in_words(len(entries))} nearly the same as photos of earlier runs: saved again or turned"
        )
    if chose := sum(e.placed == "test" and e.known is not None and e.known.part == "val" for e in entries):
        notes.append(
            f"{in_words(chose)} of the test validated an earlier run, and chose its weights: the test flatters"
        )
    known = [(e.sample, e.known) for e in entries if e.known]
    if not known:
        return
    parts = Counter(k.part for _, k in known)
    says = {"train": "trained on", "val": "validated with", "test": "tested"}
    counts = ", ".join(f"{parts[part]} {word}" for part, word in says.items() if parts[part])
    other = sum((s.label, s.path.name) != (k.label, k.name) for s, k in known)
    renamed = f"; {other} of them under another name or class" if other else ""
    notes.append(
        f"{len(known)} of {in_words(len(entries))} known from earlier runs by their content: {counts}{renamed}"
    )
    if named := sum(k.scan is None for _, k in known):
        notes.append(f"{in_words(named)} of these known by file size and name only: their content was not kept")


def _note_near(entries: list[Entry], notes: list[str]) -> None:
    groups = [group for group in grouped_by(entries, "near") if len(group) > 1]
    if together := [group for group in groups if any(e.home == "train" for e in group)]:
        count = "1 group" if len(together) == 1 else f"{len(together)} groups"
        notes.append(f"{count} of near-duplicates ({in_words(sum(map(len, together)))}) kept on one side each")
    if torn := [group for group in groups if len({e.sample.label for e in group}) > 1]:
        first, other = torn[0][0], next(e for e in torn[0] if e.sample.label != torn[0][0].sample.label)
        count = "1 group" if len(torn) == 1 else f"{len(torn)} groups"
        notes.append(
            f"{count} of near-duplicates under more than one class, first: {first.sample.path} and {other.sample.path}"
        )
    mixed = [group for group in groups if {*HELD_OUT} <= {e.home for e in group}]
    if mixed:
        notes.append(f"{in_words(sum(e.home == 'val' for g in mixed for e in g))} of val have a twin in test")


def _carve(groups: Sequence[Sequence[Sample]]) -> set[Sample]:
    """The first groups, in the order given, that fit into a fifth of each of their classes; never part of a group."""
    total = Counter(s.label for group in groups for s in group)
    target = {label: max(1, round(n * VALIDATION_SHARE)) if n > 1 else 0 for label, n in total.items()}
    held: Counter[str] = Counter()
    aside: set[Sample] = set()

    def take(group: Sequence[Sample]) -> None:
        aside.update(group)
        held.update(s.label for s in group)

    def fits(group: Sequence[Sample], limit: Mapping[str, int]) -> bool:
        return all(held[label] + n <= limit[label] for label, n in Counter(s.label for s in group).items())

    for group in groups:
        if fits(group, target):
            take(group)
    for label in sorted(label for label in total if target[label] and not held[label]):
        # All its groups are larger than its share: the smallest, if that leaves every class something to train on.
        able = [g for g in groups if any(s.label == label for s in g) and fits(g, {k: n - 1 for k, n in total.items()})]
        if able:
            take(min(able, key=len))
    return aside


def _check_left(classes: Sequence[str], entries: list[Entry], what: str, remedy: str) -> None:
    if lost := sorted(set(classes) - {e.sample.label for e in entries if e.home == "train"}):
        raise DataError(what % ", ".join(lost), remedy)


def _first(skipped: list[Skipped]) -> str:
    return f"first: {skipped[0].reason}" if skipped else ""
