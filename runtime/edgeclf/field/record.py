"""Lines of record files (``edgeclf.field.record_file``): from answers to JSON and CSV, and back to whose they are."""

import csv
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgeclf.field.photo_id import PhotoFile

_FIRST_TAIL = ("error", "message", "cam", "cam_class", "padding_share", "copy", "size", "modified", "model")
TAILS = ((*_FIRST_TAIL, "folder", "threshold", "maps_of"), _FIRST_TAIL)  # the newest first: files keep their columns
RULE = ("threshold", "maps_of")  # what decides an answer, beside the model and how many classes are ranked
BOM = b"\xef\xbb\xbf"  # without it spreadsheets take UTF-8 for another encoding
_ESCAPED = re.compile("[\x00-\x1f\x7f\ud800-\udfff]|\\\\(?=u[0-9a-f]{4})")
_FORMULA = tuple("=+-@'\uff1d\uff0b\uff0d\uff20")  # and their full-width twins


def csv_columns(ranks: int, tail: Sequence[str] = TAILS[0]) -> tuple[str, ...]:
    """The header of a CSV record file whose answers rank so many classes."""
    ranking = (f"{what}_{rank}" for rank in range(1, ranks + 1) for what in ("label", "probability"))
    return ("path", "unknown", *ranking, *tail)


class Record(NamedTuple):
    """What opening a record file wants to know of a record.

    Attributes:
        photo: which photo it answers.
        model: by which model.
        error: the kind of its error.
        rule: what it says of the rule it was answered by; files of earlier versions say nothing.
        ranks: how many classes it ranks.
        unknown, best: its answer, and the best probability.
    """

    photo: PhotoFile | None
    model: str
    error: str | None
    rule: Mapping[str, Any]
    ranks: int | None = None
    unknown: bool | None = None
    best: float | None = None


def to_json(record: Mapping[str, Any]) -> bytes:
    """A record as a line."""
    return json.dumps(record, allow_nan=False).encode() + b"\n"


def to_csv(record: Mapping[str, Any], columns: Sequence[str]) -> bytes:
    """A record as a row of ``columns``."""
    row: dict[str, Any] = {**record}
    for rank, entry in enumerate(row.pop("predictions", ()), 1):
        row |= {f"label_{rank}": entry["label"], f"probability_{rank}": entry["probability"]}
    if "error" in row:
        row |= {"error": row["error"]["kind"], "message": row["error"]["message"]}
    if "unknown" in row:
        row["unknown"] = str(row["unknown"]).lower()
    cells = [escaped(value) if isinstance(value := row.get(name), str) else value for name in columns]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def escaped(text: str) -> str:
    """Text as it stands in a CSV record file."""
    text = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def unescaped(text: str) -> str:
    """The text that ``escaped`` was given."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text.removeprefix("'"))


def from_json(line: bytes) -> Record:
    """Read a line. Raises ValueError for what is no record."""
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("not an object")
    error, ranking = record.get("error"), record.get("predictions")
    kind = str(error.get("kind")) if isinstance(error, dict) else None
    read = _record(record, kind, {key: record[key] for key in RULE if key in record})
    if not isinstance(ranking, list) or not ranking:
        return read
    best = ranking[0].get("probability") if isinstance(ranking[0], dict) else None
    unknown = record.get("unknown")
    if not (isinstance(best, int | float) and isinstance(unknown, bool)):
        raise ValueError("not a record")
    return read._replace(ranks=len(ranking), unknown=unknown, best=best)


def from_csv(line: bytes, columns: Sequence[str]) -> Record:
    """Read a line. Raises ValueError for what is no record."""
    (cells,) = csv.reader([line.decode()], strict=True)
    row = dict(zip(columns, cells, strict=True))
    record: dict[str, Any] = {key: unescaped(row[key]) or None for key in ("folder", "maps_of") if key in row}
    record |= {key: float(row[key]) if row[key] else None for key in ("threshold",) if key in row}
    rule = {key: record[key] for key in RULE if key in record}
    record |= {"path": unescaped(row["path"]), "model": row["model"], "modified": row["modified"]}
    read = _record({**record, "size": int(row["size"]) if row["size"] else None}, row["error"] or None, rule)
    if not row["unknown"]:
        return read
    return read._replace(unknown=row["unknown"].lower() == "true", best=float(row["probability_1"]))


def _record(record: Mapping[str, Any], error: str | None, rule: Mapping[str, Any]) -> Record:
    path, size, modified, model, folder = map(record.get, ("path", "size", "modified", "model", "folder"))
    if not (isinstance(path, str) and isinstance(model, str) and re.fullmatch("[0-9a-f]{16}", model)):
        raise ValueError("not a record")
    if size is None:
        return Record(None, model, error, rule)
    if not (isinstance(size, int) and isinstance(modified, str) and isinstance(folder, str | None)):
        raise ValueError("not a record")
    return Record(PhotoFile(os.path.join(folder or "", path), size, modified), model, error, rule)
