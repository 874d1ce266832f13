"""Errors of the system: folders that cannot be listed, full disks, too little memory, disks that hang."""

import errno
import gc
import io
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf import Classifier
from edgeclf.cli import watch as watch_command
from edgeclf.cli.console import Console
from edgeclf.cli.photo_sources import Found, find_photos
from edgeclf.errors import BackendError, PhotoError, RecordError
from edgeclf.field.photo_id import Digests, look_at
from edgeclf.field.record import Record
from edgeclf.field.record_file import RecordFile
from edgeclf.field.watcher import FolderWatch
from edgeclf.files import timed_io as reading
from edgeclf.files.atomic_write import sync_folder
from helpers import OLD_MODELS, draw

Run = Callable[..., subprocess.CompletedProcess[str]]
MODEL = OLD_MODELS / "schema2.onnx"
SHA = "0123456789abcdef" * 4


def put(path: Path, seed: int = 1) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(seed, 60, 40).save(path)
    return str(path)


def shown(found: Iterator[Found]) -> list[tuple[str, str | None]]:
    return [(one.path, one.source.kind if isinstance(one.source, PhotoError) else None) for one in found]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders called "closed" cannot be listed, whoever runs the tests."""
    scandir = os.scandir

    def refusing(path: Any = ".") -> Any:
        if os.path.basename(os.fspath(path)) == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


def test_folders_that_cannot_be_listed_are_told(tmp_path: Path, closed: None) -> None:
    photo = put(tmp_path / "card" / "A" / "x.jpg")
    put(tmp_path / "card" / "closed" / "y.jpg")
    folder = str(tmp_path / "card" / "closed")
    assert shown(find_photos([str(tmp_path / "card")])) == [(photo, None), (folder, "unreadable")]
    assert shown(find_photos([folder])) == [(folder, "unreadable")], "not: no images in it"


def test_globs_that_run_in_circles_find_each_photo_once(tmp_path: Path) -> None:
    photo = put(tmp_path / "g" / "x.jpg")
    (tmp_path / "g" / "again").symlink_to(tmp_path / "g")
    (tmp_path / "g" / "link.jpg").symlink_to(photo)
    pattern = str(tmp_path / "g" / "**" / "*.jpg")
    assert [path for path, _ in shown(find_photos([pattern]))] == [str(tmp_path / "g" / "link.jpg"), photo]


@pytest.fixture
def hanging_looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither ``os.stat`` nor ``os.scandir`` returns for what is called "hangs..."; given up after 0.2 seconds."""
    mended = threading.Event()

    def patient(call: Callable[..., Any]) -> Callable[..., Any]:
        def calling(path: Any = ".", *args: Any, **options: Any) -> Any:
            if isinstance(path, str) and os.path.basename(path).startswith("hangs"):
                mended.wait()
            return call(path, *args, **options)

        return calling

    monkeypatch.setattr(os, "stat", patient(os.stat))
    monkeypatch.setattr(os, "scandir", patient(os.scandir))
    monkeypatch.setenv("EDGECLF_TIMEOUT", "0.2")
    yield
    mended.set()
    for _ in range(1000):
        if not reading._hanging:
            break
        threading.Event().wait(0.01)
    assert not reading._hanging


def test_looks_that_hang_are_given_up(tmp_path: Path, hanging_looks: None) -> None:
    put(tmp_path / "hangs" / "x.jpg")
    good = put(tmp_path / "a" / "good.jpg")
    assert look_at(str(tmp_path / "hangs")) is None
    assert look_at(good) is not None
    kinds = dict(shown(find_photos([str(tmp_path / "hangs" / "*.jpg"), good])))
    assert kinds == {str(tmp_path / "hangs" / "*.jpg"): "timeout", good: None}


