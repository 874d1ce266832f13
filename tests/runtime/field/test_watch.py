"""``edgeclf watch``: every photo that comes is recorded once, whatever happens to it and around it."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgeclf.field.photo_id import PhotoFile
from edgeclf.field.watcher import FolderWatch
from exif_photos import SOUTH, TOLD, WHOLE, with_exif
from helpers import OLD_MODELS, draw
from record_files import recorded as recorded_in_any

Run = Callable[..., subprocess.CompletedProcess[str]]
MODEL = OLD_MODELS / "schema2.onnx"


def put(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(seed).save(path)
    return path


def recorded(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_bytes().splitlines()]


def names(out: Path) -> list[str]:
    return sorted(Path(record["path"]).name for record in recorded(out))


class Watch:
    """A running `edgeclf watch`; ``until`` waits for something to become true, a minute at most."""

    def __init__(self, folder: Path, out: Path, *more: object) -> None:
        self.out = out
        command = [sys.executable, "-m", "edgeclf", "watch", folder, "--out", out, "-m", MODEL, "--settle", 0.1, *more]
        self.talk = out.with_suffix(".talk")
        with self.talk.open("w") as talk:
            self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=talk)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not true():
            assert self.process.poll() is None, self.talk.read_text()
            assert time.monotonic() < end, self.talk.read_text()
            time.sleep(0.01)

    def has(self, *wanted: str) -> None:
        self.until(lambda: self.out.exists() and names(self.out) == sorted(wanted))

    def end(self, number: int = signal.SIGTERM) -> tuple[int, list[str]]:
        self.process.send_signal(number)
        printed, _ = self.process.communicate(timeout=60)
        return self.process.returncode, printed.decode().splitlines()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    running: list[Watch] = []

    def begin(*more: object, out: Path = tmp_path / "out.jsonl") -> Watch:
        running.append(Watch(tmp_path / "in", out, *more))
        return running[-1]

    (tmp_path / "in").mkdir()
    yield begin
    for watch in running:
        watch.process.kill()
        watch.process.communicate()


def test_what_comes_is_recorded_once_however_it_comes(start: Callable[..., Watch], tmp_path: Path) -> None:
    source = put(tmp_path / "in" / "there.png").parent
    whole = put(tmp_path / "x.jpg", 2).read_bytes()
    watch = start("--json")
    watch.has("there.png")
    with (source / "slow.jpg").open("wb", buffering=0) as file:
        for at in range(0, len(whole), len(whole) // 5 + 1):
            file.write(whole[at : at + len(whole) // 5 + 1])
            time.sleep(0.12)  # longer than it needs to be quiet
    put(tmp_path / "renamed.png", 3).rename(source / "renamed.png")
    put(source / "new" / "deep" / "nested.png", 4)
    put(source / ".hidden.png")
    (source / "notes.txt").write_text("no photo")
    watch.has("there.png", "slow.jpg", "renamed.png", "nested.png")
    (tmp_path / "x.jpg").rename(source / "there.png")  # another photo, though its name is known
    watch.has("there.png", "slow.jpg", "renamed.png", "nested.png", "there.png")
    code, printed = watch.end()
    assert code == 0
    records = recorded(watch.out)
    beside = ("size", "modified", "model", "folder", "threshold", "maps_of")
    kept = [{k: v for k, v in r.items() if k not in beside} for r in records]
    assert [json.loads(line) for line in printed] == kept
    assert not [record for record in records if "error" in record]
    again = start("--json")
    again.until(lambda: "5 photos recorded" in again.talk.read_text())
    put(source / "last.png", 5)
    again.until(lambda: "last.png" in names(again.out))
    assert len(recorded(again.out)) == 6
    code, printed = again.end(signal.SIGINT)
    assert (code, len(printed)) == (130, 1)
    assert "Traceback" not in again.talk.read_text()


def test_half_a_photo_is_an_error_only_after_a_while(start: Callable[..., Watch], tmp_path: Path) -> None:
    whole = put(tmp_path / "x.jpg", 2).read_bytes()
    for name in ("mended.jpg", "broken.jpg"):
        (tmp_path / "in" / name).write_bytes(whole[:2000])
    watch = start("--settle", 0.3)
    watch.until(lambda: watch.out.exists())
    put(tmp_path / "in" / "good.png")
    watch.has("good.png")  # by now the others have been tried and put off
    (tmp_path / "in" / "mended.jpg").write_bytes(whole)
    watch.has("good.png", "mended.jpg", "broken.jpg")
    errors = {Path(r["path"]).name: r["error"]["kind"] for r in recorded(watch.out) if "error" in r}
    assert errors == {"broken.jpg": "damaged"}
    assert watch.end()[0] == 0
    assert watch.talk.read_text().count("damaged") == 1


def test_once_answers_what_is_there_and_ends(edgeclf: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in" / "a.png")
    run = ("watch", tmp_path / "in", "--out", tmp_path / "o.csv", "-m", MODEL, "--once", "--settle", 0.05)
    done = edgeclf(*run)
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [str(tmp_path / "in" / "a.png")]
    (tmp_path / "in" / "b.png").write_text("no photo")
    assert edgeclf(*run).returncode == 1
    first = (tmp_path / "o.csv").read_bytes()
    assert edgeclf(*run).returncode == 0, "errors are recorded once, too"
    assert first == (tmp_path / "o.csv").read_bytes()
    assert len(first.splitlines()) == 3
    monkeypatch.chdir(tmp_path)
    relative = edgeclf("watch", "in", "--out", "o.csv", *run[4:])
    assert (relative.returncode, relative.stdout) == (0, ""), "the same folder, however it is spelt"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_facts_of_photos_are_recorded_unless_switched_off(edgeclf: Run, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(with_exif(WHOLE, SOUTH))
    for options, expected in (((), {key: str(value) for key, value in TOLD.items()}), (("--no-exif",), {})):
        out = tmp_path / f"{len(options)}.{suffix}"
        run = ("watch", tmp_path / "in", "--out", out, "-m", MODEL, "--once", "--settle", 0.05, *options)
        assert edgeclf(*run).returncode == 0
        (record,) = recorded_in_any(out)
        assert {key: str(record[key]) for key in TOLD if key in record} == expected


def test_unknown_photos_are_copied_for_review_and_never_over_another(edgeclf: Run, tmp_path: Path) -> None:
    originals = [put(tmp_path / "in" / sub / "IMG_1.png", seed) for seed, sub in enumerate("abc")]
    shutil.copy(originals[0], put(tmp_path / "in" / "d" / "IMG_1.png"))
    base = ("watch", tmp_path / "in", "-m", MODEL, "--once", "--settle", 0.05, "--review", tmp_path / "in" / "sorted")
    unsorted = tmp_path / "in" / "sorted" / "_unsorted"
    assert edgeclf(*base, "--out", tmp_path / "sure.jsonl", "--threshold", 0).returncode == 0
    assert not unsorted.exists()
    assert edgeclf(*base, "--out", tmp_path / "o.jsonl", "--threshold", 1).returncode == 0
    records = recorded(tmp_path / "o.jsonl")
    assert sorted(r["path"] for r in records) == [str(tmp_path / "in" / sub / "IMG_1.png") for sub in "abcd"]
    for record in records:
        assert Path(record["copy"]).read_bytes() == Path(record["path"]).read_bytes()
        assert Path(record["copy"]).parent == unsorted / record["predictions"][0]["label"]
    copies = sorted(unsorted.rglob("*.png"))
    assert len(copies) == len({copy.read_bytes() for copy in copies}) == 3, "the same photo twice is one copy"
    assert all(path.exists() for path in originals), "never moved"
    before = {copy: copy.stat().st_mtime_ns for copy in copies}
    (tmp_path / "o.jsonl").unlink()  # as if nothing had been recorded yet when it was killed
    assert edgeclf(*base, "--out", tmp_path / "o.jsonl", "--threshold", 1).returncode == 0
    assert {copy: copy.stat().st_mtime_ns for copy in sorted(unsorted.rglob("*.png"))} == before
    assert len(recorded(tmp_path / "o.jsonl")) == 4, "copies inside the watched folder are not new photos"


def test_a_folder_that_vanishes_is_waited_for(start: Callable[..., Watch], tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.png")
    watch = start()
    watch.has("a.png")
    (tmp_path / "in").rename(tmp_path / "pulled")
    watch.until(lambda: "waiting until it is back" in watch.talk.read_text())
    put(tmp_path / "pulled" / "b.png")
    time.sleep(0.5)
    (tmp_path / "pulled").rename(tmp_path / "in")
    watch.has("a.png", "b.png")
    assert watch.end()[0] == 0
    said = watch.talk.read_text()
    assert (said.count("waiting until it is back"), said.count(": is back")) == (1, 1)


def test_what_cannot_work_is_one_line(edgeclf: Run, start: Callable[..., Watch], tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.png")
    watch = start()
    watch.has("a.png")
    (tmp_path / "file").write_text("")
    (tmp_path / "diary.csv").write_text("dear diary\n")
    cases: list[tuple[int, str, list[object]]] = [
        (7, "another edgeclf", [tmp_path / "in", "--out", watch.out]),
        (7, "not a record file", [tmp_path / "in", "--out", tmp_path / "diary.csv"]),
        (7, "cannot be written", [tmp_path / "in", "--out", tmp_path / "missing" / "o.csv"]),
        (2, "ends in .jsonl", [tmp_path / "in", "--out", tmp_path / "o.txt"]),
        (2, "is not a folder", [tmp_path / "file", "--out", tmp_path / "o.csv"]),
        (2, "no such folder", [tmp_path / "missing", "--out", tmp_path / "o.csv", "--once"]),
        (2, "watched as well", [tmp_path / "in", "--out", tmp_path / "o.csv", "--review", tmp_path / "in"]),
        (3, "no such model", [tmp_path / "in", "--out", tmp_path / "o.csv", "-m", "missing.onnx"]),
        (7, "a copy cannot be written", [tmp_path / "in", "--out", tmp_path / "p.csv", "--review", tmp_path / "file"]),
    ]
    for code, says, arguments in cases:
        extra = ["-m", MODEL] if "-m" not in arguments else []
        done = edgeclf("watch", *arguments, *extra, "--once", "--settle", 0.01, "--threshold", 1)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("watching ")]
        assert (done.returncode, len(lines)) == (code, 1), done.stderr
        assert says in lines[0]
    assert (tmp_path / "diary.csv").read_text() == "dear diary\n"
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1, "no record without its copy"


def test_a_photo_that_changes_while_it_is_read_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeclf.classifier import Classifier
    from edgeclf.cli.console import Console
    from edgeclf.cli.signals import Stopping
    from edgeclf.cli.watch import _Work
    from edgeclf.field.record_file import RecordFile

    path = put(tmp_path / "a.png")
    classifier = Classifier(MODEL)
    predict = classifier.predict

    def slow(photo: Any, *rest: Any) -> Any:
        prediction = predict(photo, *rest)
        os.utime(path, (1, 1))
        return prediction

    monkeypatch.setattr(classifier, "predict_many", lambda photos, top_k, facts: (slow(one, top_k) for one in photos))
    with RecordFile(tmp_path / "o.jsonl", classifier.sha256, 3) as records, Stopping() as stop:
        watch = FolderWatch(str(tmp_path), records.known, settle=0, retry_after=0)
        work = _Work(classifier, records, None, Console(), 3, False, False)
        for _ in range(4):
            watch._full_scan_at = 0
            work.classify_new(watch, stop)
        (record,) = recorded(tmp_path / "o.jsonl")
        assert record["modified"] == "1970-01-01T00:00:01.000000000Z"
        assert PhotoFile(record["path"], record["size"], record["modified"]).digest() in records.known


def test_once_ends_though_photos_cannot_be_read_one_after_the_other(
    edgeclf: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.classifier import Classifier
    from edgeclf.cli import watch
    from edgeclf.cli.console import Console
    from edgeclf.cli.signals import Stopping
    from edgeclf.errors import PhotoError
    from edgeclf.field.record_file import RecordFile

    for number in range(3):
        put(tmp_path / "in" / f"{number}.png")
    classifier, out = Classifier(MODEL), tmp_path / "o.jsonl"

    def unreadable(photos: Iterator[str], top_k: int, *, facts: bool) -> Iterator[PhotoError]:
        for photo in photos:
            time.sleep(0.15)  # longer than the pause between two looks
            yield PhotoError("unreadable", "not now", "", photo)

    monkeypatch.setattr(classifier, "predict_many", unreadable)
    with RecordFile(out, classifier.sha256, 3) as records, Stopping() as stop:
        watcher = FolderWatch(str(tmp_path / "in"), records.known, settle=0.05, retry_after=0.1)
        work = watch._Work(classifier, records, None, Console(), 3, False, True)
        signal.alarm(60)
        watch._run(watcher, work, stop, Console(), True)
        signal.alarm(0)
    assert (work.failed, names(out)) == (3, [])


def test_watch_flushes_each_record_to_the_disk(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / "in" / f"{number}.png", number)
    script = """
import os, sys
from edgeclf.cli.app import main
sizes = []
really = os.fsync
os.fsync = lambda number: (really(number), sizes.append(os.fstat(number).st_size))
os._exit = sys.exit
try:
    main()
finally:
    print("flushed", *sizes)
"""
    command = [sys.executable, "-c", script, "watch", tmp_path / "in", "--out", tmp_path / "o.jsonl", "-m", MODEL]
    done = subprocess.run([*map(str, command), "--once", "--settle", "0.1"], capture_output=True, text=True, check=True)
    lines = (tmp_path / "o.jsonl").read_bytes().splitlines(keepends=True)
    ends = list(itertools.accumulate(map(len, lines)))
    assert len(ends) == 4
    assert set(ends) <= set(map(int, done.stdout.split("flushed")[1].split()))
