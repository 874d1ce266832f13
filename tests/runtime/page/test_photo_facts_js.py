"""Time, place and camera of photos in the page: the very values that Python reads, also from damaged EXIF."""

import base64
import random
from collections.abc import Callable
from typing import Any

import pytest
from edgeclf.images.photo_facts import facts_in
from exif_photos import FRACTION, OFFSET, SERIAL, SOUTH, TAKEN, TOLD, WHOLE, profiles, told, with_exif
from PIL import Image, features
from PIL.TiffImagePlugin import IFDRational

FACTS = """
    const { factsOf } = await load("photo-facts.js");
    return Promise.all(argument.map((base64) => factsOf(new Blob([Buffer.from(base64, "base64")]))));
"""
FORMS = ["JPEG", "PNG", "WEBP", "TIFF", *(["AVIF"] if features.check("avif") else [])]


def _same(in_node: Callable[..., Any], photos: list[bytes]) -> list[dict[str, Any]]:
    """The facts of photos as the page reads them, after a comparison with Python's."""
    found: list[dict[str, Any]] = in_node(FACTS, [base64.b64encode(photo).decode() for photo in photos])
    for number, (photo, facts) in enumerate(zip(photos, found, strict=True)):
        assert facts == told(facts_in(photo)), f"photo {number}"
    return found


@pytest.mark.parametrize("form", FORMS)
def test_each_format(in_node: Callable[..., Any], form: str) -> None:
    photos = [with_exif(WHOLE, SOUTH, form=form, order=order) for order in "<>"]
    assert _same(in_node, photos) == [TOLD, TOLD]


def test_exif_late_in_a_file_and_behind_fill_bytes(in_node: Callable[..., Any]) -> None:
    data = with_exif(WHOLE, SOUTH)
    before = [profiles(20), b"\xff", 1000 * b"\xff", profiles(20) + b"\xff\xff", b"\xff" + profiles(20)]
    before += [profiles(border - inside) for border in (2**16, 2**18) for inside in (26, 60, 150, 300)]
    photos = [data[:2] + one + data[2:] + bytes(2**17) for one in before]
    assert _same(in_node, photos) == len(photos) * [TOLD]
    too_late = [data[:2] + one + data[2:] for one in (profiles(2**18), 2**18 * b"\xff")]
    assert _same(in_node, too_late) == [{}, {}]


def test_nothing_is_made_up(in_node: Callable[..., Any]) -> None:
    texts = ("yesterday", "0000:00:00 00:00:00", "1900:02:29 00:00:00", "2026:11:27 03:26:04", "2024-02-29T00:00:00")
    photos = [
        with_exif({TAKEN: text, OFFSET: offset, FRACTION: fraction})
        for text in texts
        for offset in ("+15:00", "+05:45", "Z")
        for fraction in ("5", "1234", "x")
    ]
    sides = [("N", "E"), ("S", "W"), ("n", "E"), ("NE", "E"), ("", "W"), ("N", "N")]
    places: list[Any] = [(0.0, 0.0, 0.0), (90.0, 0.0, 0.0), (91.0, 0.0, 0.0), (1.0, 61.0, 0.0), (1.5,), (12.0, 30.5)]
    places += [(1.0, 0.0, IFDRational(1, 0)), (IFDRational(0, 0), 0.0, 0.0), (0.0000005, 0.0, 0.0)]
    photos += [with_exif({}, {1: n, 2: a, 3: e, 4: b}) for n, e in sides for a in places for b in places]
    names = [("", ""), ("A B", "a 1"), ("Ä", "ä 1"), ("  x ", "\x01y"), ("M", "z\u3000"), ("\u2003", "x")]
    photos += [with_exif({SERIAL: serial}, make=a, model=b) for a, b in names for serial in ("", " 7 \0 8")]
    found = _same(in_node, [*photos, b"", b"\xff\xd8", b"II*\0", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x10ftypheic"])
    assert sum("taken" in one for one in found) == 2 * 9
    assert any("latitude" in one for one in found)
    assert found[-5:] == [{}] * 5


@pytest.mark.parametrize("form", FORMS)
def test_damaged_exif(in_node: Callable[..., Any], form: str) -> None:
    """No damage raises an error, and both languages read the same from what is left."""
    rng = random.Random(form)
    photo = with_exif(WHOLE, SOUTH, form=form, photo=Image.new("RGB", (8, 8)), order=rng.choice("<>"))
    damaged = [photo[:at] + bytes([rng.randrange(256)]) + photo[at + 1 :] for at in range(len(photo))]
    found = _same(in_node, [*damaged, *(photo[:at] for at in range(0, len(photo), 5))])
    assert sum(bool(one) for one in found) > len(found) // 3
