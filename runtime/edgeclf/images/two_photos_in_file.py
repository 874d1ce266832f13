"""Detects a second photo after the first one in a file, as after ``cat a.jpg b.jpg``. Decoders ignore it."""

import re
import struct

from edgeclf.images.file_format import UnfitError, file_format
from edgeclf.images.jpeg_header import jpeg_header

_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_MAX_SCANS = 1000  # of a JPEG of 1 megapixel
_MAX_PARTS = 10_000  # of one file


def holds_second(data: bytes) -> bool:
    """Whether another image file follows the one that ``data`` starts with.

    Data that cameras append on purpose does not count: the other images of an MPO or of a photo with a gain map (the
    first image lists them), videos, notes of the manufacturer.
    """
    kind = file_format(data)
    try:
        end = _ENDS.get(kind, _by_length)(data)
    except (UnfitError, struct.error):  # decoding it raises the error that the user sees
        return False
    if end is None:
        return False
    rest = data[end:].lstrip(b"\0\r\n")
    return file_format(rest) in ("JPEG", "PNG", "GIF", "TIFF", "HEIC", "AVIF") or _by_length(rest) is not None


def _jpeg(data: bytes) -> int | None:
    header = jpeg_header(data, _MAX_SCANS)
    if header.has_more_images or data.find(b"/photos/1.0/container/", 0, header.scan) >= 0:
        return None
    end = header.end
    if end is None and not header.multiple_scans:
        found = _MARKER_IN_SCAN.search(data, header.scan)
        end = found.start() if found is not None and found[0] == b"\xff\xd9" else None
    return None if end is None else end + 2


def _png(data: bytes) -> int | None:
    position = 8
    for _ in range(_MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + int(length)
        if kind == b"IEND":
            return position
    return None


def _gif(data: bytes) -> int | None:
    """The end of a GIF is one byte: it is recognised only together with the start of another file."""
    found = re.search(rb"(?s)\0;(?=GIF8|\xff\xd8\xff|\x89PNG|RIFF|BM....\0\0\0\0|II[*]\0|MM\0[*])", data)
    return None if found is None else found.end()


def _boxes(data: bytes) -> int | None:
    """Offset of another file's first box."""
    position = 0
    for _ in range(_MAX_PARTS):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if position and kind == b"ftyp":
            return position
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        if length < 8 or not kind.isalnum():
            return position if position and length else None
        position += length
    return None


def _by_length(data: bytes) -> int | None:
    """Length that a WebP or BMP states, bytes; None for other formats."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        length = int.from_bytes(data[4:8], "little")
        return 8 + length + length % 2
    return int.from_bytes(data[2:6], "little") if data[:2] == b"BM" and data[6:10] == bytes(4) else None


_ENDS = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "HEIC": _boxes, "AVIF": _boxes}
