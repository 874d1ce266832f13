"""From what people type, or give to Python, to photos: patterns, addresses, heat maps among photos, one for many."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf import Classifier
from edgeclf.errors import PhotoError, UsageError
from edgeclf.field.find_photos import find_photos
from edgeclf.images.heatmap_mark import save_marked
from edgeclf.images.preprocess import upright_rgb
from helpers import CLASSES, draw
from PIL import Image

Run = Callable[..., subprocess.CompletedProcess[str]]


def put(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(seed).save(path)
    return path


def put_map(path: Path, seed: int = 9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        save_marked(draw(seed), file, path.suffix)
    return path


def paths(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [os.path.basename(json.loads(line)["path"]) for line in done.stdout.splitlines()]


def test_heat_maps_among_photos_are_no_photos(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    photo = put(tmp_path / "photo.jpg")
    for _ in range(3):
        names = sorted(tmp_path.glob("*.jpg"))  # as the shell does
        done = edgeclf("predict", *names, "-m", model, "--json", "--cam", tmp_path)
        assert (done.returncode, paths(done)) == (0, ["photo.jpg"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo-cam.jpg", "photo.jpg"]
    assert done.stderr == "left out: 1 heat map made by edgeclf\n"
    for name in ("why.png", "why.webp", "IMG_0001.JPG"):
        put_map(tmp_path / name)
    out = tmp_path / "out.jsonl"
    for arguments in ((tmp_path,), (tmp_path / "*.*g",), (photo, *tmp_path.glob("why.*"))):
        done = edgeclf("predict", *arguments, "-m", model, "--json")
        assert (done.returncode, paths(done)) == (0, ["photo.jpg"])
    done = edgeclf("predict", tmp_path, "-m", model, "--out", out)
    assert (done.returncode, len(out.read_text().splitlines())) == (0, 1)
    assert "left out: 4 heat maps made by edgeclf" in done.stderr
    done = edgeclf("predict", tmp_path / "why.webp", "-m", model, "--json")
    assert (done.returncode, paths(done)) == (0, ["why.webp"]), "named alone it is answered"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_other_commands_leave_heat_maps_out_too(suffix: str, edgeclf: Run, model: Path, tmp_path: Path) -> None:
    put(tmp_path / CLASSES[0] / "a.jpg")
    put_map(tmp_path / CLASSES[0] / f"b{suffix}")
    done = edgeclf("compare", model, model, tmp_path, "--json")
    assert (json.loads(done.stdout)["photos"], json.loads(done.stdout)["unreadable"]) == (1, [])
    assert done.stderr.endswith("left out: 1 heat map made by edgeclf\n")
    out = tmp_path / "out.jsonl"
    done = edgeclf("watch", tmp_path, "--out", out, "-m", model, "--once", "--settle", 0)
    assert (done.returncode, len(out.read_text().splitlines())) == (0, 1), done.stderr


def test_reading_a_photo_tells_a_heat_map_without_a_second_look(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.files import hanging_disk as reading

    put(tmp_path / "a.jpg")
    put_map(tmp_path / "b.jpg")
    opened: list[str] = []
    monkeypatch.setattr(reading, "_open", lambda name, flags: [opened.append(name), os.open(name, flags)][1])
    answers = list(Classifier(model).predict_many(one.source for one in find_photos([str(tmp_path)])))
    assert [getattr(answer, "kind", "") for answer in answers] == ["", "heat-map"]
    assert sorted(map(os.path.basename, opened)) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("card [2024]/**/*.jpg", ["card [2024]/a.jpg", "card [2024]/sub/b [1].jpg"]),
        ("card [2024]/*/b*", ["card [2024]/sub/b [1].jpg"]),
        ("card [2024]/sub/b [1].*", ["card [2024]/sub/b [1].jpg"]),
        ("*/sub/b [1].jpg", ["card [2024]/sub/b [1].jpg"]),
        ("card [23]/*.jpg", ["card 2/c.jpg"]),
        ("card ?/c.jpg", ["card 2/c.jpg"]),
        ("what?/*.jpg", ["what?/d.jpg"]),
        ("st*r/[d]*", ["st*r/d.jpg"]),
        ("@eaDir/*.jpg", ["@eaDir/e.jpg"]),
        ("**/@eaDir/*.jpg", ["@eaDir/e.jpg"]),
        ("**/e.jpg", []),
        ("nothing*", []),
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_patterns(
    pattern: str, expected: list[str], absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        *("card [2024]/a.jpg", "card [2024]/sub/b [1].jpg", "card 2/c.jpg", "@eaDir/e.jpg"),
        *(("what?/d.jpg", "st*r/d.jpg") if os.name != "nt" else ()),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    given = str(tmp_path / pattern) if absolute else pattern
    found = [one.path for one in find_photos([given]) if not isinstance(one.source, PhotoError)]
    assert found == [str(tmp_path / name) if absolute else name for name in expected]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("https://example.org/a.jpg?size=2", "is an address; edgeclf reads files only; download the photo first"),
        ("s3://bucket/*.jpg", "is an address; edgeclf reads files only"),
        ("file:///photos/a%20b.jpg", "is an address, not a path; give /photos/a b.jpg"),
        ("file://localhost/a.jpg", "is an address, not a path; give /a.jpg"),
        ("a.jpg\nb.jpg", "give each path as a separate argument"),
        ("a.jpg", "no such file or folder; check the path"),
    ],
)
def test_what_is_no_path_is_told_in_one_line(given: str, said: str) -> None:
    (one,) = find_photos([given])
    assert isinstance(one.source, str)
    with pytest.raises(PhotoError) as caught:
        upright_rgb(one.source)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "photo",
    [
        "photo.jpg",
        Path("photo.jpg"),
        b"bytes",
        bytearray(b"bytes"),
        Image.new("RGB", (40, 30)),
        np.zeros((40, 30, 3), np.uint8),
        np.zeros((40, 30), np.uint8),
    ],
    ids=["str", "Path", "bytes", "bytearray", "image", "array", "grey array"],
)
def test_one_photo_for_many_is_one_error(photo: Any, model: Path) -> None:
    with pytest.raises(UsageError, match="takes several photos, not one"):
        Classifier(model).predict_many(photo)


def test_a_file_for_many_photos_is_one_error(model: Path, photo: Path) -> None:
    with photo.open("rb") as file, pytest.raises(UsageError, match="takes several photos, not one"):
        Classifier(model).predict_many(file)  # type: ignore[arg-type]


def test_an_array_of_photos_is_several(model: Path) -> None:
    for several in (np.zeros((3, 40, 30, 3), np.uint8), np.zeros((3, 40, 30), np.uint8)):
        assert len(list(Classifier(model).predict_many(several))) == 3
    with pytest.raises(TypeError, match="not list \\(several photos: predict_many\\)"):
        Classifier(model).predict(["a.jpg", "b.jpg"])  # type: ignore[arg-type]


@pytest.mark.skipif(os.name == "nt", reason="the folder one is in cannot be deleted there")
@pytest.mark.parametrize("command", ["watch", "predict", "evaluate"])
def test_a_deleted_folder_to_run_in_is_one_line(command: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    arguments = {
        "watch": ("in", "--out", "a.csv", "-m", model),
        "predict": ("in", "-m", model),
        "evaluate": (model, "in"),
    }[command]
    line = f'rmdir "$PWD"; exec "$@"'  # noqa: F541
    done = subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, "-m", "edgeclf", command, *map(str, arguments)],
        cwd=tmp_path / "gone",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert command != "watch" or "the working folder was deleted; cd to one that exists" in done.stderr


def _may_unshare() -> bool:
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-pf", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_unshare(), reason="needs the right to make a process number 1")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_first_process_of_a_container_ends_when_asked(number: signal.Signals, model: Path) -> None:
    command = [sys.executable, "-m", "edgeclf", "predict", "-", "-m", str(model)]
    with subprocess.Popen(["unshare", "-pf", *command], stdin=subprocess.PIPE) as outer:
        try:
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
            end = time.monotonic() + 30
            while not (inner := children.read_text().split()) or not _catches(inner[0], number):
                assert time.monotonic() < end, "the signal would be ignored"
                time.sleep(0.05)
            os.kill(int(inner[0]), number)
            assert outer.wait(5) == 128 + number
        finally:
            outer.kill()


def _catches(process: str, number: int) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)
