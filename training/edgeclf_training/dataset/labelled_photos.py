"""The photos of a labels table: each row's file, and what is left out. The labels come from the table only."""

import os
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from edgeclf.class_names import finder, several, shown
from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import HELD_OUT, SPLITS, unreadable_folder
from edgeclf.files.in_tar import is_file
from edgeclf.files.paths import in_folder
from edgeclf.files.photo_names import has_raw_suffix, is_photo_name
from edgeclf.files.walk import image_files

from edgeclf_training.dataset.class_changes import ClassChanges
from edgeclf_training.dataset.exclusions import photos_text
from edgeclf_training.dataset.found import VAL_FOLDER, Found, Placed, in_seeded_order, placed
from edgeclf_training.dataset.labels_table import LabelRow, LabelsTable
from edgeclf_training.dataset.scan import absolute
from edgeclf_training.dataset.split_roots import held_out_roots, split_of_name, used_as
from edgeclf_training.dataset.table_problems import LabelsError, Problem


def find_labelled(
    roots: Sequence[Path],
    table: LabelsTable,
    *,
    seed: int = 0,
    only: Sequence[str] = (),
    max_per_class: int | None = None,
    elsewhere: Collection[str] = (),
    checking: bool = False,
) -> Found:
    """Find the photos that a table names.

    A path in the table starts at a data folder or at the table's own folder, or is absolute. If there is no such file,
    the only photo whose path ends so is taken: a table may hold bare file names. Photos that the table does not name
    are left out. Rows without a split train, unless the table has no such column and the photos lie in folders or .tar
    files named train, val and test, in a data folder or as data folders.

    Without data folders, photos may lie anywhere, and none is searched for; the folder that holds them all stands for
    the data folder.

    Args:
        roots: existing data folders, or none.
        table: see ``read_labels``.
        seed, only, max_per_class: as for ``find_photos``.
        elsewhere: classes that have training photos beside these.
        checking: keep all problems in the result, instead of raising.

    Returns:
        The photos; ``groups`` holds those of the table's group column.

    Raises:
        LabelsError: the table has problems, all of which it names.
        DataError: there are fewer than two classes, or a class is not in train.
    """
    folders = _Folders([str(absolute(root)) for root in roots], table.file.parent)
    problems, notes = list(table.problems), list(table.notes)
    rows: dict[Path, LabelRow] = {}
    for row in table.rows:
        path = folders.find(row, problems)
        if path is not None and row.label:
            _add(rows, path, row, problems)
    if problems and not checking:
        raise LabelsError(table.file, problems)
    folders.need_root(rows)
    notes = [f"labels from {table.file}: {photos_text(len(rows))}", *notes, *folders.notes(rows)]
    split_folders = _split_folders(rows, folders) if not table.has_splits else {}
    if split_folders:
        notes.append(f"{table.file.name}: no column split; the folders {several(list(split_folders))} are the splits")
    held_out = held_out_roots([Path(root) for root in folders.roots]) if not table.has_splits else {}
    notes += (used_as(root, split) for root, split in held_out.items())
    chosen = finder(only)
    photos: dict[str, dict[str, list[Placed]]] = {part: {} for part in SPLITS}
    groups: dict[Path, str] = {}
    for path, row in rows.items():
        if only and chosen(row.label) is None:
            continue
        root, place = folders.place_of(path)
        part = row.split or split_folders.get(place.split(os.sep)[0]) or held_out.get(root) or "train"
        photos[part].setdefault(row.label, []).append(placed(path, place, row.label))
        if row.group:
            groups[path] = row.group
    classes = tuple(sorted(photos["train"]))
    _check_classes(table, classes, only, photos, {*elsewhere, *(row.label for row in table.rows)}, elsewhere)
    return Found(
        classes,
        in_seeded_order(photos, classes, seed, max_per_class),
        (),
        notes=tuple(notes),
        problems=tuple(problems),
        val_source=f"the column split of {table.file.name}" if table.has_splits else VAL_FOLDER,
        groups=groups,
        unlisted=frozenset(map(Path, folders.photos.keys() - set(map(str, rows)))),
        roots=tuple(map(Path, folders.roots)),
        folders=tuple(map(Path, folders.roots)),
    )


def relabelled(table: LabelsTable, changes: ClassChanges) -> LabelsTable:
    """The table with the names that its classes have now; rows of dropped classes are left out."""
    rows = [(row, changes.label(row.label) if row.label else "") for row in table.rows]
    kept = tuple(row._replace(label=label) for row, label in rows if label is not None)
    notes = list(table.notes)
    if lost := len(rows) - len(kept):
        notes.append(f"{table.file.name}: {'1 row' if lost == 1 else f'{lost} rows'} left out, the class is dropped")
    if other := sorted({(row.label, label) for row, label in rows if label is not None and row.label != label}):
        notes.append(f"{table.file.name}: {', '.join(f'{old} is now {new}' for old, new in other)}")
    return replace(table, rows=kept, notes=tuple(notes))


