"""The groups of photos: near-duplicates, and what ``--group-by`` keeps together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from edgeclf.errors import DataError
from numpy.typing import NDArray

from edgeclf_training.dataset.bursts import burst_groups
from edgeclf_training.dataset.duplicates import exact_groups
from edgeclf_training.dataset.exclusions import Entry
from edgeclf_training.dataset.found import Found
from edgeclf_training.dataset.group_rules import GroupRule
from edgeclf_training.dataset.known_photos import KnownPhoto, find_known, near_duplicates_of_known
from edgeclf_training.dataset.samples import Sample
from edgeclf_training.dataset.scan import Scanned

_REMEDY = {
    "folder": "folder:1 is the first folder inside the class folder; with --labels, inside the data folder",
    "name": "check the pattern; it is searched in the file name",
    "column": "fill the column, or leave --group-by out",
}


def group_names(
    samples: Sequence[Sample], rule: GroupRule, found: Found, earlier: Sequence[KnownPhoto] = ()
) -> dict[Path, str]:
    """The group of each photo that is in one, with its rule: groups of different rules are never the same.

    Equal names are one group, whatever the class: a camera takes photos of several classes. Bursts have no names.

    Args:
        samples: the photos.
        rule: how they are grouped.
        found: what was found in the data folders.
        earlier: photos of earlier runs, whose groups are known.

    Raises:
        DataError: no photo is in a group.
    """
    if rule.kind == "burst":
        return {}
    starts = set(found.folders)
    names: dict[Path, str] = {}
    for sample in samples:
        if name := _name(sample.path, rule, found, starts):
            names[sample.path] = f"{rule}={name}"
    known = any(photo.group.startswith(f"{rule}=") for photo in earlier)
    if not names and not known and samples and found.folders:
        raise DataError(f"--group-by {rule}: no photo is in a group, for example {samples[0].path}", _REMEDY[rule.kind])
    return names


def _name(path: Path, rule: GroupRule, found: Found, starts: set[Path]) -> str:
    if rule.kind == "column":
        return found.groups.get(path, "")
    if rule.kind == "name":
        match = rule.pattern.search(path.name)
        return "" if match is None else "|".join(part or "" for part in match.groups() or (match[0],)).strip("|")
    if rule.level == 0:
        return max((str(root) for root in found.roots if root in path.parents), key=len, default="")
    return _folder(path, starts, rule.level)


def _folder(path: Path, starts: set[Path], level: int) -> str:
    """The names of the folders from a class folder to the folder of this level, "" if there is none."""
    inside: list[str] = []
    for folder in path.parents:
        if folder in starts:
            return "/".join(inside[::-1][:level]) if len(inside) >= level else ""
        inside.append(folder.name)
    return ""


def with_groups(
    entries: list[Entry],
    scans: Mapping[Path, Scanned],
    earlier: Sequence[KnownPhoto],
    parts_with_folder: set[str],
    group_near: bool,
    rule: GroupRule | None = None,
    names: Mapping[Path, str] = MappingProxyType({}),
) -> list[Entry]:
    """Entries with their groups, and with what earlier runs used them for.

    Args:
        entries: photos that can be read.
        scans: of the photos.
        earlier: photos of earlier runs; new photos may be of their groups.
        parts_with_folder: parts that the data has a folder for: the user decides about those.
        group_near: whether near-duplicates are one group; if not, only photos with the same pixels are.
        rule: what else is one group.
        names: the group names of photos that have one, see ``group_names``.
    """
    of = [scans[e.sample.path] for e in entries]
    known = find_known([e.sample for e in entries], of, earlier)
    same = exact_groups(of)
    near, parts = near_duplicates_of_known(of, earlier) if group_near else (same, {})
    by_name = ((group, "train") for group, k in zip(near.tolist(), known, strict=True) if k and k.part == "train")
    parts |= dict(by_name)
    there = {group for group, k in zip(near.tolist(), known, strict=True) if k}
    near_parts = [parts.get(group, "") for group in near.tolist()]
    group, group_parts = near, near_parts
    if rule is not None:
        own = [
            names.get(e.sample.path) or (k.group if k and k.group.startswith(f"{rule}=") else "")
            for e, k in zip(entries, known, strict=True)
        ]
        group, group_parts = _joined_with_rule(near, near_parts, of, known, earlier, own, rule)
    grouped = []
    for number, (e, k, near_part, group_part) in enumerate(zip(entries, known, near_parts, group_parts, strict=True)):
        # If the photo that validated is gone, a copy of it that was saved again validates instead.
        part = k.part if k else None if near[number] in there else group_part or None
        if group_part == "train":  # of a group that was trained on
            part = "train"
        home = part if part and e.placed == "train" and part not in parts_with_folder - {"train"} else e.placed
        grouped.append(
            Entry(
                *(e.sample, e.placed, home, k, int(same[number]), int(near[number]), near_part),
                *(int(group[number]), group_part),
            )
        )
    return grouped


def _joined_with_rule(
    near: NDArray[np.int64],
    near_parts: Sequence[str],
    scans: Sequence[Scanned],
    known: Sequence[KnownPhoto | None],
    earlier: Sequence[KnownPhoto],
    own: Sequence[str],
    rule: GroupRule,
) -> tuple[NDArray[np.int64], list[str]]:
    """Groups of photos that are joined by near-duplicates or by the rule, and what earlier runs used each for."""
    count = len(scans)
    joined = [np.concatenate([near, np.arange(count, count + len(earlier))])]
    if rule.kind == "burst":
        joined.append(burst_groups([*scans, *(k.scan or Scanned() for k in earlier)], rule.seconds))
    else:
        joined.append(_numbered([*own, *(k.group for k in earlier)]))
    groups = join_groups(*joined)
    used: dict[int, str] = {}
    uses = [
        *zip(groups[count:].tolist(), (k.part for k in earlier), strict=True),
        *zip(groups[:count].tolist(), near_parts, strict=True),
        *((group, k.part) for group, k in zip(groups[:count].tolist(), known, strict=True) if k),
    ]
    for group, part in uses:
        if part and (part == "train" or group not in used):
            used[group] = part
    return groups[:count], [used.get(group, "") for group in groups[:count].tolist()]


def join_groups(*partitions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The groups that arise if photos are together as soon as one of several partitions puts them together.

    Args:
        partitions: for each photo the smallest index in its group, int64 ``[N]`` each.

    Returns:
        The same for the joined groups.
    """
    labels = np.arange(len(partitions[0]))
    while True:
        before = labels.copy()
        for groups in partitions:
            smallest = np.full(len(labels), len(labels))
            np.minimum.at(smallest, groups, labels)
            labels = smallest[groups]
        labels = labels[labels]  # of a chain of groups, the end
        if (labels == before).all():
            return labels


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """For each name the index of the first equal one; an empty name is equal to none."""
    first: dict[str, int] = {}
    return np.array([i if name == "" else first.setdefault(name, i) for i, name in enumerate(names)], np.int64)
