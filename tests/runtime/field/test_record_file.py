"""Record files: what is in them, going on with them, and what may happen to one."""

import csv
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import RecordError, UsageError
from edgeclf.field.csv_columns import unescaped
from edgeclf.field.photo_id import PhotoFile
from edgeclf.field.record import Record, RecordedClass
from edgeclf.field.record_file import RecordFile
from edgeclf.files.atomic_write import sync_folder
from record_files import SHA, failure, of, prediction, written

NASTY = ["plain.jpg", "a,b.jpg", 'q"uo"te.jpg', "two\nlines.jpg", "cr\r.jpg", "tab\t.jpg", "=1+1.jpg", "-x.jpg", "@x"]
NASTY += ["'=1.jpg", "''", "\udcff\udc80.jpg", "\\udcff.jpg", "\\u005c", "C:\\users\\u1234.jpg", "ペンギン.jpg", "\\"]
NASTY += ["\x1b[31m", "\x7f\x00", "\\\udcff", "\\u00\n", "\uff1d1", "\u2028", " space ", "", "\U0001f427"]


@pytest.fixture(params=[".jsonl", ".csv"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"answers{request.param}"


def test_every_name_comes_back_from_both_formats(out: Path) -> None:
    data = written(out, NASTY)
    lines = data.decode("utf-8-sig", "strict").split("\n")
    assert len(lines) - 1 == len(NASTY) + (out.suffix == ".csv"), "one record is one line"
    if out.suffix == ".jsonl":
        assert [json.loads(line)["path"] for line in lines[:-1]] == NASTY
    else:
        rows = list(csv.DictReader(lines[:-1], strict=True))
        assert [unescaped(row["path"]) for row in rows] == NASTY
        assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\uff1d"))]
        assert {unescaped(row["label_1"]) for row in rows} == {"=king"}
    with RecordFile(out, SHA, 2, resume=True) as records:
        assert records.found == len(NASTY)
        assert all(of(path).digest() in records.known for path in NASTY)
        assert of("other").digest() not in records.known
    assert out.read_bytes() == data


def test_a_file_cut_anywhere_goes_on_behind_its_last_whole_record(out: Path) -> None:
    paths = ["a.jpg", "two\nlines.jpg", "c.jpg"]
    whole = written(out, paths)
    last = whole[:-1].rindex(b"\n")
    for cut in (*range(0, last, 9), *range(last, len(whole) + 1, 3 if out.suffix == ".jsonl" else 1)):
        out.write_bytes(whole[:cut])
        with RecordFile(out, SHA, 2, resume=True) as records:
            lines = whole[:cut].count(b"\n")
            assert records.found == max(0, lines - (out.suffix == ".csv"))
            for path in paths:
                if of(path).digest() not in records.known:
                    records.add(of(path), prediction(path))
        assert out.read_bytes() == whole, f"cut at {cut}"


def test_what_a_power_cut_may_leave_at_the_end_is_cut_off(out: Path) -> None:
    whole = written(out, ["a.jpg"])
    for tail in (b"\0" * 500, b"\xff\xfe{", b'{"path": "x"\n', b"x,y\n"):
        out.write_bytes(whole + tail)
        with RecordFile(out, SHA, 2, resume=True) as records:
            assert (records.found, records.cut) == (1, len(tail))
        assert out.read_bytes() == whole
    out.write_bytes(b"\0" * 500)
    RecordFile(out, SHA, 2, resume=True).__exit__(None, None, None)
    assert out.read_bytes() in (b"", whole.split(b"\n")[0] + b"\n")


def test_other_files_are_refused_and_left_alone(out: Path, tmp_path: Path) -> None:
    whole = written(tmp_path / f"other{out.suffix}", ["a.jpg", "b.jpg"])
    begun = whole[: whole.index(b"\n") + 1] if out.suffix == ".csv" else b""
    row = whole.splitlines(keepends=True)[-1]
    wrong = {
        "not a record file": [
            b"dear diary",
            b"dear diary\n",
            b"{}\n",
            b'{"error": "x"}\n',
            b"[1]\n",
            b"path,unknown\n",
            b"\n",
            b"\xff\xd8\xff",
        ],
        "line": [whole + b"junk\n" + row, whole + b"junk\nmore junk\n", begun + row + b"\n" + row],
        "another model": [whole.replace(SHA[:16].encode(), b"f" * 16)],
    }
    for says, contents in wrong.items():
        for content in contents:
            out.write_bytes(content)
            with pytest.raises(RecordError, match=says):
                RecordFile(out, SHA, 2, resume=True)
            assert out.read_bytes() == content
    if out.suffix == ".csv":
        out.write_bytes(whole)
        with pytest.raises(RecordError, match="has 2 classes for each photo, not 3"):
            RecordFile(out, SHA, 3, resume=True)
    with pytest.raises(UsageError, match="exists already"):
        RecordFile(out, SHA, 2)
    with pytest.raises(UsageError, match="does not tell the format"):
        RecordFile(out.with_suffix(".txt"), SHA, 2)
    with pytest.raises(RecordError, match="cannot be written"):
        RecordFile(tmp_path / "missing" / out.name, SHA, 2, resume=True)
    out.unlink()
    out.mkdir()
    with pytest.raises(RecordError, match="not a regular file"):
        RecordFile(out, SHA, 2, resume=True)


def test_one_process_at_a_time(out: Path) -> None:
    with RecordFile(out, SHA, 2) as records:
        records.add(of("a.jpg"), prediction("a.jpg"))
        with pytest.raises(RecordError, match="another edgeclf"):
            RecordFile(out, SHA, 2, resume=True)
        assert len(out.read_bytes().splitlines()) == 1 + (out.suffix == ".csv"), "reading is allowed"
    RecordFile(out, SHA, 2, resume=True).__exit__(None, None, None)


def test_a_file_moved_away_is_noticed(out: Path) -> None:
    records = RecordFile(out, SHA, 2)
    records.add(of("a.jpg"), prediction("a.jpg"))
    out.rename(out.with_name("old"))
    with pytest.raises(RecordError, match="moved or deleted"):
        records.__exit__(None, None, None)


def test_only_errors_that_may_pass_are_tried_again(out: Path) -> None:
    kinds = ["damaged", "not-an-image", "unreadable", "not-found", "some-future-kind"]
    with RecordFile(out, SHA, 2) as records:
        for kind in kinds:
            records.add(of(kind), failure(kind, kind))
        records.add(None, failure("gone", "not-found"))
    for retry, known in ((True, kinds[:2]), (False, kinds)):
        with RecordFile(out, SHA, 2, resume=True, retry=retry) as records:
            assert [kind for kind in kinds if of(kind).digest() in records.known] == known
            assert records.found == 6


def test_watch_flushes_each_record_and_predict_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    really = os.fsync

    def fsync(number: int) -> None:
        really(number)
        flushed.append(os.fstat(number).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    for seconds, flushes in ((0, 20), (3600, 1)):
        with RecordFile(tmp_path / f"{seconds}.jsonl", SHA, 2, sync_every=seconds) as records:
            flushed.clear()
            for number in range(20):
                records.add(PhotoFile(f"{number}.jpg", 1, "x"), Record(f"{number}.jpg"))
                if not seconds:
                    assert flushed[-1] == records.path.stat().st_size
        assert len(flushed) == flushes


def test_a_csv_torn_inside_quotes_is_cut(tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    with RecordFile(out, SHA, 1) as records:
        records.add(None, Record("x.jpg", False, (RecordedClass("a", 1.0),)))
    whole = out.read_bytes()
    out.write_bytes(whole + b'"b.jpg,false\n')
    with RecordFile(out, SHA, 1, resume=True) as records:
        assert (records.found, records.cut) == (1, 13)
    assert out.read_bytes() == whole


def test_a_folder_that_may_only_be_written_to_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_file = os.open

    def refusing(path: Any, *args: Any, **options: Any) -> int:
        if os.fspath(path) == str(tmp_path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))
        return open_file(path, *args, **options)

    monkeypatch.setattr(os, "open", refusing)
    sync_folder(tmp_path)
    with RecordFile(tmp_path / "o.csv", SHA, 2) as records:
        assert records.found == 0


def test_a_card_that_became_read_only_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with RecordFile(tmp_path / "o.jsonl", SHA, 2) as records:
        monkeypatch.setattr(os, "write", refusing)
        monkeypatch.setattr(os, "ftruncate", refusing)
        with pytest.raises(RecordError, match="Read-only file system"):
            records.add(None, Record("x"))
