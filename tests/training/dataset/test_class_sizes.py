"""Classes with too few photos to learn from, or to measure accuracy with, are named before training."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf_training.dataset.check import check_data
from edgeclf_training.dataset.split import read_split
from helpers import draw, write_class_folders

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_class_nothing_validates_is_told(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "birds", 10)
    for path in sorted((root / "king").iterdir())[1:]:
        path.unlink()
    assert "king: no validation photos, its accuracy is unknown" in read_split([root]).notes


def few_of(root: Path, **kept: int) -> Path:
    """Class folders of 25 photos, but for those named."""
    write_class_folders(root, 25)
    for label, count in kept.items():
        for path in sorted((root / label).iterdir())[count:]:
            path.unlink()
    return root


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ({"king": 5}, {"note few-photos": ["king: 5 photos"], "note imbalance": ["king: 5 photos, gentoo: 25"]}),
        ({"king": 6}, {"note few-photos": ["king: 6 photos"]}),
        ({"king": 4}, {"problem tiny-classes": ["king: 4 photos"], "note imbalance": ["king: 4 photos, gentoo: 25"]}),
        (
            {"king": 1, "gentoo": 2},
            {
                "problem tiny-classes": ["king: 1 photo", "gentoo: 2 photos"],
                "problem imbalance": ["king: 1 photo, adelie: 25", "gentoo: 2 photos, adelie: 25"],
                "problem no-validation": ["king"],
            },
        ),
    ],
)
def test_small_and_uneven_classes_are_named(tmp_path: Path, kept: dict[str, int], says: dict[str, list[str]]) -> None:
    report = check_data([few_of(tmp_path / "photos", **kept)])
    assert {f"{f.severity} {f.kind}": [item.detail for item in f.items] for f in report.findings} == says


def test_classes_that_no_figure_will_be_about_are_named_as_training_will_split(tmp_path: Path, edgeclf: Cli) -> None:
    root = few_of(tmp_path / "photos", king=2)
    shutil.copy(root / "king" / "king_000.jpg", root / "king" / "king_001.jpg")  # 2 photos, but of one content
    report = check_data([root])
    assert [i.detail for f in report.problems if f.kind == "no-validation" for i in f.items] == ["king"]
    assert "king: no validation photos, its accuracy is unknown" in read_split([root]).notes
    for part, label, photos in (("val", "adelie", 5), ("val", "gentoo", 1), ("test", "gentoo", 5)):
        shutil.copytree(
            write_class_folders(tmp_path / f"{part}-{label}", photos, seed=900) / label, root / part / label
        )
    for label in ("adelie", "gentoo", "king"):
        shutil.move(root / label, root / "train" / label)
    done = edgeclf("data", "check", root, "--json", "--quarantine", tmp_path / "q.txt")
    found = {f["kind"]: [item["detail"] for item in f["items"]] for f in json.loads(done.stdout)["findings"]}
    assert found["no-validation"] == ["king"]
    assert found["few-validation"] == ["gentoo: 1 photo"]
    assert found["no-test"] == ["adelie", "king"]
    assert done.returncode == 1


def test_what_training_would_refuse_is_a_problem(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        draw(len(label), 64, 48).save(tmp_path / label / "x.jpg")
    draw(2, 64, 48).save(tmp_path / "b" / "x.jpg")
    (refusal,) = (f for f in check_data([tmp_path]).problems if f.kind == "no-split")
    assert "too few photos to set any aside for validation" in refusal.items[0].detail
