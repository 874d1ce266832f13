"""The photos of the run that training goes on from: added to those of the data folders, in the parts they were in."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeclf.class_names import alike, finder, natural, several
from edgeclf.errors import DataError, UsageError
from edgeclf.evaluation.folder_name_rules import SPLITS

from edgeclf_training.dataset.class_changes import ClassChanges
from edgeclf_training.dataset.exclusions import Entry, photos_text
from edgeclf_training.dataset.found import Found, Placed, in_seeded_order
from edgeclf_training.dataset.known_photos import KnownPhoto, find_known, name_key
from edgeclf_training.dataset.samples import Sample, Split
from edgeclf_training.dataset.scan import Scanned

DATA_ONLY = "--no-earlier-photos"
_FEW_GONE = 0.05  # share of the earlier photos that may be gone without a word


@dataclass(frozen=True)
class EarlierPhotos:
    """What is taken over from an earlier run.

    Attributes:
        run: its folder, for messages.
        changes: what becomes of its classes.
        parts: its photos that are still in their places, by part, with the classes they belong to now; empty if only
            the data folders are used.
        wanted: whether its photos are used at all; if so, none of its classes may end without photos.
        counts: photos that each class (of now) had in it, wherever they are.
        folds: it was trained with ``--folds``, on all its photos: none of them can validate.
    """

    run: Path
    changes: ClassChanges
    parts: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    wanted: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)
    folds: bool = False

    def classes(self, only: Sequence[str] = ()) -> tuple[str, ...]:
        """The classes that have training photos in it, of those in ``only`` if it is not empty."""
        chosen = finder(only)
        labels = dict.fromkeys(sample.label for sample in self.parts.get("train", ()))
        return tuple(label for label in labels if not only or chosen(label) is not None)

    def check_alone(self, only: Sequence[str] = ()) -> None:
        """Check that its photos are enough without a data folder.

        Args:
            only: classes to use; all if empty.

        Raises:
            UsageError: they are not wanted, so there are none.
            DataError: a class has no photo left.
        """
        if not self.wanted:
            raise UsageError(f"{DATA_ONLY}: no photos are left to train on", "name a folder of photos, or leave it out")
        there, chosen = finder(self.classes()), finder(only)
        if gone := [c for c in self.changes.kept if there(c) is None and (not only or chosen(c) is not None)]:
            raise self.gone(gone)

    def gone(self, classes: Sequence[str]) -> DataError:
        """The error if no photo of these classes is left."""
        return DataError(
            f"no photos of {several(classes)}: in none of the data folders, and not where {self.run} had them",
            f"name the folder that holds them now as well; or leave the class out with --drop; or use {DATA_ONLY}",
        )

    def with_origin(self, split: Split) -> Split:
        """The split; ``val_origin`` also says how many of these photos are among the validation photos."""
        paths = {s.path for s in self.parts.get("val", ())}
        ours = sum(s.path in paths for s in split.val)
        if not ours or split.folds:
            return split
        text = f"{photos_text(ours)} that validated the earlier run"
        return replace(split, val_origin=text if ours == len(split.val) else f"{split.val_origin}, and {text}")

    def used_in(self, split: Split) -> bool:
        """Whether a split has any of these photos, at the places where the earlier run had them."""
        paths = {s.path for samples in self.parts.values() for s in samples}
        return any(s.path in paths for part in SPLITS for s in split.part(part))

    def entries(
        self, found: Found, seed: int, only: Sequence[str], max_per_class: int | None, quarantine: Mapping[Path, str]
    ) -> list[Entry]:
        """The photos that the data folders do not hold, each in its part; none that a labels table leaves out.

        Args:
            found: what is in the data folders.
            seed: of the choice that ``max_per_class`` makes.
            only: classes to use; all if empty.
            max_per_class: at most so many training photos of each class, those in ``found`` included.
            quarantine: absolute paths to leave out.
        """
        here = [sample for part in SPLITS for sample in found.parts[part]]
        not_again = {sample.path for sample in here} | set(quarantine) | found.unlisted  # the user took these out
        listed = {name_key(s.path.name, s.size) for s in here if s.path in quarantine}  # copies elsewhere
        chosen = finder(only)
        places: dict[str, dict[str, list[Placed]]] = {part: defaultdict(list) for part in SPLITS}
        for part, samples in self.parts.items():
            for s in samples:
                if s.path in not_again or name_key(s.path.name, s.size) in listed:
                    continue
                if not only or chosen(s.label) is not None:
                    places[part][s.label].append(Placed(s, s.path.name))
        labels = sorted({label for of in places.values() for label in of})
        left = Counter(dict.fromkeys(labels, max_per_class or 0))
        left.subtract(Counter(s.label for s in found.parts["train"]))
        entries = []
        for part, samples in in_seeded_order(places, labels, seed, None).items():
            for s in samples:
                if part == "train" and max_per_class is not None:
                    left[s.label] -= 1
                    if left[s.label] < 0:
                        continue
                entries.append(Entry(s, part, part))
        return entries


def with_earlier(
    found: Found,
    entries: list[Entry],
    extra: list[Entry],
    scans: Mapping[Path, Scanned],
    earlier: EarlierPhotos,
    known: Sequence[KnownPhoto],
    only: Sequence[str],
    notes: list[str],
) -> tuple[Found, list[Entry]]:
    """Join photos of the earlier run with those of the data folders.

    A photo that the data folders hold as well is used as it lies there: the user may have moved it to another class.

    Args:
        found, entries: of the data folders.
        extra: as ``EarlierPhotos.entries`` gives them.
        scans: of all these photos.
        earlier: what is taken over.
        known: photos of the earlier run and those before it.
        only: classes to use; all if empty.
        notes: gets lines about photos used again, and about classes whose photos are elsewhere now.

    Returns:
        ``found`` with all classes, and all entries.

    Raises:
        DataError: a class of the earlier run has no photo left; or a class folder is named nearly like one of its
            classes.
    """
    here = [(e.sample, scans[e.sample.path]) for e in entries if not scans[e.sample.path].kind]
    contents = {key for _, scan in here for key in (scan.sha256, scan.pixels)}
    extra = [e for e in extra if not (scan := scans[e.sample.path]).kind and not {scan.sha256, scan.pixels} & contents]
    trained = {e.sample.label for e in extra if e.placed == "train"}
    classes = tuple(sorted({*found.classes, *trained}))
    _check_names(found.classes, trained)
    extra = [e for e in extra if e.sample.label in classes]
    chosen = finder(only)
    if earlier.wanted:
        _note_gone(earlier, here, known, notes)
    missing = [c for c in earlier.changes.kept if c not in classes and (not only or chosen(c) is not None)]
    if missing and earlier.wanted:
        _explain_missing(missing, earlier, here, known, notes)
    if extra:
        per_class = Counter(e.sample.label for e in extra)
        counts = ", ".join(f"{label} {per_class[label]}" for label in sorted(per_class, key=natural)[:10])
        more = f" and {len(per_class) - 10} more classes" if len(per_class) > 10 else ""
        notes.append(
            f"{photos_text(len(extra))} of {earlier.run} used again ({counts}{more}); {DATA_ONLY} leaves them out"
        )
    if earlier.folds:
        notes.append(
            f"{earlier.run} was trained with --folds, on all its photos: none of them validates; "
            "for an accuracy of all classes train anew with --folds"
        )
    return replace(found, classes=classes), [*entries, *extra]


def _note_gone(
    earlier: EarlierPhotos, here: Sequence[tuple[Sample, Scanned]], known: Sequence[KnownPhoto], notes: list[str]
) -> None:
    """Say how many photos are neither where they were nor in the data folders, if they are more than a few."""
    total, there = sum(earlier.counts.values()), {s.path for samples in earlier.parts.values() for s in samples}
    if total == len(there):
        return
    found = find_known([s for s, _ in here], [scan for _, scan in here], known)
    moved = sum(k is not None and s.path not in there for (s, _), k in zip(here, found, strict=True))
    gone = total - len(there) - moved
    if gone > _FEW_GONE * total:
        notes.append(
            f"{gone} of {photos_text(total)} of {earlier.run} are gone: name the folder that holds them now as well; "
            "a network forgets what it no longer sees"
        )


def _check_names(given: Sequence[str], earlier: set[str]) -> None:
    by_key = {alike(label): label for label in sorted(earlier)}
    for label in given:
        other = by_key.get(alike(label), label)
        if other != label:
            raise DataError(
                f"the class folder {label!r} and the class {other!r} of the earlier run are too similar "
                "(case, accents or spaces)",
                f"if they are one class, rename the folder, or give --rename '{other}={label}'",
            )


def _explain_missing(
    missing: Sequence[str],
    earlier: EarlierPhotos,
    here: Sequence[tuple[Sample, Scanned]],
    known: Sequence[KnownPhoto],
    notes: list[str],
) -> None:
    """Say where the photos of classes without a folder are now, or that they are gone."""
    now: dict[str, Counter[str]] = defaultdict(Counter)
    for (sample, _), photo in zip(here, find_known([s for s, _ in here], [x for _, x in here], known), strict=True):
        if photo and (label := earlier.changes.label(photo.label)) is not None:
            now[label][sample.label] += 1
    gone = [c for c in missing if 2 * now[c].total() < earlier.counts.get(c, 1)]
    if gone:
        raise earlier.gone(gone)
    for label in missing:
        other, count = now[label].most_common(1)[0]
        if other in earlier.changes.kept:
            hint = f"--merge '{label},{other}={other}' unites what was learned of both"
        else:
            hint = f"--rename '{label}={other}' keeps what was learned"
        notes.append(f"class {label} is gone: {photos_text(count)} of it are now in {other}; {hint}")
