"""Recognising camera raw files, which hold the values of a sensor.

Most are TIFFs whose first image is a small preview. Pillow would read the preview without any warning.
"""

import struct
from collections.abc import Iterator

from edgeclf.files.photo_names import has_raw_suffix

# Fujifilm, Sigma, Minolta, Canon CRW, Olympus, Panasonic. Canon CR3 has its own file type brand ("crx ").
_STARTS = (b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
_PHOTOMETRIC, _SUB_DIRECTORIES, _DNG_VERSION = 262, 330, 50706  # TIFF tags
_SENSOR = (32803, 34892)  # values of the photometric tag: a colour filter array, and linear raw
_MAX_DIRECTORIES = 32  # of one file that are read, and values of one tag
_MAX_TAGS = 512  # of one directory that are read


def is_raw(data: bytes, name: str | None = None) -> bool:
    """Whether a file is a camera raw file, by its content. Of a plain TIFF the name decides.

    Args:
        data: the file.
        name: its path.
    """
    if data.startswith(_STARTS) or data[4:12] == b"ftypcrx ":
        return True
    tiff = data[:4] in (b"II*\0", b"MM\0*")
    if tiff and (data[8:10] == b"CR" or any(_states_raw(*entry) for entry in _entries(data))):
        return True
    return tiff and has_raw_suffix(name or "")


class Tally:
    """Counts the raw files that a walk through folders leaves out (``onraw``)."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, _: str) -> None:
        self.count += 1

    @property
    def lines(self) -> tuple[str, ...]:
        """A line about them for people; none without raw files."""
        return (left_out(self.count),) if self.count else ()


def left_out(count: int) -> str:
    """The message that raw files were left out."""
    return f"{count} camera raw file{'s' * (count != 1)} left out, which edgeclf cannot read: export them as JPEG"


def _states_raw(tag: int, values: tuple[int, ...]) -> bool:
    return tag == _DNG_VERSION or (tag == _PHOTOMETRIC and values[:1] in [(kind,) for kind in _SENSOR])


def _entries(data: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Tags and integer values of all directories of a TIFF, including sub-directories."""
    order = "<" if data[:1] == b"I" else ">"
    waiting, seen = [*struct.unpack_from(order + "I", data, 4)] if len(data) >= 8 else [], set[int]()
    while waiting and len(seen) < _MAX_DIRECTORIES:
        offset = waiting.pop(0)
        if offset in seen or not 8 <= offset <= len(data) - 2:
            continue
        seen.add(offset)
        (count,) = struct.unpack_from(order + "H", data, offset)
        count = min(count, _MAX_TAGS, (len(data) - offset - 2) // 12)
        for at in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", data, at)
            values = _values(data, order, at + 8, kind, number)
            if tag == _SUB_DIRECTORIES:
                waiting += values
            yield tag, values
        end = offset + 2 + 12 * count
        if end + 4 <= len(data):
            waiting += struct.unpack_from(order + "I", data, end)


def _values(data: bytes, order: str, at: int, kind: int, number: int) -> tuple[int, ...]:
    """The first few values of a tag of type SHORT, LONG or IFD, else none."""
    code = {3: "H", 4: "I", 13: "I"}.get(kind)
    if code is None or not number:
        return ()
    size = struct.calcsize(code)
    if number * size > 4:
        (at,) = struct.unpack_from(order + "I", data, at)
    number = min(number, _MAX_DIRECTORIES)
    return struct.unpack_from(f"{order}{number}{code}", data, at) if at + number * size <= len(data) else ()
