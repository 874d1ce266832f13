"""Records whose values have another type than theirs: a clear line, never a traceback, and the file is left alone."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import RecordError
from edgeclf.field.csv_columns import csv_columns, last_columns
from edgeclf.field.photo_columns import RecordedEvent, RecordedFacts
from edgeclf.field.record import Failure, PredictSettings, Record, RecordedClass
from edgeclf.field.record_file import RecordFile
from edgeclf.field.record_lines import to_line
from record_files import SHA, of

SETTINGS = PredictSettings(0.5, "best-ranked", 5.0)
RANKING = (RecordedClass("king", 0.75, 1, "King penguin"), RecordedClass("adelie", 0.25, 0))
TEXT, NUMBER, WHOLE, FLAG, LIST, OBJECT = range(6)
VALUES: list[tuple[set[int], Any]] = [
    ({TEXT}, "5"),
    ({TEXT}, "x"),
    ({NUMBER, WHOLE}, 5),
    ({NUMBER}, 0.25),
    ({FLAG}, True),
    (set(), []),
    (set(), [1]),
    (set(), [[]]),
    (set(), {}),
    (set(), {"label": 1}),
    (set(), float("nan")),
    (set(), float("-inf")),
    (set(), 10**400),
    (set(), -(2**64)),
    (set(), 1e300),
]


def whole(path: str) -> Record:
    """A record with a value for each key, so also one of an error and of a heat map."""
    record = Record(
        path,
        False,
        RANKING,
        Failure("no-heat-map", "why"),
        *("map.jpg", "king", 0.5, "copy.jpg", "CPUExecutionProvider"),
        facts=RecordedFacts("2026-11-27T03:26:04", -54.5, -36.75, "Canon (7)"),
        event=RecordedEvent("a.jpg", 2, "king", 0.75, False),
    )
    return record.in_file(of(path), SHA[:16], SETTINGS)


TYPES = {
    **dict.fromkeys(("path", "cam", "cam_class", "copy", "device", "modified", "model", "folder", "maps_of"), TEXT),
    **dict.fromkeys(("taken", "camera", "event", "event_label"), TEXT),
    **dict.fromkeys(("padding_share", "threshold", "latitude", "longitude", "events", "event_probability"), NUMBER),
    **dict.fromkeys(("size", "event_photos"), WHOLE),
    **dict.fromkeys(("unknown", "event_unknown"), FLAG),
    "predictions": LIST,
    "error": OBJECT,
}
RANKED = {"label": TEXT, "probability": NUMBER, "index": WHOLE, "display_name": TEXT}
FIELDS = {
    **{(key,): kind for key, kind in TYPES.items()},
    **{("predictions", 0, key): kind for key, kind in RANKED.items()},
    **{("error", key): TEXT for key in ("kind", "message")},
    ("predictions", 0): OBJECT,
}


def changed(field: tuple[Any, ...], value: Any) -> bytes:
    """The line of a whole record with another value in a field."""
    values = whole("b.jpg").to_dict()
    inner: Any = values
    for step in field[:-1]:
        inner = inner[step]
    assert field[-1] in inner or field[-1] == 0
    inner[field[-1]] = value
    return json.dumps(values).encode() + b"\n"


def resumed(out: Path, content: bytes) -> str | None:
    """What going on with a file says; None if it goes on."""
    out.write_bytes(content)
    try:
        with RecordFile(out, SHA, 2, resume=True, settings=SETTINGS):
            return None
    except RecordError as error:
        assert out.read_bytes() == content
        return str(error)


def test_each_key_is_tried() -> None:
    values = whole("b.jpg").to_dict()
    assert set(values) == set(TYPES)
    assert set(values["predictions"][0]) == set(RANKED)


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_a_value_of_another_type(field: tuple[Any, ...], tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    good = [to_line(whole(path), None) for path in ("a.jpg", "c.jpg")]
    assert resumed(out, b"".join(good)) is None
    for kinds, value in VALUES:
        wrong = FIELDS[field] not in kinds and not (FIELDS[field] == LIST and value == [])
        for content, says in (
            (changed(field, value) + good[0], "is not a record file of edgeclf"),
            (good[0] + changed(field, value) + good[1], "line 2 is damaged"),
        ):
            said = resumed(out, content)
            assert said is None or said.startswith(f"{out}: ")
            assert not wrong or says in str(said), (value, said)


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_null_is_as_if_missing(field: tuple[Any, ...], tmp_path: Path) -> None:
    needed = {("path",), ("model",), ("unknown",), ("modified",), ("predictions", 0), ("predictions", 0, "label")}
    needed |= {("predictions", 0, "probability"), ("error", "kind"), ("error", "message")}
    settings = {("threshold",), ("maps_of",), ("events",)}
    said = resumed(tmp_path / "a.jsonl", changed(field, None) + to_line(whole("c.jpg"), None))
    if field in needed:
        assert "is not a record file of edgeclf" in str(said)
    elif field in settings:
        assert "was written with" in str(said)
    else:
        assert said is None


@pytest.mark.parametrize("column", csv_columns(2, last_columns(events=True)))
def test_a_cell_of_another_type(column: str, tmp_path: Path) -> None:
    """In a table all is text: what is no number where one belongs is refused, and nothing is a traceback."""
    out = tmp_path / "a.csv"
    columns = csv_columns(2, last_columns(events=True))
    head = b"\xef\xbb\xbf" + ",".join(columns).encode() + b"\n"
    good = to_line(whole("a.jpg"), columns)
    numbers = {"padding_share", "threshold", "latitude", "longitude", "events", "event_probability", "event_photos"}
    cells = dict(zip(columns, whole("b.jpg").to_row(columns), strict=True))
    for text in ("x", "[1]", "{}", "true", "nan", "-inf", "1e400", "1" + 400 * "0", 5000 * "9", "", "\\ud800"):
        row = ",".join('""' if cell is None else f'"{cell}"' for cell in {**cells, column: text}.values())
        said = resumed(out, head + good + row.encode() + b"\n" + good)
        assert said is None or said.startswith(f"{out}: ")
        if column in numbers | {"size", "probability_1"} and text in ("x", "[1]", "{}", "true"):
            assert "line 3 is damaged" in str(said), text


def test_a_whole_number_may_stand_for_a_number(tmp_path: Path) -> None:
    """JSON of other programs writes 1.0 as 1; a key of a later version may hold anything."""
    values = replace(whole("b.jpg"), predictions=(replace(RANKING[0], probability=1), RANKING[1])).to_dict()
    values |= {"latitude": 5, "events": 5, "later": [10**400]}
    with_line = Record.from_json(json.dumps(values))
    assert (with_line.facts.latitude, with_line.predictions[0].probability) == (5, 1)
    assert resumed(tmp_path / "a.jsonl", json.dumps(values).encode() + b"\n") is None
    assert with_line.folder == os.getcwd()
