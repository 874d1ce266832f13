"""Photos that preprocessing refuses, the error messages, and decoding at reduced scale."""

import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.errors import PhotoError
from edgeclf.files.photo_names import FORMATS
from edgeclf.images import limits
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import fit, upright_rgb
from PIL import Image, PngImagePlugin

CONTRACT = ImageContract(32)
KINDS = {"empty", "not-an-image", "damaged", "too-large"}


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(width: int, height: int) -> Image.Image:
    coarse = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def refusal(photo: Any, contract: ImageContract | None = None) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        upright_rgb(photo, contract)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8500, 12000, 20000])  # below Pillow's warning, above it, above its error
def test_png_bomb_is_refused_before_memory_is_taken(
    side: int, png_of_zeros: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_zeros(side))
    assert path.stat().st_size < 100_000

    def decode(*_: object) -> None:
        raise AssertionError("decoding began")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", decode)
    before, started = Image.MAX_IMAGE_PIXELS, time.monotonic()
    error = refusal(path)
    assert time.monotonic() - started < 1
    assert (error.kind, error.path) == ("too-large", str(path))
    assert "50 megapixels" in error.message
    assert before == Image.MAX_IMAGE_PIXELS


def test_pillows_own_limit_does_not_decide_on_jpegs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert upright_rgb(encoded(smooth(800, 600), "JPEG"), CONTRACT).size == (100, 75)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_limit_is_on_what_is_really_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(smooth(800, 600), "JPEG")
    monkeypatch.setattr(limits, "MAX_DECODED_PIXELS", 100 * 75)
    assert upright_rgb(content, CONTRACT).size == (100, 75)
    assert refusal(content).kind == "too-large"  # no contract: every pixel
    assert refusal(encoded(smooth(800, 600), "PNG"), CONTRACT).kind == "too-large"
    monkeypatch.setattr(limits, "MAX_DECODED_PIXELS", 100 * 75 - 1)
    assert refusal(content, CONTRACT).kind == "too-large"


def test_progressive_jpeg_counts_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """libjpeg holds all its coefficients in memory, at any scale."""
    content = encoded(smooth(800, 600), "JPEG", progressive=True)
    assert upright_rgb(content, CONTRACT).size == (100, 75)
    monkeypatch.setattr(limits, "MAX_DECODED_PIXELS", 800 * 600 - 1)
    assert refusal(content, CONTRACT).kind == "too-large"


@pytest.mark.parametrize("kind", ["pil", "array"])
def test_limit_holds_for_images_in_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = smooth(20, 10)
    monkeypatch.setattr(limits, "MAX_DECODED_PIXELS", 199)
    assert refusal(photo if kind == "pil" else np.asarray(photo)).kind == "too-large"


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(smooth(20, 10), "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", len(content))
    assert upright_rgb(path).size == upright_rgb(content).size == upright_rgb(io.BytesIO(content)).size
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", len(content) - 1)
    assert {refusal(photo).kind for photo in (path, content, io.BytesIO(content))} == {"too-large"}


def test_reduced_scale_is_close_to_the_full_decode() -> None:
    content = encoded(smooth(4000, 3000), "JPEG", quality=92)
    contract = ImageContract(224)
    reduced, full = upright_rgb(content, contract), upright_rgb(content)
    assert (reduced.size, full.size) == ((1000, 750), (4000, 3000))  # 750 >= 2 x 224 > 375
    difference = np.abs(fit(reduced, contract).astype(float) - fit(full, contract))
    assert difference.mean() <= 1
    assert difference.max() <= 8


@pytest.mark.parametrize(
    ("margin", "expected"), [(1.0, (100, 75)), (2.0, (100, 75)), (2.5, (200, 150)), (20.0, (800, 600))]
)
def test_reduced_scale_keeps_the_margin(margin: float, expected: tuple[int, int]) -> None:
    content = encoded(smooth(800, 600), "JPEG")
    assert upright_rgb(content, ImageContract(32, draft_margin=margin)).size == expected


