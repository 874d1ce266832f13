"""The format of a photo's file, and limits on its number of parts, checked before a decoder reads it.

Pillow parses headers in Python and trusts them. A file of a few megabytes can keep it busy for minutes, or make it
allocate gigabytes, before the number of pixels is known. Such files, which no camera writes, are refused here.
"""

import contextlib
import re
import struct

MAX_PARTS = 4096  # segments, chunks or tags of a file that hold no pixels
_MAX_COMPRESSED_PARTS = 256  # compressed texts and profiles: each may expand to a megabyte
_MAX_PIXEL_CHUNKS = 2**17  # 256 MiB in chunks of 2 KiB
MAX_JUNK_BYTES = 2**16  # between parts; Pillow skips them one by one
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
_NETPBM = re.compile(rb"P[1-6fF](?:(?:\s++|#[^\r\n]*+[\r\n])++[-\d.]++){2,3}")


class UnfitError(Exception):
    """A photo is not decoded; ``kind``, ``what`` (the cause) and ``remedy`` become those of a ``PhotoError``."""

    def __init__(self, kind: str, what: str, remedy: str = "copy it again from the camera") -> None:
        super().__init__(kind, what, remedy)
        self.kind, self.what, self.remedy = kind, what, remedy


def file_format(data: bytes) -> str:
    """The format of an image file by its first bytes.

    Returns:
        "JPEG", "PNG", "GIF", "TIFF", "HEIC", "AVIF" or "Netpbm"; "" for anything else.
    """
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
        kind: its format, as ``file_format`` gives it; JPEGs are checked by ``jpeg_header``.
        data: the file.

    Raises:
        UnfitError: it has too many parts.
    """
    check = {"PNG": _check_png, "GIF": _check_gif, "TIFF": _check_tiff, "Netpbm": _check_netpbm}.get(kind)
    if check is not None:
        with contextlib.suppress(struct.error):  # a truncated file: the decoder raises an error
            check(data)


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
            raise too_many_parts()
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
    raise too_many_parts()


def _check_tiff(data: bytes) -> None:
    """Check the first directory: few tags, no bytes used by many tags, and no more than a million strips."""
    order, big = "<" if data[:1] == b"I" else ">", data[2:4] in (b"+\0", b"\0+")
    (offset,) = struct.unpack_from(order + "Q", data, 8) if big else struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
    entry, held = struct.Struct(order + ("HHQQ" if big else "HHII")), 0
    if count > MAX_PARTS:
        raise too_many_parts()
    for number in range(count):
        tag, kind, values, where = entry.unpack_from(data, offset + (8 if big else 2) + number * entry.size)
        size = values * _TIFF_BYTES.get(kind, 0)
        held += size if size > (8 if big else 4) and where + size <= len(data) else 0
        if held > len(data) or (tag in _TIFF_STRIPS and values > _MAX_STRIPS):
            raise UnfitError("damaged", "damaged (its tags are larger than the file)")


_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_STRIPS = {273, 279, 324, 325}  # offsets and lengths of strips, then of tiles


def _check_netpbm(data: bytes) -> None:
    found = _NETPBM.match(data[: 2 * MAX_JUNK_BYTES])
    if found is None or found.end() > MAX_JUNK_BYTES:
        raise UnfitError("damaged", "damaged (its header states no size)")


def too_many_parts() -> UnfitError:
    """The error for a file of too many parts."""
    return UnfitError("damaged", "damaged (it consists of far too many parts)")
