"""Reading a JPEG's header: its size, coding and scans, before a decoder reads it."""

import re
import struct
from dataclasses import dataclass

from edgeclf.images.file_format import MAX_JUNK_BYTES, MAX_PARTS, UnfitError, too_many_parts

# Marker codes of JPEG (ITU-T T.81, table B.1).
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_ARITHMETIC = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_RARE = {0xC3: "lossless", 0xCB: "lossless", **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical")}
_WITHOUT_CONTENT = {0x01, *range(0xD0, 0xDA)}  # markers
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # with a "+" after the first byte, 20 times slower


@dataclass(frozen=True)
class JpegHeader:
    """What determines how a JPEG is decoded.

    Attributes:
        width, height: pixels, as stored.
        rare: "12-bit", "lossless" or "hierarchical", which Pillow or its libjpeg may be unable to read; else "".
        multiple_scans: the JPEG is progressive, or each colour has a scan of its own; libjpeg then keeps all
            coefficients in memory, whatever the scale.
        scans: how many scans the decoder processes; counted up to ``max_scans``.
        scan: offset of the segment of the first scan, bytes.
        end: offset of the end marker, bytes; None if there is none or the scans were not counted.
        complete: no scan is missing, according to the headers of the counted scans.
        arithmetic: arithmetic coding, not Huffman coding.
        has_more_images: the file states that it holds more images than this one.
    """

    width: int
    height: int
    rare: str
    multiple_scans: bool
    scans: int
    scan: int
    end: int | None
    complete: bool
    arithmetic: bool
    has_more_images: bool


def jpeg_header(data: bytes, max_scans: int) -> JpegHeader:
    """Read a JPEG's segments up to the first scan, and the scans too if libjpeg holds all coefficients in memory.

    Args:
        data: the file.
        max_scans: how many a photo of 1 megapixel may have; larger photos may have fewer.

    Raises:
        UnfitError: there is no image, or there are far too many parts or scans.
    """
    position, junk, frame, code = 2, 0, b"", 0
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, position)
        if found is None:
            break
        junk += found.end() - 2 - position
        if junk > MAX_JUNK_BYTES:
            raise too_many_parts()
        position, marker = found.end(), found[0][1]
        if marker in _WITHOUT_CONTENT:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if marker in _FRAMES:
            frame, code = data[position + 2 : position + length], marker
        elif marker == _SOS:
            return _header(data, position, frame, code, max_scans)
        position += max(length, 2)
    else:
        raise too_many_parts()
    raise UnfitError("damaged", "damaged (no image in it)")


def _header(data: bytes, position: int, frame: bytes, code: int, max_scans: int) -> JpegHeader:
    if len(frame) < 6:
        raise UnfitError("damaged", "damaged (no frame header before its first scan)")
    bits, height, width, components = struct.unpack(">BHHB", frame[:6])
    if not width or not height:
        raise UnfitError("damaged", "damaged (its header states no pixels)")
    rare = f"{bits}-bit" if bits != 8 else _RARE.get(code, "")
    # libjpeg's rule, jpeg_has_multiple_scans.
    multiple_scans = code in _PROGRESSIVE or data[position + 2 : position + 3] < bytes([components])
    # Below 10 scans, the image is too large anyway.
    most = max(10, min(MAX_PARTS, max_scans * 10**6 // (width * height)))
    scans, end, complete = _count_scans(data, position, most, frame, code) if multiple_scans else (1, None, True)
    more = data.find(b"MPF\0", 0, position) >= 0
    return JpegHeader(width, height, rare, multiple_scans, scans, position, end, complete, code in _ARITHMETIC, more)


def _count_scans(data: bytes, position: int, most: int, frame: bytes, code: int) -> tuple[int, int | None, bool]:
    """Count scans, the first of which has its segment at ``position``.

    Returns:
        How many scans, the offset of the end marker (None without one), and whether no scan is missing.
    """
    scans, marker, end = 1, _SOS, None
    # Missing coefficients of each component: all 64 if progressive, else the whole block as one. A coefficient is
    # complete with the scan of its last bit.
    missing = {number: set(range(64) if code in _PROGRESSIVE else (0,)) for number in frame[6 : 6 + 3 * frame[5] : 3]}
    for _ in range(MAX_PARTS + 4 * most):
        if marker == _SOS:
            count = data[position + 2 : position + 3]
            chosen = data[position + 3 : position + 3 + 2 * (count or b"\0")[0] : 2]
            first, last, bits = (*data[position + 3 + 2 * len(chosen) : position + 6 + 2 * len(chosen)], 0, 0, 1)[:3]
            for number in chosen if bits & 15 == 0 else b"":
                missing.get(number, set()).difference_update(range(first, last + 1))
        if marker not in _WITHOUT_CONTENT:
            position += max(int.from_bytes(data[position : position + 2], "big"), 2)
        found = _MARKER_IN_SCAN.search(data, position)
        if found is None:
            break
        if found[0][1] == _EOI:
            end = found.start()
            break
        position, marker = found.end(), found[0][1]
        scans += marker == _SOS
        if scans > most:
            raise UnfitError("too-large", f"more than {most} scans", "save it as a plain JPEG")
    else:
        raise too_many_parts()
    return scans, end, not any(missing.values())
