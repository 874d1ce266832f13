"""Heat maps: of which class, where on the photo, and how much lies on padding."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf import Classifier
from edgeclf.errors import ExplainError, UsageError
from edgeclf.files.hanging_disk import read_regular
from edgeclf.images import jpeg_scale, photo_bytes, preprocess
from edgeclf.images.contract import ImageContract
from edgeclf.images.jpeg_complete import decode_complete
from edgeclf.images.resize import shrunk
from edgeclf.results import DISPLAY_SIDE, Explanation, Prediction, RankedLabel
from helpers import draw
from numpy.typing import NDArray
from PIL import Image


def of_size(width: int, height: int, seed: int = 1) -> Image.Image:
    return draw(seed, width, height)


@pytest.fixture(scope="module")
def classifiers(every_map: Callable[..., Path]) -> dict[str, Classifier]:
    return {resize: Classifier(every_map(resize=resize), threads=1) for resize in ("crop", "pad", "squash")}


@pytest.fixture(scope="module")
def classifier(classifiers: dict[str, Classifier]) -> Classifier:
    return classifiers["crop"]


def weights(cells: int, size: int) -> NDArray[np.float64]:
    """Bilinear enlargement as a matrix [size, cells]: pixel centres, edges held."""
    position = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells)))


def enlarged(cam: NDArray[np.float32], width: int, height: int) -> NDArray[np.float64]:
    scaled = cam.astype(float) / cam.max()
    return weights(cam.shape[0], height) @ scaled @ weights(cam.shape[1], width).T


def test_best_class_is_explained_by_default(classifier: Classifier) -> None:
    explanation = classifier.explain(of_size(160, 120), top_k=2)
    assert explanation.label == explanation.prediction.best
    assert explanation.prediction == classifier.predict(of_size(160, 120), top_k=2)
    assert explanation.cam.shape == (8, 8)
    assert explanation.cam.dtype == np.float32
    assert explanation.cam.min() >= 0


def test_every_class_has_a_map_of_its_own(classifier: Classifier) -> None:
    photo = of_size(160, 120)
    ranking = classifier.predict(photo, top_k=4).ranking
    maps = {}
    for label in classifier.labels:
        explanation = classifier.explain(photo, label, top_k=1)
        assert explanation.label == next(entry for entry in ranking if entry.label == label)
        maps[label] = explanation.cam
    alive = [cam for cam in maps.values() if cam.max() > cam.min()]
    assert len(alive) >= 2  # constant maps are all equal and would prove nothing
    assert len({cam.tobytes() for cam in alive}) == len(alive)


def test_every_route_gives_the_same_map(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    of_size(160, 120).save(path)
    expected = classifier.explain(of_size(160, 120))
    assert expected.cam.max() > 0
    for photo in (path, path.read_bytes(), io.BytesIO(path.read_bytes()), np.asarray(of_size(160, 120))):
        explanation = classifier.explain(photo)
        np.testing.assert_array_equal(explanation.cam, expected.cam)
        assert explanation.photo.tobytes() == expected.photo.tobytes()


def test_text_file_is_never_taken_for_a_path(classifier: Classifier, photo: Path) -> None:
    with pytest.raises(TypeError, match="binary"):
        classifier.explain(io.StringIO(str(photo)))  # type: ignore[arg-type]


def test_users_pil_image_is_left_unchanged(classifier: Classifier) -> None:
    photo = of_size(2000, 1000)
    before = photo.tobytes()
    assert classifier.explain(photo).photo.size == (1600, 800)
    assert (photo.size, photo.tobytes()) == ((2000, 1000), before)


def test_unknown_class_is_a_usage_error_with_a_suggestion(classifier: Classifier) -> None:
    with pytest.raises(UsageError, match="no class 'gento'") as caught:
        classifier.explain(of_size(9, 9), "gento")
    assert "gentoo" in caught.value.remedy
    with pytest.raises(UsageError) as caught:
        classifier.index("zzz")
    assert "adelie" in caught.value.remedy


def test_class_without_a_map_is_an_explain_error(model: Path) -> None:
    """So small a network computes the heat map of one class only."""
    classifier = Classifier(model)
    assert classifier.manifest.cam_classes == 1
    best, *others = classifier.predict(of_size(160, 120)).ranking
    assert classifier.explain(of_size(160, 120), best.label).label == best
    for other in others:
        with pytest.raises(ExplainError, match=f"no heat map for {other.label}"):
            classifier.explain(of_size(160, 120), other.label)


def test_photo_map_of_a_crop_is_zero_where_nothing_was_seen(classifier: Classifier) -> None:
    explanation = classifier.explain(of_size(160, 120))
    assert explanation.cam.max() > 0
    assert explanation.photo_map.shape == (120, 160)
    assert not explanation.photo_map[:, :20].any()
    assert not explanation.photo_map[:, 140:].any()
    np.testing.assert_allclose(explanation.photo_map[:, 20:140], enlarged(explanation.cam, 120, 120), atol=1e-5)
    assert explanation.padding_share == 0


def test_photo_map_of_a_squash_covers_everything(classifiers: dict[str, Classifier]) -> None:
    explanation = classifiers["squash"].explain(of_size(160, 60))
    np.testing.assert_allclose(explanation.photo_map, enlarged(explanation.cam, 160, 60), atol=1e-5)
    assert explanation.padding_share == 0


def test_photo_map_of_a_pad_leaves_the_padding_out(classifiers: dict[str, Classifier]) -> None:
    explanation = classifiers["pad"].explain(of_size(160, 80))
    whole = enlarged(explanation.cam, 160, 160)
    assert explanation.photo_map.shape == (80, 160)
    np.testing.assert_allclose(explanation.photo_map, whole[40:120], atol=1e-5)


def test_padding_share_by_hand(classifiers: dict[str, Classifier]) -> None:
    shares = []
    for seed in range(4):
        explanation = classifiers["pad"].explain(of_size(160, 80, seed))
        whole = enlarged(explanation.cam, 32, 32)
        np.testing.assert_allclose(explanation.input_map, whole, atol=1e-5)
        expected = (whole[:8].sum() + whole[24:].sum()) / whole.sum()
        assert explanation.padding_share == pytest.approx(expected, abs=1e-4)
        shares.append(explanation.padding_share)
    assert 0 < min(shares) < max(shares) < 1
    assert classifiers["pad"].explain(of_size(80, 80)).padding_share == 0


def made(cam: Any, photo: Image.Image, resize: str) -> Explanation:
    label = RankedLabel("king", 2, 0.5)
    contract = ImageContract(32, resize)  # type: ignore[arg-type]
    return Explanation(Prediction((label,)), label, np.asarray(cam, np.float32), photo, photo.size, contract)


def test_evidence_on_padding_alone() -> None:
    cam = np.zeros((4, 4))
    cam[0] = 1
    assert made(cam, of_size(160, 40), "pad").padding_share == pytest.approx(1)
    assert made(cam.T, of_size(40, 160), "pad").padding_share == pytest.approx(1)


def test_dead_map_is_zero_everywhere_and_still_drawn() -> None:
    dead = made(np.zeros((4, 4)), of_size(160, 40), "pad")
    assert not dead.input_map.any()
    assert not dead.photo_map.any()
    assert dead.padding_share == 0
    assert dead.overlay().mode == "RGB"


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        ("crop", (160, 120), (160, 120)),
        ("squash", (160, 120), (160, 120)),
        ("pad", (160, 120), (160, 160)),
        ("pad", (60, 120), (120, 120)),
        ("crop", (4000, 3000), (1600, 1200)),
        ("crop", (1, 1), (1, 1)),
        ("pad", (1, 1), (1, 1)),
        ("pad", (4000, 3), (1600, 32)),  # the network sees it one pixel high, of 32
        ("crop", (4000, 3), (1600, 1)),
        ("squash", (3, 4000), (1, 1600)),
    ],
)
def test_overlay_size(
    classifiers: dict[str, Classifier], resize: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    explanation = classifiers[resize].explain(of_size(*size))
    plain = explanation.overlay(caption=False)
    assert (plain.mode, plain.size) == ("RGB", expected)
    captioned = explanation.overlay()
    assert captioned.width == plain.width
    assert captioned.height > plain.height
    assert captioned.crop((0, 0, *plain.size)).tobytes() == plain.tobytes()


def test_overlay_dims_what_was_cropped_and_warms_where_the_evidence_is() -> None:
    grey = Image.new("RGB", (96, 32), (200, 200, 200))
    cam = np.zeros((4, 4))
    cam[1, 1] = 1
    pixels = np.asarray(made(cam, grey, "crop").overlay(caption=False)).astype(int)
    assert (pixels[16, 5] < 150).all()  # cropped away: dimmed
    assert (np.ptp(pixels[16, 5]), pixels[28, 60].tolist()) == (0, [200, 200, 200])  # seen, no evidence
    hottest = pixels[12, 44]
    assert hottest[0] > hottest[2] + 20  # evidence: warm
    weak = np.asarray(made(cam, grey, "crop").overlay(caption=False, strength=0.1)).astype(int)[12, 44]
    assert np.abs(weak - 200).sum() < np.abs(hottest - 200).sum()


def test_the_map_lies_on_the_photo_in_full_and_the_overlay_on_a_smaller_one(
    every_map: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "large.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side in the file: 2400 wide there, 1700 wide upright
    of_size(2400, 1700).save(path, exif=exif)
    explanation = Classifier(every_map(resize="pad")).explain(path)
    assert explanation.photo_size == (1700, 2400)
    assert explanation.photo_map.shape == (2400, 1700)
    assert max(explanation.photo.size) == DISPLAY_SIDE
    assert explanation.overlay(caption=False).height == DISPLAY_SIDE


@pytest.mark.parametrize(("size", "times"), [((160, 120), 1), ((4000, 3000), 2)])
def test_a_photo_is_read_once_and_decoded_once_where_the_scale_is_the_same(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], times: int
) -> None:
    path = tmp_path / "photo.jpg"
    of_size(*size).save(path)
    read, decoded = [], []

    def reading(name: str, limit: int) -> bytes:
        read.append(name)
        return read_regular(name, limit)

    def decoding(*arguments: Any) -> Any:
        decoded.append(arguments)
        return decode_complete(*arguments)

    monkeypatch.setattr(photo_bytes, "read_regular", reading)
    monkeypatch.setattr(jpeg_scale, "decode_complete", decoding)
    explanation = classifier.explain(path)
    assert (len(read), len(decoded)) == (1, times)
    shown, full = preprocess.upright_with_size(path, ImageContract(1600, "pad", draft_margin=1.0))
    assert explanation.photo_size == full == size
    assert explanation.photo.tobytes() == shrunk(shown, 1600).tobytes()
    assert explanation.prediction == classifier.predict(path)