def test_watch_goes_on_beside_a_folder_that_hangs(tmp_path: Path, hanging_looks: None) -> None:
    put(tmp_path / "in" / "hangs" / "x.jpg")
    good = put(tmp_path / "in" / "good.jpg")
    told: list[str] = []
    watch = FolderWatch(
        str(tmp_path / "in"), Digests(), settle=0, patience=0, told=lambda path, error: told.append(str(error.strerror))
    )
    assert [photo.path for photo in (*watch.scan(), *watch.scan())] == [good]
    assert told == ["its disk does not answer"]
    gone = FolderWatch(str(tmp_path / "in" / "hangs"), Digests(), settle=0, patience=0)
    assert list(gone.scan()) == []
    assert isinstance(gone.gone, TimeoutError)


@pytest.mark.parametrize("once", [False, True])
def test_watch_records_a_photo_that_may_not_be_opened_once_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], once: bool
) -> None:
    put(tmp_path / "in" / "locked.jpg")
    (tmp_path / "in" / "broken.jpg").write_bytes(Path(put(tmp_path / "whole.jpg")).read_bytes()[:300])
    open_file = reading._open

    def refusing(name: str, flags: int) -> int:
        if name.endswith("locked.jpg"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return open_file(name, flags)

    monkeypatch.setattr(reading, "_open", refusing)
    with RecordFile(tmp_path / "o.jsonl", SHA, 3, resume=True) as records:
        watch = FolderWatch(str(tmp_path / "in"), records.known, settle=0, patience=0)
        work = watch_command._Work(Classifier(MODEL), records, None, Console(), 3, False, once)
        stop: Any = False
        for _ in range(3):
            work.classify_new(watch, stop)
        assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 1, "the broken one"
        assert ("locked.jpg" in capsys.readouterr().err) is True
        assert watch.postponed == (0 if once else 1)
        monkeypatch.setattr(reading, "_open", open_file)
        if not once:
            for _ in range(2):
                work.classify_new(watch, stop)
    if once:  # the next run finds it
        with RecordFile(tmp_path / "o.jsonl", SHA, 3, resume=True) as records:
            watch = FolderWatch(str(tmp_path / "in"), records.known, settle=0, patience=0)
            work = watch_command._Work(Classifier(MODEL), records, None, Console(), 3, False, once)
            for _ in range(2):
                work.classify_new(watch, stop)
    text = (tmp_path / "o.jsonl").read_text().splitlines()
    assert len(text) == 2
    assert "predictions" in text[1]
    assert "locked.jpg" in text[1]


def test_errors_that_are_kept_do_not_keep_their_photos(tmp_path: Path) -> None:
    data = Path(put(tmp_path / "whole.jpg")).read_bytes()[:500] + bytes(2**22)
    (tmp_path / "cut.jpg").write_bytes(data)
    photos = [str(tmp_path / "cut.jpg")] * 12
    classifier = Classifier(MODEL, threads=2)
    list(classifier.predict_many(photos[:2]))
    gc.collect()
    tracemalloc.start()
    kept = list(classifier.predict_many(photos))
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert all(isinstance(error, PhotoError) and error.path == photos[0] for error in kept)
    assert size < 2**22


def test_memory_that_is_not_there_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = put(tmp_path / "x.jpg")

    def failing(*_: object) -> int:
        raise MemoryError

    classifier = Classifier(MODEL)
    with monkeypatch.context() as patched:
        patched.setattr(reading, "_open", failing)
        with pytest.raises(PhotoError, match="does not fit in memory"):
            classifier.predict(photo)

    class Full:
        def run(self, *_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 99")

    monkeypatch.setattr(classifier._sessions, "_first", (Full(), classifier.device))
    for call in (classifier.predict, classifier.explain):
        with pytest.raises(BackendError, match=r"allocate memory.*--low-memory"):
            call(photo)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
def test_standard_output_that_takes_no_more_is_one_line(tmp_path: Path) -> None:
    photo = put(tmp_path / "x.jpg")
    for extra in ([], ["--json"]):
        command = [sys.executable, "-m", "edgeclf", "predict", photo, "-m", str(MODEL), *extra]
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 7
        assert done.stderr.startswith("edgeclf: standard output cannot be written (No space left on device); ")
        assert done.stderr.count("\n") == 1


def test_standard_input_that_cannot_be_read_is_one_line() -> None:
    command = [sys.executable, "-m", "edgeclf", "predict", "-", "-m", str(MODEL)]
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        done = subprocess.run(command, stdin=descriptor, capture_output=True, text=True, check=False)
    finally:
        os.close(descriptor)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("edgeclf: -: ")


def test_names_too_long_for_a_file_are_one_line(edgeclf: Run, tmp_path: Path) -> None:
    photo, name = put(tmp_path / "x.jpg"), "n" * 300
    for arguments in (
        ("predict", photo, "-m", MODEL, "--cam", tmp_path / name),
        ("watch", tmp_path / name, "-m", MODEL, "--out", tmp_path / "o.csv", "--once"),
    ):
        done = edgeclf(*arguments)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("watching ")]
        assert (done.returncode, len(lines)) == (2, 1), done.stderr
        assert "too long" in lines[0] or "no such folder" in lines[0]


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


def test_a_png_ends_at_its_end() -> None:
    buffer = io.BytesIO()
    draw(1, 60, 40).save(buffer, "PNG")
    classifier = Classifier(MODEL)
    padded = classifier.predict(buffer.getvalue() + bytes(200_000))
    assert padded == classifier.predict(buffer.getvalue())


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
def test_the_size_of_nearly_square_photos_is_exact(orientation: int, tmp_path: Path) -> None:
    from edgeclf.images.contract import ImageContract
    from edgeclf.images.preprocess import upright_with_size
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in (".jpg", ".tif"):
        Image.new("RGB", (2007, 2001)).save(tmp_path / f"x{suffix}", exif=exif)
        _, size = upright_with_size(tmp_path / f"x{suffix}", ImageContract(64))
        assert size == ((2007, 2001) if orientation < 5 else (2001, 2007)), suffix


def test_a_model_among_the_photos_is_told_where_it_goes(edgeclf: Run, tmp_path: Path) -> None:
    done = edgeclf("predict", put(tmp_path / "x.jpg"), MODEL)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"give it with -m {MODEL}" in done.stderr


def test_a_photo_in_place_of_a_command_is_told_which_command(edgeclf: Run, tmp_path: Path) -> None:
    done = edgeclf(put(tmp_path / "a b.jpg"))
    assert done.returncode == 2
    assert f"did you mean `edgeclf predict '{tmp_path}/a b.jpg'`" in done.stderr


def test_display_names_and_unknown_reach_the_heat_map(
    make_model: Callable[..., Path], edgeclf: Run, tmp_path: Path
) -> None:
    model = make_model(display={"king": "K\u00f6nigspinguin"})
    photo = put(tmp_path / "x.jpg")
    said = edgeclf("predict", photo, "-m", model, "--cam", tmp_path / "o.png", "--cam-class", "K\u00f6nigspinguin")
    assert said.returncode == 0, said.stderr
    assert "heat map of king" in said.stdout
    sure, unsure = (Classifier(model, threshold=threshold).explain(photo) for threshold in (0, 1))
    assert np.array_equal(np.asarray(sure.overlay(caption=False)), np.asarray(unsure.overlay(caption=False)))
    assert not np.array_equal(np.asarray(sure.overlay()), np.asarray(unsure.overlay())), "one is called unknown"


def test_many_classes_are_not_all_listed(edgeclf: Run) -> None:
    lines = edgeclf("info").stdout.splitlines()
    assert len(lines) < 60
    assert "970 more" in lines[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_ends_imports_that_swallow_it() -> None:
    script = """
import time
from edgeclf.cli.signals import loading
with loading("what swallows"):
    print("begun", flush=True)
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=30) == (b"", b"")
        finally:
            process.kill()
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_standard_streams_may_be_closed(closed: str, tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.jpg")
    commands = {
        "info": [str(MODEL)],
        "predict": ["in", "-m", str(MODEL), "--out", "p.jsonl"],
        "watch": ["in", "-m", str(MODEL), "--out", "w.jsonl", "--once", "--settle", "0.1"],
    }
    for name, words in commands.items():
        line = f'exec "$0" -m edgeclf "$@" {closed}'
        done = subprocess.run(
            ["sh", "-c", line, sys.executable, name, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), (name, done.stderr)
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 1
    assert len((tmp_path / "w.jsonl").read_text().splitlines()) == 1
