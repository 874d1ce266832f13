"""The network inside the package, on a drawn photo that every test environment has."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf import Classifier
from edgeclf.images.contract import PREPROCESSING_VERSION
from helpers import ROOT

PHOTO = ROOT / "tests" / "runtime" / "photos" / "king_penguin.jpg"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(device="cpu")


def test_it_calls_the_drawn_bird_a_penguin(classifier: Classifier) -> None:
    best = classifier.predict(PHOTO).best
    assert (best.label, best.index) == ("king penguin", 145)
    assert best.probability > 0.9
    assert len(classifier.labels) == len(set(classifier.labels)) == 1000


def test_the_heat_lies_on_the_bird_and_not_in_a_corner(classifier: Classifier) -> None:
    explanation = classifier.explain(PHOTO)
    assert explanation.cam.shape == (7, 7)
    rows, columns = explanation.photo_map.shape
    heat = explanation.photo_map
    middle = heat[rows // 6 : -rows // 6, columns // 6 : -columns // 6].sum()
    assert middle > 0.5 * heat.sum()


def test_the_same_file_makes_the_same_overlay_name_only_over_its_own(
    edgeclf: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    """`--cam` into a folder replaces earlier overlays, never a photo that happens to have such a name."""
    mine = tmp_path / "king_penguin-cam.jpg"
    mine.write_bytes(PHOTO.read_bytes())
    for _ in range(2):
        done = edgeclf("predict", PHOTO, "--cam", tmp_path)
        assert done.returncode == 0, done.stderr
    assert mine.read_bytes() == PHOTO.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["king_penguin-2-cam.jpg", "king_penguin-cam.jpg"]


@pytest.mark.shared
def test_it_calls_at_least_15_of_18_penguin_species_a_penguin(classifier: Classifier, shared: Path) -> None:
    photos = sorted((shared / "data" / "penguins18").glob("*.j*"))
    assert len(photos) == 18
    assert sum(classifier.predict(photo).best.label == "king penguin" for photo in photos) >= 15


def test_it_follows_the_newest_rules_for_photos(classifier: Classifier) -> None:
    assert classifier.manifest.contract.door == PREPROCESSING_VERSION
