"""Record files: what is in them, going on with them, and everything that may be wrong with one."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.classifier import Classifier
from edgeclf.errors import RecordError, UsageError
from edgeclf.field.photo_id import Digests, PhotoFile, look_at
from edgeclf.field.record import csv_columns, escaped, unescaped
from edgeclf.field.record_file import RecordFile
from helpers import OLD_MODELS, draw

Run = Callable[..., subprocess.CompletedProcess[str]]
MODEL = OLD_MODELS / "schema2.onnx"
SHA = "0123456789abcdef" * 4
NASTY = ["plain.jpg", "a,b.jpg", 'q"uo"te.jpg', "two\nlines.jpg", "cr\r.jpg", "tab\t.jpg", "=1+1.jpg", "-x.jpg", "@x"]
NASTY += ["'=1.jpg", "''", "\udcff\udc80.jpg", "\\udcff.jpg", "\\u005c", "C:\\users\\u1234.jpg", "ペンギン.jpg", "\\"]
NASTY += ["\x1b[31m", "\x7f\x00", "\\\udcff", "\\u00\n", "\uff1d1", "\u2028", " space ", "", "\U0001f427"]


def answer(path: str) -> dict[str, Any]:
    ranking = [{"label": label, "index": i, "probability": 0.5} for i, label in enumerate(("=king", "a, b"))]
    return {"path": path, "unknown": False, "predictions": ranking}


def failure(path: str, kind: str) -> dict[str, Any]:
    return {"path": path, "error": {"kind": kind, "message": f"{path}: {kind}"}}


def of(path: str) -> PhotoFile:
    return PhotoFile(path, 100 + len(path), "2026-07-04T12:00:00.000000001Z")


def written(file: Path, paths: list[str]) -> bytes:
    with RecordFile(file, SHA, 2) as records:
        for path in paths:
            records.add(of(path), answer(path))
    return file.read_bytes()


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


def test_escapes_are_lossless_for_any_text() -> None:
    letters = "\\u0cdf'=\n\udc80\ud800a\r\x00"
    chance = random.Random(0)
    for _ in range(5000):
        text = "".join(chance.choices(letters, k=chance.randrange(12)))
        told = escaped(text)
        assert unescaped(told) == text
        told.encode()
        assert told.isprintable()


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
                    records.add(of(path), answer(path))
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
        with pytest.raises(RecordError, match="of 2 classes a photo, not 3"):
            RecordFile(out, SHA, 3, resume=True)
    with pytest.raises(UsageError, match="exists already"):
        RecordFile(out, SHA, 2)
    with pytest.raises(UsageError, match="by this name"):
        RecordFile(out.with_suffix(".txt"), SHA, 2)
    with pytest.raises(RecordError, match="cannot be written"):
        RecordFile(tmp_path / "missing" / out.name, SHA, 2, resume=True)
    out.unlink()
    out.mkdir()
    with pytest.raises(RecordError, match="not a regular file"):
        RecordFile(out, SHA, 2, resume=True)


def test_one_process_at_a_time(out: Path) -> None:
    with RecordFile(out, SHA, 2) as records:
        records.add(of("a.jpg"), answer("a.jpg"))
        with pytest.raises(RecordError, match="another edgeclf"):
            RecordFile(out, SHA, 2, resume=True)
        assert len(out.read_bytes().splitlines()) == 1 + (out.suffix == ".csv"), "reading is allowed"
    RecordFile(out, SHA, 2, resume=True).__exit__(None, None, None)


def test_a_file_moved_away_is_noticed(out: Path) -> None:
    records = RecordFile(out, SHA, 2)
    records.add(of("a.jpg"), answer("a.jpg"))
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


def test_digests_are_a_set() -> None:
    chance, digests, reference = random.Random(1), Digests(), set()
    for _ in range(6000):
        digest = chance.choice((chance.getrandbits(64), chance.randrange(3000), 2**64 - 1))
        digests.add(digest)
        reference.add(digest)
    assert len(digests) == len(reference)
    assert all(digest in digests for digest in reference)
    assert not [digest for digest in range(3000, 6000) if digest in digests]


def test_a_replaced_file_is_another_photo(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    seen = set()
    for content, moment in ((b"a", 10**18), (b"b", 10**18 + 1), (b"bb", 10**18 + 1), (b"b", -(10**15)), (b"b", 2**60)):
        path.write_bytes(content)
        os.utime(path, ns=(moment, moment))
        photo = look_at(str(path))
        assert photo is not None
        seen.add(photo.digest())
    assert len(seen) == 5
    here = os.path.relpath(path)
    assert photo._replace(path=here).digest() == photo.digest(), "one place, however it is spelt"
    assert look_at(str(tmp_path / "none")) is None


def test_a_photo_is_the_same_from_any_folder_through_any_link_in_any_spelling(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart, name = (unicodedata.normalize(form, "Käuze") for form in ("NFD", "NFC"))
    (tmp_path / name / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / name, target_is_directory=True)
    monkeypatch.chdir(tmp_path / name)
    written(out, ["deep/x.jpg", "=1.jpg"])
    monkeypatch.chdir(tmp_path)
    with RecordFile(out, SHA, 2, resume=True) as records:
        size = of("deep/x.jpg").size
        ways = [f"{name}/deep/x.jpg", f"{apart}/deep/x.jpg", "link/deep/x.jpg", str(tmp_path / "link/deep/x.jpg")]
        for there in ways:
            assert of("")._replace(path=there, size=size).digest() in records.known, there
        assert of("deep/x.jpg").digest() not in records.known
    (record, _) = recorded(out)
    assert (record["path"], record["folder"]) == ("deep/x.jpg", str(tmp_path / name)), "the path stays as it was given"


OLD_HEAD = "path,unknown,label_1,probability_1,label_2,probability_2,error,message,cam,cam_class,padding_share,copy"
OLD_HEAD += ",size,modified,model"


def old_file(out: Path, best: float, unknown: bool, bom: bytes = b"") -> bytes:
    """As versions without the rule wrote it."""
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
        with RecordFile(out, SHA, 2, resume=True, rule={"threshold": 0.5, "maps_of": None}) as records:
            assert (records.found, of("a.jpg").digest() in records.known) == (found, True)
            records.add(of(path), answer(path))
    data = out.read_bytes()
    assert data.startswith(old_file(out, 0.7, False, bom))
    assert [record["path"] for record in recorded(out)] == ["a.jpg", "b.jpg", "c.jpg"]
    with pytest.raises(RecordError, match=r"with another --threshold than 0\.9|with --threshold 0\.5, now it is 0\.9"):
        RecordFile(out, SHA, 2, resume=True, rule={"threshold": 0.9, "maps_of": None})
    assert out.read_bytes() == data


def test_a_file_has_one_rule(out: Path) -> None:
    rule = {"threshold": 0.3, "maps_of": "=king"}
    with RecordFile(out, SHA, 2, rule=rule) as records:
        records.add(of("a.jpg"), failure("a.jpg", "damaged"))
    data = out.read_bytes()
    RecordFile(out, SHA, 2, resume=True, rule=rule).__exit__(None, None, None)
    for other, says in (
        ({**rule, "threshold": 0.31}, "with --threshold 0.3, now it is 0.31; give --threshold 0.3, or name another"),
        ({**rule, "maps_of": None}, "heat maps of =king, now it is no heat maps"),
        ({**rule, "maps_of": "best-ranked"}, "now it is heat maps of best-ranked"),
    ):
        with pytest.raises(RecordError, match=says):
            RecordFile(out, SHA, 2, resume=True, rule=other)
    assert out.read_bytes() == data
    out.unlink()
    written(out, ["a.jpg"])
    with pytest.raises(RecordError, match="answers of 2 classes a photo, not 3"):
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


# From the shell.


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        draw(number).save(folder / f"{number}.png")
    (folder / "text.jpg").write_text("shopping list")
    return folder


def recorded(out: Path) -> list[dict[str, Any]]:
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_bytes().splitlines()]
    return [{**row, "path": unescaped(row["path"])} for row in csv.DictReader(out.read_text("utf-8-sig").splitlines())]


def test_records_are_what_json_prints(edgeclf: Run, photos: Path, tmp_path: Path) -> None:
    printed = edgeclf("predict", photos, "-m", MODEL, "--json").stdout.splitlines()
    done = edgeclf("predict", photos, "-m", MODEL, "--out", tmp_path / "a.jsonl", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [f"{tmp_path / 'a.jsonl'}: 5 recorded, 1 with errors"]
    records = recorded(tmp_path / "a.jsonl")
    for record, line in zip(records, printed, strict=True):
        status = os.stat(record["path"])
        assert record.pop("size") == status.st_size
        assert record.pop("modified").endswith(f"{status.st_mtime_ns % 10**9:09}Z")
        assert record.pop("model") == MODEL.read_bytes()[-64:-48].decode()
        assert (record.pop("folder"), record.pop("maps_of")) == (None, None)
        assert record.pop("threshold") == Classifier(MODEL).threshold
        assert record == json.loads(line)

    edgeclf("predict", photos, "-m", MODEL, "--out", tmp_path / "a.csv", "-k", 2)
    rows = recorded(tmp_path / "a.csv")
    assert tuple(rows[0]) == csv_columns(2)
    for row, record in zip(rows, records, strict=True):
        assert row["path"] == record["path"]
        if "error" in record:
            assert (row["error"], row["message"]) == ("not-an-image", record["error"]["message"])
        else:
            first, second, _ = record["predictions"]
            assert (row["label_1"], float(row["probability_1"])) == (first["label"], first["probability"])
            assert (row["label_2"], float(row["probability_2"])) == (second["label"], second["probability"])
            assert row["unknown"] == str(record["unknown"]).lower()


def test_going_on_answers_what_is_new_and_nothing_twice(edgeclf: Run, photos: Path, out: Path) -> None:
    run = ("predict", photos, photos / "0.png", "-m", MODEL, "--out", out)
    assert edgeclf(*run).returncode == 1
    first = out.read_bytes()
    refused = edgeclf(*run)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "exists already; go on with it by --resume" in refused.stderr
    assert out.read_bytes() == first
    again = edgeclf(*run, "--resume")
    assert (again.returncode, "0 recorded, 6 there already" in again.stderr) == (0, True)
    assert out.read_bytes() == first
    shutil.copy(photos / "0.png", photos / "new.png")
    draw(9).save(photos / "1.png")
    out.write_bytes(out.read_bytes()[:-5])
    more = edgeclf(*run, "--resume")
    assert "the last record was not whole" in more.stderr
    names = [Path(record["path"]).name for record in recorded(out)]
    assert sorted(names) == ["0.png", "1.png", "1.png", "2.png", "3.png", "new.png", "text.jpg"]


def test_another_rule_is_said_with_what_differs(
    edgeclf: Run, photos: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = ("predict", photos.name, "-m", MODEL, "--out", out, "--resume")
    assert edgeclf(*run).returncode == 1
    first = out.read_bytes()
    other = edgeclf(*(part if part != photos.name else photos for part in run), "--threshold", 0.99)
    assert (other.returncode, len(other.stderr.splitlines())) == (7, 1)
    assert "now it is 0.99; give --threshold" in other.stderr
    for extra, says in ((["-k", 2], "same --top-k"), (["--cam", tmp_path / "why"], "heat maps of best-ranked")):
        done = edgeclf(*run, *extra)
        assert (done.returncode, says in done.stderr) == (7, True), done.stderr
    monkeypatch.chdir(photos)
    again = edgeclf(*run[:1], ".", *run[2:])
    assert "0 recorded, 5 there already" in again.stderr, "from another folder"
    assert out.read_bytes() == first


def test_heat_maps_and_overlays_go_along(edgeclf: Run, photos: Path, out: Path, tmp_path: Path) -> None:
    done = edgeclf("predict", photos / "0.png", "-m", MODEL, "--out", out, "--cam", tmp_path / "why")
    (record,) = recorded(out)
    assert (done.returncode, Path(record["cam"]).name) == (0, "0-cam.jpg")
    drawn = Path(record["cam"]).read_bytes()
    draw(7).save(photos / "0.png")
    edgeclf("predict", photos / "0.png", "-m", MODEL, "--out", out, "--cam", tmp_path / "why", "--resume")
    assert [Path(record["cam"]).name for record in recorded(out)] == ["0-cam.jpg", "0-2-cam.jpg"]
    assert Path(record["cam"]).read_bytes() == drawn, "what an earlier record names stays as it was"


def test_usage(edgeclf: Run, photos: Path, tmp_path: Path) -> None:
    for arguments, says in (
        (["--resume"], "give --out too"),
        (["--out", tmp_path / "a.xls"], "end it in .jsonl or .csv"),
        (["-", "--out", tmp_path / "a.csv", "--resume"], "standard input"),
    ):
        done = edgeclf("predict", photos, "-m", MODEL, *arguments)
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.skipif(sys.platform != "linux", reason="only there may a name be any bytes")
def test_names_that_are_no_text_are_skipped_next_time(edgeclf: Run, photos: Path, out: Path) -> None:
    for name in (b"\xff\n,.png", b"=\\udcff.png"):
        shutil.copy(photos / "0.png", os.path.join(os.fsencode(photos), name))
    run = ("predict", photos, "-m", MODEL, "--out", out, "--resume")
    edgeclf(*run)
    assert {os.fsencode(Path(record["path"]).name) for record in recorded(out)} == set(os.listdir(os.fsencode(photos)))
    assert "0 recorded, 7 there already" in edgeclf(*run).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_is_one_line_and_leaves_whole_records(edgeclf: Run, photos: Path, out: Path) -> None:
    import resource

    command = [sys.executable, "-m", "edgeclf", "predict", str(photos), "-m", str(MODEL), "--out", str(out)]
    limit = 1000 if out.suffix == ".jsonl" else 500
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        timeout=60,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (7, 1), done.stderr
    assert "cannot be written" in done.stderr
    assert out.read_bytes().endswith(b"\n")
    assert 0 < len(recorded(out)) < 5
    assert edgeclf(*command[3:], "--resume").returncode == 1
    assert len({record["path"] for record in recorded(out)}) == len(recorded(out)) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_finishes_the_record_in_hand(edgeclf: Run, number: int, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    draw(1).save(tmp_path / "one.png")
    for index in range(400):
        os.link(tmp_path / "one.png", tmp_path / "in" / f"{index}.png")
    out = tmp_path / "a.jsonl"
    command = ["predict", str(tmp_path / "in"), "-m", str(MODEL), "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "edgeclf", *command], stderr=subprocess.PIPE)
    while not (out.exists() and out.stat().st_size) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    _, talk = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in talk, b"--resume goes on" in talk) == (130, False, True)
    stopped = recorded(out)
    assert 0 < len(stopped) < 400
    assert edgeclf(*command, "--resume").returncode == 0
    assert len({record["path"] for record in recorded(out)}) == len(recorded(out)) == 400
    assert recorded(out)[: len(stopped)] == stopped


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
                records.add(PhotoFile(f"{number}.jpg", 1, "x"), {"path": f"{number}.jpg"})
                if not seconds:
                    assert flushed[-1] == records.path.stat().st_size
        assert len(flushed) == flushes
