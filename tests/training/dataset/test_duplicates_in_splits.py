"""The same photo, and nearly the same, is in one part of a split and under one class."""

from hashlib import sha256
from pathlib import Path
from shutil import copyfile, copytree

import numpy as np
import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset.samples import Split
from edgeclf_training.dataset.split import read_split
from helpers import draw, write_class_folders
from PIL import Image


def copies(path: Path, *targets: Path) -> None:
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())


def names(split: Split, part: str) -> set[str]:
    return {f"{s.label}/{s.path.name}" for s in split.part(part)}


def test_copies_in_a_class_are_trained_on_once(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 10)
    copies(root / "king" / "king_000.jpg", root / "king" / "copy.jpg", root / "king" / "sub" / "king_000.jpg")
    split = read_split([root])
    assert len(split.train) + len(split.val) == 30
    assert all("same photo as" in s.reason for s in split.skipped)
    assert "2 photos left out: copies of a training photo" in split.notes


def test_the_same_photo_in_two_classes_is_left_out(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 10)
    copies(root / "king" / "king_000.jpg", root / "gentoo" / "x.jpg")
    split = read_split([root])
    used = names(split, "train") | names(split, "val")
    assert not used & {"king/king_000.jpg", "gentoo/x.jpg"}
    assert {s.path.name for s in split.skipped} == {"king_000.jpg", "x.jpg"}
    assert all("under another class" in s.reason for s in split.skipped)
    assert "is in more than one class" in split.notes[0]


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 20)
    for label in ("adelie", "gentoo", "king"):
        for number in range(10):
            with Image.open(root / label / f"{label}_{number:03}.jpg") as photo:
                photo.save(root / label / f"again_{number:03}.jpg", quality=50)
    for seed in range(3):
        split = read_split([root], seed=seed)
        assert len(split.train) + len(split.val) == 90
        for label in split.classes:
            assert sum(s.label == label for s in split.val) == 6, "still a fifth of each class"
            for number in range(10):
                pair = {f"{label}/{label}_{number:03}.jpg", f"{label}/again_{number:03}.jpg"}
                assert pair <= names(split, "train") or pair <= names(split, "val")
        assert split.notes == ("30 groups of near-duplicates (60 photos), each kept in one part",)


def test_near_duplicates_of_two_classes_are_kept_together_and_said(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 10)
    with Image.open(root / "king" / "king_000.jpg") as photo:
        photo.save(root / "gentoo" / "again.jpg", quality=50)
    sides = set()
    for seed in range(8):
        split = read_split([root], seed=seed)
        twins = {"king/king_000.jpg", "gentoo/again.jpg"}
        assert twins <= names(split, "train") or twins <= names(split, "val")
        sides.add(twins <= names(split, "val"))
        assert any("in more than one class" in note for note in split.notes)
    assert len(sides) == 2, "both sides occur"


def test_training_photos_with_a_duplicate_in_val_or_test_go(tmp_path: Path) -> None:
    for start, part in enumerate(("train", "val", "test")):
        write_class_folders(tmp_path / part, 5, seed=100 * start)
    copies(tmp_path / "test" / "king" / "king_000.jpg", tmp_path / "train" / "king" / "leak.jpg")
    with Image.open(tmp_path / "val" / "king" / "king_001.jpg") as photo:
        photo.save(tmp_path / "train" / "king" / "near.jpg", quality=50)
    split = read_split([tmp_path])
    assert (len(split.train), len(split.val), len(split.test)) == (15, 15, 15)
    reasons = {s.path.name: s.reason for s in split.skipped}
    assert "same photo as" in reasons["leak.jpg"]
    assert "nearly the same photo as" in reasons["near.jpg"]
    assert split.notes == ("2 photos left out of training: the same or nearly the same as in val or test",)


def test_a_test_photo_is_never_dropped(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "train", 10)
    write_class_folders(tmp_path / "test", 3, seed=100)
    copies(tmp_path / "test" / "king" / "king_000.jpg", tmp_path / "test" / "gentoo" / "king_000.jpg")
    copies(tmp_path / "test" / "king" / "king_000.jpg", tmp_path / "train" / "gentoo" / "conflict.jpg")
    split = read_split([tmp_path])
    assert len(split.test) == 10
    assert "gentoo/conflict.jpg" not in names(split, "train") | names(split, "val")
    assert any("kept in test" in note for note in split.notes)


