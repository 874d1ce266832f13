"""Time, place and camera of photos: read from files that Pillow wrote, and from damaged and hostile ones."""

import io
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import PhotoError
from edgeclf.images.exif_block import exif_block
from edgeclf.images.photo_bytes import NamedPhoto
from edgeclf.images.photo_facts import NO_FACTS, PhotoFacts, facts_in, photo_facts
from exif_photos import FRACTION, OFFSET, SERIAL, SOUTH, TAKEN, TOLD, WHOLE, profiles, told, with_exif
from helpers import draw
from PIL import Image, features
from PIL.TiffImagePlugin import IFDRational

NORTH_EAST = {1: "N", 2: (1.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_each_format(form: str, order: str) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    data = with_exif(WHOLE, SOUTH, form=form, order=order)
    assert told(photo_facts(data)) == TOLD
    assert photo_facts(data).serial == WHOLE[SERIAL]
    assert photo_facts(NamedPhoto("a.jpg", data)) == photo_facts(data)
    with Image.open(io.BytesIO(data)) as image:  # Pillow finds no less
        assert image.getexif().get_ifd(0x8769)[TAKEN] == WHOLE[TAKEN]


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra [heic]")
    buffer, exif = io.BytesIO(), exif_block(with_exif(WHOLE, SOUTH))
    pillow_heif.from_pillow(draw(1)).save(buffer, exif=b"Exif\0\0" + exif)
    assert told(facts_in(buffer.getvalue())) == TOLD


def test_the_file_is_read_as_far_as_needed(tmp_path: Path) -> None:
    data = with_exif(WHOLE, SOUTH)
    (tmp_path / "a.jpg").write_bytes(data)
    profile = b"\xff\xe2" + struct.pack(">H", 65535) + bytes(65533)
    (tmp_path / "late.jpg").write_bytes(data[:2] + 2 * profile + data[2:] + bytes(2**18))
    (tmp_path / "very-late.jpg").write_bytes(data[:2] + 4 * profile + data[2:])
    (tmp_path / "b.tif").write_bytes(with_exif(WHOLE, SOUTH, form="TIFF", photo=Image.new("RGB", (300, 300))))
    found = {path.name: photo_facts(path) for path in tmp_path.iterdir()}
    very_late = found.pop("very-late.jpg")
    assert [told(one) for one in found.values()] == 3 * [TOLD]
    assert very_late == facts_in((tmp_path / "very-late.jpg").read_bytes()) == NO_FACTS
    with pytest.raises(PhotoError, match="no such file"):
        photo_facts(tmp_path / "c.jpg")


@pytest.mark.parametrize("border", [2**16, 2**18])
def test_exif_that_crosses_what_is_read_first_is_read_in_full(tmp_path: Path, border: int) -> None:
    """Wherever the border lies in it: cut off, it still says the camera, and no time."""
    data = with_exif(WHOLE, SOUTH)
    segment = data.index(b"\xff\xe1")
    length = int.from_bytes(data[segment + 2 : segment + 4], "big") + 2
    for inside in (*range(4, length, 9), length - 1, length):
        path = tmp_path / f"{inside}.jpg"
        path.write_bytes(data[:2] + profiles(border - segment - inside) + data[2:] + bytes(2**18))
        assert told(photo_facts(path)) == told(photo_facts(path.read_bytes())) == TOLD, inside


@pytest.mark.parametrize("fill", [1, 2, 3, 1000, 100_000])
def test_bytes_that_fill_the_space_before_a_marker(tmp_path: Path, fill: int) -> None:
    """Any number of FF (T.81, B.1.1.2): before the EXIF, and before a segment that stands before it."""
    data = with_exif(WHOLE, SOUTH)
    filled = [data[:2] + fill * b"\xff" + data[2:], data[:2] + profiles(20) + fill * b"\xff" + data[2:]]
    filled.append(data[:2] + fill * b"\xff" + profiles(20) + data[2:])
    for photo in filled:
        (tmp_path / "a.jpg").write_bytes(photo)
        assert told(photo_facts(photo)) == told(photo_facts(tmp_path / "a.jpg")) == TOLD
        with Image.open(io.BytesIO(photo)) as image:
            assert image.getexif().get_ifd(0x8769)[TAKEN] == WHOLE[TAKEN]


@pytest.mark.parametrize(
    ("exif", "taken"),
    [
        ({TAKEN: "2026:11:27 03:26:04"}, "2026-11-27T03:26:04"),
        ({TAKEN: "2026-11-27 03:26:04"}, "2026-11-27T03:26:04"),
        ({TAKEN: "2024:02:29 23:59:59", OFFSET: "+05:45"}, "2024-02-29T23:59:59+05:45"),
        ({TAKEN: "2026:11:27 03:26:04", OFFSET: "+15:00", FRACTION: "x"}, "2026-11-27T03:26:04"),
        ({TAKEN: "2026:11:27 03:26:04", FRACTION: "5 "}, "2026-11-27T03:26:04.500"),
        ({TAKEN: "2026:11:27 03:26:04", FRACTION: "123456"}, "2026-11-27T03:26:04.123"),
        ({TAKEN: "2026:02:29 03:26:04"}, None),
        ({TAKEN: "1900:02:29 03:26:04"}, None),
        ({TAKEN: "2026:13:01 03:26:04"}, None),
        ({TAKEN: "2026:11:27 24:00:00"}, None),
        ({TAKEN: "0000:00:00 00:00:00"}, None),
        ({TAKEN: "    :  :     :  :  "}, None),
        ({TAKEN: "yesterday"}, None),
        ({}, None),
    ],
)
def test_times(exif: dict[int, str], taken: str | None) -> None:
    assert facts_in(with_exif(exif)).taken == taken


def test_times_as_seconds() -> None:
    assert PhotoFacts("1970-01-02T00:00:00.250").seconds == 86400.25
    assert PhotoFacts("1970-01-02T00:00:00-03:00").seconds == 86400 + 3 * 3600
    assert PhotoFacts().seconds is None


@pytest.mark.parametrize(
    ("make", "model", "serial", "camera"),
    [
        ("Canon", "Canon EOS R7", "12", "Canon EOS R7 (12)"),
        ("NIKON CORPORATION", "NIKON D5", "", "NIKON D5"),
        ("RECONYX", "HF2  COVERT \0\0", "", "RECONYX HF2 COVERT"),
        ("", "X", "", "X"),
        ("Maker", "", "", "Maker"),
        ("", "", "12", None),
        ("   ", "", "", None),
    ],
)
def test_cameras(make: str, model: str, serial: str, camera: str | None) -> None:
    assert facts_in(with_exif({SERIAL: serial} if serial else {}, make=make, model=model)).camera == camera


@pytest.mark.parametrize(
    ("gps", "place"),
    [
        (NORTH_EAST, (1.0, 1.0)),
        ({**NORTH_EAST, 1: "S", 3: "W"}, (-1.0, -1.0)),
        ({**NORTH_EAST, 2: (1.5,)}, (1.5, 1.0)),
        ({**NORTH_EAST, 2: (0.0, 0.0, 0.0), 1: "S"}, (0.0, 1.0)),
        ({**NORTH_EAST, 2: (90.0, 0.0, 0.0), 4: (180.0, 0.0, 0.0)}, (90.0, 180.0)),
        ({**NORTH_EAST, 2: (91.0, 0.0, 0.0)}, (None, None)),
        ({**NORTH_EAST, 4: (180.0, 1.0, 0.0)}, (None, None)),
        ({**NORTH_EAST, 2: (1.0, 61.0, 0.0)}, (None, None)),
        ({**NORTH_EAST, 2: (1.0, 0.0, IFDRational(1, 0))}, (None, None)),
        ({**NORTH_EAST, 2: (IFDRational(0, 0), 0.0, 0.0)}, (None, None)),
        ({**NORTH_EAST, 1: "X"}, (None, None)),
        ({**NORTH_EAST, 3: ""}, (None, None)),
        ({2: (1.0, 0.0, 0.0), 4: (1.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (1.0, 0.0, 0.0)}, (None, None)),
        ({**NORTH_EAST, 2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)}, (None, None)),
    ],
)
def test_places(gps: dict[int, Any], place: tuple[float | None, float | None]) -> None:
    facts = facts_in(with_exif({}, gps))
    assert (facts.latitude, facts.longitude) == place
    assert str(facts.latitude) != "-0.0"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_damaged_exif(form: str) -> None:
    """No damage of any byte, and no end of the file at any byte, raises an error."""
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    photo = with_exif(WHOLE, SOUTH, form=form, photo=Image.new("RGB", (8, 8)))
    damaged = [
        photo[:at] + bytes([photo[at] ^ change]) + photo[at + 1 :] for at in range(len(photo)) for change in (1, 255)
    ]
    found = [facts_in(one) for one in damaged]
    assert sum(one != NO_FACTS for one in found) > len(found) // 3
    for one in found:
        assert one.latitude is None or (abs(one.latitude) <= 90 and abs(one.longitude or 0) <= 180)
        assert one.taken is None or one.seconds is not None
    for at in range(len(photo)):
        facts_in(photo[:at])


def _tiff(entries: bytes) -> bytes:
    return b"II*\0\x08\0\0\0" + struct.pack("<H", min(65535, len(entries) // 12)) + entries


def test_hostile_files_are_read_fast() -> None:
    """Files of many parts, of directories that name themselves, and of values that overlap."""
    camera = struct.pack("<HHII", 0x0110, 2, 255, 8)
    itself = struct.pack("<HHII", 0x8769, 4, 1, 8)
    many = _tiff(65535 * camera + itself)
    hostile = [
        b"\x89PNG\r\n\x1a\n" + 3_000_000 * struct.pack(">I4sI", 0, b"tEXt", 0),
        b"RIFF\0\0\0\0WEBP" + 4_000_000 * b"JUNK\0\0\0\0",
        b"\xff\xd8" + 4_000_000 * b"\xff\xe1\0\x02",
        b"\xff\xd8" + 16_000_000 * b"\xff",
        b"\0\0\0\x10ftypheic\0\0\0\0" + 4_000_000 * b"\0\0\0\x08free",
        b"\0\0\0\x10ftypheic\0\0\0\0\0\0\0\0meta\0\0\0\0\0\0\0\0iinf\x01\0\0\0\xff\xff\xff\xff" + bytes(2**24),
        b"\0\0\0\x10ftypheic\0\0\0\0" + 100 * b"\0\0\0\0meta\0\0\0\0",
        many,
        _tiff(itself),
        b"\xff\xd8\xff\xe1\xff\xffExif\0\0" + many,
    ]
    started = time.process_time()
    for data in hostile:
        facts = facts_in(data)
        assert (facts.taken, facts.latitude) == (None, None)
    assert time.process_time() - started < 1
