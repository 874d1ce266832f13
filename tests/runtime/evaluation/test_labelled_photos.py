"""Which photos of a data folder are evaluated, and with which class."""

import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf import Classifier, UsageError
from edgeclf.evaluation.evaluate import evaluate
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from helpers import CLASSES, put

Run = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    for name in ("test", "other"):
        put(tmp_path / name / "x.png")
    found = find_labelled_photos(tmp_path, ("other", "test"))
    assert (found.split, [index for _, index in found.photos]) == ("all", [0, 1])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda data: None, "no such folder"),
        (lambda data: data.write_text("x"), "is not a folder"),
        (lambda data: data.mkdir(), "no folder of a class"),
        (lambda data: (data / "king").mkdir(parents=True), "no images in the class folders"),
        (lambda data: put(data / "x.png"), "no folder of a class"),
        (lambda data: (data / "test").mkdir(parents=True), "no folder of a class"),
    ],
    ids=["missing", "file", "empty", "no images", "photos alone", "empty test"],
)
def test_data_that_is_none_is_refused(make: Callable[[Path], object], says: str, model: Path, tmp_path: Path) -> None:
    make(tmp_path / "data")
    with pytest.raises(UsageError, match=says):
        find_labelled_photos(tmp_path / "data", CLASSES)


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "king" / "x.png")
    put(tmp_path / "king" / "closed" / "y.png")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UsageError, match=r"closed: the folder cannot be read \(Permission denied\)"):
        find_labelled_photos(tmp_path, CLASSES)


def test_names_taken_apart_by_macos_are_the_same_names(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "königspinguin") for form in ("NFC", "NFD"))
    assert composed != apart
    put(tmp_path / apart / "x.png")
    for name in (composed, apart):
        assert [index for _, index in find_labelled_photos(tmp_path, ("adelie", name)).photos] == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_only_what_is_a_photo_of_a_class_counts(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    wanted = [put(tmp_path / "king" / "a.png"), put(tmp_path / "king" / "deep" / "b.png"), put(tmp_path / "else.png")]
    (tmp_path / "adelie").symlink_to(tmp_path)  # leads back: its photos are not adelies
    for name in ("king/.hidden.png", ".king/x.png"):
        put(tmp_path / name)
    (tmp_path / "king" / "notes.txt").write_text("no photo")
    assert edgeclf("predict", wanted[0], "-m", model, "--cam", tmp_path / "king").returncode == 0
    assert (tmp_path / "king" / "a-cam.jpg").exists()
    put(tmp_path / "_unsorted" / "king" / "guess.png")
    with pytest.raises(UsageError, match="not sorted"):
        find_labelled_photos(tmp_path / "_unsorted", CLASSES)
    found = find_labelled_photos(tmp_path, CLASSES)
    assert [path for path, _ in found.photos if "-cam" not in path] == [str(path) for path in wanted[:2]]
    assert (found.loose, found.ignored) == (1, ())
    counted = evaluate(Classifier(model), found)
    assert (counted.metrics.photos, counted.unreadable, counted.heat_maps) == (2, (), 1)
    told = edgeclf("evaluate", model, tmp_path, "--json").stderr
    assert f"in no class folder: 1 photo in {tmp_path}" in told
    assert "left out: 1 heat map made by edgeclf" in told
