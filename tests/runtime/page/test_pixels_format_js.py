"""Formats, limits and transparency in JavaScript: as in Python."""

import base64
import io
import itertools
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from edgeclf.files.photo_names import RAW_SUFFIXES
from edgeclf.images import camera_raw
from edgeclf.images.contract import ImageContract
from edgeclf.images.file_format import UnfitError, check_parts, file_format
from helpers import draw
from jpegs_in_node import in_python
from PIL import Image

NUMBERS = "const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex'));"


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    file = io.BytesIO()
    draw(1, *size).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("multiplied", [False, True])
def test_transparent_pixels_lie_on_white_as_in_python(in_node: Callable[..., Any], multiplied: bool) -> None:
    """Every value with every opacity; as colours, and multiplied by the opacity."""
    value, opacity = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    rgba = np.stack([value, 255 - value, value // 2, opacity], axis=-1)
    expected = Image.new("RGB", (256, 256), "white")
    image = Image.fromarray(rgba)
    expected.paste(image, mask=image)
    if multiplied:
        rgba[..., :3] = np.round(rgba[..., :3] * (rgba[..., 3:] / 255.0))
    script = """
        const { addWhite, overWhite } = await load("pixels-browser.js");
        const rgba = Uint8Array.from(Buffer.from(argument.rgba, "base64"));
        if (argument.multiplied) addWhite(rgba);
        else overWhite(rgba, rgba);
        return Array.from(rgba.subarray(0, 256 * 256 * 3));"""
    argument = {"rgba": base64.b64encode(rgba.tobytes()).decode(), "multiplied": multiplied}

    assert in_node(script, argument) == np.asarray(expected).ravel().tolist()


def test_formats_are_told_by_their_first_bytes(in_node: Callable[..., Any]) -> None:
    brands = [b"heic", b"mif1", b"avif", b"avis", b"msf1", b"isom", b"crx ", b"hevc"]
    boxes = [
        struct.pack(">I", 24) + b"ftyp" + first + bytes(4) + second + third
        for first, second, third in itertools.product(brands, repeat=3)
    ]
    starts = [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG", b"GIF89a", b"II*\0", b"MM\0+", b"P6 1 1", b"P7", b"II+\0"]
    files = [
        *boxes,
        *starts,
        *(start + bytes(30) for start in starts),
        *(saved(kind) for kind in ("PNG", "GIF", "TIFF")),
    ]
    script = (
        NUMBERS
        + """
        const { fileFormat } = await load("pixels-format.js");
        return argument.map((text) => fileFormat(bytes(text)));"""
    )
    assert in_node(script, [data.hex() for data in files]) == [file_format(data) for data in files]
    assert in_node(script, [saved("WEBP").hex(), saved("BMP").hex(), b"RIFFabcdWAVE".hex()]) == ["WebP", "BMP", ""]


def test_sizes_are_known_before_decoding(in_node: Callable[..., Any]) -> None:
    files = [
        *(("PNG", saved("PNG")), ("GIF", saved("GIF")), ("BMP", saved("BMP")), ("WebP", saved("WEBP"))),
        *(("WebP", saved("WEBP", lossless=True)), ("WebP", saved("WEBP", "RGBA", exif=b"Exif\0\0II*\0"))),
    ]
    script = (
        NUMBERS
        + """
        const { statedSize } = await load("pixels-format.js");
        return argument.map(([kind, text]) => statedSize(kind, bytes(text)));"""
    )
    assert in_node(script, [[kind, data.hex()] for kind, data in files]) == [[60, 40]] * len(files)
    assert in_node(script, [["PNG", "89504e47"], ["WebP", b"RIFF0000WEBP".hex()], ["TIFF", "49492a00"]]) == [None] * 3


def test_camera_raw_files_are_refused(in_node: Callable[..., Any]) -> None:
    script = (
        NUMBERS
        + """
        const { isRaw } = await load("pixels-format.js");
        return argument.map(([text, name]) => isRaw(bytes(text), name));"""
    )
    starts = [start + bytes(20) for start in camera_raw._STARTS]
    tiff, canon = saved("TIFF"), b"II*\0\x10\0\0\0CR\2\0" + bytes(20)
    cases = [*((data, "a.tif") for data in (*starts, canon, tiff, saved("PNG"), b"\0\0\0\x18ftypcrx " + bytes(12)))]
    cases += [(data, f"a.b{suffix.upper()}") for suffix in (*RAW_SUFFIXES, ".tif", "") for data in (tiff, saved("PNG"))]
    expected = [camera_raw.is_raw(data, name) for data, name in cases]
    assert {*expected} == {True, False}
    assert in_node(script, [[data.hex(), name] for data, name in cases]) == expected


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_files_of_far_too_many_parts_are_refused(in_node: Callable[..., Any], kind: str) -> None:
    plain = saved(kind)
    if kind == "PNG":
        texts = [struct.pack(">I", 1) + name + bytes(5) for name in (b"tEXt", b"zTXt", b"IDAT")]
        files = [plain, *(plain[:33] + text * count + plain[33:] for text in texts for count in (200, 300, 5000))]
        files += [plain + texts[0] * 5000, plain[:50], plain[:8]]
    else:
        place = 13 + (3 << (plain[10] & 7) + 1)
        files = [
            plain,
            *(plain[:place] + b"\x21\xfe\1a\0" * count + plain[place:] for count in (300, 40000)),
            plain[:20],
        ]
    script = (
        NUMBERS
        + """
        const { checkParts } = await load("pixels-format.js");
        return argument[1].map((text) => {
            try { checkParts(argument[0], bytes(text)); }
            catch (error) { return [error.kind, error.message, error.remedy]; }
            return null;
        });"""
    )

    def checked(data: bytes) -> list[str] | None:
        try:
            check_parts(kind, data)
        except UnfitError as error:
            return [error.kind, error.what, error.remedy]
        return None

    expected = [checked(data) for data in files]
    assert expected[0] is None
    assert any(expected)
    assert in_node(script, [kind, [data.hex() for data in files]]) == expected


def test_errors_of_what_the_browser_would_decode(in_node: Callable[..., Any]) -> None:
    """Node has no decoder of its own: a whole PNG is an error here, and a huge one is refused before."""
    huge = bytearray(saved("PNG"))
    huge[16:24] = struct.pack(">II", 8000, 8000)
    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    files = [
        b"",
        b"hello",
        saved("PNG"),
        bytes(huge),
        b"II*\0\x10\0\0\0CR\2\0" + bytes(20),
        b"\0\0\0\x18ftypheic" + bytes(99),
    ]
    script = (
        NUMBERS
        + """
        const { networkInput } = await load("pixels.js");
        const found = [];
        for (const text of argument[0]) {
            try { await networkInput(bytes(text), argument[1], { name: "IMG 1.jpg" }); }
            catch (error) { found.push({ kind: error.kind, message: error.message, remedy: error.remedy }); }
        }
        return found;"""
    )
    contract = ImageContract(32)
    found = in_node(script, [[data.hex() for data in files], contract.to_dict()])
    for one, data in zip(found, files, strict=True):
        if data not in (files[2], files[5]):
            assert one == in_python(data, contract)
    assert found[2]["kind"] == "damaged"
    assert found[5]["message"] == "IMG 1.jpg: is HEIC, which this browser cannot read"
    assert found[5]["remedy"].startswith("save it as JPEG or PNG, or open this page in Safari")


@pytest.mark.parametrize(("kind", "format"), [("PNG", "PNG"), ("WEBP", "WebP")])
def test_exif_is_taken_out_and_obeyed(in_node: Callable[..., Any], kind: str, format: str) -> None:
    """Browsers differ in whether they turn PNG and WebP."""
    script = (
        NUMBERS
        + """
        const { withoutExifChunks } = await load("pixels-format.js");
        return argument[1].map((text) => {
            const { data, orientation } = withoutExifChunks(argument[0], bytes(text));
            return [Buffer.from(data).toString("hex"), orientation];
        });"""
    )
    files = [saved(kind), saved(kind)[:40], saved(kind)[:12]]
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x112] = orientation
        files.append(saved(kind, exif=exif))
    found = in_node(script, [format, [data.hex() for data in files]])
    assert [orientation for _, orientation in found] == [1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1]
    assert found[1][0] == files[1].hex()
    for (text, _), data in zip(found, files, strict=True):
        if len(data) > 40:
            with Image.open(io.BytesIO(bytes.fromhex(text))) as plain, Image.open(io.BytesIO(data)) as whole:
                assert dict(plain.getexif()) == {}
                assert plain.convert("RGB").tobytes() == whole.convert("RGB").tobytes()
