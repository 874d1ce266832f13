"""Errors of the system: folders that cannot be listed, full disks, too little memory, disks that hang."""

import errno
import gc
import os
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf import Classifier
from edgeclf.errors import BackendError, PhotoError
from edgeclf.field.find_photos import Found, find_photos
from edgeclf.field.photo_id import Digests, look_at
from edgeclf.field.watcher import FolderWatch
from edgeclf.files import hanging_disk as reading
from helpers import OLD_MODELS, put

Run = Callable[..., subprocess.CompletedProcess[str]]
MODEL = OLD_MODELS / "schema2.onnx"


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
    photo = str(put(tmp_path / "card" / "A" / "x.jpg"))
    put(tmp_path / "card" / "closed" / "y.jpg")
    folder = str(tmp_path / "card" / "closed")
    assert shown(find_photos([str(tmp_path / "card")])) == [(photo, None), (folder, "unreadable")]
    assert shown(find_photos([folder])) == [(folder, "unreadable")], "not: no images in it"


def test_globs_that_run_in_circles_find_each_photo_once(tmp_path: Path) -> None:
    photo = str(put(tmp_path / "g" / "x.jpg"))
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
    good = str(put(tmp_path / "a" / "good.jpg"))
    assert look_at(str(tmp_path / "hangs")) is None
    assert look_at(good) is not None
    kinds = dict(shown(find_photos([str(tmp_path / "hangs" / "*.jpg"), good])))
    assert kinds == {str(tmp_path / "hangs" / "*.jpg"): "timeout", good: None}


def test_watch_goes_on_beside_a_folder_that_hangs(tmp_path: Path, hanging_looks: None) -> None:
    put(tmp_path / "in" / "hangs" / "x.jpg")
    good = str(put(tmp_path / "in" / "good.jpg"))
    told: list[str] = []
    watch = FolderWatch(
        str(tmp_path / "in"),
        Digests(),
        settle=0,
        retry_after=0,
        on_unreadable=lambda path, error: told.append(str(error.strerror)),
    )
    assert [photo.path for photo in (*watch.scan(), *watch.scan())] == [good]
    assert told == ["its disk does not answer"]
    gone = FolderWatch(str(tmp_path / "in" / "hangs"), Digests(), settle=0, retry_after=0)
    assert list(gone.scan()) == []
    assert isinstance(gone.gone, TimeoutError)


def test_errors_that_are_kept_do_not_keep_their_photos(tmp_path: Path) -> None:
    data = put(tmp_path / "whole.jpg").read_bytes()[:500] + bytes(2**22)
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
    photo = str(put(tmp_path / "x.jpg"))

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


def test_names_too_long_for_a_file_are_one_line(edgeclf: Run, tmp_path: Path) -> None:
    photo, name = str(put(tmp_path / "x.jpg")), "n" * 300
    for arguments in (
        ("predict", photo, "-m", MODEL, "--cam", tmp_path / name),
        ("watch", tmp_path / name, "-m", MODEL, "--out", tmp_path / "o.csv", "--once"),
    ):
        done = edgeclf(*arguments)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("watching ")]
        assert (done.returncode, len(lines)) == (2, 1), done.stderr
        assert "too long" in lines[0] or "no such folder" in lines[0]


def test_display_names_and_unknown_reach_the_heat_map(
    make_model: Callable[..., Path], edgeclf: Run, tmp_path: Path
) -> None:
    model = make_model(display={"king": "K\u00f6nigspinguin"})
    photo = str(put(tmp_path / "x.jpg"))
    said = edgeclf("predict", photo, "-m", model, "--cam", tmp_path / "o.png", "--cam-class", "K\u00f6nigspinguin")
    assert said.returncode == 0, said.stderr
    assert "heat map of king" in said.stdout
    sure, unsure = (Classifier(model, threshold=threshold).explain(photo) for threshold in (0, 1))
    assert np.array_equal(np.asarray(sure.overlay(caption=False)), np.asarray(unsure.overlay(caption=False)))
    assert not np.array_equal(np.asarray(sure.overlay()), np.asarray(unsure.overlay())), "one is called unknown"
