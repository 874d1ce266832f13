"""Notes on a split: what was found in earlier runs, near-duplicates, and groups."""

from collections import Counter
from collections.abc import Collection, Sequence

from edgeclf.evaluation.folder_name_rules import HELD_OUT

from edgeclf_training.dataset.exclusions import Entry, grouped_by, photos_text
from edgeclf_training.dataset.group_rules import GroupRule
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.dataset.split_options import SplitOptions

UNGROUPED = "--no-group-near-duplicates"
_EVEN = 0.1, 0.3  # shares of a class for validation that are near enough to a fifth


def note_known(entries: list[Entry], notes: list[str]) -> None:
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


def note_near(entries: list[Entry], notes: list[str]) -> None:
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


def note_groups(entries: list[Entry], rule: GroupRule, notes: list[str]) -> None:
    """Note how many groups the rule makes, and which of them are in ``val`` and in ``test``."""
    groups = [group for group in grouped_by(entries, "group") if len(group) > 1]
    together = sum(map(len, groups))
    largest = max(map(len, groups), default=0)
    size = f", the largest of {photos_text(largest)}" if groups else ""
    notes.append(
        f"grouped by {rule}: {len(groups)} groups ({photos_text(together)}{size}), each kept in one part; "
        f"{photos_text(len(entries) - together)} alone"
    )
    parted = [group for group in groups if {*HELD_OUT} <= {e.home for e in group}]
    if parted:
        notes.append(
            f"{photos_text(sum(e.home == 'val' for g in parted for e in g))} of val in a group with photos of test"
        )


def note_validation(
    classes: Sequence[str],
    val: Collection[Sample],
    fresh: Collection[Sequence[Sample]],
    options: SplitOptions,
    notes: list[str],
) -> None:
    """Note classes without validation photos, each in one line with the reason, and very uneven shares.

    Args:
        classes: in index order.
        val: the validation photos.
        fresh: the groups that some were set aside from; empty if the data has validation photos.
        options: of the split.
        notes: gets the lines.
    """
    validated, chosen = {sample.label for sample in val}, set(val)
    number = Counter(label for group in fresh for label in {s.label for s in group})
    alike = {s.label for group in fresh if len(group) > 1 for s in group}
    for label in classes:
        why = ""
        if options.rule and number[label] == 1:
            why = f" (all its photos are one group by {options.rule}, which stays in train)"
        elif options.group_near and not options.rule and label in alike:
            why = f" (most of its photos are nearly the same: {UNGROUPED} sets some aside)"
        if label not in validated:
            notes.append(f"{label}: no validation photos, its accuracy is unknown{why}")
    total = Counter(s.label for group in fresh for s in group)
    held = Counter(s.label for group in fresh for s in group if s in chosen)
    shares = {label: held[label] / n for label, n in total.items() if held[label]}
    if options.rule and shares:
        least, most = min(shares, key=lambda k: shares[k]), max(shares, key=lambda k: shares[k])
        if shares[least] < _EVEN[0] or shares[most] > _EVEN[1]:
            notes.append(
                f"whole groups only: {shares[least]:.0%} of the photos of {least} and {shares[most]:.0%} of {most} "
                "are set aside for validation"
            )
