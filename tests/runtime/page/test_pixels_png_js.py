"""Transparent PNGs in JavaScript: Pillow's pixels over white; other files are left to the browser."""

import base64
import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import upright_rgb
from PIL import Image

_DECODE = """const { decodeTransparentPng } = await load("pixels-png.js");
    const found = [];
    for (const text of argument) {
        const picture = await decodeTransparentPng(Uint8Array.from(Buffer.from(text, "base64")));
        found.push(picture && [picture.width, picture.height, Buffer.from(picture.data).toString("base64")]);
    }
    return found;"""


def decoded(in_node: Callable[..., Any], files: list[bytes]) -> list[Any]:
    found: list[Any] = in_node(_DECODE, [base64.b64encode(file).decode() for file in files])
    return found


def saved(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def transparent(seed: int, mode: str = "RGBA") -> Image.Image:
    """Smooth and noisy parts, so that the encoder takes every filter; any opacity."""
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(1, 90, 2))
    channels = len(mode)
    noise = rng.integers(0, 256, (height, width, channels), np.uint8)
    smooth = np.linspace(0, 255 * (1 + seed % 3), height * width * channels).astype(np.uint8).reshape(noise.shape)
    rows = rng.integers(0, 2, (height, 1, 1)).astype(bool)
    return Image.fromarray(np.where(rows, smooth, noise), mode)


def filtered(kind: int) -> bytes:
    """A picture of which every row has this filter."""
    file = bytearray(saved(transparent(3)))
    width, height = (int.from_bytes(file[at : at + 4], "big") for at in (16, 20))
    rows = np.random.default_rng(kind).integers(0, 256, (height, 1 + 4 * width), np.uint8)
    rows[:, 0] = kind
    return bytes(file[:33]) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def headed(file: bytes, **changed: int) -> bytes:
    """With another size in the header, whose checksum is right."""
    size = {name: int.from_bytes(file[at : at + 4], "big") for name, at in (("width", 16), ("height", 20))} | changed
    head = size["width"].to_bytes(4, "big") + size["height"].to_bytes(4, "big") + file[24:29]
    return file[:8] + chunk(b"IHDR", head) + file[33:]


def palette(seed: int, colours: int) -> bytes:
    """Colours with any opacity, in 1, 2, 4 or 8 bits."""
    return saved(transparent(seed).quantize(colours, Image.Quantize.FASTOCTREE))


def test_pixels_are_pillows(in_node: Callable[..., Any]) -> None:
    files = [saved(transparent(seed, mode)) for seed in range(40) for mode in ("RGBA", "LA")]
    palettes = [palette(seed, colours) for seed in range(10) for colours in (2, 4, 16, 256)]
    assert {file[24] for file in palettes} == {1, 2, 4, 8}, "bits"
    assert all(file[25] == 3 and b"tRNS" in file for file in palettes)
    files += palettes
    files += [filtered(kind) for kind in range(5)]
    for file, found in zip(files, decoded(in_node, files), strict=True):
        expected = upright_rgb(file, ImageContract(32, "crop", 0.875))
        assert found[:2] == list(expected.size)
        assert base64.b64decode(found[2]) == expected.tobytes()


@pytest.mark.parametrize("change", ["cut off", "bits", "filter", "too long", "no header", "checksum", "no width"])
def test_damaged_files_are_left_to_the_browser(in_node: Callable[..., Any], change: str) -> None:
    file = saved(transparent(3))
    at = file.index(b"IDAT")
    changed = {
        "cut off": file[: at + 60],
        "bits": file[: at + 40] + bytes(byte ^ 255 for byte in file[at + 40 : at + 60]) + file[at + 60 :],
        "filter": filtered(5),
        "too long": headed(file, height=1),
        "checksum": file[:29] + bytes([file[29] ^ 1]) + file[30:],
        "no width": headed(file, width=0),
        "no header": file[:8] + file[33:],
    }[change]
    assert decoded(in_node, [file, changed])[1] is None


def test_damaged_palettes_are_left_to_the_browser(in_node: Callable[..., Any]) -> None:
    file = palette(3, 256)
    opacity = file.index(b"tRNS")
    changed = [
        file[:60] + bytes([file[60] ^ 1]) + file[61:],
        file[: opacity + 9] + bytes([file[opacity + 9] ^ 1]) + file[opacity + 10 :],
        file[:33] + chunk(b"PLTE", b"rgb") + file[opacity - 4 :],  # numbers beyond it
        file[:33] + file[opacity - 4 :],
    ]
    assert [bool(found) for found in decoded(in_node, [file, *changed])] == [True, False, False, False, False]


def test_other_files_are_left_to_the_browser(in_node: Callable[..., Any]) -> None:
    image = transparent(3)
    animated = saved(image, save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)])
    files = [saved(image.convert("RGB").convert(mode)) for mode in ("RGB", "L", "P", "1")]
    assert decoded(in_node, [*files, animated, b"", b"\x89PNG\r\n\x1a\n"]) == [None] * 7
