"""When and where a photo was taken: read from EXIF that Pillow wrote, and from damaged EXIF."""

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from helpers import draw
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

FACTS = """
    const { factsOf } = await load("photo-facts.js");
    return Promise.all(argument.map((base64) => factsOf(new Blob([Buffer.from(base64, "base64")]))));
"""
SOUTH = {1: "S", 2: (54.0, 30.0, 36.0), 3: "W", 4: (36.0, 45.0, IFDRational(9, 2))}


def _jpeg(exif: dict[int, Any], gps: dict[int, Any], order: str = "<", form: str = "JPEG") -> bytes:
    found = Image.Exif()
    found.endian = order
    found[0x010F] = "A maker of cameras"
    found.get_ifd(0x8769).update(exif)
    found.get_ifd(0x8825).update(gps)
    buffer = io.BytesIO()
    draw(1).save(buffer, form, exif=found)
    return buffer.getvalue()


def _facts(in_node: Callable[..., Any], *photos: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = in_node(FACTS, [base64.b64encode(photo).decode() for photo in photos])
    return found


@pytest.mark.parametrize("order", ["<", ">"])
def test_time_and_place(in_node: Callable[..., Any], order: str) -> None:
    times = {0x9003: "2026:11:27 03:26:04", 0x9011: "-03:00"}
    place = {"latitude": -54.51, "longitude": -36.75125}
    found = _facts(in_node, _jpeg(times, SOUTH, order), _jpeg({0x9003: "2026:11:27 03:26:04"}, {}, order))
    assert found == [{"taken": "2026-11-27T03:26:04-03:00", **place}, {"taken": "2026-11-27T03:26:04"}]


def test_nothing_is_made_up(in_node: Callable[..., Any]) -> None:
    odd = (
        _jpeg({}, {}),
        _jpeg({0x9003: "0000:00:00 00:00:00"}, {}),
        _jpeg({0x9003: "yesterday"}, {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)}),
        _jpeg({}, {1: "N", 2: (1.0, 0.0, IFDRational(1, 0)), 3: "E", 4: (1.0, 0.0, 0.0)}),
        _jpeg({}, {2: (1.0, 0.0, 0.0)}),
        _jpeg({0x9003: "2026:11:27 03:26:04"}, {}, form="PNG"),
        b"",
        b"\xff\xd8",
    )
    assert _facts(in_node, *odd) == [{}] * len(odd)


def test_damaged_exif(in_node: Callable[..., Any]) -> None:
    """No damage of any byte raises an error or takes long."""
    photo = _jpeg({0x9003: "2026:11:27 03:26:04"}, SOUTH)
    end = photo.index(b"\xff\xdb")
    damaged = [photo[:at] + bytes([photo[at] ^ 0xFF]) + photo[at + 1 : end] for at in range(end)]
    found = _facts(in_node, *damaged, *(photo[:at] for at in range(0, end, 5)))
    assert all(set(one) <= {"taken", "latitude", "longitude"} for one in found)
    assert sum(bool(one) for one in found) > len(found) // 3
