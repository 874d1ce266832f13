"""JPEGs decoded in JavaScript and WebAssembly: the bytes, sizes and errors of Python."""

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jpegs
import numpy as np
import pytest
from edgeclf.images.contract import ImageContract
from helpers import draw
from jpegs_in_node import NAME, Job, in_javascript, in_python, random_contract
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # Pillow warns of odd EXIF
EOI = b"\xff\xd9"
FACTORS: dict[str, jpegs.Factors] = {
    **{"4:4:4": ((1, 1), (1, 1), (1, 1)), "4:2:2": ((2, 1), (1, 1), (1, 1)), "4:4:0": ((1, 2), (1, 1), (1, 1))},
    **{"4:2:0": ((2, 2), (1, 1), (1, 1)), "4:1:1": ((4, 1), (1, 1), (1, 1)), "4:1:0": ((4, 2), (1, 1), (1, 1))},
    **{"4:4:1": ((1, 4), (1, 1), (1, 1)), "each its own": ((2, 2), (2, 1), (1, 2)), "grey": ((1, 1),)},
    **{"grey, twice": ((2, 2),), "cmyk": ((1, 1),) * 4, "reduced cmyk": ((2, 2), (1, 1), (1, 1), (2, 2))},
}


@pytest.fixture
def answers(in_node: Callable[..., Any], jpeg_decoder: Path, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs files through the page's preprocessing: answers(jobs)."""
    return lambda jobs: in_javascript(in_node, jobs, jpeg_decoder, tmp_path)[0]


def saved(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def drawn(number: int, rng: np.random.Generator) -> bytes:
    """A photo of any size, mode and coding that Pillow writes."""
    width, height = (int(side) for side in rng.integers(1, 900 if number % 5 == 0 else 150, 2))
    noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    picture = draw(number, width, height)
    image = (Image.new("RGB", (width, height), "navy"), picture, noise, Image.blend(picture, noise, 0.2))[number % 4]
    options: dict[str, Any] = {"quality": int(rng.integers(1, 101)), "subsampling": number % 3}
    options |= {"progressive": True} if number % 7 == 3 else {}
    options |= {"restart_marker_blocks": int(rng.integers(1, 9))} if number % 11 == 0 else {}
    return saved(image.convert(("RGB", "RGB", "L", "CMYK")[number // 4 % 4]), **options)


def test_drawn_photos_of_every_coding(answers: Any) -> None:
    rng = np.random.default_rng(1)
    jobs: list[Job] = [(drawn(number, rng), random_contract(rng)) for number in range(400)]
    assert answers(jobs) == [in_python(*job) for job in jobs]


@pytest.mark.parametrize("sampling", FACTORS)
def test_every_sampling(answers: Any, sampling: str) -> None:
    """At each of the scales 1/1, 1/2, 1/4 and 1/8, as YCbCr, RGB, CMYK and YCCK."""
    rng = np.random.default_rng(2)
    transforms = {1: (None,), 3: (None, 0, 1), 4: (None, 0, 2)}[len(FACTORS[sampling])]
    jobs: list[Job] = []
    for seed in range(12):
        width, height = (int(side) for side in rng.integers(70, 200, 2))
        adobe = transforms[seed % len(transforms)]
        data = jpegs.sampled(FACTORS[sampling], width, height, seed, adobe=adobe)
        side = min(width, height) - 1
        jobs += [(data, ImageContract(max(8, side // scale), "crop", 1.0, 1.0)) for scale in (1, 2, 4, 8)]
    assert answers(jobs) == [in_python(*job) for job in jobs]


def exif(*entries: tuple[int, int, int, bytes], order: str = "<", rest: bytes = b"", start: int = 8) -> bytes:
    """EXIF with a directory of (tag, type, count, four bytes)."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(entries))
    for tag, kind, count, value in entries:
        directory += struct.pack(order + "HHI", tag, kind, count) + value
    return b"Exif\0\0" + head + struct.pack(order + "I", start) + directory + bytes(4) + rest


def odd_exif() -> Iterator[tuple[bytes, ...]]:
    """Segments of EXIF and XMP: each orientation, and what cameras and attackers may write in its place."""
    for order in "<>":
        for number in range(11):
            yield (exif((0x112, 3, 1, struct.pack(order + "HH", number, 0)), order=order),)
        for kind in range(18):
            for count in (0, 1, 2, 3):
                rest = struct.pack(order + "HHHH", 6, 3, 0, 8) * 3
                value = struct.pack(order + "I", 30 if count * 4 > 4 else 6)
                yield (exif((0x112, kind, count, value), order=order, rest=rest),)
    short = struct.pack("<HH", 6, 0)
    six = (0x112, 3, 1, short)
    yield from ((exif(six, (0x112, 3, 1, b"\3\0\0\0")),), (exif((0x112, 99, 1, short), (0x112, 3, 1, b"\3\0\0\0")),))
    yield from ((exif((0x10F, 2, 999, short), six),), (exif((0x10F, 2, 2**32 - 1, short), six),))
    yield from ((exif((0x10F, 2, 20, b"\xff\xff\0\0"), six),), (exif(six, (0x10F, 2, 20, b"\xff\xff\0\0")),))
    yield from ((exif(six)[:20],), (exif(six)[:10],), (b"Exif\0\0",), (b"Exif\0\0" + exif(six),), (exif(six, start=9),))
    yield from ((exif(six)[:-4],), (exif(six, start=2**32 - 1),), (exif(),), (exif((0x112, 3, 0, short)),))
    for head in (b"MM*\0", b"II\0*", b"MM\0+", b"II+\0", b"XX*\0"):
        yield (exif(six).replace(b"II*\0", head),)
    yield (exif(six)[:30], b"Exif\0\0" + exif(six)[30:])
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation"
    for text in (b'="6"/>', b">8<", b'="9"', b"='6'", b'="0"', b'="12"', b'=""'):
        yield from ((xmp + text,), (exif((0x112, 3, 1, b"\3\0\0\0")), xmp + text), (exif(), xmp + text))
        yield from (
            (b"Exif\0\0XX", xmp + text),
            (exif((0x112, 2, 1, b"a\0\0\0")), xmp + text),
            (xmp + b'="3"', xmp + text),
        )


def test_every_orientation_and_odd_exif(answers: Any) -> None:
    plain = saved(draw(1, 60, 40))
    contract = ImageContract(20, "crop")
    jobs = [
        (plain[:2] + b"".join(jpegs.segment(0xE1, part) for part in parts) + plain[2:], contract)
        for parts in odd_exif()
    ]
    expected = [in_python(*job) for job in jobs]
    assert len({one["pixels"] for one in expected}) == 8
    assert answers(jobs) == expected


def test_hostile_exif(answers: Any) -> None:
    """Random bytes in a directory of two tags."""
    rng = np.random.default_rng(3)
    plain, contract, jobs = saved(draw(1, 24, 16)), ImageContract(8, "squash"), []
    for number in range(1500):
        values = [(0x112, 3, 1, struct.pack("<HH", 1 + number % 8, 0)), (0x131, 2, 9, struct.pack("<I", 38))]
        content = bytearray(exif(*values, rest=bytes(12)))
        for _ in range(int(rng.integers(1, 4))):
            content[int(rng.integers(6, len(content)))] = int(rng.choice([0, 1, 3, 18, 255, int(rng.integers(0, 256))]))
        jobs.append((plain[:2] + jpegs.segment(0xE1, bytes(content)) + plain[2:], contract))
    assert answers(jobs) == [in_python(*job) for job in jobs]


def test_whole_pictures_whatever_follows(answers: Any) -> None:
    noise, jobs = np.random.default_rng(4).bytes(9000), []
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 5}, {"optimize": True}, {"subsampling": 0}):
        data = saved(draw(2, 320, 240), quality=92, **options)
        core = data.removesuffix(EOI)
        jobs += [
            (changed, ImageContract(32))
            for changed in (
                *(data, core, core + b"\xff", core + b"\xff" * 5000, core + bytes(5000), core + bytes(5000) + EOI),
                *(data + bytes(9000), data + noise, data + b"SEFT" + noise + EOI, data + data),
            )
        ]
    expected = [in_python(*job) for job in jobs]
    assert all("pixels" in one for one in expected)
    found = answers(jobs)
    for one in found:
        one["exact"] = True  # bytes that are left over are a warning to the decoder
    assert found == expected


def test_pictures_of_which_a_part_is_missing(answers: Any) -> None:
    jobs = []
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 5}, {"optimize": True}, {"subsampling": 0}):
        grain = Image.fromarray(np.random.default_rng(5).integers(0, 256, (480, 640, 3), dtype=np.uint8))
        data = saved(Image.blend(draw(3, 640, 480), grain, 0.2), quality=80, **options)
        core = data.removesuffix(EOI)
        for cut in (len(core) // 5, len(core) // 2, len(core) * 4 // 5):
            gone, block = len(core) - cut, -(-cut // 4096) * 4096
            jobs += [
                (changed, ImageContract(32))
                for changed in (
                    *(core[:cut], core[:cut] + bytes(gone + 2), core[:cut] + b"\xff" * (gone + 2), core[:cut] + EOI),
                    *(core[:cut] + bytes(gone) + data, core[:block] + bytes(4096) + data[block + 4096 :]),
                )
            ]
    expected = [in_python(*job) for job in jobs]
    assert sum(one.get("kind") == "damaged" for one in expected) > 70
    found = answers(jobs)
    for one, wanted in zip(found, expected, strict=True):
        # What was ended properly in the midst of a scan cannot be told from a whole progressive JPEG: not exact.
        if one.get("exact") is False:
            wanted["exact"] = False
        # Where a second photo begins within the data, Pillow may meet it first.
        if "kind" in wanted and "broken data stream" in wanted["message"] + one.get("message", ""):
            one["message"] = wanted["message"]
    assert found == expected


def test_files_that_are_no_photos_or_cannot_be_read(answers: Any) -> None:
    plain = saved(draw(1, 60, 40))
    marks = [(0xE0, b"JFIF\0"), (0xEE, b"Adobe"), (0xDB, b"\0" * 9), (0xED, b"Photoshop 3.0\x008BIM\0\1"), (0x05, b"")]
    files = [
        *(plain[:2] + jpegs.segment(code, content) + plain[2:] for code, content in marks),
        *(b"", b"\xff\xd8\xff", plain[:100], plain[:200], b"\xff\xd8\xff\xe0" + bytes(70000), jpegs.twelve_bit()),
        *(plain[:2] + jpegs.segment(0xFE, b"") * 5000 + plain[2:], plain[:2] + bytes(70000) + plain[2:]),
        *(plain[:2] + jpegs.segment(0xE2, b"ICC_PROFILE\0") + plain[2:], plain.replace(b"\xff\xda", b"\xff\xfe")),
        *(jpegs.baseline(components=2), jpegs.baseline(width=0), jpegs.baseline(height=0), jpegs.baseline(bits=7)),
        *(
            jpegs.baseline(),
            jpegs.one_colour_after_another(),
            jpegs.one_colour_after_another(width=65535, height=65535),
        ),
        *(jpegs.baseline(width=65535, height=65535), plain.replace(b"\xff\xc4", b"\xff\xe9")),
        plain[: plain.index(b"\xff\xda") + 6],
    ]
    scans = saved(draw(1, 30, 30), progressive=True)
    first = scans.index(b"\xff\xda")
    last = scans.rindex(b"\xff\xda")
    files += [scans[:first] + scans[last:-2] * 5000 + EOI, scans[:last] + EOI]
    jobs = [(data, ImageContract(32)) for data in files]
    expected = [in_python(*job) for job in jobs]
    assert {one.get("kind") for one in expected} >= {
        "empty",
        "damaged",
        "not-an-image",
        "unsupported",
        "too-large",
        None,
    }
    assert answers(jobs) == expected


def test_jpegs_that_only_the_browser_may_read(answers: Any) -> None:
    """Python reads some of them. Without a browser's decoder there is none here."""
    found = answers(
        [(data, ImageContract(32)) for data in (jpegs.arithmetic(), jpegs.lossless(), jpegs.hierarchical())]
    )
    for one, what in zip(found, ("an arithmetic-coded", "a lossless", "a hierarchical"), strict=True):
        assert one["kind"] == "unsupported"
        assert one["message"].startswith(f"{NAME}: is {what} JPEG, which this ")
        assert one["remedy"] == "save it as a plain JPEG"


def test_twelve_megapixels(in_node: Any, jpeg_decoder: Path, tmp_path: Path) -> None:
    grain = Image.fromarray(np.random.default_rng(6).integers(0, 256, (3000, 4000, 3), dtype=np.uint8))
    image = Image.blend(draw(4, 4000, 3000), grain, 0.06)
    orientation = Image.Exif()
    orientation[0x112] = 6
    files = saved(image, quality=88, exif=orientation), saved(image, quality=80, progressive=True)
    jobs = [(data, ImageContract(size)) for data in files for size in (224, 480, 900)]
    found, _ = in_javascript(in_node, jobs, jpeg_decoder, tmp_path)
    assert found == [in_python(*job) for job in jobs]


def test_another_file_is_not_taken_for_the_decoder(in_node: Any) -> None:
    script = """
        const { openJpegDecoder } = await load("pixels-jpeg-wasm.js");
        try { await openJpegDecoder(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)); } catch { return "refused"; }"""
    assert in_node(script) == "refused"


@pytest.mark.shared
@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_real_photos(answers: Any, shared: Path, resize: Any) -> None:
    """Every thirtieth of 9,730 photos, to save time. With all of them, no byte differed."""
    photos = [path for path in sorted((shared / "data").rglob("*.jp*g")) if path.is_file()][::30]
    assert len(photos) > 300
    jobs = [(photo.read_bytes(), ImageContract(224, resize, 0.875)) for photo in photos]
    assert answers(jobs) == [in_python(*job) for job in jobs]


def test_gaps_before_restart_markers(answers: Any) -> None:
    """One within the data is filled, as in Python; the last interval must be there, whatever its marker's number."""
    jobs = []
    for length in range(9, 17):
        data = saved(Image.new("RGB", (16, 16 * length), "navy"), restart_marker_blocks=1)
        last = data.rindex(bytes([0xFF, 0xD0 + (length - 2) % 8]))
        jobs += [(data, ImageContract(8)), (data[:last], ImageContract(8)), (data[: last + 2], ImageContract(8))]
    grain = Image.fromarray(np.random.default_rng(7).integers(0, 256, (160, 160, 3), dtype=np.uint8))
    data = saved(grain, restart_marker_blocks=4)
    first = data.index(b"\xff\xd0")
    jobs.append((data[: first - 30] + data[first:], ImageContract(32)))
    expected = [in_python(*job) for job in jobs]
    assert [one.get("kind") for one in expected] == [None, "damaged", "damaged"] * 8 + [None]
    found = answers(jobs)
    assert not found[-1]["exact"]
    assert found[:-1] == expected[:-1]
    assert found[-1]["width"] == 160


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with changed, missing, repeated or added bytes, anywhere or in the data of its scan."""
    changed, scan = bytearray(data), data.index(b"\xff\xda")
    at = int(rng.integers(2 if rng.random() < 0.4 else scan, len(data)))
    length = int(rng.choice([1, 2, 16, 300]))
    kind = int(rng.integers(0, 6))
    if kind == 0:
        changed[at] = int(rng.integers(0, 256))
    elif kind == 1:
        changed[at] ^= 1 << int(rng.integers(0, 8))
    elif kind == 2:
        del changed[at : at + length]
    elif kind == 3:
        changed[at:at] = rng.bytes(length)
    elif kind == 4:
        changed[at : at + length] = data[scan : scan + length]
    else:
        changed[at : at + length] = bytes(length)
    return bytes(changed)


@pytest.mark.parametrize("progressive", [False, True])
def test_no_damaged_file_is_wrongly_exact(answers: Any, progressive: bool) -> None:
    """What decoders make of numbers out of range differs: the processor of Python overflows in another way."""
    rng, jobs = np.random.default_rng(8), []
    for number in range(300):
        options = {"quality": 60 + number % 40, "subsampling": number % 3, "progressive": progressive}
        data = saved(draw(number % 20, 120, 90), restart_marker_blocks=5 * (number % 2), **options)
        jobs.append((damaged(data, rng), random_contract(rng)))
    plain = saved(draw(1, 120, 90), progressive=progressive, quality=60)
    tables = plain.index(b"\xff\xdb") + 5
    for strong in (60, 120, 255):
        jobs.append((plain[:tables] + bytes([strong]) * 64 + plain[tables + 64 :], ImageContract(80, "pad")))
    found, expected = answers(jobs), [in_python(*job) for job in jobs]
    exact = [(one, wanted) for one, wanted in zip(found, expected, strict=True) if one.get("exact")]
    assert len(exact) > 20
    assert all(one == wanted for one, wanted in exact)
    assert found[-1]["exact"] is False
    assert found[-1]["pixels"] != expected[-1]["pixels"]
    pairs = zip(found, expected, strict=True)
    assert sum(one.get("pixels") == wanted.get("pixels", "") for one, wanted in pairs) > 100  # as many are not damaged


def test_strong_contrasts_are_exact(answers: Any) -> None:
    """Pictures whose values are as large as those of pictures can be, at every quality and coding."""
    rng, jobs = np.random.default_rng(9), []
    for quality in (1, 5, 20, 50, 90, 100):
        extremes = Image.fromarray(rng.choice([0, 255], (96, 128, 3)).astype(np.uint8))
        board = Image.fromarray(np.kron(np.indices((12, 16)).sum(0) % 2 * 255, np.ones((8, 8))).astype(np.uint8))
        for progressive in (False, True):
            for image in (extremes, board):
                data = saved(image, quality=quality, progressive=progressive, subsampling=0)
                jobs.append((data, ImageContract(60, "pad")))
    assert answers(jobs) == [in_python(*job) for job in jobs]
