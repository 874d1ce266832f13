"""Finding the EXIF of a photo in the bytes of its file, without decoding the photo.

EXIF is a small TIFF inside the file. Where it lies depends on the format: in a segment of a JPEG, a chunk of a PNG or
WebP, an item of a HEIC or AVIF; a TIFF holds it in itself. Every search here has a limit on its steps, so that no file
keeps it busy: a photo whose EXIF is not found within that limit has none.

``photo-exif.js`` of the page finds the same bytes.
"""

import struct
from collections.abc import Callable

from edgeclf.images.file_format import MAX_PARTS, file_format

_JPEG_PARTS_END = {0xD9, 0xDA}  # markers: end of image, start of a scan
_JPEG_SEARCHED_BYTES = 2**18  # EXIF stands among the first segments
JPEG_HEAD_BYTES = _JPEG_SEARCHED_BYTES + 2**16  # and has at most 64 KiB
_MAX_ITEMS = 4096  # of a HEIC: a photo of a phone has about 60, most of them tiles


def exif_block(data: bytes) -> bytes:
    """The TIFF structure that holds the EXIF of a photo.

    Args:
        data: the file. Of a JPEG the first ``JPEG_HEAD_BYTES`` are enough: no EXIF that begins later is searched for.

    Returns:
        It, with its first bytes ``II`` or ``MM``; empty if the photo has none, or is damaged before it.
    """
    kind = file_format(data) or ("WebP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else "")
    find = _FIND.get(kind)
    try:
        block = find(data) if find is not None else b""
    except (struct.error, IndexError):  # cut off in the middle of a part
        return b""
    return block if block[:4] in (b"II*\0", b"MM\0*") else b""


def jpeg_exif(data: bytes) -> tuple[int, int]:
    """Where the TIFF structure of a JPEG begins and ends; 0 and 0 if none begins in ``data``.

    Args:
        data: the file, or its beginning, which may end before the structure does.
    """
    position, end = 2, min(len(data), _JPEG_SEARCHED_BYTES)
    while position + 4 <= end and data[position] == 0xFF and data[position + 1] not in _JPEG_PARTS_END:
        if data[position + 1] == 0xFF:  # any number of these may stand before a marker (T.81, B.1.1.2)
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            return position + 10, position + 2 + length
        position += 2 + length
    return 0, 0


def _in_jpeg(data: bytes) -> bytes:
    begin, end = jpeg_exif(data)
    return data[begin:end]


def _in_png(data: bytes) -> bytes:
    position = 8
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"eXIf":
            return data[position + 8 : position + 8 + length]
        if kind == b"IEND":
            break
        position += 12 + length
    return b""


def _in_webp(data: bytes) -> bytes:
    position = 12
    for _ in range(MAX_PARTS):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            return data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0")
        position += 8 + length + length % 2
    return b""


def _in_heif(data: bytes) -> bytes:
    """The item of type ``Exif`` (ISO/IEC 23008-12, annex A), where the box ``iloc`` says (ISO/IEC 14496-12, 8.11.3)."""
    meta = _boxes(data, 0, len(data)).get(b"meta")
    if meta is None:
        return b""
    parts = _boxes(data, meta[0] + 4, meta[1])
    item = _exif_item(data, *parts[b"iinf"]) if b"iinf" in parts else None
    if item is None or b"iloc" not in parts:
        return b""
    start, length = _location(data, parts[b"iloc"][0], item)
    (skipped,) = struct.unpack_from(">I", data, start)  # bytes between this number and the TIFF structure
    return data[start + 4 + skipped : start + length]


def _boxes(data: bytes, position: int, end: int) -> dict[bytes, tuple[int, int]]:
    """The boxes between two positions: type -> start and end of the content of the first box of this type."""
    found: dict[bytes, tuple[int, int]] = {}
    for _ in range(MAX_PARTS):
        if position + 8 > end:
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", data, position + 8), 16
        stop = end if length == 0 else position + length
        if length and length < head:
            break
        found.setdefault(kind, (position + head, min(stop, end)))
        position = stop
    return found


def _exif_item(data: bytes, position: int, end: int) -> int | None:
    wide = data[position] > 0
    (count,) = struct.unpack_from(">I" if wide else ">H", data, position + 4)
    position += 8 if wide else 6
    for _ in range(min(count, _MAX_ITEMS)):
        if position + 12 > end:
            break
        (length,), version = struct.unpack_from(">I", data, position), data[position + 8]
        number, _, kind = struct.unpack_from(">IH4s" if version > 2 else ">HH4s", data, position + 12)
        if kind == b"Exif" and version >= 2:
            return int(number)
        position += max(length, 12)
    return None


def _location(data: bytes, position: int, wanted: int) -> tuple[int, int]:
    """Start and length of an item, bytes; 0 and 0 if it is elsewhere than in the file itself."""
    version, sizes = data[position], int.from_bytes(data[position + 4 : position + 6], "big")
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    wide = 4 if version > 1 else 2
    position += 6

    def number(size: int) -> int:
        nonlocal position
        position += size
        return int.from_bytes(data[position - size : position], "big")

    for _ in range(min(number(wide), _MAX_ITEMS)):
        item, method = number(wide), number(2) & 15 if version else 0
        reference, base, extents = number(2), number(base_size), number(2)
        for extent in range(min(extents, _MAX_ITEMS)):
            number(index_size)
            start, length = base + number(offset_size), number(length_size)
            if item == wanted and extent == 0:
                return (start, length) if method == 0 and reference == 0 else (0, 0)
            if position > len(data):
                return 0, 0
    return 0, 0


_FIND: dict[str, Callable[[bytes], bytes]] = {
    **{"JPEG": _in_jpeg, "PNG": _in_png, "WebP": _in_webp, "HEIC": _in_heif, "AVIF": _in_heif},
    "TIFF": bytes,
}
