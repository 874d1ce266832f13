"""A record as JSON and as a row of CSV: each key, each column, and back."""

import json
import os
import random
from typing import Any

import pytest
from edgeclf.errors import ExplainError, PhotoError
from edgeclf.field.csv_columns import LAST_COLUMNS, csv_columns, escaped, unescaped
from edgeclf.field.photo_id import PhotoFile
from edgeclf.field.record import Failure, PredictSettings, Record, RecordedClass
from edgeclf.results import Prediction, RankedLabel
from record_files import of, prediction


def test_escapes_are_lossless_for_any_text() -> None:
    letters = "\\u0cdf'=\n\udc80\ud800a\r\x00"
    chance = random.Random(0)
    for _ in range(5000):
        text = "".join(chance.choices(letters, k=chance.randrange(12)))
        told = escaped(text)
        assert unescaped(told) == text
        told.encode()
        assert told.isprintable()


RANKING = (RankedLabel("king", 2, 0.71234567, "King penguin"), RankedLabel("adelie", 0, 0.2))
PHOTO = PhotoFile("in/a.jpg", 48213, "2026-07-04T12:00:00.000000000Z")


def test_the_keys_of_json_and_their_order_stay() -> None:
    record = Record.of("in/a.jpg", Prediction(RANKING, True), "CPUExecutionProvider")
    ranking = (
        '"unknown": true, "predictions": [{"label": "king", "index": 2, "probability": 0.712346, '
        '"display_name": "King penguin"}, {"label": "adelie", "index": 0, "probability": 0.2}]'
    )
    device = '"device": "CPUExecutionProvider"'
    assert record.to_json() == f'{{"path": "in/a.jpg", {ranking}, {device}}}'
    drawn = record.with_heat_map("why.jpg", "king", 0.123456)
    cam = '"cam": "why.jpg", "cam_class": "king", "padding_share": 0.1235'
    assert drawn.to_json() == f'{{"path": "in/a.jpg", {ranking}, {cam}, {device}}}'
    filed = drawn.in_file(PHOTO, "f" * 16, PredictSettings(0.75, "best-ranked"))
    file = (
        f'"size": 48213, "modified": "2026-07-04T12:00:00.000000000Z", "model": "{"f" * 16}", '
        f'"folder": {json.dumps(os.getcwd())}, "threshold": 0.75, "maps_of": "best-ranked"'
    )
    assert filed.to_json() == f'{{"path": "in/a.jpg", {ranking}, {cam}, {device}, {file}}}'


def test_errors_are_records() -> None:
    error = PhotoError("damaged", "a.jpg: ends too soon", "copy it again", "a.jpg")
    said = '{"path": "a.jpg", "error": {"kind": "damaged", "message": "a.jpg: ends too soon; copy it again"}'
    assert Record.of("a.jpg", error).to_json() == said + "}"
    no_map = Record.of("a.jpg", ExplainError("no map", "name a class", Prediction(RANKING)), "CPU")
    values = no_map.to_dict()
    assert list(values) == ["path", "unknown", "predictions", "error", "device"]
    assert values["error"] == {"kind": "no-heat-map", "message": "no map; name a class"}
    stdin = Record.of("-", error).in_file(None, "f" * 16, PredictSettings(0.5))
    assert stdin.photo is None
    rest = '"model": "ffffffffffffffff", "folder": null, "threshold": 0.5, "maps_of": null}'
    assert stdin.to_json().endswith(f'"size": null, "modified": null, {rest}')


def test_the_columns_of_csv_stay() -> None:
    assert ",".join(csv_columns(2)) == (
        "path,unknown,label_1,probability_1,label_2,probability_2,error,message,cam,cam_class,padding_share,copy,"
        "size,modified,model,folder,threshold,maps_of"
    )
    assert csv_columns(1, LAST_COLUMNS[1])[-3:] == ("size", "modified", "model")
    record = Record.of("=a.jpg", Prediction(RANKING[:1], True)).in_file(PHOTO, "f" * 16, PredictSettings(0.75))
    row = record.to_row(csv_columns(2))
    assert row[:9] == ["'=a.jpg", "true", "king", 0.712346, None, None, None, None, None]
    assert row[-3:] == [escaped(os.getcwd()), 0.75, None]


RECORDS = [
    Record.of("a.jpg", Prediction(RANKING)).with_heat_map("'c.jpg", "king", 0.0),
    Record.of("b\n.jpg", Prediction(RANKING, True), "CPU"),
    Record("c", True, (RecordedClass("x", 0.25, 3),), copy="=x/c"),
    Record("d", error=Failure("damaged", "=d: is\tdamaged")),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.path.encode()))
@pytest.mark.parametrize("settings", [PredictSettings(0.5, "king"), PredictSettings(), None])
def test_a_record_comes_back(record: Record, settings: PredictSettings | None) -> None:
    if settings is None:
        assert Record.from_json(record.to_json()) == record
        return
    filed = record.in_file(PHOTO, "f" * 16, settings)
    assert Record.from_json(filed.to_json().encode()) == filed
    columns = csv_columns(2)
    again = Record.from_row(
        {name: "" if cell is None else str(cell) for name, cell in zip(columns, filed.to_row(columns), strict=True)}
    )
    ranking = [(one.label, one.probability) for one in filed.predictions]
    assert [(one.label, one.probability) for one in again.predictions] == ranking
    for key in ("path", "unknown", "error", "cam", "cam_class", "padding_share", "copy", "photo", "model", "settings"):
        assert getattr(again, key) == getattr(filed, key), key


@pytest.mark.parametrize(
    "change",
    [
        {"path": None},
        {"path": 1},
        {"model": "123"},
        {"model": 1},
        {"size": "12"},
        {"modified": None},
        {"folder": 1},
        {"unknown": None},
        {"predictions": ["king"]},
        {"predictions": [{"label": "king"}]},
    ],
    ids=str,
)
def test_what_is_no_record_is_refused(change: dict[str, Any]) -> None:
    values = prediction("a.jpg").in_file(of("a.jpg"), "f" * 16, PredictSettings(0.5)).to_dict()
    Record.from_json(json.dumps(values))
    with pytest.raises(ValueError, match="not a record"):
        Record.from_json(json.dumps({**values, **change}))


def test_records_without_settings_are_read() -> None:
    values = prediction("a.jpg").in_file(of("a.jpg"), "f" * 16, PredictSettings(0.5)).to_dict()
    old = {key: value for key, value in values.items() if key not in ("folder", "threshold", "maps_of")}
    record = Record.from_json(json.dumps(old))
    assert (record.settings, record.photo) == (None, of("a.jpg"))
    assert record.to_dict() == old
