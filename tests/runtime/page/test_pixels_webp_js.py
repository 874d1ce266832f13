"""Lossy WebP in JavaScript: the colours that Pillow makes of the planes, and which files are taken apart."""

import base64
import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import draw
from PIL import Image

# Of WebP files of 7 x 6 and 6 x 5 pixels, the planes that chromium's ImageDecoder gives.
PLANES = [
    (
        "UklGRlgAAABXRUJQVlA4IEwAAADwAQCdASoHAAYAAoBCJbACdAD0kHPxdIAA/ofRxo0bjeCKCozk/IVKI/o0GpHUtBeSuLGP+DfpQvumo83P"
        "LKmb89bRns1bjxZcAAAA",
        "gYSHiod+d250e4GIjY1UXWpzl623QU1eaYepuz5BUmZpbnE+QVJmWltUXXpzf32Lc1moiouUtqOerLSvpJpuXWiI",
    ),
    (
        "UklGRkoAAABXRUJQVlA4ID4AAADQAQCdASoGAAUAAoBCJYgCdAEO/gOOAAD98GP3MiObNUyn8sXYMdmKZNkykIpIv/m2SGFx5as1ff1NaQAA"
        "AA==",
        "j5qrtqWlkJijq52dl4+EfXR0nYRgR0JCn4lUQDs7lWR2l4Z1lZZ5oY6NfJx4ap1s",
    ),
]
_PARTS = """const { lossyParts } = await load("pixels-webp.js");
    return argument.map((text) => {
        const parts = lossyParts(Uint8Array.from(Buffer.from(text, "base64")));
        return parts && { ...parts, file: Buffer.from(parts.file).toString("base64") };
    });"""


def parts_of(in_node: Callable[..., Any], files: list[bytes]) -> list[dict[str, Any] | None]:
    found: list[dict[str, Any] | None] = in_node(_PARTS, [base64.b64encode(file).decode() for file in files])
    return found


def webp(transparent: bool = False, **options: Any) -> bytes:
    image = draw(1, 60, 41)
    if transparent:
        image.putalpha(image.convert("L"))
    file = io.BytesIO()
    image.save(file, "WEBP", **options)
    return file.getvalue()


def riff(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(part)) + part + bytes(len(part) % 2) for name, part in parts)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def extended(flags: int, *others: tuple[bytes, bytes], width: int = 60) -> bytes:
    """A file with such flags and parts around the picture."""
    head = struct.pack("<I", flags) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", 40)[:3]
    return riff((b"VP8X", head), *others)


@pytest.mark.parametrize(("file", "planes"), PLANES)
def test_colours_are_libwebps(in_node: Callable[..., Any], file: str, planes: str) -> None:
    with Image.open(io.BytesIO(base64.b64decode(file))) as image:
        expected = np.asarray(image.convert("RGB"))
    height, width = expected.shape[:2]
    found = in_node(
        """const { writeColours } = await load("pixels-webp-colours.js");
        const { width, height } = argument, data = Uint8Array.from(Buffer.from(argument.planes, "base64"));
        const half = (width + 1) >> 1, size = width * height, colour = half * ((height + 1) >> 1);
        const colours = [size, size + colour].map((offset) => ({ offset, stride: half }));
        const layout = [{ offset: 0, stride: width }, ...colours];
        const out = new Uint8Array(size * 3), wide = new Uint8Array(size * 4).fill(9);
        writeColours({ data, width, height, layout }, out, 3);
        writeColours({ data, width, height, layout }, wide, 4);
        return [Array.from(out), Array.from(wide)];""",
        {"width": width, "height": height, "planes": planes},
    )
    opacity = np.full((height, width, 1), 9, np.uint8)
    assert found == [expected.ravel().tolist(), np.concatenate([expected, opacity], 2).ravel().tolist()]


def test_the_picture_is_taken_out_of_its_file(in_node: Callable[..., Any]) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    files = [webp(), webp(exif=exif, icc_profile=bytes(30), xmp=b"<x/>"), webp(True), webp(True, exif=exif)]
    found = parts_of(in_node, files)
    for file, one, transparent in zip(files, found, (False, False, True, True), strict=True):
        assert one is not None
        assert (one["width"], one["height"], one["transparent"]) == (60, 41, transparent)
        alone = base64.b64decode(one["file"])
        (length,) = struct.unpack_from("<I", alone, 16)
        assert alone == riff((b"VP8 ", alone[20 : 20 + length]))
        assert alone[12:] in file


def test_other_files_are_left_to_the_browser(in_node: Callable[..., Any]) -> None:
    """Lossless and animated ones, and all that libwebp may see otherwise when the picture is alone."""
    file = io.BytesIO()
    draw(1, 60, 41).save(file, "WEBP", save_all=True, append_images=[draw(2, 60, 41)])
    whole = webp()
    picture = (b"VP8 ", whole[20:])
    alpha = (b"ALPH", b"\0" * 20)
    assert parts_of(in_node, [extended(0, picture), extended(0x10, alpha, picture)]) != [None, None]
    others = [
        *(webp(lossless=True), file.getvalue(), b"RIFF\0\0\0\0WEBP", whole[:-2], whole + b"\0\0", riff((b"VP8 ", b""))),
        *(whole[:4] + bytes(4) + whole[8:], riff(picture, (b"EXIF", b"ab")), riff(picture, picture)),
        *(extended(0, picture, width=61), extended(0x10, picture), extended(0, alpha, picture), extended(2, picture)),
        *(extended(0x80, picture), extended(0, picture, (b"ABCD", b"")), extended(0, picture)[:-2]),
    ]
    assert parts_of(in_node, others) == [None] * len(others)


def test_the_known_picture_has_its_sum(page: Path) -> None:
    """On a picture in the module, a browser must give these pixels before its decoder is used."""
    text = (page / "pixels-webp.js").read_text()
    data = base64.b64decode("".join(re.findall(r'"([A-Za-z0-9+/=]{40,})"', text)))
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGBA"
        over = Image.new("RGB", image.size, "white")
        over.paste(image, mask=image.convert("RGBA"))
    found = 0
    for value in np.asarray(over).ravel().tolist():
        found = (found * 31 + value) & 0xFFFFFFFF
    stated = re.search(r"KNOWN_SUM = (-?\d+)", text)
    assert stated is not None
    assert found == int(stated[1]) & 0xFFFFFFFF
