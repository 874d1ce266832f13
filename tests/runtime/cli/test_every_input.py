"""``edgeclf predict`` over a folder that holds one of everything: a line each, and the rest is answered."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jpegs
import pytest
from edgeclf.class_names import no_text
from edgeclf.cli.console import printable
from helpers import OLD_MODELS, draw

Run = Callable[..., subprocess.CompletedProcess[str]]
MODEL = OLD_MODELS / "schema2.onnx"

ODD_NAMES = [
    b"plain.jpg",
    b"two words.JPG",
    b"new\nline.jpg",
    b"tab\tand\rreturn.jpg",
    b"escape\x1b[2J\x1b[31m.jpg",
    "right\u202eto-left gpj.jpg".encode(),
    b"not utf-8 \xff\xfe\x80.jpg",
    "ペンギン.jpg".encode(),
    b"*.jpg",
    b"[a].jpg",
    b"-v.jpg",
    b"--.jpg",
    b"%s%n{0}$HOME`id`.jpg",
    b"quote'\".jpg",
    b"x" * 251 + b".jpg",
]


def write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


@pytest.fixture
def one_of_everything(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The folder, and what each file in it must come to: "answered" or the kind of an error."""
    folder = tmp_path / "card"
    folder.mkdir()
    root, expected = os.fsencode(folder), {}
    draw(1).save(tmp_path / "photo.jpg")
    good = (tmp_path / "photo.jpg").read_bytes()
    for name in ODD_NAMES:
        write(os.path.join(root, name), good)
        expected[os.fsdecode(os.path.join(root, name))] = "answered"
    bad = {
        "text.jpg": (b"shopping list\n", "not-an-image"),
        "page.png": (b"<!DOCTYPE html>", "not-an-image"),
        "video.jpg": (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(1000), "not-an-image"),
        "empty.jpg": (b"", "empty"),
        "half.jpg": (good[: len(good) // 2], "damaged"),
        "12-bit.jpg": (jpegs.twelve_bit(), "unsupported"),
        "hierarchical.jpg": (jpegs.hierarchical(), "unsupported"),
        "no height.jpg": (jpegs.baseline(height=0), "damaged"),
        "huge.jpg": (jpegs.one_colour_after_another(8, 8).replace(b"\0\10\0\10", b"\xff\xff\xff\xff"), "too-large"),
        "phone.heic": (b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(400), "unsupported"),
    }
    for name, (content, kind) in bad.items():
        (folder / name).write_bytes(content)
        expected[str(folder / name)] = kind
    for kind, name in (("PNG", "png.jpg"), ("GIF", "gif.png"), ("TIFF", "tiff.jpg"), ("WEBP", "webp.gif")):
        draw(1).save(folder / name, kind)
        expected[str(folder / name)] = "answered"
    (folder / "rare.jpg").write_bytes(jpegs.one_colour_after_another())
    expected[str(folder / "rare.jpg")] = "answered"
    (folder / "folder.jpg").mkdir()  # searched, and empty
    (folder / "loop").symlink_to(folder)  # not followed
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe-cam.jpg")
    (folder / "null.jpg").symlink_to("/dev/null")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    for name in ("pipe.jpg", "pipe-cam.jpg", "null.jpg", "zero.jpg"):
        expected[str(folder / name)] = "not-a-file"
    expected[str(folder / "loop.jpg")] = "unreadable"
    expected[str(folder / "gone.jpg")] = "not-found"
    if os.geteuid() != 0:  # root may read everything
        (folder / "secret.jpg").write_bytes(good)
        (folder / "secret.jpg").chmod(0)
        expected[str(folder / "secret.jpg")] = "unreadable"
    return folder, expected


@pytest.mark.skipif(sys.platform == "win32", reason="names and files that Windows cannot have")
def test_folder_of_everything(edgeclf: Run, one_of_everything: tuple[Path, dict[str, str]]) -> None:
    folder, expected = one_of_everything
    done = edgeclf("predict", folder, "-m", MODEL, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {line["path"]: line["error"]["kind"] if "error" in line else "answered" for line in lines}
    if found.get(str(folder / "phone.heic")) in ("damaged", "not-an-image"):  # the extra is installed
        expected[str(folder / "phone.heic")] = found[str(folder / "phone.heic")]
    assert found == expected
    assert len(lines) == len(expected)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(sys.platform == "win32", reason="names and files that Windows cannot have")
def test_folder_of_everything_for_people(edgeclf: Run, one_of_everything: tuple[Path, dict[str, str]]) -> None:
    folder, expected = one_of_everything
    done = edgeclf("predict", folder, "-m", MODEL, "-k", 1)
    assert done.returncode == 1
    answered = [path for path, kind in expected.items() if kind == "answered"]
    heads = [line.removesuffix(": unknown") for line in done.stdout.splitlines() if not line.startswith("  ")]
    assert sorted(heads) == sorted(printable(path) for path in answered)
    complaints = done.stderr.splitlines()
    assert len(complaints) == len(expected) - len(answered)
    assert all(line.startswith(f"edgeclf: {folder}") for line in complaints)
    assert not no_text((done.stdout + done.stderr).replace("\n", ""))


def test_odd_arguments_end_in_one_line_and_exit_1(edgeclf: Run, tmp_path: Path) -> None:
    """Seeded names out of everything that shells, globs, terminals and file systems give a meaning to."""
    alphabet = ["*", "?", "[", "]", "~", " ", "..", "/", "\\", "\n", "\x1b[0m", "\u202e", "\udcff", "é", "👋", "x", "%"]
    rng = random.Random(4)
    names = ["".join(rng.choices(alphabet, k=rng.randint(1, 12))) + ".jpg" for _ in range(60)]
    names += ["", " ", "[", "x" * 300, "x/" * 3000, ".", "**/.jpg"]
    given = [os.path.join(tmp_path, "none", name.lstrip("/")) if name else "" for name in names]
    command = [sys.executable, "-m", "edgeclf", "predict", "-m", str(MODEL), "--json", "--", *map(os.fsencode, given)]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=120)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["path"] for line in lines] == given
    assert {line["error"]["kind"] for line in lines} <= {"not-found", "unreadable", "not-a-file"}
    assert (done.returncode, done.stderr) == (1, b"")
