"""Preprocessing: a photo in any form gives the same upright RGB pixels."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.images.contract import ImageContract, Resize
from edgeclf.images.preprocess import network_input, upright_rgb
from numpy.typing import NDArray
from PIL import Image, ImageCms

WIDTH, HEIGHT = 37, 22

# What a photo with that EXIF orientation looks like upright, in numpy's words (EXIF 2.32, tag 0x0112).
UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def pixels(photo: Any) -> NDArray[np.int16]:
    return np.asarray(upright_rgb(photo)).astype(np.int16)


def scene() -> Image.Image:
    """No two corners alike, smooth enough for JPEG."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return Image.fromarray(np.stack([x * 6, y * 11, 120 + x - y], axis=2).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def oriented(kind: str, orientation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(scene(), kind, exif=exif, **options)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_eight_orientations_by_every_route(kind: str, orientation: int, tmp_path: Path) -> None:
    content = oriented(kind, orientation, **({"lossless": True} if kind == "WEBP" else {"quality": 95}))
    path = tmp_path / "photo"
    path.write_bytes(content)
    loaded = opened(content)
    loaded.load()
    with path.open("rb") as file:
        routes = [path, str(path), content, bytearray(content), file, opened(content), loaded]
        answers = [pixels(route) for route in routes]
    expected = UPRIGHT[orientation](np.asarray(scene()))
    for answer in answers:
        assert answer.shape == expected.shape
        np.testing.assert_array_equal(answer, answers[0])
    assert np.abs(answers[0] - expected).max() <= (12 if kind == "JPEG" else 0)


def test_orientation_holds_at_reduced_scale() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(scene().resize((1600, 800)), "JPEG", exif=exif)
    contract = ImageContract(32)
    assert upright_rgb(content, contract).size == (100, 200)
    plain = network_input(encoded(scene().resize((1600, 800)), "JPEG"), contract)
    assert np.abs(network_input(content, contract).astype(int) - np.rot90(plain, -1)).max() <= 2


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_nonsense_orientation_counts_as_upright(value: int) -> None:
    np.testing.assert_array_equal(pixels(oriented("PNG", value)), np.asarray(scene()))


@pytest.mark.filterwarnings("ignore")  # Pillow warns of the EXIF
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0ABCDEFGH", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0"]
)
def test_broken_exif_is_still_answered(exif: bytes) -> None:
    content = encoded(scene(), "JPEG", exif=exif, quality=95)
    assert np.abs(pixels(content) - np.asarray(scene())).max() <= 12


GREY = Image.linear_gradient("L").resize((16, 16))
COLOUR = Image.merge("RGB", [GREY, GREY.transpose(Image.Transpose.ROTATE_90), GREY])


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_plain_modes_are_converted_as_pillow_does(mode: str) -> None:
    image = COLOUR.convert(mode) if mode != "LAB" else lab()
    before = image.tobytes()
    np.testing.assert_array_equal(pixels(image), np.asarray(image.convert("RGB")))
    assert (image.mode, image.tobytes()) == (mode, before)


def lab() -> Image.Image:
    profile = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(COLOUR, profile, ImageCms.createProfile("LAB"), outputMode="LAB")
    assert converted is not None
    return converted


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "RGBa", "La"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    half = Image.merge("RGBA", [*COLOUR.split(), Image.new("L", COLOUR.size, 51)])  # alpha 51 / 255 = 0.2
    straight = half.convert({"RGBa": "RGBA", "La": "LA"}.get(mode, mode))
    image = straight.convert(mode)
    assert image.mode == mode
    colour = np.asarray(straight.convert("RGBA")).astype(float)
    expected = colour[..., :3] * 0.2 + 255 * 0.8
    assert np.abs(pixels(image) - expected).max() <= (3 if mode in ("RGBa", "La") else 1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_transparent_colour_of_a_png_is_laid_over_white(mode: str) -> None:
    image = Image.new("RGB", (6, 4)).convert(mode)
    key = (0, 0, 0) if mode == "RGB" else image.getpixel((0, 0))
    assert (pixels(encoded(image, "PNG", transparency=key)) == 255).all()
    assert (pixels(encoded(image, "PNG")) == 0).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_clipped(kind: str) -> None:
    values = np.array([[0, 128, 129, 256, 32768, 65000, 65535]], np.uint16)
    content = encoded(Image.fromarray(values), kind)
    assert opened(content).mode.startswith("I;16")
    expected = np.rint(values / 257).astype(int)
    np.testing.assert_array_equal(pixels(content), np.stack([expected] * 3, axis=2))


def test_32_bit_integers_are_taken_as_16_bits_where_they_fit() -> None:
    image = Image.fromarray(np.array([[0, 257, 32896, 65535]], np.int32))
    assert image.mode == "I"
    assert pixels(image)[0, :, 0].tolist() == [0, 1, 128, 255]
    wide = Image.fromarray(np.array([[-1000, 0, 1000, 3000]], np.int32))
    assert pixels(wide)[0, :, 0].tolist() == [0, 64, 128, 255]
    clipped = Image.fromarray(np.array([[-5, 0, 65535, 2**31 - 1]], np.int32))
    old = np.asarray(upright_rgb(clipped, ImageContract(32, door=1)))
    assert old[0, :, 0].tolist() == [0, 0, 255, 255]


def test_floats_are_stretched_between_their_extremes() -> None:
    image = Image.fromarray(np.array([[-1.0, 0.0, 1.0, np.nan, np.inf]], np.float32))
    assert pixels(image)[0, :, 1].tolist() == [0, 128, 255, 128, 128]
    assert (pixels(Image.new("F", (3, 3), 7.5)) == 0).all()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(kind: str) -> None:
    red, blue = (Image.new("RGB", (8, 8), c) for c in ("red", "blue"))
    content = encoded(red, kind, save_all=True, append_images=[blue], **({"lossless": True} if kind == "WEBP" else {}))
    assert opened(content).n_frames == 2  # type: ignore[attr-defined]
    assert (pixels(content) == (255, 0, 0)).all()


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_arrays_of_every_stated_shape(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if shape[-1] == 4:
        array[..., 3] = 255
    expected = np.broadcast_to(array.reshape(5, 7, -1)[..., :3], (5, 7, 3))
    np.testing.assert_array_equal(pixels(array), expected)
    np.testing.assert_array_equal(pixels(array[::-1, ::-1]), expected[::-1, ::-1])  # a view, not contiguous


def test_users_pil_image_is_left_unchanged() -> None:
    image = opened(oriented("PNG", 6))
    image.load()
    before = image.tobytes()
    network_input(image, ImageContract(16))
    assert (image.size, image.tobytes(), image.getexif()[0x0112]) == ((WIDTH, HEIGHT), before, 6)
    upright = opened(oriented("PNG", 1))
    assert upright_rgb(upright) is not upright  # what comes out may be drawn on


def test_network_input_is_a_fresh_writable_array() -> None:
    array = np.zeros((16, 16, 3), np.uint8)
    answer = network_input(array, ImageContract(16))
    answer += 1
    assert array.max() == 0


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize("crop_fraction", [1.0, 0.8])
def test_array_of_the_networks_size_goes_no_other_way(resize: Resize, crop_fraction: float) -> None:
    contract = ImageContract(64, resize, crop_fraction)
    array = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    given = array[:, ::-1]  # not contiguous
    taken = network_input(given, contract)
    np.testing.assert_array_equal(taken, network_input(Image.fromarray(given), contract))
    assert not np.shares_memory(taken, array)
