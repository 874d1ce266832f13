"""Checking data folders: every kind of trouble is found and named, and no file is changed."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeclf.errors import DataError
from edgeclf.images.heatmap_mark import save_marked
from edgeclf_training.dataset.check import check_data
from edgeclf_training.dataset.findings import Report
from edgeclf_training.dataset.scan import scan_one
from edgeclf_training.dataset.split import read_split
from helpers import draw, write_class_folders
from PIL import Image

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def cases(report: Report) -> dict[str, set[str]]:
    return {f.kind: {p.name for item in f.items for p in item.paths} for f in report.findings}


def test_empty_class_folders_and_loose_photos_are_told_and_the_rest_is_checked(tmp_path: Path, edgeclf: Cli) -> None:
    root = write_class_folders(tmp_path / "birds", 6)
    (root / "skua").mkdir()
    shutil.copy(root / "king" / "king_000.jpg", root / "loose.jpg")
    (root / "gentoo" / "cut.jpg").write_bytes((root / "king" / "king_000.jpg").read_bytes()[:200])
    report = check_data([root])
    problems = {f.kind: [item.detail or item.paths[0].name for item in f.items] for f in report.problems}
    assert problems["empty-classes"] == ["skua"]
    assert problems["loose"] == ["loose.jpg"]
    assert "unreadable" in problems
    assert report.classes["skua"]["train"] == 0
    assert edgeclf("data", "check", root, "--quarantine", tmp_path / "q.txt").returncode == 1
    for part in ("train", "val"):
        shutil.copytree(root, tmp_path / "split" / part, ignore=shutil.ignore_patterns("*.jpg"))
    shutil.copytree(root / "king", tmp_path / "split" / "train" / "king", dirs_exist_ok=True)
    shutil.copytree(root / "king", tmp_path / "split" / "val" / "skua", dirs_exist_ok=True)
    assert check_data([tmp_path / "split"]).photos == 12, "those of the class that has none to train with are counted"
    (tmp_path / "none" / "a").mkdir(parents=True)
    (tmp_path / "none" / "b").mkdir()
    with pytest.raises(DataError, match="no images in class folder a, b"):
        check_data([tmp_path / "none"])
    shutil.rmtree(root / "skua")
    (note,) = [note for note in read_split([root]).notes if "class folder" in note]
    assert note == f"left out, in no class folder: 1 photo, first: {root / 'loose.jpg'}"


def test_what_nobody_has_sorted_is_named_and_left_out(class_folders: Path, tmp_path: Path) -> None:
    shutil.copytree(class_folders, tmp_path / "photos")
    shutil.copytree(class_folders, tmp_path / "photos" / "_unsorted")
    report = check_data([tmp_path / "photos"])
    assert report.photos == 30
    assert cases(report).pop("unsorted") == {"_unsorted"}
    assert not report.problems


def test_everything_is_found_and_nothing_is_touched(troubled: Path) -> None:
    def state() -> dict[Path, str]:
        return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in troubled.rglob("*") if p.is_file()}

    before = state()
    found = cases(check_data([troubled]))
    assert state() == before
    assert found["unreadable"] == {"cut.jpg", "phone.jpg"}
    assert found["not-an-image"] == {"page.jpg"}
    assert found["other-files"] == {"notes.txt"}
    assert found["placeholder"] == {"noImage.gif"}
    assert found["label-conflicts"] == {"king_001.jpg", "conflict.jpg"}
    assert found["exact-duplicates"] == {"king_000.jpg", "copy.jpg", "leak.jpg"}
    assert found["split-leaks"] == {"king_000.jpg", "leak.jpg"}
    assert found["near-label-conflicts"] == {"king_002.jpg", "near.jpg", "near_conflict.jpg"}
    assert found["near-duplicates"] == {"king_002.jpg", "near.jpg", "near_conflict.jpg"}
    assert found["wrong-suffix"] == {"really.jpg"}
    assert found["animated"] == {"moving.gif"}
    assert found["colour-modes"] == {"noImage.gif", "moving.gif"}
    assert found["orientation"] == {"turned.jpg"}
    assert found["very-large"] == {"large.jpg"}
    assert found["very-small"] == {"strip.jpg"}
    assert found["odd-shape"] == {"strip.jpg"}
    assert "few-photos" in found


def test_the_quarantine_list_names_what_is_better_left_out(troubled: Path) -> None:
    report = check_data([troubled])
    assert {p.relative_to(troubled).as_posix() for p in report.quarantine} == {
        *(f"train/king/{name}.jpg" for name in ("cut", "page", "phone", "king_000", "king_001", "leak")),
        "train/gentoo/conflict.jpg",
        "train/gentoo/noImage.gif",
    }
    assert "HEIC" in report.quarantine[troubled / "train" / "king" / "phone.jpg"]
    assert "placeholder" in report.quarantine[troubled / "train" / "gentoo" / "noImage.gif"]
    split = read_split([troubled], quarantine=report.quarantine)
    assert not {s.path for part in ("train", "val", "test") for s in split.part(part)} & set(report.quarantine)
    assert split.notes[0] == "8 photos on the quarantine list left out"
    assert sum("quarantined, " in s.reason for s in split.skipped) == 8


@pytest.mark.campaign
@pytest.mark.shared
def test_every_known_quirk_of_the_shared_photos_is_found(shared: Path) -> None:
    insects = cases(check_data([shared / "data" / "hymenoptera"]))
    assert insects["placeholder"] == {"imageNotFound.gif"}
    assert {"Nepenthes_rafflesiana_ant.jpg"} < insects["very-large"]
    assert {"662541407_ff8db781e7.jpg", "36900412_92b81831ad.jpg"} <= insects["odd-shape"]
    flowers = check_data([shared / "data" / "flowers"])
    torn = next(f for f in flowers.findings if f.kind == "label-conflicts")
    assert len(torn.items) == 4
    assert all({p.parent.name for p in item.paths} == {"rose", "tulip"} for item in torn.items)
    assert len(next(f for f in flowers.findings if f.kind == "exact-duplicates").items) == 2
    dishes = cases(check_data([shared / "data" / "food5"]))
    assert dishes["exact-duplicates"] == {"1469191.jpg", "1461580.jpg"}
    assert dishes["split-leaks"] == {"1335350.jpg", "3497633.jpg"}


def test_thermal_photos_are_no_placeholders_and_told(tmp_path: Path) -> None:
    """16 bits of which the camera uses a few: by their high bytes they would be of one colour."""
    rng = np.random.default_rng(0)
    for name, low, high in (("a/thermal", 29_315, 30_815), ("b/twelve", 0, 4095), ("b/full", 0, 65_535)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        grey = np.asarray(draw(int(rng.integers(99)), 64, 48).convert("L"), np.float64)
        grey = (grey - grey.min()) / np.ptp(grey)
        Image.fromarray((low + grey * (high - low)).astype(np.uint16)).save(path)
    report = check_data([tmp_path])
    assert "placeholder" not in cases(report)
    (found,) = (finding for finding in report.findings if finding.kind == "deep-grey")
    details = {item.paths[0].stem: item.detail for item in found.items}
    assert details.keys() == {"thermal", "twelve"}
    assert "values 29315..30815, stretched" in details["thermal"]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_heat_maps_are_noted_and_are_not_quarantined(suffix: str, tmp_path: Path) -> None:
    for seed, label in enumerate(("cat", "dog")):
        (tmp_path / label).mkdir()
        draw(seed, 64, 48).save(tmp_path / label / "a.png")
        heat_map = tmp_path / label / f"b{suffix}"
        with heat_map.open("wb") as file:
            save_marked(draw(seed), file, suffix)
    assert scan_one(heat_map).kind == "heat-map", "training leaves it out"
    report = check_data([tmp_path])
    notes = {finding.kind: finding for finding in report.findings}
    assert (len(notes["heat-map"].items), notes["heat-map"].severity, report.readable) == (2, "note", 2)
    assert "unreadable" not in notes
    assert heat_map not in report.quarantine
