"""The position of photos on the network input, and the preprocessing contract."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.errors import ModelError
from edgeclf.images.contract import ImageContract
from edgeclf.images.placement import Placement
from edgeclf.images.preprocess import fit, network_input
from PIL import Image

SIZES = [(640, 480), (480, 640), (33, 32), (101, 57), (1, 1), (1, 50), (4000, 3), (3, 4000), (32, 32)]
RESIZES = ["crop", "pad", "squash"]


def contract(resize: str, **values: Any) -> ImageContract:
    return ImageContract(32, resize, **values)  # type: ignore[arg-type]


def forward(placement: Placement, x: float, y: float) -> tuple[float, float]:
    """From photo pixels to input pixels, straight from the two boxes."""
    left, top, right, bottom = placement.source
    x0, y0, x1, y1 = placement.target
    return x0 + (x - left) * (x1 - x0) / (right - left), y0 + (y - top) * (y1 - y0) / (bottom - top)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", RESIZES)
def test_input_on_photo_is_the_inverse_of_the_placement(resize: str, size: tuple[int, int]) -> None:
    placement = contract(resize, crop_fraction=0.875).placement(*size)
    left, top, right, bottom = placement.input_on_photo()
    assert forward(placement, left, top) == pytest.approx((0, 0), abs=1e-6)
    assert forward(placement, right, bottom) == pytest.approx((32, 32), abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fraction", [1.0, 0.875, 0.5])
def test_crop_takes_the_centre_square(size: tuple[int, int], fraction: float) -> None:
    placement = contract("crop", crop_fraction=fraction).placement(*size)
    left, top, right, bottom = placement.source
    assert right - left == pytest.approx(min(size) * fraction)
    assert bottom - top == pytest.approx(min(size) * fraction)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((size[0] / 2, size[1] / 2))
    assert placement.target == (0, 0, 32, 32)


@pytest.mark.parametrize("size", SIZES)
def test_pad_keeps_the_whole_photo_its_aspect_and_the_centre(size: tuple[int, int]) -> None:
    placement = contract("pad").placement(*size)
    left, top, right, bottom = placement.target
    width, height = right - left, bottom - top
    assert placement.source == (0, 0, *size)
    assert max(width, height) == 32
    assert min(width, height) == max(1, round(32 * min(size) / max(size)))
    assert 0 <= (32 - right) - left <= 1  # an odd pixel of padding goes right
    assert 0 <= (32 - bottom) - top <= 1  # and below


@pytest.mark.parametrize("size", SIZES)
def test_squash_uses_everything(size: tuple[int, int]) -> None:
    placement = contract("squash").placement(*size)
    assert placement.source == (0, 0, *size)
    assert placement.target == (0, 0, 32, 32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", RESIZES)
def test_one_colour_stays_one_colour(resize: str, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (200, 100, 50))
    answer = network_input(image, contract(resize))
    assert (answer.shape, answer.dtype) == ((32, 32, 3), np.uint8)
    left, top, right, bottom = contract(resize).placement(*size).target
    assert (answer[top:bottom, left:right] == (200, 100, 50)).all()
    answer[top:bottom, left:right] = 0
    assert not answer.any()  # padding is black


def marked(width: int, height: int, x: int, y: int) -> Image.Image:
    image = Image.new("RGB", (width, height))
    image.paste((255, 255, 255), (x - 8, y - 8, x + 8, y + 8))
    return image


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(320, 200), (200, 320)])
def test_pixels_land_where_the_placement_says(resize: str, size: tuple[int, int]) -> None:
    x, y = size[0] // 2 + 40, size[1] // 2 - 50
    answer = fit(marked(*size, x, y), contract(resize)).mean(axis=2)
    rows, columns = np.indices(answer.shape)
    centre = ((columns + 0.5) * answer).sum() / answer.sum(), ((rows + 0.5) * answer).sum() / answer.sum()
    assert centre == pytest.approx(forward(contract(resize).placement(*size), x, y), abs=0.1)


def test_reduction_is_antialiased() -> None:
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    answer = fit(Image.fromarray(stripes), contract("crop"))
    assert np.abs(answer.astype(int) - 127).max() <= 4


def test_contract_survives_its_dictionary() -> None:
    original = ImageContract(224, "pad", 0.9, 3.0)
    assert ImageContract(**original.to_dict()) == original
    assert ImageContract(**original.to_dict()).digest() == original.digest()


@pytest.mark.parametrize("change", [{"size": 33}, {"resize": "pad"}, {"crop_fraction": 0.5}, {"draft_margin": 4.0}])
def test_digest_depends_on_every_field(change: dict[str, Any]) -> None:
    base = ImageContract(32)
    assert replace(base, **change).digest() != base.digest()


def test_digest_is_the_one_in_files_already_shipped() -> None:
    """If the digest changed, every exported model would be refused."""
    assert ImageContract(224, door=1).digest() == "5c2a38d52fe88374760f41221a134eb6e3ebbcf5d690349dc271b3b1d66fff0c"


@pytest.mark.parametrize(
    "values",
    [
        {"size": 7},
        {"size": 4097},
        {"size": 32.0},
        {"size": "32"},
        {"resize": "stretch"},
        {"crop_fraction": 0},
        {"crop_fraction": 1.01},
        {"crop_fraction": float("nan")},
        {"draft_margin": 0.99},
        {"draft_margin": 65},
        {"filter": "nearest"},
        {"door": 3},
    ],
)
def test_contract_that_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ModelError, match="preprocessing version" if name == "door" else name) as caught:
        ImageContract(**{"size": 32, **values})
    assert "image contract" in str(caught.value)


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
