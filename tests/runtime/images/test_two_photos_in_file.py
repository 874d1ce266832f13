"""Two photos on standard input are an error, not classified as one."""

import io
import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.images.two_photos_in_file import holds_second
from helpers import draw


def encoded(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    draw(1).save(file, kind, **options)
    return file.getvalue()


ENDING = {
    "JPEG": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "PNG": encoded("PNG"),
    "GIF": encoded("GIF"),
    "WEBP": encoded("WEBP"),
    "BMP": encoded("BMP"),
}


@pytest.mark.parametrize(("one", "other"), [*itertools.product(ENDING, [*ENDING, "TIFF"])])
def test_second_photo_is_seen(one: str, other: str) -> None:
    second = ENDING.get(other) or encoded("TIFF")
    for between in (b"", b"\n", bytes(512)) if one != "GIF" else (b"",):
        assert holds_second(ENDING[one] + between + second)


@pytest.mark.parametrize("kind", ENDING)
def test_one_photo_is_one_whatever_is_behind_it(kind: str) -> None:
    data = ENDING[kind]
    film = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + np.random.default_rng(0).bytes(5000)
    for trailer in (b"", bytes(4096), b"SEFHe" + bytes(100) + b"SEFT", film, b"\n"):
        assert not holds_second(data + trailer)
    for length in range(0, len(data), max(1, len(data) // 50)):
        assert not holds_second(data[:length])


def test_pictures_of_one_camera_file_are_one_photo() -> None:
    mpo = io.BytesIO()
    draw(1).save(mpo, "MPO", save_all=True, append_images=[draw(2)])
    assert not holds_second(mpo.getvalue())
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0" + encoded("JPEG")  # a preview inside
    assert not holds_second(encoded("JPEG", exif=exif[:60_000]))


@pytest.mark.shared
def test_real_photos_are_one(shared: Path) -> None:
    photos = [path for path in sorted((shared / "data").rglob("*.*")) if path.is_file()][::12]
    assert not [photo for photo in photos if holds_second(photo.read_bytes())]


def test_it_is_said_in_one_line(edgeclf: Callable[..., subprocess.CompletedProcess[str]], model: Path) -> None:
    done = edgeclf("predict", "-", "-m", model, stdin=ENDING["JPEG"] + ENDING["PNG"])
    assert done.returncode == 1
    assert "-: holds more than one photo" in done.stderr
    assert done.stdout == ""
    assert edgeclf("predict", "-", "-m", model, stdin=ENDING["JPEG"]).returncode == 0
