"""Photos of a model's classes from a list: a CSV, TSV or Parquet file with the columns path and label."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgeclf.class_names import SPLIT_NAMES, finder, several, shown, split_of
from edgeclf.errors import UsageError
from edgeclf.evaluation.labelled_photos import SPLIT_TEXT, LabelledPhotos, find_labelled_photos, no_class
from edgeclf.files.paths import in_folder
from edgeclf.files.table_cells import TABLES, read_rows, used_columns

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")


def labelled_photos(
    data: Path, classes: Sequence[str], *, split: str | None = None, ignore_unknown: bool = False
) -> LabelledPhotos:
    """The photos of a model's classes in class folders, or in a list; see the two functions for what is raised.

    Args:
        data: a file with one of the endings ``TABLES`` is a list, anything else a folder.
        classes, split, ignore_unknown: as for ``find_labelled_photos``.
    """
    is_list = data.suffix.lower() in TABLES and not data.is_dir()
    read = read_labelled_list if is_list else find_labelled_photos
    return read(data, classes, split=split, ignore_unknown=ignore_unknown)


def read_labelled_list(
    file: Path, classes: Sequence[str], *, split: str | None = None, ignore_unknown: bool = False
) -> LabelledPhotos:
    """Read a list. No photo is looked for: one that is missing is an error when it is predicted.

    Relative paths count from the folder of the list; addresses such as ``s3://bucket/photo.jpg`` stay as they are.

    Args:
        file: CSV, TSV or Parquet with a column ``path``, a column ``label`` and optionally ``split``; some other names
            are understood, see ``edgeclf.files.table_cells.COLUMNS``.
        classes: class names in index order; labels map to them by name.
        split: "test", "val" or "train": rows of this split; if None, those of test if there are any, else of val. All
            rows if there is no such column, or all its cells are empty.
        ignore_unknown: leave out rows whose label is not a class of the model.

    Returns:
        The photos, class by class, each in the order of the list.

    Raises:
        UsageError: a column is missing; a row has no path, no label, a wrong split, or a label that is not a class; a
            photo has two labels; no row is left.
        DataError, BackendError: the file cannot be read, see ``read_rows``.
    """
    if split is not None and split not in SPLIT_NAMES:
        raise UsageError(f"split is {split!r}", f"choose from {', '.join(SPLIT_TEXT)}")
    rows = read_rows(file)
    _, header = next(rows)
    places = _places(file, header)
    index, folder = finder(classes), os.path.dirname(file)
    photos: dict[str, dict[str, int]] = {}  # of each split: path and class
    unknown: dict[str, Counter[str]] = {}  # of each split: labels
    repeated = 0
    for line, cells in rows:
        cell = {use: cells[place] if place < len(cells) else "" for use, place in places.items()}
        part = split_of(cell["split"]) if cell.get("split") else ""
        if what := _problem(cell, part):
            raise UsageError(f"{file}: line {line}: {what}", "correct the line, and look for others like it")
        rows_of_part = photos.setdefault(part or "", {})
        if (number := index(cell["label"])) is None:
            unknown.setdefault(part or "", Counter())[cell["label"]] += 1
            continue
        is_address = _ADDRESS.match(cell["path"])
        path = cell["path"] if is_address else os.path.normpath(in_folder(folder, cell["path"]))
        repeated += path in rows_of_part
        if (before := rows_of_part.setdefault(path, number)) != number:
            what = f"{shown(cell['path'])} is {classes[before]} on an earlier line, and {classes[number]} here"
            raise UsageError(f"{file}: line {line}: {what}", "keep one of the lines")
    chosen = _chosen(file, photos, split)
    ignored = tuple(unknown.get(chosen, ()))
    if ignored and not ignore_unknown:
        raise no_class(str(file), ignored, classes, "correct the label, or leave such rows out")
    if not photos[chosen]:
        raise UsageError(f"{file}: no row with a class of the model", "write one row for each photo: path,label")
    found = sorted(photos[chosen].items(), key=lambda photo: photo[1])
    there = {number for _, number in found}
    notes = [f"{file.name}: columns not used: {several(rest)}"] if (rest := _unused(header, places)) else []
    if repeated:
        notes.append(f"{file.name}: {repeated} row{'s' * (repeated > 1)} of photos named before, which count once")
    return LabelledPhotos(
        SPLIT_TEXT.get(chosen, "all"),
        file,
        tuple(found),
        tuple(name for number, name in enumerate(classes) if number not in there),
        ignored,
        0,
        tuple(notes),
    )


def _places(file: Path, header: Sequence[str]) -> dict[str, int]:
    """The position of each column that is used."""
    places = used_columns(file, header, ("path", "label", "split"), UsageError)
    for use in ("path", "label"):
        if use not in places:
            what = f"no column {use}; the columns are {several([name or '(no name)' for name in header])}"
            raise UsageError(f"{file}: {what}", "the first line must name the columns: path,label")
    return places


def _unused(header: Sequence[str], places: dict[str, int]) -> list[str]:
    return [name for place, name in enumerate(header) if name and place not in places.values()]


def _problem(cell: dict[str, str], part: str | None) -> str:
    """What is wrong with a row, "" if nothing is."""
    if any(_NOT_UTF8.search(text) for text in cell.values()):
        return "bytes that are not UTF-8; save the list as CSV UTF-8"
    if not cell["path"] or not cell["label"]:
        return f"no {'label' if cell['path'] else 'path'}"
    return f"{shown(cell['split'])}: not train, val or test" if part is None else ""


def _chosen(file: Path, photos: dict[str, dict[str, int]], split: str | None) -> str:
    """The split whose rows are evaluated; "" for those without a split."""
    if not photos:
        raise UsageError(f"{file}: no row but the first", "write one row for each photo: path,label")
    there = [part for part in SPLIT_TEXT if part in photos]
    if split is not None:
        if split not in there:
            hint = f"it has {', '.join(there)}" if there else "leave out --split: its rows have no split"
            raise UsageError(f"{file}: no row is in the split {split}", hint)
        return split
    if there == ["train"]:
        raise UsageError(
            f"{file}: has rows of train, but of neither test nor val",
            "--split train uses photos that the network was trained on: that accuracy is optimistic",
        )
    if there and "" in photos:
        raise UsageError(f"{file}: rows with a split, and {len(photos[''])} without", "give each row a split, or none")
    return there[0] if there else ""
