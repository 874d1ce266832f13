"""A record as JSON and as a row of CSV: each key, each column, and back."""

import json
import os
import random
from dataclasses import replace
from typing import Any

import pytest
from edgeclf.errors import ExplainError, PhotoError
from edgeclf.field.csv_columns import LAST_COLUMNS, csv_columns, escaped, last_columns, unescaped
from edgeclf.field.photo_columns import RecordedEvent, RecordedFacts
from edgeclf.field.photo_id import PhotoFile
from edgeclf.field.record import Failure, PredictSettings, Record, RecordedClass
from edgeclf.images.photo_facts import PhotoFacts
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
        "size,modified,model,folder,threshold,maps_of,taken,latitude,longitude,camera"
    )
    events = "events,event,event_photos,event_label,event_probability,event_unknown"
    assert last_columns(facts=False)[-3:] == ("folder", "threshold", "maps_of")
    assert ",".join(last_columns(events=True)[-10:]) == f"taken,latitude,longitude,camera,{events}"
    assert ",".join(last_columns(facts=False, events=True)[-7:]) == f"maps_of,{events}"
    assert csv_columns(1, LAST_COLUMNS[-1])[-3:] == ("size", "modified", "model")
    record = Record.of("=a.jpg", Prediction(RANKING[:1], True)).in_file(PHOTO, "f" * 16, PredictSettings(0.75))
    row = record.to_row(csv_columns(2))
    assert row[:9] == ["'=a.jpg", "true", "king", 0.712346, None, None, None, None, None]
    assert row[-7:] == [escaped(os.getcwd()), 0.75, *5 * [None]]


RECORDS = [
    Record.of("a.jpg", Prediction(RANKING)).with_heat_map("'c.jpg", "king", 0.0),
    Record.of("b\n.jpg", Prediction(RANKING, True), "CPU"),
    Record("c", True, (RecordedClass("x", 0.25, 3),), copy="=x/c"),
    Record("d", error=Failure("damaged", "=d: is\tdamaged")),
    Record.of("e", Prediction(RANKING, facts=PhotoFacts("2026-11-27T03:26:04", "=Canon \\u0041", -54.51, 0.0, "7"))),
    Record("f", True, (RecordedClass("x", 0.25, 3),), event=RecordedEvent("-f\n.jpg", 2, "'x", 0.5, False)),
    Record("g", error=Failure("damaged", "g"), event=RecordedEvent("g", 0)),
]


COMPARED = (
    *("path", "unknown", "error", "cam", "cam_class", "padding_share", "copy", "photo", "model", "settings", "facts"),
    "event",
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.path.encode()))
@pytest.mark.parametrize("settings", [PredictSettings(0.5, "king"), PredictSettings(), None])
def test_a_record_comes_back(record: Record, settings: PredictSettings | None) -> None:
    if settings is None:
        assert Record.from_json(record.to_json()) == record
        return
    filed = record.in_file(PHOTO, "f" * 16, settings)
    assert Record.from_json(filed.to_json().encode()) == filed
    columns = csv_columns(2, last_columns(events=record.event is not None))
    again = Record.from_row(
        {name: "" if cell is None else str(cell) for name, cell in zip(columns, filed.to_row(columns), strict=True)}
    )
    ranking = [(one.label, one.probability) for one in filed.predictions]
    assert [(one.label, one.probability) for one in again.predictions] == ranking
    for key in COMPARED:
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
        {"taken": 5},
        {"camera": ["x"]},
        {"event": 5},
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


def test_facts_and_events_in_json() -> None:
    facts = PhotoFacts("2026-11-27T03:26:04-03:00", "Canon EOS R7 (7)", -54.51, -36.75, "7")
    record = Record.of("a.jpg", Prediction(RANKING[:1], facts=facts), "CPU")
    record = replace(record, event=RecordedEvent.of("0.jpg", 3, Prediction(RANKING, True)))
    filed = record.in_file(PHOTO, "f" * 16, PredictSettings(0.75, None, 5.0)).to_dict()
    assert list(filed)[3:-4] == [
        *("device", "taken", "latitude", "longitude", "camera"),
        *("event", "event_photos", "event_label", "event_probability", "event_unknown"),
        *("size", "modified", "model"),
    ]
    assert [filed[key] for key in list(filed)[4:13]] == [
        *("2026-11-27T03:26:04-03:00", -54.51, -36.75, "Canon EOS R7 (7)", "0.jpg", 3, "king", 0.712346, True),
    ]
    assert list(filed)[-4:] == ["folder", "threshold", "maps_of", "events"]
    assert RecordedFacts.of(None) == RecordedFacts()
