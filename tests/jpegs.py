"""JPEGs that Pillow cannot write, put together segment by segment (ITU-T T.81). All are 16 x 16 and plain grey."""

import struct

SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def frame(marker: int, *, bits: int = 8, components: int = 1, width: int = 16, height: int = 16) -> bytes:
    each = b"".join(bytes([number, 0x11, 0]) for number in range(1, components + 1))
    return segment(marker, struct.pack(">BHHB", bits, height, width, components) + each)


def scan(*components: int, first: int = 0, last: int = 63) -> bytes:
    chosen = b"".join(bytes([number, 0]) for number in components)
    return segment(0xDA, bytes([len(components)]) + chosen + bytes([first, last, 0]))


QUANTIZATION = segment(0xDB, b"\0" + b"\1" * 64)
# One code of one bit, for "no difference" and "no more coefficients".
HUFFMAN = segment(0xC4, b"\x00\1" + bytes(15) + b"\0") + segment(0xC4, b"\x10\1" + bytes(15) + b"\0")


def baseline(**options: int) -> bytes:
    return SOI + QUANTIZATION + frame(0xC0, **options) + HUFFMAN + scan(1) + bytes(40) + EOI


def one_colour_after_another(width: int = 16, height: int = 16) -> bytes:
    """Baseline, and yet three scans: libjpeg holds the whole photo in coefficients."""
    scans = b"".join(scan(number) + bytes((width // 8) * (height // 8) // 4) for number in (1, 2, 3))
    return SOI + QUANTIZATION + frame(0xC0, components=3, width=width, height=height) + HUFFMAN + scans + EOI


def arithmetic() -> bytes:
    return SOI + QUANTIZATION + frame(0xC9) + scan(1) + bytes(40) + EOI


def lossless(marker: int = 0xC3) -> bytes:
    return SOI + frame(marker) + HUFFMAN + scan(1, first=1, last=0) + bytes(32) + EOI


def twelve_bit() -> bytes:
    return SOI + QUANTIZATION + frame(0xC1, bits=12) + HUFFMAN + scan(1) + bytes(40) + EOI


def hierarchical() -> bytes:
    return SOI + QUANTIZATION + frame(0xC5) + HUFFMAN + scan(1) + bytes(40) + EOI
