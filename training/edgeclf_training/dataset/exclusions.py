"""Rules that leave photos out of a split. Each takes entries, notes what it leaves out, and returns the rest."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeclf_training.dataset.known_photos import KnownPhoto
from edgeclf_training.dataset.samples import Sample, Skipped


@dataclass(frozen=True)
class Entry:
    """A photo and the part of the split that it is going to be in.

    Attributes:
        sample: the photo.
        placed: the part ("train", "val", "test") whose folder it lies in.
        home: the part it will be used for.
        known: what an earlier run used it for; None if no earlier run used it.
        exact: number of its group of photos with the same pixels.
        near: number of its group of near-duplicates.
        near_part: what an earlier run used it or a near-duplicate for; "" if no earlier run used one.
        group: number of its group, which is never parted: near-duplicates, and what ``--group-by`` puts together.
        group_part: what an earlier run used a photo of this group for.
    """

    sample: Sample
    placed: str
    home: str
    known: KnownPhoto | None = None
    exact: int = -1
    near: int = -1
    near_part: str = ""
    group: int = -1
    group_part: str = ""

    @property
    def trained(self) -> bool:
        """An earlier run trained on this photo."""
        return self.known is not None and self.known.part == "train"

    @property
    def near_trained(self) -> bool:
        """An earlier run trained on it or on a near-duplicate."""
        return self.near_part == "train"

    @property
    def group_trained(self) -> bool:
        """An earlier run trained on a photo of its group."""
        return self.group_part == "train"


def leave_out_listed(
    entries: list[Entry], quarantine: Mapping[Path, str], skipped: list[Skipped], notes: list[str]
) -> list[Entry]:
    """Leave out photos on the quarantine list. Note list entries that match no photo."""
    listed = [e for e in entries if e.sample.path in quarantine]
    skipped += (Skipped(e.sample.path, f"{e.sample.path}: quarantined, {quarantine[e.sample.path]}") for e in listed)
    if listed:
        notes.append(f"{photos_text(len(listed))} on the quarantine list left out")
    if lost := sorted(set(quarantine) - {e.sample.path for e in listed}):
        count = "1 entry matches" if len(lost) == 1 else f"{len(lost)} entries match"
        notes.append(f"quarantine list: {count} no photo here, first: {lost[0]}")
    return [e for e in entries if e.sample.path not in quarantine]


def leave_out_trained(
    entries: list[Entry], skipped: list[Skipped], notes: list[str], grouped: bool = False
) -> list[Entry]:
    """Leave photos that an earlier run trained on out of ``val`` and ``test``: their accuracy would be optimistic.

    So are photos of the groups that it trained on; ``grouped`` says that there are others than near-duplicates.
    """
    gone: dict[Path, str] = {}
    lost: Counter[str] = Counter()
    for e in entries:
        if e.placed == "train" or not e.group_trained:
            continue
        what = "it" if e.trained else "nearly the same photo" if e.near_trained else "a photo of its group"
        what = f"an earlier run trained on {what}"
        gone[e.sample.path] = f"{e.sample.path}: left out of {e.placed}, {what}"
        lost[e.placed] += 1
    skipped += (Skipped(path, reason) for path, reason in gone.items())
    notes += (
        f"{photos_text(count)} left out of {part}: an earlier run trained on {'it' if count == 1 else 'them'}, "
        f"or on {'photos of the same group' if grouped else 'nearly the same'}"
        for part, count in lost.items()
    )
    return [e for e in entries if e.sample.path not in gone]


def leave_out_conflicts(entries: list[Entry], skipped: list[Skipped], notes: list[str]) -> list[Entry]:
    """Leave out photos that lie in several classes, because their label is not known. Test photos stay."""
    gone: set[Path] = set()
    kept_in_test = 0
    for group in grouped_by(entries, "exact"):
        if len({e.sample.label for e in group}) == 1:
            continue
        for e in group:
            if e.home == "test":
                kept_in_test += 1
                continue
            other = next(o.sample for o in group if o.sample.label != e.sample.label)
            gone.add(e.sample.path)
            skipped.append(Skipped(e.sample.path, f"{e.sample.path}: same photo as {other.path}, under another class"))
    if gone:
        notes.append(f"{photos_text(len(gone))} left out: the same photo is in more than one class")
    if kept_in_test:
        notes.append(f"{photos_text(kept_in_test)} kept in test, although the same photo is also in another class")
    return [e for e in entries if e.sample.path not in gone]


def leave_out_copies(entries: list[Entry], skipped: list[Skipped], notes: list[str]) -> list[Entry]:
    """Keep one copy of each photo in ``train``: one that an earlier run used, else the first."""
    gone: set[Path] = set()
    for group in grouped_by([e for e in entries if e.placed == "train"], "exact"):
        first, *copies = sorted(group, key=lambda e: e.known is None)
        for e in copies:
            gone.add(e.sample.path)
            skipped.append(Skipped(e.sample.path, f"{e.sample.path}: same photo as {first.sample.path}"))
    if gone:
        notes.append(
            f"{photos_text(len(gone))} left out: {'a copy' if len(gone) == 1 else 'copies'} of a training photo"
        )
    return [e for e in entries if e.sample.path not in gone]


def leave_out_duplicates_of_held_out(entries: list[Entry], skipped: list[Skipped], notes: list[str]) -> list[Entry]:
    """Leave out training photos that are the same or nearly the same as one in ``val`` or ``test``, or of its group.

    A photo that an earlier run trained on stays.
    """
    gone: dict[Path, str] = {}
    by_group = 0
    for group in grouped_by(entries, "group"):
        held_out = [e for e in group if e.home != "train"]
        for e in group:
            if held_out and e.home == "train" and not e.trained:
                other = next((o for o in held_out if o.near == e.near), held_out[0])
                word = "same photo as" if other.exact == e.exact else "nearly the same photo as"
                if other.near != e.near:
                    word = "same group as"
                    by_group += 1
                gone[e.sample.path] = f"{e.sample.path}: {word} {other.sample.path}, which is in {other.home}"
    skipped += (Skipped(path, reason) for path, reason in gone.items())
    if same := len(gone) - by_group:
        notes.append(f"{photos_text(same)} left out of training: the same or nearly the same as in val or test")
    if by_group:
        notes.append(f"{photos_text(by_group)} left out of training: of a group that has photos in val or test")
    return [e for e in entries if e.sample.path not in gone]


def grouped_by(entries: Iterable[Entry], kind: str) -> list[list[Entry]]:
    """Entries in groups.

    Args:
        entries: to group.
        kind: "exact", "near" or "group".
    """
    groups: dict[int, list[Entry]] = defaultdict(list)
    for e in entries:
        groups[getattr(e, kind)].append(e)
    return list(groups.values())


def photos_text(count: int) -> str:
    """A number of photos in words: "1 photo", "2 photos"."""
    return "1 photo" if count == 1 else f"{count} photos"
