"""The same pixels with every Pillow: resizing has a fixed order, and a difference of one bit is detected."""

import itertools
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.errors import PhotoError
from edgeclf.images import limits, preprocess
from edgeclf.images import resize_check as resizecheck
from edgeclf.images.contract import ImageContract
from edgeclf.images.placement import Box
from edgeclf.images.preprocess import fit, network_input
from edgeclf.images.resize import resized, shrunk
from edgeclf.images.resize_check import check_resize, reference_input
from edgeclf.model import selftest
from edgeclf.model.file import read_model_file
from edgeclf.model.session import open_session
from helpers import OLD_MODELS
from PIL import Image

BILINEAR = Image.Resampling.BILINEAR


def noise(width: int, height: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng((seed, width, height)).integers(0, 256, (height, width, 3), dtype=np.uint8)


def vertical_first(
    image: Image.Image, size: tuple[int, int], box: Box | None = None, method: Image.Resampling = BILINEAR
) -> Image.Image:
    left, top, right, bottom = box or (0, 0, *image.size)
    columns = image.resize((image.width, size[1]), method, box=(0, top, image.width, bottom))
    return columns.resize(size, method, box=(left, 0, right, size[1]))


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize("crop_fraction", [1.0, 0.37, 0.8])
def test_every_shape_as_the_rule_says(resize: Any, crop_fraction: float) -> None:
    """From panoramas to towers, reduced and enlarged, whole and by fractions of a pixel."""
    rng = np.random.default_rng(5)
    for _ in range(120):
        width, height = (int(v) for v in np.exp(rng.uniform(0, math.log(300), 2)))
        contract, picture = ImageContract(int(rng.integers(8, 120)), resize, crop_fraction), noise(width, height)
        np.testing.assert_array_equal(network_input(picture, contract), reference_input(picture, contract))


@pytest.mark.parametrize("method", [BILINEAR, Image.Resampling.BOX, Image.Resampling.BICUBIC])
def test_rows_left_out_change_nothing(method: Image.Resampling) -> None:
    for width, height, side in itertools.product((30, 41), (60, 333), (7, 29, 64)):
        image, top = Image.fromarray(noise(width, height)), (height - width) / 2 + 0.3
        rows = image.resize((side, height), method)
        expected = rows.resize((side, side), method, box=(0, top, side, top + width))
        found = resized(image, (side, side), (0, top, width, top + width), method)
        assert found.tobytes() == expected.tobytes()


def test_shape_that_no_photo_has_takes_no_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    tower = Image.new("RGB", (1, 400_000))
    assert fit(tower, ImageContract(64, "crop")).shape == (64, 64, 3)
    monkeypatch.setattr(limits, "MAX_DECODED_PIXELS", 400_000 * 63)
    with pytest.raises(PhotoError, match="shape"):
        fit(tower, ImageContract(64, "squash"))


def test_pictures_for_the_eye_keep_their_shape() -> None:
    assert shrunk(Image.fromarray(noise(300, 200)), 100).size == (100, 67)
    assert shrunk(Image.fromarray(noise(30, 2)), 10).size == (10, 1)
    small = Image.fromarray(noise(30, 20))
    assert shrunk(small, 30) is small


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize("fault", ["vertical first", "one bit"])
def test_another_resize_is_found(resize: Any, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = ImageContract(96, resize)
    assert check_resize(contract).passed
    if fault == "vertical first":
        monkeypatch.setattr(preprocess, "resized", vertical_first)
    else:

        def fit_wrongly(upright: Image.Image, contract: ImageContract) -> Any:
            pixels = fit(upright, contract)
            pixels[48, 48, 1] ^= upright.height > upright.width
            return pixels

        monkeypatch.setattr(preprocess, "fit", fit_wrongly)
    found = check_resize(contract)
    assert (found.passed, found.largest) == (False, 1)
    assert found.shape is not None


@pytest.mark.parametrize("name", ["schema1", "schema2", "schema3", "without golden photos"])
def test_old_files_and_bare_ones_find_it_too(
    name: str, model: Path, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model if name.startswith("without") else OLD_MODELS / f"{name}.onnx"
    file = read_model_file(path)
    session, _ = open_session(file, "cpu", 1)
    assert selftest.run_selftest(session, file.manifest).passed
    monkeypatch.setattr(preprocess, "resized", vertical_first)
    result = selftest.run_selftest(session, file.manifest)
    (line,) = result.failures("resize")
    assert not result.passed
    assert line.startswith("resize: an image of ")


def test_large_inputs_are_tried_small(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def spy(picture: Any, contract: ImageContract) -> Any:
        asked.append(contract.size)
        return network_input(picture, contract)

    monkeypatch.setattr(resizecheck, "network_input", spy)
    assert check_resize(ImageContract(4096)).passed
    assert set(asked) == {256}


@pytest.mark.parametrize("name", ["schema1", "schema3"])
def test_doctor_names_a_pillow_that_resizes_otherwise(
    name: str, edgeclf_child: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """One bit of one pixel, of tall pictures only."""
    (tmp_path / "sitecustomize.py").write_text(
        "from PIL import Image\n"
        "plain = Image.Image.resize\n"
        "def resize(self, size, *rest, **more):\n"
        "    result = plain(self, size, *rest, **more)\n"
        "    if self.height > 1.3 * self.width and result.mode == 'RGB':\n"
        "        red, *others = result.getpixel((9, 9))\n"
        "        result.putpixel((9, 9), (red ^ 1, *others))\n"
        "    return result\n"
        "Image.Image.resize = resize\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    model = OLD_MODELS / f"{name}.onnx"
    done = edgeclf_child("doctor", model, PYTHONPATH=path)
    assert done.returncode == 3
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("pixels"))
    assert "FAIL" in row
    assert "resize: an image of" in row
    assert edgeclf_child("doctor", model).returncode == 0
