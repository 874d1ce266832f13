"""When, where and with which camera a photo was taken, as its EXIF says (CIPA DC-008, Exif 2.32).

Only what the file says, and only if it can be true: a 30th of February, a latitude of 91 degrees, a fraction with the
denominator 0, or a place of exactly 0 N 0 E, which cameras write that do not know it, counts as not said.

``photo-facts.js`` of the page reads the same facts, with the same names and values.
"""

import math
import os
import re
import struct
from dataclasses import dataclass

from edgeclf.files.hanging_disk import read_ends
from edgeclf.images.exif_block import JPEG_HEAD_BYTES, exif_block, jpeg_exif
from edgeclf.images.file_format import file_format
from edgeclf.images.photo_bytes import NamedPhoto, photo_bytes

_MAKE, _MODEL, _EXIF_DIRECTORY, _GPS_DIRECTORY = 0x010F, 0x0110, 0x8769, 0x8825
_TAKEN, _OFFSET, _FRACTION, _SERIAL = 0x9003, 0x9011, 0x9291, 0xA431
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4
_WANTED = {_MAKE, _MODEL, _EXIF_DIRECTORY, _GPS_DIRECTORY, _TAKEN, _OFFSET, _FRACTION, _SERIAL, 1, 2, 3, 4}
_ASCII, _LONG, _RATIONAL, _DIRECTORY = 2, 4, 5, 13  # types of values
_SIZES = {_ASCII: 1, _LONG: 4, _RATIONAL: 8, _DIRECTORY: 4}  # bytes of one
_ENTRIES = {order: struct.Struct(order + "HHII") for order in "<>"}  # tag, type, number of values, value or offset
_MAX_TAGS = 1000  # of a directory; a damaged one may claim any number
_MAX_VALUE_BYTES = 256
_MICRODEGREES = 1e6  # degrees are rounded to 6 digits: 0.1 m
_TIME = re.compile(r"([1-9]\d{3})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_UTC_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SPACES = re.compile(r"[\x00-\x20\x7f-\xa0]+")
_HEAD_BYTES = 2**16  # of a JPEG that are read first: nearly always enough


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What the EXIF of a photo says. None: it does not say, or what it says is impossible.

    Attributes:
        taken: when, ISO 8601, by the camera's clock: "2026-11-27T03:26:04"; with ".250" if the camera counts parts of a
            second, and with "-03:00" if it knows its offset from UTC.
        camera: maker and model, with the serial number in brackets if it is known: two cameras of one model differ.
        latitude: degrees north, -90..90, rounded to 6 digits; None if ``longitude`` is.
        longitude: degrees east, -180..180.
        serial: the camera's serial number alone.
    """

    taken: str | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    serial: str | None = None

    @property
    def seconds(self) -> float | None:
        """``taken`` as seconds since 1970 in UTC; a time without an offset counts as UTC. None without ``taken``."""
        if self.taken is None:
            return None
        from datetime import UTC, datetime  # imported here: records do not need it

        time = datetime.fromisoformat(self.taken)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


NO_FACTS = PhotoFacts()


def is_within(seconds: float, before: float, after: float) -> bool:
    """Whether a photo was taken at most ``seconds`` after another; both times as ``PhotoFacts.seconds``.

    Times are whole milliseconds, which float64 does not hold exactly: their difference is rounded to whole ones again.
    """
    return round(after - before, 3) <= seconds


def photo_facts(photo: str | os.PathLike[str] | bytes | NamedPhoto) -> PhotoFacts:
    """Read when, where and with which camera a photo was taken. Damaged EXIF raises nothing: it says less.

    Args:
        photo: a path, or the bytes of an image file. Of a JPEG by its path only the first 64 KiB are read, or 320 KiB
            where these do not hold all of its EXIF; other formats are read in full.

    Raises:
        PhotoError: the file cannot be read.
    """
    if not isinstance(photo, str | os.PathLike):
        return facts_in(photo_bytes(photo)[0])
    head = read_ends(os.fspath(photo), _HEAD_BYTES, 0)
    if len(head) < _HEAD_BYTES:
        return facts_in(head)
    if file_format(head) != "JPEG":
        return facts_in(photo_bytes(photo)[0])
    is_whole = 0 < jpeg_exif(head)[1] <= len(head)  # cut off, EXIF may still say some facts, so that is no sign
    return facts_in(head if is_whole else read_ends(os.fspath(photo), JPEG_HEAD_BYTES, 0))


def facts_in(data: bytes) -> PhotoFacts:
    """``photo_facts`` of the bytes of an image file; nothing is said by what is none."""
    block = exif_block(data)
    if not block:
        return NO_FACTS
    order = "<" if block[:1] == b"I" else ">"
    first = _directory(block, struct.unpack_from(order + "I", block, 4)[0] if len(block) >= 8 else None, order)
    exif = _directory(block, first.get(_EXIF_DIRECTORY), order)
    gps = _directory(block, first.get(_GPS_DIRECTORY), order)
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REF), "NS", 90)
    longitude = _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF), "EW", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        latitude = longitude = None
    camera, serial = _camera(first, exif)
    return PhotoFacts(_time(exif), camera, latitude, longitude, serial)


_Value = str | int | tuple[float, ...]


def _directory(block: bytes, start: "_Value | None", order: str) -> dict[int, _Value]:
    """The wanted values of a directory, by tag: text, the offset of another directory, or fractions (NaN for x / 0)."""
    found: dict[int, _Value] = {}
    if not isinstance(start, int) or start + 2 > len(block):
        return found
    (count,) = struct.unpack_from(order + "H", block, start)
    end = start + 2 + min(count, _MAX_TAGS, (len(block) - start - 2) // 12) * 12
    for number, (tag, kind, length, offset) in enumerate(_ENTRIES[order].iter_unpack(block[start + 2 : end])):
        if tag not in _WANTED or not length:
            continue
        size = length * _SIZES.get(kind, _MAX_VALUE_BYTES + 1)
        value = start + 10 + number * 12 if size <= 4 else offset
        if size > _MAX_VALUE_BYTES or value + size > len(block):
            continue
        if kind == _ASCII:
            found[tag] = _text(block[value : value + size])
        elif kind == _RATIONAL:
            parts = struct.unpack_from(f"{order}{2 * length}I", block, value)
            pairs = zip(parts[::2], parts[1::2], strict=True)
            found[tag] = tuple(above / below if below else math.nan for above, below in pairs)
        else:
            found[tag] = int(struct.unpack_from(order + "I", block, value)[0])
    return found


def _text(raw: bytes) -> str:
    """Text up to a NUL, with single spaces; EXIF asks for ASCII, and cameras write UTF-8 and Latin-1 as well."""
    raw = raw.split(b"\0", 1)[0]
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return _SPACES.sub(" ", text).strip(" ")


def _time(exif: dict[int, _Value]) -> str | None:
    found = _TIME.match(_words(exif, _TAKEN))
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month - 1] and hour < 24 and minute < 60 and second < 60):
        return None
    if (month, day) == (2, 29) and (year % 4 or (year % 100 == 0 and year % 400)):
        return None
    digits = _DIGITS.match(_words(exif, _FRACTION))
    fraction = f".{digits[0]:0<3.3}" if digits else ""
    offset = _UTC_OFFSET.match(_words(exif, _OFFSET))
    return "{}-{}-{}T{}:{}:{}".format(*found.groups()) + fraction + (offset[0] if offset else "")


def _camera(first: dict[int, _Value], exif: dict[int, _Value]) -> tuple[str | None, str | None]:
    """Maker, model and serial number. Many cameras repeat the maker in the model."""
    make, model, serial = _words(first, _MAKE), _words(first, _MODEL), _words(exif, _SERIAL)
    repeated = make and model.lower().startswith(make.split(" ")[0].lower())
    name = model if repeated else f"{make} {model}".strip(" ")
    return (f"{name} ({serial})" if name and serial else name) or None, serial or None


def _words(tags: dict[int, _Value], tag: int) -> str:
    found = tags.get(tag)
    return found if isinstance(found, str) else ""


def _degrees(parts: "_Value | None", side: "_Value | None", sides: str, most: float) -> float | None:
    """Degrees, minutes and seconds as degrees, positive on the first of two ``sides`` such as "NS"."""
    if not isinstance(parts, tuple) or len(parts) > 3 or not isinstance(side, str) or side not in (*sides,):
        return None
    degrees, minutes, seconds = (*parts, 0.0, 0.0)[:3]
    value = degrees + minutes / 60 + seconds / 3600
    if not value <= most or not minutes <= 60 or not seconds <= 60:  # also NaN
        return None
    rounded = math.floor(value * _MICRODEGREES + 0.5) / _MICRODEGREES
    return -rounded if side == sides[1] and rounded else rounded
