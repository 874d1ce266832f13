"""The golden self-test: it passes if nothing differs, else it names the photo and the stage that differ."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgeclf import ModelError
from edgeclf.model.file import SEAL_LENGTH, read_model_file, seal
from edgeclf.model.manifest import GoldenPhoto, Manifest
from edgeclf.model.selftest import SelfTest, enlarge_pixels, reduce_pixels, run_selftest
from edgeclf.model.session import open_session
from onnx import numpy_helper
from PIL import Image

Make = Callable[..., Path]


def run(path: Path, change: Callable[[Manifest], Manifest] = lambda m: m, threads: int = 1) -> SelfTest:
    file = read_model_file(path)
    session, _ = open_session(file, "cpu", threads)
    return run_selftest(session, change(file.manifest))


def change_photo(number: int, **values: Callable[[bytes], bytes]) -> Callable[[Manifest], Manifest]:
    """Changes a field of photo ``number``, counted from 1."""

    def change(manifest: Manifest) -> Manifest:
        assert manifest.golden is not None
        photos = list(manifest.golden.photos)
        photo: GoldenPhoto = photos[number - 1]
        photos[number - 1] = replace(photo, **{key: value(getattr(photo, key)) for key, value in values.items()})
        return replace(manifest, golden=replace(manifest.golden, photos=tuple(photos)))

    return change


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_a_fresh_file_passes_with_any_number_of_threads(make_model: Make, resize: str, int8: bool) -> None:
    path = make_model(resize=resize, int8=int8, golden=True)
    for threads in (1, 2):
        result = run(path, threads=threads)
        assert result.passed
        assert result.failures() == ()
        assert len(result.photos) == 8
        assert {photo.label for photo in result.photos} == {"adelie", "gentoo", "king"}
        assert result.tolerance == (0 if int8 else 1e-4)
        assert all(photo.pixels == 0 for photo in result.photos)
        assert all(photo.same_bits for photo in result.photos) or not int8


def test_photos_differ_enough_for_the_test_to_mean_something(make_model: Make) -> None:
    golden = read_model_file(make_model(int8=True, golden=True)).manifest.golden
    assert golden is not None
    assert len({photo.logits for photo in golden.photos}) == len({photo.pixels for photo in golden.photos}) == 8


@pytest.mark.parametrize("int8", [False, True])
def test_one_changed_weight_is_found_and_put_down_to_the_network(make_model: Make, int8: bool, tmp_path: Path) -> None:
    model = onnx.load_from_string(make_model(int8=int8, golden=True).read_bytes()[:-SEAL_LENGTH])
    kind = onnx.TensorProto.INT8 if int8 else onnx.TensorProto.FLOAT
    tensor = next(t for t in model.graph.initializer if t.data_type == kind and list(t.dims) == [16, 8, 3, 3])
    weights = numpy_helper.to_array(tensor).copy()
    row = np.unravel_index(np.abs(weights.astype(np.float32)).argmax(), weights.shape)
    weights[row] //= 2
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    path = tmp_path / "changed.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    result = run(path)
    assert not result.passed
    assert result.failures("pixels") == ()
    failures = result.failures()
    assert failures
    assert all(line.startswith("photo ") and "network: logits differ by " in line for line in failures)
    allowed = "the same bits are expected" if int8 else "1e-04 is allowed"
    assert all(line.endswith(allowed) for line in failures)


def add_to_first_logit(amount: float) -> Callable[[bytes], bytes]:
    def change(logits: bytes) -> bytes:
        values = np.frombuffer(logits, "<f4").copy()
        values[0] = np.nextafter(values[0], np.float32(9)) if amount == 0 else values[0] + amount * np.abs(values).max()
        return values.tobytes()

    return change


@pytest.mark.parametrize(
    ("int8", "amount", "passes"), [(True, 0.0, False), (False, 0.0, True), (False, 5e-5, True), (False, 2e-4, False)]
)
def test_one_bit_is_too_much_for_int8_and_rounding_is_not_for_floats(
    make_model: Make, int8: bool, amount: float, passes: bool
) -> None:
    result = run(make_model(int8=int8, golden=True), change_photo(2, logits=add_to_first_logit(amount)))
    assert result.passed is passes
    assert [photo.network_passed for photo in result.photos] == [i != 1 or passes for i in range(8)]
    assert not result.photos[1].same_bits
    assert [line.split(":")[:2] for line in result.failures()] == (
        [] if passes else [[f"photo 2 ({result.photos[1].label})", " network"]]
    )


def test_a_photo_decoded_otherwise_is_put_down_to_the_pixels(make_model: Make) -> None:
    path = make_model(int8=True, golden=True)
    golden = read_model_file(path).manifest.golden
    assert golden is not None
    other = golden.photos[0].jpeg
    result = run(path, change_photo(3, jpeg=lambda _: other))
    assert [photo.pixels_passed for photo in result.photos] == [i != 2 for i in range(8)]
    assert all(photo.network_passed for photo in result.photos)
    (line,) = result.failures()
    assert line.startswith(f"photo 3 ({result.photos[2].label}): pixels: ")
    assert line.endswith(" of 255, 1 is allowed")


@pytest.mark.parametrize(("off", "passes"), [(1, True), (2, False)])
def test_pixels_may_be_one_level_off_and_no_more(make_model: Make, off: int, passes: bool) -> None:
    def shift(pixels: bytes) -> bytes:
        values = np.frombuffer(pixels, np.uint8)
        return np.where(values < 128, values + off, values - off).astype(np.uint8).tobytes()

    tested = run(make_model(int8=True, golden=True), change_photo(1, pixels=shift)).photos[0]
    assert tested.pixels == off
    assert tested.pixels_passed is passes
    assert not tested.network_passed, "its logits belong to the pixels as they were"


def test_a_photo_that_cannot_be_read_is_a_result(make_model: Make) -> None:
    result = run(make_model(int8=True, golden=True), change_photo(1, jpeg=lambda jpeg: jpeg[:200]))
    (line,) = result.failures()
    assert line.startswith(f"photo 1 ({result.photos[0].label}): pixels: the photo: ")
    assert result.photos[0].pixels is None
    assert result.photos[0].network_passed


def test_logits_that_are_not_numbers_never_pass(make_model: Make) -> None:
    manifest = read_model_file(make_model(golden=True)).manifest

    class Broken:
        def run(self, *_: Any) -> list[Any]:
            return [np.full((1, 3), np.nan, np.float32)]

    nan = struct.pack("<3f", *[float("nan")] * 3)
    for change in (lambda m: m, change_photo(1, logits=lambda _: nan)):
        result = run_selftest(Broken(), change(manifest))
        assert not any(photo.network_passed for photo in result.photos)
        assert "network: logits are not finite" in result.failures("network")[0]


def test_a_file_without_photos_has_nothing_to_fail(model: Path) -> None:
    result = run(model)
    assert result.passed
    assert result.photos == ()


def test_a_golden_photo_of_no_class_is_refused(make_model: Make) -> None:
    file = read_model_file(make_model(golden=True))
    text = file.manifest.to_json().replace('"label":"king"', '"label":"skua"')
    with pytest.raises(ModelError, match="a golden photo has an unknown class"):
        Manifest.from_json(text, "x.onnx")


def test_reducing_averages_blocks() -> None:
    image = np.random.default_rng(3).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    for side in (1, 7, 24, 50):
        found = reduce_pixels(image, side)
        assert found.dtype == np.uint8
        cuts = [i * 50 // side for i in range(side + 1)]
        for i in range(side):
            for j in range(side):
                block = image[cuts[i] : cuts[i + 1], cuts[j] : cuts[j + 1]].reshape(-1, 3)
                np.testing.assert_array_equal(found[i, j], np.floor(block.mean(0) + 0.5))


def test_enlarging_is_bilinear_within_rounding() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    for size in (24, 32, 224, 301):
        found = enlarge_pixels(pixels, size)
        assert found.shape == (size, size, 3)
        pillow = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))
        assert np.abs(found.astype(int) - pillow).max() <= 1
    np.testing.assert_array_equal(enlarge_pixels(pixels, 24), pixels)
    largest = enlarge_pixels(np.full((2, 2, 3), 255, np.uint8), 4096)
    assert largest.min() == 255, "no overflow"


def test_enlarging_gives_these_very_bytes_on_every_machine() -> None:
    """Every exported file relies on these bytes: a change would break the self-tests."""
    pixels = (np.arange(24 * 24 * 3, dtype=np.int64) * 7919 % 256).astype(np.uint8).reshape(24, 24, 3)
    digests = [hashlib.sha256(enlarge_pixels(pixels, size).tobytes()).hexdigest()[:16] for size in (32, 224)]
    assert digests == ["5431710c884dfdcf", "bdf01e2f34bf8fec"]
