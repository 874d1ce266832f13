"""Which photos train, validate and test. The same or nearly the same photo is never in two of these parts."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.images.contract import ImageContract

from edgeclf_training.dataset.choose_groups import VALIDATION_SHARE, first_that_fit, nearest_to_a_fifth
from edgeclf_training.dataset.earlier_photos import EarlierPhotos, with_earlier
from edgeclf_training.dataset.exclusions import (
    Entry,
    leave_out_conflicts,
    leave_out_copies,
    leave_out_duplicates_of_held_out,
    leave_out_listed,
    leave_out_trained,
    photos_text,
)
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.folds import assign_folds
from edgeclf_training.dataset.found import Found
from edgeclf_training.dataset.group_rules import effective_rule, group_column, parse_rule
from edgeclf_training.dataset.groups import group_names, with_groups
from edgeclf_training.dataset.known_photos import KnownPhoto, as_known, merge_known
from edgeclf_training.dataset.labels_table import read_labels
from edgeclf_training.dataset.samples import Sample, Skipped, Split
from edgeclf_training.dataset.scan import Scanned, scan
from edgeclf_training.dataset.split_notes import UNGROUPED, note_groups, note_known, note_near, note_validation
from edgeclf_training.dataset.split_options import SplitOptions


def read_split(
    roots: PathLike | Sequence[PathLike],
    *,
    seed: int = 0,
    val_split: str = "random",
    group_near: bool = True,
    group_by: str | None = None,
    only: Sequence[str] = (),
    max_per_class: int | None = None,
    earlier: Sequence[KnownPhoto] = (),
    contract: ImageContract | None = None,
    quarantine: Mapping[Path, str] | None = None,
    labels: PathLike | None = None,
    folds: int = 0,
    again: EarlierPhotos | None = None,
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
        group_by: what else is kept in one part: "folder:N", "name:PATTERN", "column:NAME" of the labels table, "burst"
            or "burst:SECONDS"; see ``parse_rule``. None: the column "group" of the labels table, if it has one; "none":
            nothing. A photo in a group that an earlier run trained on never validates or tests.
        earlier: the photos of the run that this one continues, and of the runs before it. They are found again by their
            content; name and class may have changed. A photo that was trained on, or nearly the same photo, never
            validates or tests: it is left out of ``val`` and ``test``. A photo that validated or tested does so again,
            unless the data has a folder for this part.
        contract: how photos will be decoded; needed for photos so large that they are only decoded at reduced scale.
        quarantine: absolute paths to leave out, each with the reason; see ``read_quarantine``.
        labels: a table that gives the labels instead of the class folders; see ``read_labels``.
        folds: if not 0, all photos but those of ``test`` train, and are divided into so many folds for
            cross-validation: those of ``val`` too, but not photos that an earlier run trained on.
        again: photos of the earlier run to use again, in the parts they were in, and what becomes of its classes.
        progress: called with (photos scanned, photos in all).

    Returns:
        The photos of each part, what was left out and why, and notes.

    Raises:
        DataError: see ``find_photos`` and ``read_labels``; or a class has no training photo left, or no validation
            photo is left.
        UsageError: ``group_by`` is not such a rule, or names a column without a table.
    """
    roots = as_paths(roots)
    rule = parse_rule(group_by)
    table = read_labels(labels, group_column(rule)) if labels else None
    options = SplitOptions(seed, val_split, group_near, effective_rule(group_by, table), folds)
    if again and not roots and table is None:
        again.check_alone(only)
    found = find_photos(
        roots,
        seed=seed,
        only=only,
        max_per_class=max_per_class,
        labels=table,
        changes=again.changes if again else None,
        elsewhere=again.classes(only) if again else (),
    )
    skipped: list[Skipped] = []
    notes = [*(f"{folder}: left out, its photos are not sorted yet" for folder in found.unsorted), *found.notes]
    if found.loose:
        notes.append(f"left out, in no class folder: {photos_text(len(found.loose))}, first: {found.loose[0]}")
    entries = leave_out_listed(_placed(found), quarantine or {}, skipped, notes)
    extra = again.entries(found, seed, only, max_per_class, quarantine or {}) if again else []
    scans = scan([e.sample.path for e in (*entries, *extra)], contract, progress)
    if again:
        found, entries = with_earlier(found, entries, extra, scans, again, earlier, only, notes)
    split = _split(found, entries, scans, skipped, notes, options, earlier)
    return again.with_origin(split) if again else split


def foreseen_split(
    found: Found, scans: Mapping[Path, Scanned], options: SplitOptions | None = None, earlier: Sequence[KnownPhoto] = ()
) -> Split:
    """The split of photos that are found and scanned already.

    Args:
        found: the photos.
        scans: of each photo.
        options: the defaults if None.
        earlier: as for ``read_split``.

    Raises:
        DataError: see ``read_split``.
    """
    return _split(found, _placed(found), scans, [], [], options or SplitOptions(), earlier)


