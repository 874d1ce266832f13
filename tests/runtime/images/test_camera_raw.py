"""Camera raw files are recognised, and never classified by their small preview; ordinary TIFFs are read."""

import io
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeclf.errors import PhotoError
from edgeclf.files.photo_names import has_raw_suffix
from edgeclf.images.camera_raw import is_raw
from edgeclf.images.preprocess import upright_rgb
from helpers import draw
from PIL import Image

Entry = tuple[int, int, int, int]


def raw(order: str, first: list[Entry] = (), below: list[Entry] = (), behind: list[Entry] = ()) -> bytes:  # type: ignore[assignment]
    """A TIFF with an RGB preview of 16 x 12, more tags in its directory, and directories below and behind it."""
    pixels = np.full((12, 16, 3), 90, np.uint8).tobytes()

    def directory(entries: list[Entry], following: int) -> bytes:
        packed = b""
        for tag, kind, number, value in sorted(entries):
            short = kind == 3 and number == 1
            packed += struct.pack(order + ("HHIHH" if short else "HHII"), tag, kind, number, value, *([0] * short))
        return struct.pack(order + "H", len(entries)) + packed + struct.pack(order + "I", following)

    start = 8 + len(pixels) + 6
    sizes = struct.pack(order + "HHH", 8, 8, 8)
    preview = [(256, 4, 1, 16), (257, 4, 1, 12), (258, 3, 3, 8 + len(pixels)), (259, 3, 1, 1), (262, 3, 1, 2)]
    preview += [(273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, 12), (279, 4, 1, len(pixels)), (254, 4, 1, 1), *first]
    preview += [(330, 4, 1, 0)] if below else []
    length = len(directory(preview, 0))
    inner = start + length
    outer = inner + (len(directory(list(below), 0)) if below else 0)
    preview = [(tag, kind, number, inner if tag == 330 else value) for tag, kind, number, value in preview]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    content = head + pixels + sizes + directory(preview, outer if behind else 0)
    content += directory(list(below), 0) if below else b""
    return content + (directory(list(behind), 0) if behind else b"") + bytes(400)


SENSOR = [(254, 4, 1, 0), (256, 4, 1, 6000), (257, 4, 1, 4000), (262, 3, 1, 32803)]
RAWS = {
    "nef": raw(">", below=SENSOR),
    "arw": raw("<", below=SENSOR),
    "dng": raw("<", first=[(50706, 1, 4, 0x00000401)], below=SENSOR),
    "linear dng": raw(">", below=[(256, 4, 1, 6000), (262, 3, 1, 34892)]),
    "pef": raw(">", behind=SENSOR),
    "cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + raw("<")[8:],
    "cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(300),
    "orf": b"IIRO" + raw("<")[4:],
    "rw2": b"IIU\0" + raw("<")[4:],
    "raf": b"FUJIFILMCCD-RAW 0201" + bytes(300),
    "x3f": b"FOVb" + bytes(300),
}


def refusal(photo: bytes | Path) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        upright_rgb(photo)
    return caught.value


@pytest.mark.parametrize("kind", RAWS)
def test_raw_files_are_named_by_their_content(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{'jpg' if kind == 'nef' else 'tif'}"  # whatever they are called
    path.write_bytes(RAWS[kind])
    for photo in (path, RAWS[kind]):
        error = refusal(photo)
        assert (error.kind, "camera raw file" in error.message) == ("unsupported", True)
        assert "JPEG" in error.remedy


def test_a_name_decides_where_the_content_does_not(tmp_path: Path) -> None:
    plain = raw("<")
    for name in ("photo.NEF", "photo.dng"):
        (tmp_path / name).write_bytes(plain)
        assert refusal(tmp_path / name).kind == "unsupported"
    draw(1).save(tmp_path / "really.dng", "JPEG")
    assert upright_rgb(tmp_path / "really.dng").size == (160, 120)
    assert has_raw_suffix("DCIM/IMG_1.CR2")
    assert not has_raw_suffix("raw")


def test_ordinary_tiffs_are_answered() -> None:
    """With a smaller picture first, with directories below it, with many pages."""
    pages = [(256, 4, 1, 6000), (257, 4, 1, 4000), (262, 3, 1, 2)]
    for content in (raw("<"), raw(">", below=pages), raw("<", behind=pages)):
        assert (np.asarray(upright_rgb(content)) == 90).all()
    file = io.BytesIO()
    draw(1).save(file, "TIFF", save_all=True, append_images=[draw(2)] * 40, compression="tiff_lzw")
    assert upright_rgb(file.getvalue()).size == (160, 120)


@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_in_circles_and_cut_ones_end(order: str) -> None:
    whole = raw(order, below=SENSOR)
    for length in range(0, len(whole), 7):
        is_raw(whole[:length])
    start = struct.unpack_from(order + "I", whole, 4)[0]
    circle = bytearray(raw(order))
    circle[start + 2 + 12 * 10 :][:4] = struct.pack(order + "I", start)
    assert not is_raw(bytes(circle))
    rng = np.random.default_rng(1)
    for _ in range(500):
        broken = bytearray(whole)
        for at in rng.integers(4, len(whole) - 400, 5):
            broken[at] = rng.integers(256)
        is_raw(bytes(broken))


def test_named_outright_it_is_one_line(
    edgeclf: Callable[..., subprocess.CompletedProcess[str]], model: Path, tmp_path: Path
) -> None:
    (tmp_path / "photo.nef").write_bytes(RAWS["nef"])
    done = edgeclf("predict", tmp_path / "photo.nef", "-m", model)
    assert done.returncode != 0
    assert "camera raw file" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    with Image.open(tmp_path / "photo.nef") as preview:  # what Pillow would have answered from
        assert preview.size == (16, 12)


def test_raw_files_in_folders_are_told_in_one_line(
    edgeclf: Callable[..., subprocess.CompletedProcess[str]], model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "card"
    (folder / "adelie").mkdir(parents=True)
    for number in range(2):
        (folder / "adelie" / f"DSC_{number}.NEF").write_bytes(RAWS["nef"])
        draw(number).save(folder / "adelie" / f"DSC_{number}.JPG")
    for command in (("predict", folder), ("predict", folder, "--out", tmp_path / "a.jsonl"), ("evaluate", folder)):
        options = ("-m", model) if command[0] == "predict" else ()
        done = edgeclf(command[0], *([model] if command[0] == "evaluate" else []), *command[1:], *options)
        assert done.returncode == 0, done.stderr
        told = [line for line in (done.stdout + done.stderr).splitlines() if "camera raw" in line]
        assert len(told) == 1
        assert "2 camera raw files left out" in told[0]
    done = edgeclf("watch", folder, "-m", model, "--out", tmp_path / "b.jsonl", "--once", "--settle", "0.1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("camera raw files are left out") == 1
    (tmp_path / "raws").mkdir()
    (tmp_path / "raws" / "a.dng").write_bytes(RAWS["dng"])
    done = edgeclf("predict", tmp_path / "raws", "-m", model)
    assert done.returncode == 1
    assert "1 camera raw file left out" in done.stderr
