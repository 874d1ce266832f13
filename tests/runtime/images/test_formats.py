"""Files of cameras, phones, scanners and programs are read correctly, or refused with a helpful message."""

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import jpegs
import numpy as np
import pytest
from edgeclf import Classifier
from edgeclf.errors import PhotoError
from edgeclf.files.photo_names import SUFFIXES
from edgeclf.images import limits
from edgeclf.images.contract import ImageContract
from edgeclf.images.file_format import file_format
from edgeclf.images.jpeg_header import jpeg_header
from edgeclf.images.preprocess import network_input, upright_rgb
from helpers import OLD_MODELS, draw
from numpy.typing import NDArray
from PIL import Image, features

GREYS = np.arange(0, 65536, 5957, dtype=np.uint16).reshape(3, 4)  # 3 rows of 4
COLOURS = np.stack([GREYS, GREYS[::-1], 65535 - GREYS], axis=2)  # [3, 4, 3]


def pixels(photo: Any) -> NDArray[np.int16]:
    return np.asarray(upright_rgb(photo)).astype(np.int16)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(photo: Any, contract: ImageContract | None = None) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        upright_rgb(photo, contract)
    return caught.value


@pytest.mark.parametrize("make", [jpegs.baseline, jpegs.one_colour_after_another])
def test_rare_jpegs_are_read(make: Any) -> None:
    assert (pixels(make()) == 128).all()


def test_arithmetic_coding_is_read_where_libjpeg_does() -> None:
    """The bytes are no real photo's: that the answer is not "unsupported" or "damaged" is what counts."""
    assert np.abs(pixels(jpegs.arithmetic()) - 128).max() <= 4


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (jpegs.twelve_bit(), "12-bit JPEG"),
        (jpegs.hierarchical(), "hierarchical JPEG"),
        (jpegs.lossless(0xCB), "lossless JPEG"),
    ],
)
def test_jpegs_that_libjpeg_cannot_read_are_named(content: bytes, says: str) -> None:
    error = refusal(content)
    assert (error.kind, says in error.message, "plain JPEG" in error.remedy) == ("unsupported", True, True)


def test_lossless_jpeg_is_read_or_named() -> None:
    """libjpeg-turbo reads it since version 3."""
    if features.check_feature("libjpeg_turbo") and (features.version("libjpeg_turbo") or "0") >= "3":
        assert (pixels(jpegs.lossless()) == 128).all()
    else:
        assert refusal(jpegs.lossless()).kind == "unsupported"


def test_jpeg_without_pixels() -> None:
    """Its height would come after the picture (a DNL segment), which libjpeg does not read."""
    assert "no pixels" in refusal(jpegs.baseline(height=0)).message
    assert "no image" in refusal(jpegs.SOI + jpegs.EOI + b"\xff\xff").message


@pytest.mark.parametrize("kind", ["RGB", "RGBA"])
def test_16_bit_colour_keeps_its_high_byte(kind: str) -> None:
    samples = COLOURS if kind == "RGB" else np.concatenate([COLOURS, np.full((3, 4, 1), 65535, np.uint16)], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", 4, 3, 16, 2 if kind == "RGB" else 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    png = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    assert np.abs(pixels(b"\x89PNG\r\n\x1a\n" + png) - (COLOURS >> 8)).max() <= 1


def test_16_bit_colour_tiff_keeps_its_high_byte() -> None:
    data, at = COLOURS.astype("<u2").tobytes(), 8 + 2 + 12 * 9 + 4
    tags = [(256, 3, 1, 4), (257, 3, 1, 3), (258, 3, 3, at), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, at + 6)]
    tags += [(277, 3, 1, 3), (278, 3, 1, 3), (279, 4, 1, len(data))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    content = b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<HHH", 16, 16, 16) + data
    assert np.abs(pixels(content) - (COLOURS >> 8)).max() <= 1


@pytest.mark.parametrize("profile", [None, b"no profile at all"])
def test_cmyk_jpegs_are_inverted_as_adobe_writes_them(profile: bytes | None) -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 40))
    content = encoded(red.convert("CMYK"), "JPEG", quality=95, icc_profile=profile)
    assert b"Adobe" in content
    assert np.abs(pixels(content) - (200, 30, 40)).max() <= 6


def test_colour_profiles_change_nothing() -> None:
    assert (pixels(encoded(draw(1), "PNG", icc_profile=bytes(200))) == np.asarray(draw(1))).all()