class _Folders:
    """The photos below the data folders (absolute paths), and where the paths of a table lead."""

    def __init__(self, roots: Sequence[str], beside: Path) -> None:
        self.roots, self._anywhere = list(roots), not roots
        self._starts = list(dict.fromkeys([*self.roots, os.path.abspath(beside)]))
        self.photos = {str(path): None for root in self.roots for path in image_files(root, _refuse)}  # in order
        self._by_ending: dict[str, list[str]] = {}
        self._by_name: list[tuple[LabelRow, str]] = []
        self._by_case: list[tuple[LabelRow, str]] = []

    def find(self, row: LabelRow, problems: list[Problem]) -> Path | None:
        """The photo of a row; None with a problem added if there is none, or if there are several."""
        places = list(dict.fromkeys(os.path.normpath(in_folder(start, row.path)) for start in self._starts))
        there = [place for place in places if place in self.photos]
        if len(there) == 1 or (there and there[0] == places[0] and len(self.roots) == 1):
            return Path(there[0])
        kind, why = "table-not-found", ""
        if there:
            kind, why = "table-unclear-paths", " fits " + " and ".join(there)
        elif exists := next((place for place in places if is_file(place)), None):
            if not self._anywhere and not any(_below(exists, root) for root in self.roots):
                kind = "table-outside"
            elif is_photo_name(exists):
                return Path(exists)  # in a folder or with a name that a walk leaves out
            else:
                kind, why = "table-not-photos", " is a camera raw file" if has_raw_suffix(exists) else ""
        elif not os.path.isabs(text := row.path.replace("\\", "/")):
            ends = self._ending_in(os.path.normpath(text))
            if len(ends) == 1:
                same = unicodedata.normalize("NFC", ends[0]).endswith(unicodedata.normalize("NFC", text))
                (self._by_name if same else self._by_case).append((row, ends[0]))
                return Path(ends[0])
            if ends:
                more = f" and {len(ends) - 2} more" if len(ends) > 2 else ""
                kind, why = "table-unclear-paths", f" fits {ends[0]} and {ends[1]}{more}"
        problems.append(Problem(kind, f"line {row.line}: {shown(row.path)}{why}"))
        return None

    def need_root(self, photos: Iterable[Path]) -> None:
        """Without a data folder, take the one that holds all photos; on Windows one of each drive."""
        if self._anywhere:
            drives: dict[str, set[str]] = {}
            for path in photos:
                drives.setdefault(path.anchor, set()).add(str(path.parent))
            self.roots = [os.path.commonpath(folders) for folders in drives.values()]

    def place_of(self, path: Path) -> tuple[Path, str]:
        """The innermost data folder of a photo, and the path of the photo inside it."""
        text = str(path)
        root = max((root for root in self.roots if _below(text, root)), key=len)
        return Path(root), text[len(root.rstrip(os.sep)) + 1 :]

    def notes(self, used: Iterable[Path]) -> list[str]:
        """How paths were read, and which photos are left out."""
        lines = []
        for how, matched in (
            ("by the end of their path", self._by_name),
            ("although upper and lower case differ", self._by_case),
        ):
            if matched:
                row, place = matched[0]
                lines.append(
                    f"{photos_text(len(matched))} of the table found {how}, first: {shown(row.path)} is {place}"
                )
        named = set(map(str, used))
        if rest := [photo for photo in self.photos if photo not in named]:
            lines.append(f"left out, not in the table: {photos_text(len(rest))}, first: {rest[0]}")
        return lines

    def _ending_in(self, text: str) -> list[str]:
        """The photos whose path ends so; of several, those with the same case."""
        if not self._by_ending:
            for photo in self.photos:
                self._by_ending.setdefault(_folded(os.path.basename(photo)), []).append(photo)
        wanted = os.sep + _folded(text).lstrip(os.sep)
        ends = [p for p in self._by_ending.get(_folded(os.path.basename(text)), ()) if _folded(p).endswith(wanted)]
        same = [photo for photo in ends if photo.endswith(os.sep + text)]
        return same or ends


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _below(path: str, root: str) -> bool:
    return path.startswith(root.rstrip(os.sep) + os.sep)


def _refuse(error: OSError) -> None:
    raise unreadable_folder(error, DataError) from error


def _add(rows: dict[Path, LabelRow], path: Path, row: LabelRow, problems: list[Problem]) -> None:
    """Note a photo's row; what contradicts an earlier row of the same photo is a problem."""
    first = rows.setdefault(path, row)
    for kind, one, other in (
        ("table-two-labels", first.label, row.label),
        ("table-two-splits", first.split, row.split),
        ("table-two-groups", first.group, row.group),
    ):
        if one != other:
            what = f"lines {first.line} and {row.line}: {shown(row.path)}: {one or '(empty)'} and {other or '(empty)'}"
            problems.append(Problem(kind, what, (path,)))


def _split_folders(rows: Iterable[Path], folders: _Folders) -> dict[str, str]:
    """What lies directly in a data folder and is a split by its name, if one is for training, another not."""
    first = {(root, place.split(os.sep)[0]): None for root, place in map(folders.place_of, rows)}
    splits = {name: split for root, name in first if (split := split_of_name(root / name))}
    return splits if "train" in splits.values() and len(set(splits.values())) > 1 else {}


def _check_classes(
    table: LabelsTable,
    classes: Sequence[str],
    only: Sequence[str],
    photos: dict[str, dict[str, list[Placed]]],
    labels: set[str],
    elsewhere: Collection[str],
) -> None:
    find = finder(sorted(labels))
    if unknown := sorted(name for name in only if find(name) is None):
        raise DataError(f"{table.file}: no label {several(unknown)}", "check --classes")
    for part in HELD_OUT:
        if extra := sorted(set(photos[part]) - {*classes, *elsewhere}):
            raise DataError(
                f"{table.file}: label {several(extra)} is in {part}, but not in train",
                "add training photos of every class",
            )
    if len({*classes, *elsewhere}) < 2:
        found = f"only one label, {classes[0]}," if classes else "no label"
        raise DataError(f"{table.file}: {found} with photos to train on", "a classifier needs at least two")
