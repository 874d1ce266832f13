"""Checks of a photo's bytes before a decoder reads them: its format, and how expensive it would be to decode.

Pillow parses headers in Python and trusts them. A file of a few megabytes can keep it busy for minutes, or make it
allocate gigabytes, before the number of pixels is known. Such files, which no camera writes, are refused here.
"""

import contextlib
import re
import struct
from dataclasses import dataclass

MAX_PARTS = 4096  # segments, chunks or tags of a file that hold no pixels
_MAX_COMPRESSED_PARTS = 256  # compressed texts and profiles: each may expand to a megabyte
_MAX_PIXEL_CHUNKS = 2**17  # 256 MiB in chunks of 2 KiB
_MAX_JUNK_BYTES = 2**16  # between parts; Pillow skips them one by one
_MAX_STRIPS = 2**20

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"MM\0+", "TIFF"),
)
# Marker codes of JPEG (ITU-T T.81, table B.1).
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_ARITHMETIC = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_RARE = {0xC3: "lossless", 0xCB: "lossless", **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical")}
_WITHOUT_CONTENT = {0x01, *range(0xD0, 0xDA)}  # markers
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # with a "+" after the first byte, 20 times slower
_NETPBM = re.compile(rb"P[1-6fF](?:(?:\s++|#[^\r\n]*+[\r\n])++[-\d.]++){2,3}")


class UnfitError(Exception):
    """A photo is not decoded; ``kind``, ``what`` (the cause) and ``remedy`` become those of a ``PhotoError``."""

    def __init__(self, kind: str, what: str, remedy: str = "copy it again from the camera") -> None:
        super().__init__(kind, what, remedy)
        self.kind, self.what, self.remedy = kind, what, remedy


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


def sniff(data: bytes) -> str:
    """ "JPEG", "PNG", "GIF", "TIFF", "HEIC", "AVIF" or "Netpbm" by the first bytes; "" for anything else."""
    if data[4:8] == b"ftyp":
        length = int.from_bytes(data[:4], "big")
        brands = {data[at : at + 4] for at in range(8, min(length, len(data), 256), 4)}
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        return "HEIC" if brands & _HEIC_BRANDS or data[8:12] == b"mif1" else ""
    if data[:1] == b"P" and data[1:2] in b"123456fF":
        return "Netpbm"
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), "")


def check_parts(kind: str, data: bytes) -> None:
    """Refuse a file that consists of far too many parts.

    Args:
        kind: its format, as ``sniff`` gives it; JPEGs are checked by ``jpeg_header``.
        data: the file.

    Raises:
        UnfitError: it has too many parts.
    """
    check = {"PNG": _check_png, "GIF": _check_gif, "TIFF": _check_tiff, "Netpbm": _check_netpbm}.get(kind)
    if check is not None:
        with contextlib.suppress(struct.error):  # a truncated file: the decoder raises an error
            check(data)


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
        if junk > _MAX_JUNK_BYTES:
            raise _too_many_parts()
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
        raise _too_many_parts()
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
        raise _too_many_parts()
    return scans, end, not any(missing.values())


def _check_png(data: bytes) -> None:
    position, pixels, packed, others = 8, 0, 0, 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND":  # bytes after it do not belong to the photo
            return
        if kind in (b"IDAT", b"fdAT", b"fcTL"):
            pixels += 1
        else:
            others += 1
            packed += kind in (b"iCCP", b"zTXt", b"iTXt")
        if others > MAX_PARTS or packed > _MAX_COMPRESSED_PARTS or pixels > _MAX_PIXEL_CHUNKS:
            raise _too_many_parts()
        position += 12 + length


def _check_gif(data: bytes) -> None:
    """Check the blocks before the first image: Pillow joins text blocks one by one."""
    position = 13
    if len(data) > 10 and data[10] & 0x80:
        position += 3 << (data[10] & 7) + 1
    inside = False  # in an extension, which consists of blocks up to an empty one
    for _ in range(16 * MAX_PARTS):
        head = data[position : position + 1]
        if head == b"" or (not inside and head in b"\x2c\x3b"):
            return
        if inside:
            position += 1 + head[0]
            inside = head[0] > 0
        else:
            inside = head == b"\x21"
            position += 2 if inside else 1
    raise _too_many_parts()


def _check_tiff(data: bytes) -> None:
    """Check the first directory: few tags, no bytes used by many tags, and no more than a million strips."""
    order, big = "<" if data[:1] == b"I" else ">", data[2:4] in (b"+\0", b"\0+")
    (offset,) = struct.unpack_from(order + "Q", data, 8) if big else struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
    entry, held = struct.Struct(order + ("HHQQ" if big else "HHII")), 0
    if count > MAX_PARTS:
        raise _too_many_parts()
    for number in range(count):
        tag, kind, values, where = entry.unpack_from(data, offset + (8 if big else 2) + number * entry.size)
        size = values * _TIFF_BYTES.get(kind, 0)
        held += size if size > (8 if big else 4) and where + size <= len(data) else 0
        if held > len(data) or (tag in _TIFF_STRIPS and values > _MAX_STRIPS):
            raise UnfitError("damaged", "damaged (its tags are larger than the file)")


_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_STRIPS = {273, 279, 324, 325}  # offsets and lengths of strips, then of tiles


def _check_netpbm(data: bytes) -> None:
    found = _NETPBM.match(data[: 2 * _MAX_JUNK_BYTES])
    if found is None or found.end() > _MAX_JUNK_BYTES:
        raise UnfitError("damaged", "damaged (its header states no size)")


def _too_many_parts() -> UnfitError:
    return UnfitError("damaged", "damaged (it consists of far too many parts)")
