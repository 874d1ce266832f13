"""Lines of record files (see ``edgeclf.records``): from answers to JSON and CSV, and back to whose they are."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgeclf.identity import PhotoFile

TAIL = ("error", "message", "cam", "cam_class", "padding_share", "copy", "size", "modified", "model")
_ESCAPED = re.compile("[\x00-\x1f\x7f\ud800-\udfff]|\\\\(?=u[0-9a-f]{4})")
_FORMULA = tuple("=+-@'\uff1d\uff0b\uff0d\uff20")  # and their full-width twins


def csv_columns(ranks: int) -> tuple[str, ...]:
    """The header of a CSV record file whose answers rank so many classes."""
    ranking = (f"{what}_{rank}" for rank in range(1, ranks + 1) for what in ("label", "probability"))
    return ("path", "unknown", *ranking, *TAIL)


class Record(NamedTuple):
    """What opening a record file wants to know of a record: which photo by which model, and the kind of its error."""

    photo: PhotoFile | None
    model: str
    error: str | None


def to_json(record: Mapping[str, Any]) -> bytes:
    """A record as a line."""
    return json.dumps(record).encode() + b"\n"


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
    error = record.get("error")
    kind = str(error.get("kind")) if isinstance(error, dict) else None
    return _record([record.get(name) for name in ("path", "size", "modified", "model")], kind)


def from_csv(line: bytes, columns: Sequence[str]) -> Record:
    """Read a line. Raises ValueError for what is no record."""
    (cells,) = csv.reader([line.decode()], strict=True)
    row = dict(zip(columns, cells, strict=True))
    size, modified = (int(row["size"]), row["modified"]) if row["size"] else (None, None)
    return _record([unescaped(row["path"]), size, modified, row["model"]], row["error"] or None)


def _record(values: Sequence[Any], error: str | None) -> Record:
    path, size, modified, model = values
    if not (isinstance(path, str) and isinstance(model, str) and re.fullmatch("[0-9a-f]{16}", model)):
        raise ValueError("not a record")
    if size is None:
        return Record(None, model, error)
    if not (isinstance(size, int) and isinstance(modified, str)):
        raise ValueError("not a record")
    return Record(PhotoFile(path, size, modified), model, error)