def _split(
    found: Found,
    entries: list[Entry],
    scans: Mapping[Path, Scanned],
    skipped: list[Skipped],
    notes: list[str],
    options: SplitOptions,
    earlier: Sequence[KnownPhoto],
) -> Split:
    skipped += (Skipped(e.sample.path, scans[e.sample.path].reason) for e in entries if scans[e.sample.path].kind)
    entries = [e for e in entries if not scans[e.sample.path].kind]
    rule = options.rule
    names = group_names([e.sample for e in entries], rule, found, earlier) if rule else {}
    entries = with_groups(
        entries,
        scans,
        earlier,
        {part for part in SPLITS if found.parts[part]},
        options.group_near,
        rule,
        names,
    )
    _check_left(found.classes, entries, "no readable training photo is left in %s", _first(skipped))
    note_known(entries, notes)
    entries = leave_out_trained(entries, skipped, notes, rule is not None)
    entries = leave_out_conflicts(entries, skipped, notes)
    entries = leave_out_copies(entries, skipped, notes)
    _check_left(found.classes, entries, "no usable training photo is left in %s", _first(skipped))
    entries = leave_out_duplicates_of_held_out(entries, skipped, notes)
    _check_left(found.classes, entries, *_all_held_out(options))
    note_near(entries, notes)
    if rule:
        note_groups(entries, rule, notes)

    set_aside = not found.parts["val"] and not options.folds
    parts: dict[str, set[Sample]] = {part: {e.sample for e in entries if e.home == part} for part in SPLITS}
    fresh: dict[int, list[Sample]] = defaultdict(list)
    for e in entries:
        if e.home in (("train", "val") if options.folds else ("train",)) and not e.group_trained:
            fresh[e.group].append(e.sample)
    fold_of: dict[Sample, int] = {}
    if options.folds:
        if not fresh:
            raise _no_validation(True, True, options)
        always = {e.sample.label for e in entries if e.home == "train" and e.group_trained}
        fold_of = assign_folds(fresh.values(), options.folds, options.seed, always, str(rule or ""))
        parts["train"] |= parts["val"]
        parts["val"] = set(fold_of)
    elif set_aside:
        aside = _set_aside(list(fresh.values()), parts["train"], options)
        parts["train"] -= aside
        parts["val"] |= aside
    if not parts["val"]:
        raise _no_validation(set_aside, any(e.group_trained for e in entries), options)
    origin = found.val_source
    whole_groups = f", whole groups by {rule}" if rule else ""
    if set_aside:
        how = f"seed {options.seed}" if options.val_split == "random" else "the first by name"
        origin = f"{VALIDATION_SHARE:.0%} of the training photos, {how}{whole_groups}"
    if options.folds:
        origin = f"{options.folds} folds{whole_groups}, each photo by a network that was not trained on it"
    train, val, test = (tuple(sorted(parts[part])) for part in SPLITS)
    note_validation(found.classes, val, fresh.values() if set_aside else (), options, notes)
    used = [
        as_known(part, sample, scans[sample.path], names.get(sample.path, ""))
        for part in SPLITS
        for sample in sorted(parts[part])
    ]
    known = merge_known(earlier, used)
    return Split(found.classes, train, val, test, origin, tuple(skipped), tuple(notes), fold_of, known)


def _set_aside(groups: list[list[Sample]], train: Collection[Sample], options: SplitOptions) -> set[Sample]:
    """Choose whole groups of the training photos for validation."""
    if options.val_split == "first":
        return first_that_fit(sorted(groups, key=lambda group: min(s.path for s in group)))
    if options.rule is None:
        return first_that_fit(groups)
    fresh = Counter(s.label for group in groups for s in group)
    always = {label: n - fresh[label] for label, n in Counter(s.label for s in train).items()}
    return nearest_to_a_fifth(groups, options.seed, always)


def _all_held_out(options: SplitOptions) -> tuple[str, str]:
    """The error, with a gap for the class, if every training photo is in a group with one of val or test."""
    what = "every training photo in %s is "
    if options.rule:
        return (
            f"{what}in a group with one of val or test (--group-by {options.rule})",
            "move whole groups to one side, or train without val and test folders, or without --group-by",
        )
    if options.group_near:
        return f"{what}nearly the same as one of val or test", f"add other photos, or train with {UNGROUPED}"
    return f"{what}the same as one of val or test", "add other photos"


def _no_validation(set_aside: bool, trained: bool, options: SplitOptions) -> DataError:
    if not set_aside:
        return DataError(
            "no usable validation photo is left",
            "add photos to val that can be read, that are not in train, and that no earlier run trained on",
        )
    if trained:
        groups = ", or on photos of their groups" if options.rule else ""
        return DataError(
            f"no validation photo is left: the earlier run trained on these photos, or on nearly the same ones{groups}",
            "add photos that it did not train on, or its validation photos (after --folds it has none)",
        )
    if options.rule:
        return DataError(
            f"no photos can be set aside for validation: all photos of each class are one group by {options.rule}",
            "give each class photos of two groups or more, or a val folder, or group by something smaller",
        )
    return DataError(
        "too few photos to set any aside for validation",
        f"give at least 2 different photos per class, or a val folder, or use {UNGROUPED}",
    )


def _placed(found: Found) -> list[Entry]:
    entries: dict[Path, Entry] = {}
    for part in SPLITS:
        for sample in found.parts[part]:
            entries[sample.path] = Entry(sample, part, part)
    return list(entries.values())


def _check_left(classes: Sequence[str], entries: list[Entry], what: str, remedy: str) -> None:
    if lost := sorted(set(classes) - {e.sample.label for e in entries if e.home == "train"}):
        raise DataError(what % ", ".join(lost), remedy)


def _first(skipped: list[Skipped]) -> str:
    return f"first: {skipped[0].reason}" if skipped else ""
