"""A table of labels: which photo has which label, and optionally which split and group. No photo is looked for here."""

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from edgeclf.class_names import SPLIT_NAMES, alike, is_blank, natural, no_text, several, shown, spelling, split_of
from edgeclf.errors import DataError
from edgeclf.files.paths import PathLike
from edgeclf.files.table_cells import COLUMNS, Row, plain_name, read_rows, used_columns

from edgeclf_training.dataset.class_name_checks import REFUSAL
from edgeclf_training.dataset.table_problems import Problem

_NEEDED = ("path", "label")
_SIMILAR = 0.75  # of difflib: from here a column name is a misspelled one
_CACHED = 4096  # labels and splits, of which a large table has few different ones
_NOT_UTF8 = re.compile("[\ud800-\udfff]")

_spelling = lru_cache(_CACHED)(spelling)
_split_of = lru_cache(_CACHED)(split_of)


class LabelRow(NamedTuple):
    """One row: ``split`` is "train", "val", "test" or "", ``group`` is "" for a photo without a group.

    ``label`` is "" if it cannot be used; then the table has a problem.
    """

    line: int
    path: str
    label: str
    split: str
    group: str


@dataclass(frozen=True)
class LabelsTable:
    """What a table says, before its photos are looked for.

    Attributes:
        file: the table.
        rows: those with a path that can be read.
        problems: of columns and rows.
        notes: how the columns were read, one line each.
        group_column: name of the column that groups come from; "" if there is none.
        has_splits: whether there is a split column.
    """

    file: Path
    rows: tuple[LabelRow, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    group_column: str
    has_splits: bool


def read_labels(file: PathLike, group_column: str | None = None) -> LabelsTable:
    """Read a table of labels.

    Args:
        file: CSV, TSV or Parquet; see ``read_rows``. Needs a column ``path`` and a column ``label``; ``split`` (train,
            val or test; empty: as without this column) and ``group`` are optional. Some other names are understood
            (``COLUMNS``); columns of other names are not used.
        group_column: the column that groups come from; None for ``group``, if there is one.

    Returns:
        The rows, and all problems.

    Raises:
        DataError: the file cannot be read, or has no rows, no column for the path or none for the label.
        BackendError: see ``read_rows``.
    """
    file = Path(file)
    rows = read_rows(file)
    _, header = next(rows)
    problems: list[Problem] = []
    columns, notes = _columns(file, header, group_column, problems)
    kept: list[LabelRow] = []
    labels: dict[str, str] = {}  # spelling -> label as it was first written
    seen: dict[str, int] = {}  # label -> line
    for row in rows:
        if (read := _row(row, len(header), columns, problems)) is not None:
            label = labels.setdefault(_spelling(read.label), read.label)
            if label:
                seen.setdefault(label, read.line)
            kept.append(read._replace(label=label))
    if not kept and not problems:
        raise DataError(f"{file}: no rows below the header", "write one row for each photo: path,label")
    problems += _alike(seen)
    group = header[columns["group"]] if "group" in columns else ""
    return LabelsTable(file, tuple(kept), tuple(problems), tuple(notes), group, "split" in columns)


def _columns(
    file: Path, header: Sequence[str], group_column: str | None, problems: list[Problem]
) -> tuple[dict[str, int], list[str]]:
    """The position of each column that is used, and notes."""
    plain = [plain_name(name) for name in header]
    columns = used_columns(file, header, COLUMNS, DataError)
    missing = []
    if group_column is not None:
        columns.pop("group", None)
        found = [position for position, name in enumerate(header) if name == group_column]
        found = found or [position for position, name in enumerate(plain) if name == plain_name(group_column)]
        if len(found) > 1:
            raise DataError(f"{file}: {len(found)} columns are called {group_column}", "rename all but one")
        if found:
            columns["group"] = found[0]
        else:
            missing.append(group_column)
    unused = [name for position, name in enumerate(header) if name and position not in columns.values()]
    for use in COLUMNS:
        if use in columns or (use == "group" and group_column is not None):
            continue
        close = difflib.get_close_matches(use, [plain_name(name) for name in unused], 1, _SIMILAR)
        missing += [use] if use in _NEEDED else []
        problems += [Problem("table-columns", f"{n}: did you mean {use}?") for n in unused if plain_name(n) in close]
    listed = f"the columns are {several([name or '(no name)' for name in header])}"
    if needed := [name for name in missing if name in _NEEDED]:
        raise DataError(
            f"{file}: no column {' and no column '.join(missing)}; {listed}",
            f"the first line must name the columns: write {' and '.join(needed)} above the right ones",
        )
    problems += [Problem("table-columns", f"no column {name}; {listed}") for name in missing]
    notes = [
        f"{file.name}: {use} from the column {header[position]}"
        for use, position in columns.items()
        if plain_name(header[position]) != use
    ]
    if unused:
        notes.append(f"{file.name}: columns not used: {several(unused)}")
    return columns, notes


def _row(row: Row, width: int, columns: Mapping[str, int], problems: list[Problem]) -> LabelRow | None:
    """One row, or None if it has no path. All its problems are noted."""
    line, cells = row
    if any(cells[width:]):
        problems.append(Problem("table-rows", f"line {line}: {len(cells)} cells for {width} columns"))
    cell = {use: cells[at] if at < len(cells) else "" for use, at in columns.items()}
    if odd := next((text for text in cell.values() if _NOT_UTF8.search(text)), None):
        problems.append(Problem("table-encoding", f"line {line}: {_as_windows(odd)}"))
        return None
    if any("\n" in text or "\r" in text for text in cell.values()):
        problems.append(Problem("table-rows", f"line {line}: a line break in a cell; is a double quote not closed?"))
        return None
    if not cell["path"]:
        problems.append(Problem("table-no-path", f"line {line}"))
    label = cell["label"]
    if not label:
        problems.append(Problem("table-no-label", f"line {line}: {shown(cell['path'])}"))
    elif why := _refused(label):
        problems.append(Problem("table-labels", f"line {line}: {shown(label)}: {why}"))
        label = ""
    split = ""
    if cell.get("split") and not (split := _split_of(cell["split"]) or ""):
        hint = difflib.get_close_matches(
            plain_name(cell["split"]), [n for names in SPLIT_NAMES.values() for n in names], 1
        )
        meant = f", did you mean {split_of(hint[0])}?" if hint else ""
        problems.append(Problem("table-splits", f"line {line}: {shown(cell['split'])}{meant}"))
    if not cell["path"]:
        return None
    return LabelRow(line, cell["path"], label, split, cell.get("group", ""))


def _as_windows(text: str) -> str:
    """Undecoded text as a spreadsheet of Windows in Western Europe means it."""
    return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


@lru_cache(_CACHED)
def _refused(label: str) -> str:
    """Why a label cannot be a class name, or ""."""
    if is_blank(label):
        return "blank"
    if odd := no_text(label):
        return f"{odd} is not text"
    if "/" in label or "\\" in label or label.startswith("."):
        return "cannot be the name of a folder"
    return "the word for photos below the confidence threshold" if alike(label) == REFUSAL else ""


def _alike(lines: Mapping[str, int]) -> list[Problem]:
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(lines, key=natural):
        groups[alike(label)].append(label)
    return [
        Problem("table-labels-alike", " and ".join(f"{label!r} (line {lines[label]})" for label in labels))
        for labels in groups.values()
        if len(labels) > 1
    ]