@pytest.mark.parametrize(("resize", "expected"), [("crop", (800, 60)), ("squash", (800, 60)), ("pad", (100, 8))])
def test_reduced_scale_of_a_panorama_heeds_the_short_side(resize: Any, expected: tuple[int, int]) -> None:
    assert upright_rgb(encoded(smooth(800, 60), "JPEG"), ImageContract(32, resize)).size == expected


def test_files_that_are_no_photos(tmp_path: Path) -> None:
    for name, content in {"empty.jpg": b"", "text.jpg": b"shopping list\n", "magic.jpg": b"\xff\xd8\xff\xe0"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    kinds = {
        "missing.jpg": "not-found",
        "folder.jpg": "not-a-file",
        "empty.jpg": "empty",
        "text.jpg": "not-an-image",
        "loop.jpg": "unreadable",
        "nul\0.jpg": "unreadable",
        "long" * 100: "unreadable",
    }
    found = {name: refusal(str(tmp_path / name)) for name in kinds}
    assert {name: error.kind for name, error in found.items()} == kinds
    for name, error in found.items():
        assert error.path == str(tmp_path / name)
        assert error.path in error.message
        assert error.remedy
    assert refusal(tmp_path / "magic.jpg").kind in ("damaged", "not-an-image")
    assert (refusal(b"").kind, refusal(io.BytesIO()).kind, refusal(b"").path) == ("empty", "empty", None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    found: list[PhotoError] = []
    worker = threading.Thread(target=lambda: found.append(refusal(path)), daemon=True)
    worker.start()
    worker.join(5)
    assert [error.kind for error in found] == ["not-a-file"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_files_are_damaged(kind: str) -> None:
    content = encoded(smooth(120, 90), kind)
    assert refusal(content[: len(content) // 2], CONTRACT).kind == "damaged"


@pytest.mark.parametrize("photo", [None, 7, 1.5, ["photo.jpg"], io.StringIO("photo.jpg")])
def test_what_can_be_no_photo_is_a_type_error(photo: Any) -> None:
    with pytest.raises(TypeError, match="a photo"):
        upright_rgb(photo)


def test_text_file_is_never_taken_for_a_path(photo: Path) -> None:
    with pytest.raises(TypeError, match="binary"):
        upright_rgb(io.StringIO(str(photo)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.zeros((4, 4, 3), np.float32), "not-an-image"),
        (np.zeros((4, 4, 2), np.uint8), "not-an-image"),
        (np.zeros((1, 4, 4, 3), np.uint8), "not-an-image"),
        (np.zeros(4, np.uint8), "not-an-image"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
    ],
)
def test_arrays_of_wrong_type_or_shape(array: Any, kind: str) -> None:
    assert refusal(array).kind == kind


@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that it finds in such files
def test_mutated_files_raise_photo_errors_only() -> None:
    """A few hundred seeded mutations of every format; a longer run of this found RuntimeErrors in AVIF."""
    Image.init()
    rng, small = np.random.default_rng(11), smooth(40, 30)
    kinds = [kind for kind in ("JPEG", *FORMATS) if kind in Image.SAVE and kind not in ("TIFF", "JPEG2000")]
    originals = [encoded(small, kind) for kind in kinds] + [encoded(small, "JPEG", progressive=True)]
    assert len(originals) >= 8
    kinds_seen: set[str] = set()
    for round_ in range(150 * len(originals)):
        content = bytearray(originals[round_ % len(originals)])
        reach = len(content) if rng.random() < 0.4 else min(len(content), 120)
        for position in rng.integers(reach, size=rng.integers(1, 6)):
            content[position] = rng.integers(256)
        try:
            upright_rgb(bytes(content[: rng.integers(len(content))] if rng.random() < 0.2 else content), CONTRACT)
            kinds_seen.add("answered")
        except PhotoError as error:
            kinds_seen.add(error.kind)
    assert {"answered", "not-an-image", "damaged"} <= kinds_seen <= {*KINDS, "answered"}


@pytest.mark.filterwarnings("ignore")
def test_random_bytes_raise_photo_errors_only() -> None:
    rng = np.random.default_rng(12)
    for magic in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF\xff\0\0\0WEBPVP8 "):
        for _ in range(50):
            refusal(magic + rng.bytes(int(rng.integers(1, 400))))
