"""``predict --out`` from the shell: records, --resume, full disks and signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf.classifier import Classifier
from edgeclf.field.csv_columns import csv_columns
from helpers import OLD_MODELS, draw
from record_files import recorded

Run = Callable[..., subprocess.CompletedProcess[str]]
MODEL = OLD_MODELS / "schema2.onnx"


@pytest.fixture(params=[".jsonl", ".csv"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"answers{request.param}"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        draw(number).save(folder / f"{number}.png")
    (folder / "text.jpg").write_text("shopping list")
    return folder


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
    assert "exists already; continue it with --resume" in refused.stderr
    assert out.read_bytes() == first
    again = edgeclf(*run, "--resume")
    assert (again.returncode, "0 recorded, 6 there already" in again.stderr) == (0, True)
    assert out.read_bytes() == first
    shutil.copy(photos / "0.png", photos / "new.png")
    draw(9).save(photos / "1.png")
    out.write_bytes(out.read_bytes()[:-5])
    more = edgeclf(*run, "--resume")
    assert "the last record was incomplete" in more.stderr
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
        (["--out", tmp_path / "a.xls"], "ends in .jsonl or .csv"),
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
    assert (process.returncode, b"Traceback" in talk, b"--resume continues" in talk) == (130, False, True)
    stopped = recorded(out)
    assert 0 < len(stopped) < 400
    assert edgeclf(*command, "--resume").returncode == 0
    assert len({record["path"] for record in recorded(out)}) == len(recorded(out)) == 400
    assert recorded(out)[: len(stopped)] == stopped
