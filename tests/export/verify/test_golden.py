"""Golden photos: which are chosen, what they must not tell, and that the file stays the same network."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import onnx
import pytest
from edgeclf.classifier import Classifier
from edgeclf.errors import ExportError
from edgeclf.images.preprocess import Photo
from edgeclf.model.file import SEAL_LENGTH, read_model_file
from edgeclf.model.manifest import GoldenPhoto
from edgeclf.model.selftest import PhotoTest, SelfTest, enlarge_pixels
from edgeclf_export.api.export_run import export_run
from edgeclf_export.pack.build import BuiltModel, seal_model, unseal_model
from edgeclf_export.verify import golden
from edgeclf_export.verify.golden import RAW_SIDE, choose, golden_photos
from edgeclf_training.run.kept_photos import small_jpeg
from edgeclf_training.run.run_folder import Run
from helpers import CLASSES, draw, manifest_for
from PIL import Image, PngImagePlugin

Make = Callable[..., Path]
SECRET = "Secret Penguin Bay"


@pytest.fixture
def run(trained: Callable[..., Run]) -> Run:
    return trained()


def embedded(data: bytes, folder: Path) -> tuple[GoldenPhoto, ...]:
    path = folder / "embedded.onnx"
    path.write_bytes(data)
    found = read_model_file(path).manifest.golden
    assert found is not None
    return found.photos


def golden_file(data: bytes, photos: list[tuple[Photo, str]]) -> bytes:
    """The same model file with golden photos."""
    model = unseal_model(data)
    return seal_model(model.with_manifest(golden=golden_photos(model, photos)))


def photo_with_secrets(path: Path) -> Path:
    """A JPEG that says in every way it can where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side
    exif[0x010E] = SECRET
    exif.get_ifd(0x8825).update({1: "S", 2: (54.0, 48.0, 0.0), 29: SECRET})
    xmp = f"<x:xmpmeta>{SECRET}</x:xmpmeta>".encode()
    draw(1, 300, 200).save(path, exif=exif, comment=SECRET, xmp=xmp, icc_profile=SECRET.encode())
    return path


def test_nothing_but_pixels_is_left_of_a_photo(model: Path, tmp_path: Path) -> None:
    source = photo_with_secrets(tmp_path / "secret.jpg")
    assert source.read_bytes().count(SECRET.encode()) == 5, "else the test could not fail"
    with Image.open(source) as image:
        assert image.getexif().get_ifd(0x8825)
    (photo,) = embedded(golden_file(model.read_bytes(), [(source, "king")]), tmp_path)
    assert SECRET.encode() not in photo.jpeg
    assert b"Exif" not in photo.jpeg
    image = Image.open(io.BytesIO(photo.jpeg))
    assert not image.getexif()
    assert image.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert image.size == (64, 96), "upright"