@pytest.mark.parametrize(("magic", "channels"), [(b"P5", 1), (b"P6", 3)])
@pytest.mark.parametrize("most", [1, 7, 254, 256, 1000, 65534, 65535])
def test_netpbm_of_any_depth_as_pillow_reads_it(magic: bytes, channels: int, most: int) -> None:
    """Pillow's own decoder, in Python, takes seconds for a megapixel."""
    kind = ">u2" if most > 255 else np.uint8
    samples = np.random.default_rng(most).integers(0, min(most * 2, 65536 if most > 255 else 256), 12 * channels)
    content = magic + b" 4 3 %d\n" % most + samples.astype(kind).tobytes()
    expected = Image.open(io.BytesIO(content))
    np.testing.assert_array_equal(pixels(content), pixels(expected))
    assert refusal(content[:-1]).kind == "damaged"


def test_mpo_gives_its_first_photo(tmp_path: Path) -> None:
    (tmp_path / "stereo.mpo").write_bytes(encoded(draw(1), "MPO", save_all=True, append_images=[draw(2)], quality=95))
    assert np.abs(pixels(tmp_path / "stereo.mpo") - np.asarray(draw(1))).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "WEBP", "BMP", "JPEG"])
def test_content_tells_not_the_name(kind: str, tmp_path: Path) -> None:
    content = encoded(draw(1), kind)
    for name in ("photo.jpg", "photo.heic", "photo", "photo.txt"):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(pixels(tmp_path / name), pixels(content))


def test_avif(tmp_path: Path) -> None:
    if "AVIF" not in Image.SAVE or not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    content = encoded(draw(1), "AVIF", quality=95)
    assert file_format(content) == "AVIF"
    assert np.abs(pixels(content) - np.asarray(draw(1))).mean() < 3


HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(400)


def test_heic_without_the_extra_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(HEIC)
    error = refusal(path)
    assert (error.kind, error.remedy) == ("unsupported", 'pip install "edgeclf[heic]"')
    assert ".heic" in SUFFIXES


def test_heic_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra [heic]")
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    pillow_heif.from_pillow(draw(1)).save(buffer, quality=90, exif=exif.tobytes())
    content = buffer.getvalue()
    upright = upright_rgb(content)
    assert np.abs(np.asarray(upright).astype(int) - np.rot90(np.asarray(draw(1)), -1)).mean() < 4
    assert refusal(content[: len(content) // 2]).kind in ("damaged", "not-an-image")
    assert refusal(HEIC).kind in ("damaged", "not-an-image")
    monkeypatch.setattr(limits, "MAX_DECODED_PIXELS", 160 * 120 - 1)
    monkeypatch.setattr(pillow_heif.HeifImageFile, "load", lambda _: pytest.fail("decoding began"))
    assert refusal(content).kind == "too-large"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2", ""),
        (b"MM\0*", "TIFF"),
        (b"P", "Netpbm"),
        (b"", ""),
    ],
)
def test_first_bytes_tell(head: bytes, kind: str) -> None:
    assert file_format(head) == kind


def test_jpeg_header_sees_what_libjpeg_will_hold() -> None:
    plain, progressive = encoded(draw(1), "JPEG"), encoded(draw(1), "JPEG", progressive=True)
    restarts = encoded(draw(1), "JPEG", progressive=True, restart_marker_blocks=1)
    thumbnail = jpegs.SOI + jpegs.segment(0xE1, b"Exif\0\0" + progressive) + plain[2:]
    one_by_one = jpegs.one_colour_after_another()
    found = [jpeg_header(one, 100) for one in (plain, progressive, restarts, thumbnail, one_by_one)]
    assert [(one.multiple_scans, one.scans) for one in found] == [
        (False, 1),
        (True, 10),
        (True, 10),
        (False, 1),
        (True, 3),
    ]
    assert {(one.width, one.height, one.rare) for one in found[:4]} == {(160, 120, "")}


def test_one_colour_after_another_counts_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    content = jpegs.one_colour_after_another(800, 600)
    contract = ImageContract(32)
    assert upright_rgb(content, contract).size == (100, 75)
    assert (network_input(content, contract) == 128).all()
    monkeypatch.setattr(limits, "MAX_DECODED_PIXELS", 800 * 600 - 1)
    assert refusal(content, contract).kind == "too-large"


def test_a_png_ends_at_its_end() -> None:
    buffer = io.BytesIO()
    draw(1, 60, 40).save(buffer, "PNG")
    classifier = Classifier(OLD_MODELS / "schema2.onnx")
    padded = classifier.predict(buffer.getvalue() + bytes(200_000))
    assert padded == classifier.predict(buffer.getvalue())
