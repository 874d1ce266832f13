"""Is the whole picture of a JPEG there? Decoders do not say: what is missing they paint grey, and tell nobody.

A decoder is fed the picture's compressed data up to where it ends and a few bytes more, without the end marker (EOI).
A picture that is there in full needs none of what would follow; one whose data ends early makes the decoder ask. So the
answer hangs on the data alone: not on the version of libjpeg, not on the scale, not on Pillow's LOAD_TRUNCATED_IMAGES;
and a lost end marker is no loss. It costs a search for zeros, and one for markers where something follows the picture.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator

from PIL import Image

from edgeclf.images.sniff import JpegHeader, UnfitError

# Eight bytes of ones: no Huffman code consists of ones, so nothing decodes from them. Decoders look so far ahead.
_ONES = b"\xff\0" * 8
_EOI = b"\xff\xd9"
_LAST = 4096  # bytes before the end that a decoder must have asked for
_FILLER = 16  # zeros at the end that count as never written
_BLOCK = 4096  # bytes of a disk
_ZEROS = bytes(256)  # shorter than a block: found sooner
_NOT_ZERO = re.compile(rb"[^\0]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# What follows a last scan that has ended is passed over: bytes of no pattern, to see whether anything is made of them.
# With the markers of restarts between them: data in restart intervals waits for the next one.
_NO_PATTERN = bytes((37 * i * i + 91 * i + 5) % 251 for i in range(512))
_NONSENSE = b"".join(_NO_PATTERN + bytes((0xFF, 0xD0 + number % 8)) for number in range(17))

Decode = Callable[[io.RawIOBase | io.BytesIO], Image.Image]


def decode_whole(data: bytes, header: JpegHeader, decode: Decode) -> Image.Image:
    """Decode a JPEG of which nothing is missing.

    Args:
        data: the file.
        header: its.
        decode: opens and loads an image with Pillow.

    Raises:
        UnfitError: the picture is not complete. Else whatever ``decode`` raises.
    """
    if header.arithmetic:  # such data ends in zeros that are not written down, so an early end cannot be told
        return decode(io.BytesIO(data))
    if header.held_whole:
        return _in_scans(data, header, decode)
    end = _likely_end(data, header)
    image, left = _in_one_scan(data, header.scan, end, decode)
    if left:  # done before the end: there is another marker on the way, or what is there does not fit together
        found = _MARKER_IN_SCAN.search(data, header.scan, end)
        end = found.start() if found is not None else end
        image, _ = _in_one_scan(data, header.scan, end, decode) if found is not None else (None, True)
    if image is None or _holes(data, header.scan, end):
        raise _incomplete()
    return image


class _Feed(io.RawIOBase):
    """A JPEG up to ``end``, then ones.

    Attributes:
        wanting: more was asked for.
        left: the last bytes before the end were not.
    """

    def __init__(self, data: bytes, scan: int, end: int) -> None:
        self._data, self._end, self._position = data, end, 0
        self._last = max(scan, end - _LAST)
        self.wanting, self.left = False, True

    def read(self, size: int = -1) -> bytes:
        start, last = self._position, self._last
        stop = len(self._data) if size < 0 else start + size
        if start < last:
            part = self._data[start : min(stop, last)]
        else:
            part = (self._data[last : self._end] + _ONES)[start - last : stop - last]
            self.left = False
            self.wanting |= not part
        self._position += len(part)
        return part

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_CUR: self._position, io.SEEK_END: self._end}.get(whence, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def seekable(self) -> bool:
        return True


def _feed(data: bytes, scan: int, end: int, decode: Decode) -> tuple[Image.Image | None, bool]:
    """Decode what lies before ``end``; None if that is not enough. And whether the last of it was left."""
    feed = _Feed(data, scan, end)
    try:
        image = decode(feed)
    except OSError:
        if not feed.wanting:
            raise
        return None, False
    return (None, False) if feed.wanting else (image, feed.left)


def _likely_end(data: bytes, header: JpegHeader) -> int:
    """Where the data of the only scan ends: at the file's end as a rule, else at the next marker."""
    last = len(data) if data[-1:] != b"\0" else len(data.rstrip(b"\0"))
    if data[last - 2 : last] == _EOI and last - 2 >= header.scan and not header.several:
        return last - 2
    found = _MARKER_IN_SCAN.search(data, header.scan)
    return len(data) if found is None else found.start()


def _in_one_scan(data: bytes, scan: int, end: int, decode: Decode) -> tuple[Image.Image | None, bool]:
    """As ``_feed``, whatever the data ends in."""
    for stop in _stops(data, end):
        image, left = _feed(data, scan, stop, decode)
        if image is None:
            continue
        # Zeros may be data, too (plain colour in few bits): then none of them may be left over.
        unwritten = stop == end and data[end - _FILLER : end] == bytes(_FILLER)
        if not unwritten or _feed(data, scan, end - 2, decode)[0] is None:
            return image, left
    return None, False


def _stops(data: bytes, end: int) -> Iterator[int]:
    """Where data may end that reaches to ``end``: before what was never written, or there."""
    if data[end - 1 : end] == b"\xff":  # which no data ends in
        end = len(data[:end].rstrip(b"\xff"))
    if data[end - _FILLER : end] == bytes(_FILLER):
        yield min(end, len(data[:end].rstrip(b"\0")) + 2)  # the data itself may end in zeros
    yield end


def _holes(data: bytes, scan: int, end: int) -> bool:
    """Whether whole blocks of a disk are zeros between data: they never arrived.

    A plain area may come to thousands of zeros, too, but hardly ever from the start of one block to the end of another.
    """
    start = data.find(_ZEROS, scan, end)
    while start >= 0:
        found = _NOT_ZERO.search(data, start, end)
        stop = found.start() if found is not None else end
        if -start % _BLOCK <= 2 and stop % _BLOCK <= 2 and stop - start >= _BLOCK and stop < end:
            return True
        start = data.find(_ZEROS, stop, end)
    return False


def _in_scans(data: bytes, header: JpegHeader, decode: Decode) -> Image.Image:
    """A picture in several scans, which decoders only finish at an end marker."""
    if not header.complete:
        raise _incomplete()
    if header.end is not None:
        if _holes(data, header.scan, header.end):
            raise _incomplete()
        return decode(io.BytesIO(data))
    for end in _stops(data, len(data)):
        with contextlib.suppress(OSError):
            one, other = (decode(io.BytesIO(data[:end] + more + _EOI)) for more in (b"", _NONSENSE))
            if one.tobytes() == other.tobytes():
                return one
    raise _incomplete()


def _incomplete() -> UnfitError:
    return UnfitError("damaged", "damaged (a part of its picture is missing)")
