"""Grey of more than 8 bits: the stated depth, else the used range; preprocessing version 1 is unchanged."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from edgeclf.images.contract import ImageContract
from edgeclf.images.deep_grey import used_range
from edgeclf.images.open_image import deep_grey
from edgeclf.images.preprocess import network_input, upright_rgb
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

OLD = ImageContract(32, door=1)


def ramp(low: int, high: int) -> NDArray[np.uint16]:
    return np.linspace(low, high, 64 * 64).round().astype(np.uint16).reshape(64, 64)


def grey(photo: Any, contract: ImageContract | None = None) -> NDArray[np.int16]:
    rgb = np.asarray(upright_rgb(photo, contract)).astype(np.int16)
    assert (rgb == rgb[..., :1]).all()
    return rgb[..., 0]


def png(values: NDArray[np.uint16], bits: int | None = None) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 0, 0, 0, 0))]
    chunks += [(b"sBIT", bytes([bits]))] if bits else []
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(values: NDArray[Any], **tags: int) -> bytes:
    numbers = {"low": 280, "high": 281, "signed_low": 340, "signed_high": 341}
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        info.tagtype[numbers[name]] = 3
        info[numbers[name]] = value
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF", tiffinfo=info)
    return file.getvalue()


def white_is_zero(data: bytes) -> bytes:
    """The same TIFF with PhotometricInterpretation 0."""
    entry = data.index(struct.pack("<HHIH", 262, 3, 1, 1)) + 8
    return data[:entry] + b"\0" + data[entry + 1 :]


def pgm(values: NDArray[np.uint16], most: int) -> bytes:
    return b"P5 %d %d %d\n" % (values.shape[1], values.shape[0], most) + values.astype(">u2").tobytes()


@pytest.mark.parametrize("make", [png, tiff, lambda values: pgm(values, 65535), Image.fromarray])
@pytest.mark.parametrize(("low", "high"), [(29_315, 30_815), (0, 4095), (0, 1023), (60_000, 65_535), (5000, 21_000)])
def test_what_uses_a_part_is_stretched(make: Any, low: int, high: int) -> None:
    found = grey(make(ramp(low, high)))
    assert (found.min(), found.max(), len(np.unique(found))) == (0, 255, 256)
    assert (np.diff(found.ravel()) >= 0).all()
    old = grey(make(ramp(low, high)), OLD)
    np.testing.assert_array_equal(old, np.rint(ramp(low, high) / 257))


@pytest.mark.parametrize(("low", "high"), [(0, 65535), (10_000, 50_000), (32_000, 65_535)])
def test_what_uses_half_of_it_is_what_it_was(low: int, high: int) -> None:
    np.testing.assert_array_equal(grey(png(ramp(low, high))), grey(png(ramp(low, high)), OLD))
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(grey(png(every)), np.rint(every / 257))


@pytest.mark.parametrize(
    "values", [ramp(0, 65535), ramp(0, 4095), ramp(29_315, 30_815), ramp(0, 4095).astype(np.float32)]
)
def test_a_tiff_whose_zero_is_white_is_turned_round(values: NDArray[Any]) -> None:
    plain, turned = tiff(values), white_is_zero(tiff(values))
    np.testing.assert_array_equal(grey(turned), 255 - grey(plain))
    np.testing.assert_array_equal(grey(Image.open(io.BytesIO(turned))), 255 - grey(plain))
    np.testing.assert_array_equal(grey(turned, OLD), grey(plain, OLD))  # as it was


def test_nothing_jumps_from_photo_to_photo() -> None:
    levels = [grey(png(ramp(0, high)))[32].mean() for high in range(12_000, 40_000, 250)]
    assert np.abs(np.diff(levels)).max() < 6


def test_noise_stays_noise() -> None:
    values = np.random.default_rng(0).integers(30_000, 30_010, (64, 64)).astype(np.uint16)
    assert np.ptp(grey(png(values))) == 9
    for value, expected in ((0, 0), (65_535, 255)):
        assert (grey(png(np.full((8, 8), value, np.uint16))) == expected).all()


def test_one_value_in_a_thousand_is_left_out_at_each_end() -> None:
    values = np.full(10_000, 25_000, np.uint16)
    values[:11] = [10_000] * 10 + [20_000]
    values[-11:] = [30_500] + [60_000] * 10
    found = used_range(values)
    assert (found.black, found.white, found.low, found.high) == (20_000, 30_500, 10_000, 60_000)


def test_dead_pixels_and_missing_values_do_not_decide() -> None:
    clean = ramp(29_315, 30_815)
    dirty = clean.copy()
    dirty[5, 5], dirty[9, 9], dirty[:, 60:] = 65_535, 1, 0
    found, expected = grey(png(dirty)), grey(png(clean))
    dirty_ones = dirty != clean
    assert np.abs(found - expected)[~dirty_ones].max() <= 12
    assert found[5, 5] == 255
    assert (found[:, 60:] == 0).all()


@pytest.mark.parametrize(
    "content",
    [
        png(ramp(0, 1000), 12),
        tiff(ramp(0, 1000), high=4095),
        tiff(ramp(0, 1000), signed_high=4095),
        pgm(ramp(0, 1000), 4095),
    ],
)
def test_depth_that_a_file_states_counts(content: bytes) -> None:
    assert np.abs(grey(content) - ramp(0, 1000) / 4095 * 255).max() <= 1
    used = deep_grey(content)
    assert used is not None
    assert (used.stated, used.stretched) == (True, False)


def test_lowest_and_highest_that_a_tiff_states() -> None:
    found = grey(tiff(ramp(29_500, 30_500), low=29_000, high=31_000))
    assert (found.min(), found.max()) == (64, 191)


@pytest.mark.parametrize("content", [png(ramp(0, 60_000), 12), tiff(ramp(0, 60_000), high=4095)])
def test_depth_that_cannot_be_true_does_not_count(content: bytes) -> None:
    np.testing.assert_array_equal(grey(content), np.rint(ramp(0, 60_000) / 257))


def test_signed_values_are_stretched() -> None:
    """Density in a scan of a body: -1000 (air) to 3000, 0 being water and not a missing value."""
    values = np.linspace(-1000, 3000, 64 * 64).round().astype(np.int32).reshape(64, 64)
    for photo in (tiff(values), Image.fromarray(values)):
        found = grey(photo)
        assert (found.min(), found.max(), len(np.unique(found))) == (0, 255, 256)
    assert used_range(values).black < -990


def test_network_sees_it_by_the_version_of_its_rules() -> None:
    thermal = png(ramp(29_315, 30_815))
    assert len(np.unique(network_input(thermal, ImageContract(32, "squash", door=1)))) <= 7
    assert len(np.unique(network_input(thermal, ImageContract(32, "squash")))) > 100


def colours(low: int, high: int) -> NDArray[np.uint16]:
    grain = np.random.default_rng(4).integers(low, high + 1, (48, 64, 3))
    grain[0, :2] = [[low] * 3, [high] * 3]
    return grain.astype(np.uint16)


def colour_png(values: NDArray[np.uint16], alpha: bool = False) -> bytes:
    samples = np.concatenate([values, np.full((48, 64, 1), 65535, np.uint16)], axis=2) if alpha else values
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", 64, 48, 16, 6 if alpha else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def colour_tiff(values: NDArray[np.uint16], order: str, packed: bool = False) -> bytes:
    data, at = values.astype(order + "u2").tobytes(), 8 + 2 + 12 * 9 + 4
    data = zlib.compress(data) if packed else data
    tags = [(256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 3, at), (259, 3, 1, 8 if packed else 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, at + 6), (277, 3, 1, 3), (278, 3, 1, 48), (279, 4, 1, len(data))]
    short = order + "HHIHH"
    entries = b"".join(
        struct.pack(short, *t, 0) if t[1] == 3 and t[2] == 1 else struct.pack(order + "HHII", *t) for t in tags
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + entries + bytes(4) + struct.pack(order + "HHH", 16, 16, 16) + data


COLOUR_FILES = {
    "png": colour_png,
    "png with alpha": lambda values: colour_png(values, alpha=True),
    "tiff": lambda values: colour_tiff(values, "<"),
    "big-endian tiff": lambda values: colour_tiff(values, ">"),
    "packed tiff": lambda values: colour_tiff(values, "<", packed=True),
    "packed big-endian tiff": lambda values: colour_tiff(values, ">", packed=True),
}


@pytest.mark.parametrize("kind", COLOUR_FILES)
def test_colour_of_16_bits_is_stretched_by_all_of_them(kind: str) -> None:
    dark = colours(0, 4095)
    content = COLOUR_FILES[kind](dark)
    found = np.asarray(upright_rgb(content)).astype(np.int16)
    assert np.abs(found - dark / 4095 * 255).max() <= 2
    assert np.asarray(upright_rgb(content, OLD)).max() <= 15
    full = COLOUR_FILES[kind](colours(0, 65_535))
    assert upright_rgb(full).tobytes() == upright_rgb(full, OLD).tobytes()
