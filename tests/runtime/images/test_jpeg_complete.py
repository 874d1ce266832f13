"""Whether a JPEG counts as complete depends on its data only, not on the decoder or the scale."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jpegs
import numpy as np
import pytest
from edgeclf.errors import PhotoError
from edgeclf.images.contract import ImageContract
from edgeclf.images.jpeg_complete import _Feed
from edgeclf.images.jpeg_header import jpeg_header
from edgeclf.images.preprocess import upright_rgb
from helpers import draw
from PIL import Image, ImageFile

EOI = b"\xff\xd9"
CONTRACTS = (None, ImageContract(32))  # in full, and at an eighth
KINDS: dict[str, dict[str, Any]] = {
    "4:2:0": {"quality": 80},
    "4:4:4": {"quality": 95, "subsampling": 0},
    "optimized": {"quality": 60, "optimize": True},
    "restart markers": {"quality": 80, "restart_marker_blocks": 5},
    "progressive": {"quality": 80, "progressive": True},
    "grey": {"quality": 80},
    "cmyk": {"quality": 80},
}


def jpeg(kind: str, seed: int = 1) -> bytes:
    grain = np.random.default_rng(seed).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    image = Image.blend(draw(seed, 640, 480), Image.fromarray(grain), 0.2)
    file = io.BytesIO()
    image.convert({"grey": "L", "cmyk": "CMYK"}.get(kind, "RGB")).save(file, "JPEG", **KINDS[kind])
    return file.getvalue()


def drawing(seed: int) -> bytes:
    """Plain colours and optimised codes: its data holds long runs of zeros."""
    image = Image.new("RGB", (900, 700), "white")
    image.paste((20, 60 + seed, 90), (30 * seed, 100, 400, 160 + 50 * seed))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75, optimize=True, progressive=seed % 2 == 1)
    return file.getvalue()


def asked(data: bytes) -> list[bytes | str]:
    """Pixels or the kind of error, in full and reduced."""
    found: list[bytes | str] = []
    for contract in CONTRACTS:
        try:
            found.append(upright_rgb(data, contract).tobytes())
        except PhotoError as error:
            found.append(error.kind)
    return found


def cuts(data: bytes) -> Iterator[int]:
    first = data.index(b"\xff\xda") + 20
    return (first + int((len(data) - first) * share) for share in (0.2, 0.5, 0.8))


@pytest.mark.parametrize("kind", KINDS)
def test_whole_pictures_are_answered_whatever_follows(kind: str) -> None:
    data = jpeg(kind)
    core, expected = data.removesuffix(EOI), asked(data)
    noise = np.random.default_rng(2).bytes(9000)
    for changed in (
        *(core, core + b"\xff", core + b"\xff" * 5000, core + bytes(5000)),  # no end marker, half of it, never written
        *(core + b"\xff" * 20 + EOI, core + bytes(5000) + EOI),  # fill bytes
        *(data + bytes(9000), data + noise, data + b"SEFT" + noise + EOI, data + data, data + jpeg(kind, 2)),
    ):
        assert asked(changed) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_which_a_part_is_missing_are_damaged(kind: str) -> None:
    data = jpeg(kind)
    core = data.removesuffix(EOI)
    for cut in cuts(core):
        gone = len(core) - cut
        bad = [
            *(core[:cut], core[:cut] + bytes(gone + 2), core[:cut] + b"\xff" * (gone + 2)),
            *(core[:cut] + bytes(gone) + data, core[:cut] + b"\xff\xd8" + jpeg(kind, 2)[2:]),
        ]
        if kind != "progressive":  # one that was ended properly in the midst of a scan cannot be told
            bad.append(core[:cut] + EOI)
        block = -(-cut // 4096) * 4096
        if block + 4096 < len(core):
            bad.append(core[:block] + bytes(4096) + data[block + 4096 :])
        for changed in bad:
            assert asked(changed) == ["damaged", "damaged"]


@pytest.mark.parametrize("share", [0.9, 0.98])
def test_progressive_picture_with_restart_markers_and_zeros_at_its_end_is_damaged(share: float) -> None:
    file = io.BytesIO()
    draw(3, 640, 480).save(file, "JPEG", quality=90, progressive=True, restart_marker_rows=1)
    data = file.getvalue()
    cut = int(len(data) * share)
    assert asked(data[:cut] + bytes(len(data) - cut)) == ["damaged", "damaged"]
    assert asked(data[:-2]) == asked(data)


def test_progressive_picture_without_its_last_scans_is_damaged() -> None:
    data = jpeg("progressive")
    last = data.rindex(b"\xff\xda")
    assert asked(data[:last] + EOI) == ["damaged", "damaged"]


@pytest.mark.parametrize("seed", range(4))
def test_plain_drawings_are_whole(seed: int) -> None:
    data = drawing(seed)
    assert not isinstance(asked(data)[0], str)
    assert asked(data.removesuffix(EOI)) == asked(data + bytes(5000)) == asked(data)


@pytest.mark.parametrize("make", [jpegs.baseline, jpegs.one_colour_after_another])
def test_small_pictures_are_whole(make: Any) -> None:
    assert asked(make()) == asked(make().removesuffix(EOI))
    assert not isinstance(asked(make())[0], str)


def test_pictures_of_every_small_length_are_whole() -> None:
    """Also where the last 4096 bytes begin within the segment of the scan."""
    data = jpeg("4:4:4")
    start = jpeg_header(data, 1000).scan
    segment = start + int.from_bytes(data[start : start + 2], "big")
    for length in range(4080, 4115):
        feed = _Feed(data, start, start + length)
        feed.seek(start)
        assert len(feed.read(2)) == 2
        assert len(feed.read(segment - start - 2)) == segment - start - 2, length


def test_several_pictures_in_one_file() -> None:
    file = io.BytesIO()
    draw(1).save(file, "MPO", save_all=True, append_images=[draw(2)])
    data = file.getvalue()
    second = data.index(b"\xff\xd8", 2)
    while data[second + 2 : second + 3] != b"\xff":
        second = data.index(b"\xff\xd8", second + 2)
    assert asked(data) == asked(data[:second])
    assert asked(data[: second // 2] + data[second:]) == ["damaged", "damaged"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"])
def test_what_others_tell_pillow_changes_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    draw(1).save(file, kind)
    whole = asked(file.getvalue())
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert asked(file.getvalue()) == whole
    assert asked(file.getvalue()[: len(file.getvalue()) * 2 // 3]) == ["damaged", "damaged"]


@pytest.mark.shared
def test_real_photos_are_whole(shared: Path) -> None:
    """Every thirtieth of 9,730 photos, to save time. With all of them, none counted as damaged."""
    photos = [path for path in sorted((shared / "data").rglob("*.jp*g")) if path.is_file()][::30]
    assert len(photos) > 300
    for photo in photos:
        data = photo.read_bytes()
        if data.startswith(b"\xff\xd8\xff"):
            upright_rgb(data, CONTRACTS[1])


def test_drawn_photos_of_every_coding_are_whole() -> None:
    """With 5,000 such photos, none counted as damaged, with the end marker or without."""
    rng = np.random.default_rng(3)
    for number in range(150):
        width, height = (int(side) for side in rng.integers(1, 90, 2))
        noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        image = (Image.new("RGB", (width, height), "navy"), draw(number, width, height), noise)[number % 3]
        options: dict[str, Any] = {"quality": int(rng.integers(1, 101)), "progressive": number % 5 == 0}
        options |= {"restart_marker_blocks": int(rng.integers(1, 9))} if number % 4 == 0 else {}
        file = io.BytesIO()
        image.convert(("RGB", "L", "CMYK")[number // 3 % 3]).save(file, "JPEG", **options)
        found = asked(file.getvalue())
        assert "damaged" not in found
        assert asked(file.getvalue().removesuffix(EOI)) == found