def test_text_in_other_formats_is_not_carried_along_either(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", SECRET)
    text.add_itxt("XML:com.adobe.xmp", SECRET)
    draw(2).save(tmp_path / "secret.png", pnginfo=text)
    with Image.open(tmp_path / "secret.png") as image:
        assert {"comment", "xmp"} <= image.info.keys()
    assert SECRET.encode() not in small_jpeg(tmp_path / "secret.png", 64, 80)


@pytest.mark.parametrize(
    ("size", "stored"), [((60, 50), (60, 50)), ((2000, 100), (128, 64)), ((400, 1200), (64, 128)), ((1, 1), (1, 1))]
)
def test_stored_photos_are_small_and_never_enlarged(size: tuple[int, int], stored: tuple[int, int]) -> None:
    assert Image.open(io.BytesIO(small_jpeg(draw(3, 200, 200).resize(size), 64, 80))).size == stored


def test_the_photos_between_two_classes_are_chosen(make_model: Make, tmp_path: Path) -> None:
    photos = [(draw(i), CLASSES[i % 3]) for i in range(40)]
    found = embedded(golden_file(make_model(int8=True).read_bytes(), photos), tmp_path)
    assert len(found) == 8
    session = Classifier(tmp_path / "embedded.onnx", device="cpu")._session
    margins = {}
    for candidate in photos:  # each in a file of its own, where none can be passed over
        (photo,) = embedded(golden_file(make_model(int8=True).read_bytes(), [candidate]), tmp_path)
        pixels = np.frombuffer(photo.pixels, np.uint8).reshape(RAW_SIDE, RAW_SIDE, 3)
        (logits,) = session.run(["logits"], {"image": enlarge_pixels(pixels, 32)[None]})
        assert logits[0].astype("<f4").tobytes() == photo.logits
        ranked = sorted(logits[0], reverse=True)
        margins[photo.jpeg] = ranked[0] - ranked[1]
    closest = sorted(margins, key=lambda jpeg: margins[jpeg])[:2]
    assert set(closest) <= {photo.jpeg for photo in found}
    assert {photo.label for photo in found} == set(CLASSES)


def stand_in(label: str, margin: float, size: int = 100) -> GoldenPhoto:
    return GoldenPhoto(label, bytes(size), b"", np.array([0, margin], "<f4").tobytes())


def test_classes_are_covered_evenly_and_near_ties_come_first() -> None:
    photos = [stand_in("abc"[min(i // 10, 2)], 5 + i) for i in range(40)]
    photos[33], photos[38] = stand_in("c", 0.5), stand_in("c", 0.25)
    chosen = choose(photos, 10**6)
    assert [p.label for p in chosen].count("a") == [p.label for p in chosen].count("b") == 3
    assert [p.label for p in chosen].count("c") == 2
    assert photos[33] in chosen
    assert photos[38] in chosen
    assert list(chosen) == [p for p in photos if p in chosen], "in their own order"


def test_eight_to_sixteen_photos_are_chosen_more_than_eight_only_if_small() -> None:
    many = [stand_in(f"class{i % 30}", i, 3000) for i in range(120)]
    assert len(choose(many, 10**6)) == 16
    assert len({p.label for p in choose(many, 10**6)}) == 16
    assert len(choose(many, 0)) == 8
    assert len(choose(many, 41_000)) == 10
    assert choose(many[:5], 0) == tuple(many[:5])
    assert choose([], 0) == ()


@pytest.mark.parametrize("int8", [False, True])
def test_only_the_manifest_changes(make_model: Make, tmp_path: Path, int8: bool) -> None:
    path = make_model(int8=int8)
    photos = [(draw(i), CLASSES[i % 3]) for i in range(9)]
    data = golden_file(path.read_bytes(), photos)
    assert data == golden_file(path.read_bytes(), photos), "the same bytes again"
    before, after = (onnx.load_from_string(d[:-SEAL_LENGTH]) for d in (path.read_bytes(), data))
    del before.metadata_props[:], after.metadata_props[:]
    assert before == after
    (tmp_path / "g.onnx").write_bytes(data)
    found, earlier = read_model_file(tmp_path / "g.onnx").manifest, read_model_file(path).manifest
    assert earlier.golden is None
    assert seal_model(replace(unseal_model(data), manifest=earlier)) == path.read_bytes()
    assert found.golden is not None
    assert found.golden.tolerance == (0 if int8 else 1e-4)


@pytest.mark.parametrize(
    ("precision", "operator", "tolerance"),
    [
        ("int8", "HardSwish", 1e-3),
        ("int8", "Relu", 0.0),
        ("fp32", "HardSwish", 1e-4),
        ("fp16", "Relu", 1e-2),
        ("mixed", "Relu", 1e-3),
    ],
)
def test_int8_with_float_operators_may_differ_a_little(precision: str, operator: str, tolerance: float) -> None:
    manifest = replace(manifest_for(64, CLASSES), precision=precision)
    assert golden._tolerance(BuiltModel(b"", frozenset({"Conv", operator}), manifest)) == tolerance


def test_a_file_that_fails_its_own_test_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SelfTest(0.0, 1.0, (PhotoTest("king", 0.0, 0.5, False, True, False),))
    monkeypatch.setattr(golden, "run_selftest", lambda *_: failed)
    with pytest.raises(ExportError, match=r"photo 1 \(king\): network: logits differ"):
        export_run(run, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    export_run(run, tmp_path / "model.onnx", golden=False)


def test_export_embeds_held_out_photos_or_leaves_them_out(run: Run, tmp_path: Path) -> None:
    first, again, without = (tmp_path / f"{name}.onnx" for name in ("first", "again", "without"))
    exported = export_run(run, first, int8=True)
    export_run(run, again, int8=True)
    assert first.read_bytes() == again.read_bytes()
    assert exported.rows[-1].size == first.stat().st_size
    export_run(run, without, int8=True, golden=False)
    assert read_model_file(without).manifest.golden is None
    found = read_model_file(first).manifest.golden
    assert found is not None
    held_out = {small_jpeg(sample.path, 64, 80): sample.label for sample in run.split.val}
    assert {photo.jpeg: photo.label for photo in found.photos} == held_out, "six photos are fewer than eight"


def test_command_line_says_what_it_embeds(
    run: Run, tmp_path: Path, edgeclf: Callable[..., CompletedProcess[str]]
) -> None:
    out = tmp_path / "model.onnx"
    done = edgeclf("export", run.folder, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "embeds 6 held-out photos, small and without EXIF; --no-golden leaves them out" in done.stderr
    assert "6 photos inside" in edgeclf("info", out).stdout
    done = edgeclf("export", run.folder, "-o", out, "--no-golden")
    assert (done.returncode, "embeds" in done.stderr) == (0, False)
    assert "photos inside" not in edgeclf("info", out).stdout
