"""Disks that hang, and files that change while they are read. The boundary to the system is ``reading._open``."""

import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgeclf import Classifier
from edgeclf.errors import PhotoError, UsageError
from edgeclf.files import hanging_disk as reading
from edgeclf.files import walk
from edgeclf.files.hanging_disk import read_ends, read_regular, with_time_limit
from edgeclf.files.walk import image_files
from edgeclf.images.preprocess import upright_rgb
from helpers import OLD_MODELS, draw
from PIL import TiffImagePlugin

LIMIT = 2**20
MODEL = OLD_MODELS / "schema2.onnx"
really_open = reading._open


def refusal(path: Path, limit: int = LIMIT) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        read_regular(str(path), limit)
    return caught.value


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Files called "hangs..." do not open before the event is set; reads are given up after 0.2 seconds."""
    mended = threading.Event()

    def opening(name: str, flags: int) -> int:
        if os.path.basename(name).startswith("hangs"):
            mended.wait()
        return really_open(name, flags)

    monkeypatch.setattr(reading, "_open", opening)
    monkeypatch.setenv("EDGECLF_TIMEOUT", "0.2")
    yield mended
    mended.set()
    until(lambda: not reading._hanging)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("hangs1.jpg", "hangs2.jpg", "hangs3.jpg", "good.jpg"):
        draw(1).save(tmp_path / name)
    (tmp_path / "other").mkdir()
    draw(2).save(tmp_path / "other" / "good.jpg")
    return tmp_path


def test_read_that_hangs_is_given_up_and_the_rest_goes_on(folder: Path, hanging: threading.Event) -> None:
    photos = [folder / "good.jpg", folder / "hangs1.jpg", folder / "good.jpg"]
    first, stuck, last = Classifier(MODEL).predict_many(photos)
    assert isinstance(stuck, PhotoError)
    assert (stuck.kind, stuck.path) == ("timeout", str(photos[1]))
    assert "0.2 s" in stuck.message
    assert "EDGECLF_TIMEOUT" in stuck.remedy
    assert first == last
    assert not isinstance(first, PhotoError)


def test_folder_that_hangs_costs_two_timeouts_not_one_a_photo(folder: Path, hanging: threading.Event) -> None:
    assert [refusal(folder / f"hangs{n}.jpg").kind for n in (1, 2)] == ["timeout", "timeout"]
    threads = threading.active_count()
    for name in ("hangs3.jpg", "good.jpg"):
        error = refusal(folder / name)
        assert (error.kind, "other reads" in error.message) == ("timeout", True)
    assert threading.active_count() == threads
    assert read_regular(str(folder / "other" / "good.jpg"), LIMIT)
    hanging.set()
    until(lambda: not reading._hanging)
    assert read_regular(str(folder / "good.jpg"), LIMIT) == read_regular(str(folder / "hangs3.jpg"), LIMIT)


def test_stuck_calls_are_bounded_in_all(
    folder: Path, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_HANGING", 1)
    assert refusal(folder / "hangs1.jpg").kind == "timeout"
    assert "other reads" in refusal(folder / "other" / "good.jpg").message


def test_slow_read_that_gets_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_TIMEOUT", "1")

    def slow(progress: reading.Progress) -> int:
        for _ in range(4):
            time.sleep(0.4)
            progress()
        return 7

    assert with_time_limit(slow, "photo.jpg") == 7


CHILD = """
import sys, time
from edgeclf.files import hanging_disk as reading
from edgeclf.errors import PhotoError
if sys.argv[2] == "hang":
    reading._open = lambda name, flags: time.sleep(3600)
    try:
        reading.read_regular(sys.argv[1], 10**6)
    except PhotoError as error:
        print(error.kind)
    except KeyboardInterrupt:
        print("interrupted")