def test_duplicates_of_what_was_trained_on_earlier_train_too(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 10)
    earlier = read_split([root])
    more = write_class_folders(tmp_path / "more", 10, seed=500)
    for number, sample in enumerate((*earlier.train, *earlier.val)):
        with Image.open(sample.path) as photo:
            photo.save(more / sample.label / f"{'t' if sample in earlier.train else 'v'}{number}.jpg", quality=50)
    split = read_split([root, more], earlier=earlier.known)
    assert set(earlier.train) <= set(split.train)
    assert set(earlier.val) <= set(split.val)
    assert not [s for s in split.val if s.path.name.startswith("t")]
    assert not [s for s in (*split.train, *split.val) if s.path.name.startswith("v")], "twins of validation photos go"
    assert len([s for s in split.train if s.path.name.startswith("t")]) == len(earlier.train)


def test_new_validation_photos_must_not_be_duplicates_of_trained_ones(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 10)
    earlier = read_split([root])
    new = tmp_path / "new"
    write_class_folders(new / "train", 4, seed=300)
    write_class_folders(new / "val", 4, seed=600)
    with Image.open(earlier.train[0].path) as photo:
        photo.save(new / "val" / "king" / "seen.jpg", quality=50)
    split = read_split([root, new], earlier=earlier.known)
    assert "seen.jpg" not in {s.path.name for s in split.val}
    assert any("1 photo left out of val: an earlier run trained on it" in note for note in split.notes)


def test_a_class_that_is_one_photo_over_and_over_cannot_be_trained(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 4)
    for path in (root / "king").iterdir():
        path.unlink()
    for number in range(4):
        draw(number + 9000, 64, 48).save(root / "king" / f"{number}.jpg")
    with Image.open(root / "king" / "0.jpg") as photo:
        for number in range(1, 4):
            photo.save(root / "king" / f"{number}.jpg", quality=50 + 10 * number)
    split = read_split([root])
    assert {s.label for s in split.val} == {"adelie", "gentoo"}, "nothing of king could be set aside"
    assert {s.label for s in split.train} == set(split.classes)
    assert "king: no validation photos" in split.notes[-1]
    assert "--no-group-near-duplicates" in split.notes[-1]
    assert {s.label for s in read_split([root], group_near=False).val} == set(split.classes)


def test_a_class_that_is_all_duplicates_of_validation_photos_is_said_with_a_way_out(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_class_folders(tmp_path / part, 2, seed=100 * (part == "val"))
        for number, quality in enumerate((90, 60)):
            draw(9000, 64, 48).save(
                tmp_path / part / "king" / f"king_{number:03}.jpg", quality=quality + (part == "val")
            )
    with pytest.raises(
        DataError, match="every training photo in king is nearly the same as one of val or test"
    ) as told:
        read_split([tmp_path])
    assert "--no-group-near-duplicates" in str(told.value)
    assert len(read_split([tmp_path], group_near=False).train) == 6


@pytest.mark.shared
def test_no_validation_flower_has_a_duplicate_in_training(shared: Path) -> None:
    """Computed another way: correlation of colour thumbnails of all pairs, no hashes involved."""
    split = read_split([shared / "data" / "flowers"])
    assert len(split.train) + len(split.val) == 4317 - 2 - 8
    assert 0.195 < len(split.val) / 4307 < 0.205

    def thumbnails(part: str) -> np.ndarray:
        rows = []
        for sample in split.part(part):
            with Image.open(sample.path) as photo:
                photo.draft("L", (96, 96))  # a JPEG is then decoded at a fraction of its size
                rows.append(
                    np.asarray(photo.convert("L").resize((24, 24), Image.Resampling.BILINEAR), np.float32).ravel()
                )
        table = np.stack(rows)
        table -= table.mean(axis=1, keepdims=True)
        return table / np.linalg.norm(table, axis=1, keepdims=True)

    closest = (thumbnails("val") @ thumbnails("train").T).max()
    assert closest < 0.985
    digests = {part: {sha256(x.path.read_bytes()).digest() for x in split.part(part)} for part in ("train", "val")}
    assert not digests["train"] & digests["val"]


@pytest.mark.shared
def test_the_dish_that_is_trained_on_and_tested_leaves_training(shared: Path, tmp_path: Path) -> None:
    food, known = shared / "data" / "food5", {"1335350.jpg", "1469191.jpg", "1461580.jpg"}
    copytree(food / "test", tmp_path / "test")
    for dish in (food / "train").iterdir():
        (tmp_path / "train" / dish.name).mkdir(parents=True)
        photos = sorted(dish.iterdir())
        for photo in {*photos[::20], *(path for path in photos if path.name in known)}:
            copyfile(photo, tmp_path / "train" / dish.name / photo.name)
    split = read_split([tmp_path])
    assert len(split.test) == 100
    reasons = {s.path.name: s.reason for s in split.skipped}
    assert "nearly the same photo as" in reasons.pop("1335350.jpg")
    assert len(reasons) == 1, "one of two copies"
    assert set(reasons) < known
