"""What is left out of a split, and why: each step takes entries, tells what it leaves out, and returns the rest."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeclf_training.dataset.known_photos import Known
from edgeclf_training.dataset.samples import Sample, Skipped


@dataclass(frozen=True)
class Entry:
    """A photo on its way to a part.

    Attributes:
        placed: the part whose folder it lies in.
        home: the part it is bound for.
        known: what an earlier run used it for, None for nothing.
        exact, near: its group of the same pixels, and of near-duplicates.
        near_part: what an earlier run used it or a near-duplicate for, "" for nothing.
    """

    sample: Sample
    placed: str
    home: str
    known: Known | None = None
    exact: int = -1
    near: int = -1
    near_part: str = ""

    @property
    def trained(self) -> bool:
        """An earlier run trained on this very photo."""
        return self.known is not None and self.known.part == "train"

    @property
    def near_trained(self) -> bool:
        """An earlier run trained on it or on a near-duplicate."""
        return self.near_part == "train"


def leave_out_listed(
    entries: list[Entry], quarantine: Mapping[Path, str], skipped: list[Skipped], notes: list[str]
) -> list[Entry]:
    """What the quarantine list names; entries of the list that name no photo here are told."""
    listed = [e for e in entries if e.sample.path in quarantine]
    skipped += (Skipped(e.sample.path, f"{e.sample.path}: quarantined, {quarantine[e.sample.path]}") for e in listed)
    if listed:
        notes.append(f"{in_words(len(listed))} on the quarantine list left out")
    if lost := sorted(set(quarantine) - {e.sample.path for e in listed}):
        count = "1 entry matches" if len(lost) == 1 else f"{len(lost)} entries match"
        notes.append(f"quarantine list: {count} no photo here, first: {lost[0]}")
    return [e for e in entries if e.sample.path not in quarantine]


def leave_out_trained(entries: list[Entry], skipped: list[Skipped], notes: list[str]) -> list[Entry]:
    """What was trained on says nothing about new photos: in ``val`` and ``test`` it has no place."""
    gone: dict[Path, str] = {}
    lost: Counter[str] = Counter()
    for e in entries:
        if e.placed == "train" or not e.near_trained:
            continue
        what = "an earlier run trained on it" if e.trained else "an earlier run trained on nearly the same photo"
        gone[e.sample.path] = f"{e.sample.path}: left out of {e.placed}, {what}"
        lost[e.placed] += 1
    skipped += (Skipped(path, reason) for path, reason in gone.items())
    notes += (
        f"{in_words(count)} left out of {part}: an earlier run trained on {'it' if count == 1 else 'them'}, "
        "or on nearly the same"
        for part, count in lost.items()
    )
    return [e for e in entries if e.sample.path not in gone]


def leave_out_conflicts(entries: list[Entry], skipped: list[Skipped], notes: list[str]) -> list[Entry]:
    """The same pixels under several classes: no label can be trusted. Test photos stay: a test is left alone."""
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
        notes.append(f"{in_words(len(gone))} left out: the same photo is filed under more than one class")
    if kept_in_test:
        notes.append(
            f"{in_words(kept_in_test)} of the test kept, though the same photo is filed under another class too"
        )
    return [e for e in entries if e.sample.path not in gone]


def leave_out_copies(entries: list[Entry], skipped: list[Skipped], notes: list[str]) -> list[Entry]:
    """Of the same pixels repeated in ``train`` one copy is enough: one an earlier run knows, else the first."""
    gone: set[Path] = set()
    for group in grouped_by([e for e in entries if e.placed == "train"], "exact"):
        first, *copies = sorted(group, key=lambda e: e.known is None)
        for e in copies:
            gone.add(e.sample.path)
            skipped.append(Skipped(e.sample.path, f"{e.sample.path}: same photo as {first.sample.path}"))
    if gone:
        notes.append(f"{in_words(len(gone))} left out: {'a copy' if len(gone) == 1 else 'copies'} of a training photo")
    return [e for e in entries if e.sample.path not in gone]


def leave_out_twins(entries: list[Entry], skipped: list[Skipped], notes: list[str]) -> list[Entry]:
    """Twins across parts: the training photo goes, unless an earlier run has trained on it already."""
    gone: dict[Path, str] = {}
    for group in grouped_by(entries, "near"):
        judges = [e for e in group if e.home != "train"]
        for e in group:
            if judges and e.home == "train" and not e.trained:
                twin = judges[0]
                word = "same photo as" if twin.exact == e.exact else "nearly the same photo as"
                gone[e.sample.path] = f"{e.sample.path}: {word} {twin.sample.path}, which is in {twin.home}"
    skipped += (Skipped(path, reason) for path, reason in gone.items())
    if gone:
        notes.append(f"{in_words(len(gone))} left out of training: a twin is in val or test")
    return [e for e in entries if e.sample.path not in gone]


def grouped_by(entries: Iterable[Entry], kind: str) -> list[list[Entry]]:
    """Entries by "exact" or "near"."""
    groups: dict[int, list[Entry]] = defaultdict(list)
    for e in entries:
        groups[getattr(e, kind)].append(e)
    return list(groups.values())


def in_words(count: int) -> str:
    """1 photo, 2 photos."""
    return "1 photo" if count == 1 else f"{count} photos"
