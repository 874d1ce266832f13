"""Record files of earlier versions, with other settings, or saved again by another program."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from edgeclf.errors import RecordError
from edgeclf.field.csv_columns import LAST_COLUMNS, csv_columns, last_columns
from edgeclf.field.photo_columns import RecordedEvent, RecordedFacts
from edgeclf.field.record import PredictSettings
from edgeclf.field.record_file import RecordFile
from record_files import SHA, failure, of, prediction, recorded, written

OLD_HEAD = "path,unknown,label_1,probability_1,label_2,probability_2,error,message,cam,cam_class,padding_share,copy"
OLD_HEAD += ",size,modified,model"


@pytest.fixture(params=[".jsonl", ".csv"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"answers{request.param}"


def old_file(out: Path, best: float, unknown: bool, bom: bytes = b"") -> bytes:
    """As versions without settings wrote it."""
    photo = of("a.jpg")
    if out.suffix == ".csv":
        row = f"a.jpg,{str(unknown).lower()},x,{best},y,0.1,,,,,,,{photo.size},{photo.modified},{SHA[:16]}"
        return bom + f"{OLD_HEAD}\n{row}\n".encode()
    ranking = [{"label": "x", "index": 0, "probability": best}, {"label": "y", "index": 1, "probability": 0.1}]
    record = {"path": "a.jpg", "unknown": unknown, "predictions": ranking}
    return (
        bom + json.dumps({**record, "size": photo.size, "modified": photo.modified, "model": SHA[:16]}).encode() + b"\n"
    )


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "mark"])
def test_files_of_earlier_versions_are_gone_on_with_as_they_are(out: Path, bom: bytes) -> None:
    out.write_bytes(old_file(out, 0.7, False, bom))
    for path, found in (("b.jpg", 1), ("c.jpg", 2)):
        with RecordFile(out, SHA, 2, resume=True, settings=PredictSettings(0.5)) as records:
            assert (records.found, of("a.jpg").digest() in records.known) == (found, True)
            records.add(of(path), prediction(path))
    data = out.read_bytes()
    assert data.startswith(old_file(out, 0.7, False, bom))
    assert [record["path"] for record in recorded(out)] == ["a.jpg", "b.jpg", "c.jpg"]
    with pytest.raises(RecordError, match=r"with another --threshold than 0\.9|with --threshold 0\.5, now it is 0\.9"):
        RecordFile(out, SHA, 2, resume=True, settings=PredictSettings(0.9))
    assert out.read_bytes() == data


@pytest.mark.parametrize("facts", [True, False])
@pytest.mark.parametrize("events", [None, 5.0])
@pytest.mark.parametrize("begun", LAST_COLUMNS, ids=lambda columns: columns[-1])
def test_a_table_keeps_the_columns_that_it_was_begun_with(
    begun: tuple[str, ...], events: float | None, facts: bool, tmp_path: Path
) -> None:
    """Also one that was stopped in its first line; one with events is only continued with events."""
    head = b"\xef\xbb\xbf" + ",".join(csv_columns(2, begun)).encode() + b"\n"
    out, settings = tmp_path / "a.csv", PredictSettings(0.5, None, events)
    record = replace(prediction("a.jpg"), facts=RecordedFacts("2026-11-27T03:26:04", 1.5, 2.5, "=A"))
    if events is not None:
        record = replace(record, event=RecordedEvent("a.jpg", 1, "=king", 0.5, False))
    for cut in (len(head) - 1, len(head) - 9, 60, 2):
        out.write_bytes(head[:cut])
        with RecordFile(out, SHA, 2, resume=True, settings=settings, facts=facts) as records:
            assert records.cut == cut
        expected = csv_columns(2, last_columns(facts=facts, events=events is not None))
        assert out.read_text("utf-8-sig") == ",".join(expected) + "\n"
    out.write_bytes(head)
    if ("events" in begun) != (events is not None):
        with pytest.raises(RecordError, match=r"was begun (with|without) --events"):
            RecordFile(out, SHA, 2, resume=True, settings=settings)
        assert out.read_bytes() == head
        return
    for path in ("a.jpg", "b.jpg"):
        with RecordFile(out, SHA, 2, resume=True, settings=settings, facts=facts) as records:
            records.add(of(path), replace(record, path=path))
    assert out.read_bytes().startswith(head)
    rows = recorded(out)
    assert [row["path"] for row in rows] == ["a.jpg", "b.jpg"]
    assert tuple(rows[0]) == csv_columns(2, begun)
    assert [rows[1].get("latitude"), rows[1].get("camera")] == (["1.5", "'=A"] if "camera" in begun else [None, None])
    assert rows[1].get("event_label") == ("'=king" if "events" in begun else None)


def test_lines_take_facts_after_lines_without(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    out.write_bytes(old_file(out, 0.7, False))
    record = replace(prediction("b.jpg"), facts=RecordedFacts("2026-11-27T03:26:04"))
    with RecordFile(out, SHA, 2, resume=True, settings=PredictSettings(0.5)) as records:
        records.add(of("b.jpg"), record)
    assert [one.get("taken") for one in recorded(out)] == [None, "2026-11-27T03:26:04"]
    with pytest.raises(RecordError, match="was written without --events; leave it out, or name another file"):
        RecordFile(out, SHA, 2, resume=True, settings=PredictSettings(0.5, None, 5.0))


def test_a_file_has_one_set_of_settings(out: Path) -> None:
    settings = PredictSettings(0.3, "=king")
    with RecordFile(out, SHA, 2, settings=settings) as records:
        records.add(of("a.jpg"), failure("a.jpg", "damaged"))
    data = out.read_bytes()
    RecordFile(out, SHA, 2, resume=True, settings=settings).__exit__(None, None, None)
    for other, says in (
        (PredictSettings(0.31, "=king"), "with --threshold 0.3, now it is 0.31; give --threshold 0.3, or name another"),
        (settings._replace(maps_of=None), "heat maps of =king, now it is no heat maps"),
        (settings._replace(maps_of="best-ranked"), "now it is heat maps of best-ranked"),
    ):
        with pytest.raises(RecordError, match=says):
            RecordFile(out, SHA, 2, resume=True, settings=other)
    assert out.read_bytes() == data
    out.unlink()
    written(out, ["a.jpg"])
    with pytest.raises(RecordError, match="has 2 classes for each photo, not 3"):
        RecordFile(out, SHA, 3, resume=True)


def test_a_table_that_a_spreadsheet_saved_is_refused_and_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    whole = written(out, ["Müller.jpg"])
    assert whole.startswith(b"\xef\xbb\xbfpath,"), "the mark that spreadsheets look for"
    text = whole.decode("utf-8-sig")
    for content in (
        text.replace(",", ";").encode("utf-8-sig"),
        text.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
        text.replace("\n", "\r\n").encode("cp1252"),
        text.replace("\n", "\r\n").replace(SHA[:16], "1.23457E+14").encode("utf-8-sig"),
    ):
        out.write_bytes(content)
        with pytest.raises(RecordError, match="saved by another program"):
            RecordFile(out, SHA, 2, resume=True)
        assert out.read_bytes() == content
    out.write_bytes(text.replace("\n", "\r\n").encode())
    with RecordFile(out, SHA, 2, resume=True) as records:
        assert of("Müller.jpg").digest() in records.known, "nothing but the ends of lines is changed"