else:
    import os
    reading.read_regular(sys.argv[1], 10**6)
    child = os.fork()
    if not child:
        os._exit(len(reading.read_regular(sys.argv[1], 10**6)) > 0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def child(photo: Path, what: str, seconds: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "EDGECLF_TIMEOUT": seconds}
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(photo), what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


def test_process_ends_while_a_read_hangs(photo: Path) -> None:
    process = child(photo, "hang", "0.2")
    assert process.communicate(timeout=60)[0] == "timeout\n"
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_reads_after_a_fork(photo: Path) -> None:
    """A child process does not have the parent's threads: a helper thread of the parent would never respond."""
    assert child(photo, "fork", "60").communicate(timeout=50)[0] == "1\n"


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    names = [str(tmp_path / str(number)) for number in range(200)]
    for number, name in enumerate(names):
        Path(name).write_bytes(b"%d" % number * (number + 1))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: read_regular(name, LIMIT), names * 5))
    assert found == [b"%d" % number * (number + 1) for number in range(200)] * 5
    assert len(reading._idle) <= 9  # helpers are used again


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_timeout_that_makes_no_sense(value: str, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_TIMEOUT", value)
    with pytest.raises(UsageError, match="EDGECLF_TIMEOUT"):
        read_regular(str(photo), LIMIT)


def test_no_timeout_means_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_TIMEOUT", "0")
    assert with_time_limit(lambda _: threading.current_thread(), "") is threading.current_thread()
    monkeypatch.setenv("EDGECLF_TIMEOUT", "5")
    assert with_time_limit(lambda _: threading.current_thread(), "") is not threading.current_thread()


def before_opening(monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]) -> None:
    """Something happens to the file between the look at it and its opening."""

    def opening(name: str, flags: int) -> int:
        change(Path(name))
        return really_open(name, flags)

    monkeypatch.setattr(reading, "_open", opening)


def test_file_that_grows(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_check", lambda *_: None)  # it grows after the last look
    size = photo.stat().st_size
    before_opening(monkeypatch, lambda path: path.write_bytes(path.read_bytes() + bytes(100)))
    assert len(read_regular(str(photo), LIMIT)) == size + 100
    assert refusal(photo, size + 150).kind == "too-large"


@pytest.mark.parametrize(("kept", "kind"), [(0, "empty"), (500, "damaged")])
def test_file_that_shrinks(kept: int, kind: str, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before_opening(monkeypatch, lambda path: os.truncate(path, kept))
    with pytest.raises(PhotoError) as caught:
        upright_rgb(photo)
    assert caught.value.kind == kind


def test_tiff_that_shrinks_while_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it was decoded from disk, libtiff would map it into memory, and the process would crash with SIGBUS."""
    path = tmp_path / "photo.tif"
    draw(1, 800, 600).save(path, compression="tiff_lzw")
    really_load = TiffImagePlugin.TiffImageFile.load

    def load(image: TiffImagePlugin.TiffImageFile) -> object:
        os.truncate(path, 100)
        return really_load(image)

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", load)
    assert upright_rgb(path).tobytes() == draw(1, 800, 600).tobytes()
    assert path.stat().st_size == 100


def test_file_that_vanishes(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before_opening(monkeypatch, Path.unlink)
    assert refusal(photo).kind == "not-found"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_that_takes_the_files_name(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    before_opening(monkeypatch, replace)
    assert refusal(photo).kind == "not-a-file"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_what_the_system_says_is_told(error: OSError, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise error

    before_opening(monkeypatch, fail)
    found = refusal(photo)
    assert (found.kind, str(error.strerror) in found.message) == ("unreadable", True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_named_like_an_overlay_does_not_stop_the_walk(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x-cam.jpg")
    found: list[list[str]] = []
    worker = threading.Thread(target=lambda: found.append(list(image_files(str(tmp_path)))), daemon=True)
    worker.start()
    worker.join(10)
    assert found == [[str(tmp_path / "x-cam.jpg")]]


def test_large_folders_are_walked_in_order_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["b/2.jpg", "b/10.jpg", "b/1.JPG", "b/c/9.png", "a/x.jpg", "z.jpg", "y.jpg", "b.jpg", "b/a.txt", ".h.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    whole = list(image_files(str(tmp_path)))
    wanted = ["b.jpg", "y.jpg", "z.jpg", "a/x.jpg", "b/1.JPG", "b/10.jpg", "b/2.jpg", "b/c/9.png"]
    assert whole == [str(tmp_path / name) for name in wanted]
    for part in (1, 2, 3):
        monkeypatch.setattr(walk, "_NAMES_AT_ONCE", part)
        assert list(image_files(str(tmp_path))) == whole


def test_names_of_a_large_folder_are_never_all_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3000):
        (tmp_path / f"{'x' * 200}{number:05}.jpg").touch()
    monkeypatch.setattr(walk, "_NAMES_AT_ONCE", 100)
    tracemalloc.start()
    assert sum(1 for _ in image_files(str(tmp_path))) == 3000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


def test_folder_that_cannot_be_listed_in_time(
    tmp_path: Path, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_scan = os.scandir

    def scan(folder: str) -> object:
        hanging.wait()
        return really_scan(folder)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(PhotoError) as caught:
        list(image_files(str(tmp_path)))
    assert (caught.value.kind, caught.value.path) == ("timeout", str(tmp_path))


def test_only_the_ends_of_a_large_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(range(256)) * 16)
    assert read_ends(str(tmp_path / "large"), 3, 2) == b"\0\1\2\xfe\xff"
