"""From data folders to labelled photos: which folder is a split, which folder is a class, and what is refused.

Files are only ever read. Hidden files are left out, and so are links that lead back into a folder already read.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeclf.class_names import alike, finder, natural, several
from edgeclf.errors import DataError
from edgeclf.evaluation.folder_layout import read_layout
from edgeclf.evaluation.folder_name_rules import (
    HELD_OUT,
    SPLITS,
    check_sorted,
    loose_photos,
    read_class_folders,
    unreadable_folder,
)
from edgeclf.files.in_tar import is_folder
from edgeclf.files.paths import PathLike, as_paths
from edgeclf.files.photo_names import UNSORTED, has_raw_suffix, is_ignored, is_photo_name
from edgeclf.files.walk import image_files
from edgeclf.images.camera_raw import left_out

from edgeclf_training.dataset.class_changes import ClassChanges
from edgeclf_training.dataset.class_name_checks import REFUSAL, check_distinct, check_readable, folders_alike
from edgeclf_training.dataset.found import Found, Placed, in_seeded_order, placed
from edgeclf_training.dataset.labelled_photos import find_labelled, relabelled
from edgeclf_training.dataset.labels_table import LabelsTable
from edgeclf_training.dataset.scan import absolute
from edgeclf_training.dataset.split_roots import folder_above, held_out_roots, used_as


@dataclass
class _Gathered:
    """What was found so far; ``photos`` by part and class, ``places`` are the folders of each class name."""

    photos: dict[str, dict[str, list[Placed]]] = field(default_factory=lambda: {part: {} for part in SPLITS})
    places: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    others: list[Path] = field(default_factory=list)
    loose: list[Path] = field(default_factory=list)
    unsorted: list[Path] = field(default_factory=list)
    mixed: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: ClassChanges = field(default_factory=lambda: ClassChanges(()))


def find_photos(
    roots: PathLike | Sequence[PathLike],
    *,
    seed: int = 0,
    only: Sequence[str] = (),
    max_per_class: int | None = None,
    labels: LabelsTable | None = None,
    changes: ClassChanges | None = None,
    elsewhere: Collection[str] = (),
    checking: bool = False,
) -> Found:
    """Find the photos under one or more data folders.

    A data folder holds splits (``train/``, and optionally ``val/`` and ``test/``, or other names of
    ``edgeclf.class_names.SPLIT_NAMES``), each with one folder per class; or class folders alone; or one outer folder
    around all this. A .tar is a data folder too, and is not unpacked. Of several data folders, some may be splits
    themselves (``edgeclf train photos/train photos/val``). ``_unsorted`` folders (see `edgeclf watch --review`) are
    left out: their classes are predictions that nobody has checked.

    Args:
        roots: data folders; classes of the same name are merged. With ``labels`` there may be none.
        seed: of the order of photos, and so of the choice that ``max_per_class`` makes.
        only: names of the classes to use; all if empty.
        max_per_class: at most so many training photos of each class, including those that will be set aside for
            validation; all if None.
        labels: a table that gives the labels, see ``find_labelled``; then folder names do not matter.
        changes: of the classes of an earlier run; folders with earlier names count as the classes now.
        elsewhere: classes that have training photos beside these folders.
        checking: for `edgeclf data check`: list classes without training photos and classes with refused names in the
            result, instead of raising; with a table, its problems.

    Returns:
        The classes, their photos, and what was left out.

    Raises:
        DataError: a folder is missing, cannot be read, lies in ``_unsorted`` or holds no class folders; there are fewer
            than two classes, a class without photos, or a class in val or test but not in train; or the folders can be
            read in more than one way; or the labels table has problems (``LabelsError``).
    """
    roots = as_paths(roots)
    for root in roots:
        _check_folder(root, several_given=len(roots) > 1, labelled=labels is not None)
    if labels is not None:
        labels = relabelled(labels, changes) if changes else labels
        return find_labelled(
            roots,
            labels,
            seed=seed,
            only=only,
            max_per_class=max_per_class,
            elsewhere=elsewhere,
            checking=checking,
        )
    gathered = _Gathered(changes=changes or ClassChanges(()))
    # The train folder comes first: it decides how the name of a class is written.
    for part, folder in sorted(_parts(roots, gathered), key=lambda placed: SPLITS.index(placed[0])):
        _gather(part, folder, only, gathered)
    classes = tuple(sorted(gathered.photos["train"]))
    where = ", ".join(map(str, roots))
    empty = tuple(label for label in classes if not gathered.photos["train"][label])
    similar = folders_alike(gathered.places)
    refusals = tuple(path for label, paths in gathered.places.items() if alike(label) == REFUSAL for path in paths)
    if not checking:
        check_distinct(similar, refusals)
    _check_classes(where, roots, classes, only, gathered, elsewhere)
    if empty and (not checking or empty == classes):
        raise DataError(f"{where}: no images in class folder {several(empty)}", "add photos, or remove it")
    if list(classes) != sorted(classes, key=natural) and any(any(c.isdigit() for c in label) for label in classes):
        gathered.notes.append(
            f"class indices follow characters, not numbers: {', '.join(classes[:3])}, ...; use the names"
        )
    if raws := [path for path in gathered.others if has_raw_suffix(path.name)]:
        gathered.notes.append(f"{left_out(len(raws))}, first: {raws[0]}")
    return Found(
        classes,
        in_seeded_order(gathered.photos, classes, seed, max_per_class),
        tuple(gathered.others),
        tuple(gathered.loose),
        tuple(gathered.unsorted),
        tuple(dict.fromkeys(gathered.notes)),
        empty,
        similar,
        refusals,
        tuple(gathered.mixed),
        roots=tuple(map(absolute, roots)),
        folders=tuple(absolute(folder) for folders in gathered.places.values() for folder in folders),
    )


def _check_folder(root: Path, several_given: bool, labelled: bool) -> None:
    if not is_folder(root):
        what = "is not a folder" if root.exists() else "no such folder"
        remedy = "give a folder with one sub-folder of photos per class, or a .zip or .tar of one"
        if several_given and root.exists():  # a shell writes photos/* so
            remedy = folder_above(root)
        raise DataError(f"{root}: {what}", remedy)
    if labelled:
        return
    check_sorted(
        root,
        DataError,
        "look at each photo, move it into the folder of its class beside _unsorted, and name the folder above",
    )


def _parts(roots: Sequence[Path], gathered: _Gathered) -> Iterator[tuple[str, Path]]:
    """The folders of class folders, and the part each belongs to."""
    held_out = held_out_roots(roots)
    for root in dict.fromkeys(roots):
        layout = read_layout(
            root,
            DataError,
            alone=len(set(roots)) == 1,
            strays=f"rename a split to val or test, move class folders into the train folder, others out of {root}",
        )
        gathered.notes += layout.notes
        above = {layout.root} - set(layout.parts.values())  # inside a part, its own _unsorted is noted
        gathered.unsorted += (folder / UNSORTED for folder in above if is_folder(folder / UNSORTED))
        split = held_out.get(root)
        if split and "all" in layout.parts:
            gathered.notes.append(used_as(root, split))
        elif "all" not in layout.parts and "train" not in layout.parts:
            names = several([folder.name for folder in layout.parts.values()])
            raise DataError(f"{root}: {names} without a train folder", "put the training photos into a folder train")
        for part, folder in layout.parts.items():
            yield (split or "train") if part == "all" else part, folder


def _gather(part: str, folder: Path, only: Sequence[str], gathered: _Gathered) -> None:
    chosen = finder(only)

    def wanted(name: str) -> bool:
        label = gathered.changes.label(name)
        return label is not None and (not only or chosen(label) is not None)

    there = read_class_folders(folder, DataError, wanted if only else None)
    gathered.notes += there.notes
    gathered.mixed += (folder / name for name in there.mixed)
    if is_folder(folder / UNSORTED):
        gathered.unsorted.append(folder / UNSORTED)
    gathered.loose += loose_photos(folder)
    earlier = list(gathered.places)
    find = finder(earlier)
    for name in there.names:
        now = gathered.changes.label(name)
        if now is None:
            gathered.notes.append(f"{folder / name}: left out, the class is dropped")
            continue
        if now != name:
            gathered.notes.append(f"{folder / name}: its photos are of the class {now}")
        label = now if (known := find(now)) is None else earlier[known]  # macOS may write accents differently
        if only and chosen(label) is None:
            continue
        gathered.places[label].append(folder / name)
        photos = gathered.photos[part].setdefault(label, [])
        here = os.path.abspath(folder / name)
        for path in _files(here):
            if _is_image(path):
                photos.append(placed(path, os.path.relpath(path, here), label))
            else:
                gathered.others.append(path)


def _is_image(path: Path) -> bool:
    return is_photo_name(path.name) and not is_ignored(path.name)


def _files(folder: str) -> Iterator[Path]:
    """Files below a folder, as ``image_files`` finds photos."""

    def refuse(error: OSError) -> None:
        raise unreadable_folder(error, DataError) from error

    for name in image_files(folder, refuse, wanted=lambda _: True):
        if "\n" in name or "\r" in name:
            raise DataError(f"{str(name)!r}: a line break in a file name", "rename it")
        yield Path(name)


def _check_classes(
    where: str,
    roots: Sequence[Path],
    classes: tuple[str, ...],
    only: Sequence[str],
    gathered: _Gathered,
    elsewhere: Collection[str],
) -> None:
    there = sorted({*classes, *elsewhere})
    find = finder(there)
    if unknown := sorted(name for name in only if find(name) is None):
        raise DataError(
            f"{where}: no class folder {several(unknown)}".removeprefix(": "),
            'check --classes; write a name with a comma in double quotes: A,"B, small"',
        )
    above = {os.path.dirname(os.path.abspath(root)) for root in roots}
    if len(classes) < 2 and len(roots) > 1 and len(above) == 1 and gathered.loose:
        raise DataError(f"{where}: these folders hold photos, but no class folders", folder_above(roots[0]))
    if not classes and (roots or not elsewhere):
        loose = f", but {len(gathered.loose)} photos" if len(gathered.loose) > 1 else ""
        raise DataError(
            f"{where}: no class folders{loose}", "put the photos of each class into a sub-folder of its name"
        )
    if len(there) == 1:
        raise DataError(f"{where}: only one class, {there[0]}".removeprefix(": "), "add at least one more class folder")
    for part in HELD_OUT:
        if extra := sorted(set(gathered.photos[part]) - set(there)):
            raise DataError(
                f"{where}: class {several(extra)} is in {part}, but not in train", "add training photos of every class"
            )
    check_readable(where, classes)
