"""Detects JPEGs with a missing part. Decoders fill missing parts with grey and report no error.

The decoder gets the compressed data up to its end and a few bytes more, without the end marker (EOI). If the image is
complete, the decoder needs nothing more; if data is missing, the decoder asks for more. So the result depends on the
data only, not on the version of libjpeg, the scale or Pillow's LOAD_TRUNCATED_IMAGES. A JPEG that lacks only its end
marker is complete. The cost is a search for zeros, and a search for markers if something follows the image.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator

from PIL import Image

from edgeclf.images.file_format import UnfitError
from edgeclf.images.jpeg_header import JpegHeader

# Eight bytes of ones: no Huffman code consists of ones only, so they decode to nothing. Decoders read so far ahead.
_ONES = b"\xff\0" * 8
_EOI = b"\xff\xd9"
_TAIL_BYTES = 4096  # before the end; a decoder must have asked for them
_UNWRITTEN_BYTES = 16  # so many zeros at the end count as never written
_BLOCK_BYTES = 4096  # of a disk
_ZEROS = bytes(256)  # to search for; shorter than a disk block, which is faster
_NOT_ZERO = re.compile(rb"[^\0]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# A decoder ignores bytes after the end of the last scan. These bytes have no pattern: if they change the image, the
# scan had not ended. Restart markers between them: a decoder of restart intervals waits for the next one.
_NO_PATTERN = bytes((37 * i * i + 91 * i + 5) % 251 for i in range(512))
_RANDOM_DATA = b"".join(_NO_PATTERN + bytes((0xFF, 0xD0 + number % 8)) for number in range(17))

Decode = Callable[[io.RawIOBase | io.BytesIO], Image.Image]


def decode_complete(data: bytes, header: JpegHeader, decode: Decode) -> Image.Image:
    """Decode a JPEG, and check that nothing is missing.

    Args:
        data: the file.
        header: its header.
        decode: opens and loads an image with Pillow.

    Returns:
        The image.

    Raises:
        UnfitError: a part of the image is missing. ``decode`` may raise other errors.
    """
    if header.arithmetic:  # its final zeros are not written, so a missing end cannot be detected
        return decode(io.BytesIO(data))
    if header.multiple_scans:
        return _decode_scans(data, header, decode)
    end = _likely_end(data, header)
    image, left = _decode_one_scan(data, header.scan, end, decode)
    if left:  # the decoder stopped before the end: there is a marker in the data, or the data is inconsistent
        found = _MARKER_IN_SCAN.search(data, header.scan, end)
        end = found.start() if found is not None else end
        image, _ = _decode_one_scan(data, header.scan, end, decode) if found is not None else (None, True)
    if image is None or _has_unwritten_blocks(data, header.scan, end):
        raise _incomplete()
    return image


class _Feed(io.RawIOBase):
    """A file object with the bytes of a JPEG up to ``end``, then ones.

    Attributes:
        wanting: the decoder asked for more bytes.
        left: the decoder did not read the last bytes before the end.
    """

    def __init__(self, data: bytes, scan: int, end: int) -> None:
        self._data, self._end, self._position = data, end, 0
        # Not within the segment of the scan: Pillow reads a segment at once, and takes a shorter answer for the end.
        segment_end = scan + int.from_bytes(data[scan : scan + 2], "big")
        self._last = max(min(segment_end, end), end - _TAIL_BYTES)
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
    """Decode the data before ``end``.

    Returns:
        The image, None if data is missing; and whether the decoder left the last bytes unread.
    """
    feed = _Feed(data, scan, end)
    try:
        image = decode(feed)
    except OSError:
        if not feed.wanting:
            raise
        return None, False
    return (None, False) if feed.wanting else (image, feed.left)


def _likely_end(data: bytes, header: JpegHeader) -> int:
    """Offset of the end of the only scan's data: usually the end of the file, else the next marker."""
    last = len(data) if data[-1:] != b"\0" else len(data.rstrip(b"\0"))
    if data[last - 2 : last] == _EOI and last - 2 >= header.scan and not header.has_more_images:
        return last - 2
    found = _MARKER_IN_SCAN.search(data, header.scan)
    return len(data) if found is None else found.start()


def _decode_one_scan(data: bytes, scan: int, end: int, decode: Decode) -> tuple[Image.Image | None, bool]:
    """``_feed``, also for data that ends in bytes that were never written."""
    for stop in _possible_ends(data, end):
        image, left = _feed(data, scan, stop, decode)
        if image is None:
            continue
        # Zeros may also be data (plain colour takes few bits): then the decoder must need all of them.
        unwritten = stop == end and data[end - _UNWRITTEN_BYTES : end] == bytes(_UNWRITTEN_BYTES)
        if not unwritten or _feed(data, scan, end - 2, decode)[0] is None:
            return image, left
    return None, False


def _possible_ends(data: bytes, end: int) -> Iterator[int]:
    """Offsets at which the data may end: before bytes that were never written, and ``end``."""
    if data[end - 1 : end] == b"\xff":  # valid data never ends in this byte
        end = len(data[:end].rstrip(b"\xff"))
    if data[end - _UNWRITTEN_BYTES : end] == bytes(_UNWRITTEN_BYTES):
        yield min(end, len(data[:end].rstrip(b"\0")) + 2)  # the data itself may end in zeros
    yield end


def _has_unwritten_blocks(data: bytes, scan: int, end: int) -> bool:
    """Whether whole disk blocks within the data are zero: they were never written.

    A plain area may also give thousands of zeros, but hardly ever from the start of a block to the end of a block.
    """
    start = data.find(_ZEROS, scan, end)
    while start >= 0:
        found = _NOT_ZERO.search(data, start, end)
        stop = found.start() if found is not None else end
        if -start % _BLOCK_BYTES <= 2 and stop % _BLOCK_BYTES <= 2 and stop - start >= _BLOCK_BYTES and stop < end:
            return True
        start = data.find(_ZEROS, stop, end)
    return False


def _decode_scans(data: bytes, header: JpegHeader, decode: Decode) -> Image.Image:
    """Decode a JPEG with several scans, which decoders finish only at an end marker."""
    if not header.complete:
        raise _incomplete()
    if header.end is not None:
        if _has_unwritten_blocks(data, header.scan, header.end):
            raise _incomplete()
        return decode(io.BytesIO(data))
    for end in _possible_ends(data, len(data)):
        with contextlib.suppress(OSError):
            one, other = (decode(io.BytesIO(data[:end] + more + _EOI)) for more in (b"", _RANDOM_DATA))
            if one.tobytes() == other.tobytes():
                return one
    raise _incomplete()


def _incomplete() -> UnfitError:
    return UnfitError("damaged", "damaged (a part of the image is missing)")
