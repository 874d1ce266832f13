"""Records as rows of an Arrow table, for Parquet: the values of ``Record.to_dict`` in typed columns."""

import json
import re
from collections.abc import Sequence
from typing import Any

from edgeclf.field.record import Record

_SURROGATE = re.compile("[\ud800-\udfff]")
_RANKED = {"label": "labels", "index": "indices", "probability": "probabilities", "display_name": "display_names"}
# Keys of ``Record.to_dict`` that have a column of their own. A photo's event and heat map are not predicted here.
_PLAIN = {
    "path": "string",
    "unknown": "bool",
    "device": "string",
    "taken": "string",
    "latitude": "float64",
    "longitude": "float64",
    "camera": "string",
    "size": "int64",
    "modified": "string",
    "model": "string",
    "folder": "string",
    "threshold": "float64",
}


def schema() -> Any:
    """The columns, a ``pyarrow.Schema``.

    ``labels``, ``indices``, ``probabilities`` and ``display_names`` are lists with one value for each ranked class;
    ``error`` and ``message`` say why there are none. ``digest`` is 64 bits of path, size and time. ``exact_path`` is
    filled where a path is not Unicode, as JSON text.
    """
    import pyarrow as pa

    types = {"string": pa.string(), "bool": pa.bool_(), "float64": pa.float64(), "int64": pa.int64()}
    fields = [pa.field(name, types[kind], nullable=name != "path") for name, kind in _PLAIN.items()]
    lists = [("labels", pa.string()), ("indices", pa.int32()), ("probabilities", pa.float64())]
    ranked = [pa.field(name, pa.list_(kind)) for name, kind in (*lists, ("display_names", pa.string()))]
    errors = [pa.field("error", pa.string()), pa.field("message", pa.string())]
    last = [pa.field("digest", pa.uint64(), nullable=False), pa.field("exact_path", pa.string())]
    return pa.schema([*fields, *ranked, *errors, *last])


def to_table(records: Sequence[Record], digests: Sequence[int]) -> Any:
    """Records as a ``pyarrow.Table`` of ``schema()``.

    Args:
        records: as they stand in a record file.
        digests: of the photos, one for each record.
    """
    import pyarrow as pa

    rows = [_row(record, digest) for record, digest in zip(records, digests, strict=True)]
    return pa.Table.from_pylist(rows, schema())


def from_table(table: Any) -> list[Record]:
    """The records of a table that ``to_table`` gave: each is written as the same JSON again."""
    return [_record(row) for row in table.to_pylist()]


def _row(record: Record, digest: int) -> dict[str, Any]:
    values = record.to_dict()
    row = {name: values.get(name) for name in _PLAIN} | {"digest": digest}
    for key, column in _RANKED.items():
        ranking = [one.get(key) for one in values.get("predictions", ())]
        row[column] = ranking if any(value is not None for value in ranking) else None
    if "error" in values:
        row |= {"error": values["error"]["kind"], "message": _text(values["error"]["message"])}
    if _SURROGATE.search(record.path):
        row |= {"path": _text(record.path), "exact_path": json.dumps([record.path, (record.error or (0, ""))[1]])}
    if record.folder is not None:
        row["folder"] = _text(record.folder)
    return row


def _record(row: dict[str, Any]) -> Record:
    values = {name: row[name] for name in _PLAIN} | {"maps_of": None}
    columns = [(key, row[column]) for key, column in _RANKED.items() if row[column] is not None]
    if columns:
        ranking = zip(*(column for _, column in columns), strict=True)
        keys = [key for key, _ in columns]
        values["predictions"] = [
            {key: value for key, value in zip(keys, one, strict=True) if value is not None} for one in ranking
        ]
    if row["error"] is not None:
        values["error"] = {"kind": row["error"], "message": row["message"]}
    if row["exact_path"] is not None:
        values["path"], message = json.loads(row["exact_path"])
        if row["error"] is not None:
            values["error"]["message"] = message
    return Record.from_json(json.dumps(values))


def _text(text: str) -> str:
    """Text that UTF-8 can hold: bytes of a name that are not text become ``\\udcXX``."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
