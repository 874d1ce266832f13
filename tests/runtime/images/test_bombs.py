"""Small files that would keep Pillow busy for minutes or need gigabytes are refused before Pillow reads them."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import jpegs
import numpy as np
import pytest
from edgeclf.errors import PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.file_format import MAX_PARTS
from edgeclf.images.preprocess import network_input
from helpers import draw
from PIL import Image, ImageFile

CONTRACT = ImageContract(32)


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    draw(1, 40, 30).save(buffer, kind, **options)
    return buffer.getvalue()


def segments(count: int) -> bytes:
    return jpegs.SOI + jpegs.segment(0xE3, b"") * count + encoded("JPEG")[2:]


def padding(count: int) -> bytes:
    return jpegs.SOI + b"\xff" * count + encoded("JPEG")[2:]


def junk(count: int) -> bytes:
    return jpegs.SOI + jpegs.segment(0xE3, b"") + bytes(count) + encoded("JPEG")[2:]


def scans(count: int) -> bytes:
    """The last scan of a progressive JPEG, again and again, each behind a comment that looks like the end."""
    whole = encoded("JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + (jpegs.segment(0xFE, jpegs.EOI) + last) * count + jpegs.EOI


def with_chunks(kind: bytes, content: bytes, count: int) -> bytes:
    png = encoded("PNG")
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return png[:33] + chunk * count + png[33:]


def texts(count: int) -> bytes:
    return with_chunks(b"tEXt", b"a\0b", count)


def profiles(count: int) -> bytes:
    return with_chunks(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**20), 9), count)


def slivers(count: int) -> bytes:
    return with_chunks(b"IDAT", b"", count)


def comment_blocks(count: int) -> bytes:
    gif = encoded("GIF")
    at = 13 + (3 << (gif[10] & 7) + 1)  # behind the palette
    return gif[:at] + b"\x21\xfe" + b"\1a" * count + b"\0" + gif[at:]


def tiff(*tags: tuple[int, int, int, int], body: bytes = b"") -> bytes:
    """A 4 x 3 pixel TIFF of 8-bit grey with these tags besides; ``body`` lies at offset 8."""
    data = 8 + len(body)
    plain = [(256, 3, 1, 4), (257, 3, 1, 3), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, data)]
    plain += [(277, 3, 1, 1), (278, 3, 1, 3), (279, 4, 1, 12)]
    added = {tag[0] for tag in tags}
    entries = sorted([tag for tag in plain if tag[0] not in added] + list(tags))
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", data + 12) + body + bytes(range(0, 240, 20)) + directory


def same_bytes_again_and_again(count: int) -> bytes:
    return tiff(*((1000 + number, 7, 50_000, 8) for number in range(count)), body=bytes(50_000))


def tags(count: int) -> bytes:
    return tiff(*((1000 + number, 3, 1, 0) for number in range(count)))


def tile_side(side: int) -> bytes:
    return tiff((322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, 12), (259, 3, 1, 8))


def ascii_pixels(count: int) -> bytes:
    return b"P2 %d 1000 255\n" % (count // 1000) + b"0 " * count


def netpbm_header(count: int) -> bytes:
    return b"P5" + b" " * count + b"4 3 255\n" + bytes(12)


def run_lengths(side: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + header + bytes(1024) + b"\0\0" * side + b"\0\1"


@pytest.mark.parametrize(
    ("make", "good", "bad", "kind"),
    [
        (segments, 1000, MAX_PARTS, "damaged"),
        (padding, 1000, 2**17, "damaged"),
        (junk, 1000, 2**17, "damaged"),
        (scans, 100, 5000, "too-large"),
        (texts, 1000, MAX_PARTS, "damaged"),
        (profiles, 10, 257, "damaged"),
        (slivers, 1000, 2**17 + 1, "damaged"),
        (comment_blocks, 1000, 2**17, "damaged"),
        (same_bytes_again_and_again, 1, 3, "damaged"),
        (tags, 100, MAX_PARTS, "damaged"),
        (tile_side, None, 10_000, "too-large"),
        (ascii_pixels, 10_000, 300_000, "too-large"),
        (netpbm_header, 1000, 2**17, "damaged"),
        (run_lengths, None, 1500, "too-large"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_bombs_are_refused_and_what_looks_alike_is_not(
    make: Callable[[int], bytes], good: int | None, bad: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if good is not None:
        assert network_input(make(good), CONTRACT).shape == (32, 32, 3)
    content = make(bad)
    network_input(encoded("PNG"), CONTRACT)  # whatever is loaded once
    loaded: list[object] = []  # what Pillow decodes into is not Python's memory
    monkeypatch.setattr(ImageFile.ImageFile, "load", loaded.append)
    tracemalloc.start()
    with pytest.raises(PhotoError) as caught:
        network_input(content, CONTRACT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.kind == kind, caught.value
    assert peak < 4 * 2**20
    assert not loaded, "no pixel of it is decoded"


def test_scans_of_a_large_photo_are_fewer() -> None:
    buffer = io.BytesIO()
    Image.new("L", (4000, 3000)).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    assert network_input(whole, CONTRACT).shape == (32, 32, 3)
    with pytest.raises(PhotoError, match="more than 83 scans"):
        network_input(whole[:-2] + last * 100 + jpegs.EOI, CONTRACT)


def test_floats_are_converted_without_many_copies() -> None:
    """Eight copies of the largest image that is decoded were 870 MiB."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((2000, 2000), np.float32)).save(buffer, "TIFF", compression="tiff_deflate")
    network_input(encoded("PNG"), CONTRACT)
    tracemalloc.start()
    network_input(buffer.getvalue(), CONTRACT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * 4 * 2000**2
