"""JPEGs that Pillow cannot write, put together segment by segment (ITU-T T.81). Most are 16 x 16 and plain grey."""

import random
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


# The first codes of the tables in annex K: differences of 0 to 11 bits, and coefficients without zeros before them.
_DC_LENGTHS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
_DC_VALUES = bytes(range(12))
_AC_LENGTHS = bytes([0, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
_AC_VALUES = bytes([1, 2, 3, 0, 4])
Factors = tuple[tuple[int, int], ...]


def sampled(factors: Factors, width: int, height: int, seed: int, *, adobe: int | None = None) -> bytes:
    """A photo of noise in colours of any sampling, which Pillow cannot write.

    Args:
        factors: horizontal and vertical sampling of each colour, 1 to 4.
        width, height: pixels.
        seed: of the noise.
        adobe: the colour transform that Adobe's marker states; None without the marker.
    """
    rng = random.Random(seed)
    codes = _codes(_DC_LENGTHS, _DC_VALUES), _codes(_AC_LENGTHS, _AC_VALUES)
    widest, highest = max(h for h, _ in factors), max(v for _, v in factors)
    bits: list[str] = []
    levels = [0] * len(factors)
    # A scan of one colour holds only the blocks that the photo needs.
    alone = len(factors) == 1
    across, down = (8, 8) if alone else (8 * widest, 8 * highest)
    for _ in range(-(-width // across) * -(-height // down)):
        for colour, (h, v) in enumerate(factors):
            for _ in range(1 if alone else h * v):
                level = rng.randint(-60, 60)
                bits += [*_number(codes[0], level - levels[colour])]
                levels[colour] = level
                for _ in range(rng.randint(0, 9)):
                    bits += _number(codes[1], rng.choice([-9, -4, -2, -1, 1, 2, 3, 7, 12]))
                bits.append(codes[1][0])
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    each = b"".join(bytes([number, h << 4 | v, 0]) for number, (h, v) in enumerate(factors, 1))
    start = segment(0xC0, struct.pack(">BHHB", 8, height, width, len(factors)) + each)
    tables = segment(0xC4, b"\x00" + _DC_LENGTHS + _DC_VALUES) + segment(0xC4, b"\x10" + _AC_LENGTHS + _AC_VALUES)
    quantization = segment(0xDB, b"\0" + bytes(min(2 + at // 3, 40) for at in range(64)))
    mark = b"" if adobe is None else segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, adobe))
    return SOI + mark + quantization + start + tables + scan(*range(1, len(factors) + 1)) + data + EOI


def _codes(lengths: bytes, values: bytes) -> dict[int, str]:
    code, found, rest = 0, {}, iter(values)
    for length, count in enumerate(lengths, 1):
        for _ in range(count):
            found[next(rest)] = f"{code:0{length}b}"
            code += 1
        code <<= 1
    return found


def _number(codes: dict[int, str], value: int) -> list[str]:
    size = abs(value).bit_length()
    return [codes[size], f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""]
