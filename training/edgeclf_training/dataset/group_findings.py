"""Findings about photos that belong together: bursts, and the groups of ``--group-by``."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from edgeclf.class_names import natural

from edgeclf_training.dataset.bursts import burst_groups
from edgeclf_training.dataset.findings import Finding, Item, finding
from edgeclf_training.dataset.found import Found
from edgeclf_training.dataset.group_rules import BURST_SECONDS, GroupRule
from edgeclf_training.dataset.groups import group_names
from edgeclf_training.dataset.photo_findings import CheckedPhoto


def burst_findings(photos: Sequence[CheckedPhoto], rule: GroupRule | None) -> Iterator[Finding]:
    """Bursts by the EXIF of the photos, and those that lie in several splits.

    Args:
        photos: those that can be read.
        rule: its seconds count if it is one for bursts.
    """
    seconds = rule.seconds if rule and rule.kind == "burst" else BURST_SECONDS
    groups: dict[int, list[CheckedPhoto]] = defaultdict(list)
    for photo, group in zip(photos, burst_groups([p.scanned for p in photos], seconds).tolist(), strict=True):
        groups[group].append(photo)
    bursts = [sorted(group, key=lambda p: p.scanned.taken) for group in groups.values() if len(group) > 1]
    parted = [burst for burst in bursts if len({p.split for p in burst}) > 1]
    pause = f"photos of one camera, each at most {seconds:g} s after the one before"
    yield finding(
        "burst-leaks", "problem", f"bursts ({pause}) in more than one split", [_burst(burst) for burst in parted]
    )
    yield finding(
        "bursts",
        "note",
        f"bursts ({pause}); train --group-by burst keeps each in one split",
        [_burst(burst) for burst in bursts if burst not in parted],
    )


def _burst(photos: Sequence[CheckedPhoto]) -> Item:
    first = photos[0].scanned
    what = f"{len(photos)} photos from {first.taken.replace('T', ' ')}" + (f", {first.camera}" if first.camera else "")
    return Item(tuple(p.path for p in photos), what)


def group_findings(found: Found, photos: Sequence[CheckedPhoto], rule: GroupRule | None) -> Iterator[Finding]:
    """Groups in several splits, and classes that are one group.

    Args:
        found: what was found in the data folders.
        photos: those that can be read.
        rule: how photos are grouped; bursts have findings of their own.

    Raises:
        DataError: no photo is in a group.
    """
    if rule is None or rule.kind == "burst":
        return
    names = group_names([p.sample for p in photos], rule, found)
    groups: dict[str, list[CheckedPhoto]] = defaultdict(list)
    of_class: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        name = names.get(photo.path, "")
        of_class[photo.sample.label].add(name or str(photo.path))
        if name:
            groups[name].append(photo)
    several = {name: group for name, group in groups.items() if len(group) > 1}
    short = {name: name.removeprefix(f"{rule}=") for name in several}
    parted = {name: group for name, group in several.items() if len({p.split for p in group}) > 1}
    yield finding(
        "group-leaks",
        "problem",
        f"groups by {rule} in more than one split (training leaves out the training photos)",
        [Item(tuple(p.path for p in group), short[name]) for name, group in parted.items()],
    )
    yield finding(
        "one-group-classes",
        "problem",
        f"classes whose photos are all one group by {rule} (none can be set aside for validation)",
        [Item((), label) for label in sorted(of_class, key=natural) if len(of_class[label]) == 1],
    )
    sizes = sorted(several, key=lambda name: (-len(several[name]), natural(name)))
    yield finding(
        "groups",
        "note",
        f"groups by {rule}, the largest first; {len(photos) - sum(map(len, several.values()))} photos are in none",
        [Item((), f"{short[name]}: {len(several[name])} photos") for name in sizes],
    )
