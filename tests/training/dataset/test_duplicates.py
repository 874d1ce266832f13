"""The same photo is found however it was saved, different photos are not, and no twin is on both sides of a split."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset.duplicates import (
    _MAX_COMPARISONS,
    CERTAIN_BITS,
    NEAR_BITS,
    _near_hashes,
    exact_groups,
    group_pairs,
    near_groups,
    near_pairs,
)
from edgeclf_training.dataset.samples import Split
from edgeclf_training.dataset.scan import scan, scan_one
from edgeclf_training.dataset.split import read_split
from helpers import draw, write_class_folders
from PIL import Image, ImageDraw, ImageEnhance


def test_a_photo_saved_again_is_nearly_the_same_and_others_are_not(tmp_path: Path) -> None:
    photo = draw(1, 320, 240)
    photo.save(tmp_path / "0.png")
    photo.save(tmp_path / "1.jpg", quality=40)
    photo.resize((100, 75)).save(tmp_path / "2.jpg")
    ImageEnhance.Brightness(photo).enhance(1.2).save(tmp_path / "3.jpg")
    photo.convert("L").save(tmp_path / "4.png")
    photo.save(tmp_path / "5.bmp")
    for number in range(20):
        draw(50 + number, 320, 240).save(tmp_path / f"other{number}.png")
    names = sorted(tmp_path.iterdir())
    scans = [scan_one(path) for path in names]
    near = near_groups(scans)
    assert near[:6].tolist() == [0] * 6
    assert near[6:].tolist() == list(range(6, 26))
    exact = exact_groups(scans)
    assert exact[5] == 0, "the same pixels"
    assert exact[:5].tolist() == list(range(5))


def test_flat_pictures_have_no_near_twins(tmp_path: Path) -> None:
    for level in (0, 100, 101):
        Image.new("RGB", (50, 50), (level,) * 3).save(tmp_path / f"{level}.png")
    assert near_groups([scan_one(p) for p in sorted(tmp_path.iterdir())]).tolist() == [0, 1, 2]


def test_bands_find_every_pair_that_brute_force_finds() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 300, dtype=np.uint64)
    flips = [sum(1 << int(b) for b in rng.choice(64, i % 10, replace=False)) for i in range(300)]
    hashes = np.concatenate([hashes, hashes ^ np.array(flips, np.uint64)])
    thumbs = np.tile(rng.integers(0, 256, 256, dtype=np.uint8), (600, 1))  # alike, so that bits alone decide
    pairs = {(i, j): int(hashes[i] ^ hashes[j]).bit_count() for i in range(600) for j in range(i + 1, 600)}
    found = set(near_pairs(hashes, thumbs))
    certain = {pair for pair, bits in pairs.items() if bits <= CERTAIN_BITS}
    near = {pair for pair, bits in pairs.items() if bits <= NEAR_BITS}
    assert len(certain) == 7 * 30
    assert certain <= found <= near
    assert len(found) >= 0.95 * len(near)
    assert not set(near_pairs(hashes, rng.integers(0, 256, (600, 256), dtype=np.uint8))), "thumbnails must agree too"


def fixed_scene(folder: Path, seed: int, radius: int, light: float, count: int, places: int = 0) -> None:
    """One camera that stands still; a disc, or a square, somewhere else in every photo."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    scene = np.asarray(small.resize((640, 480), Image.Resampling.BICUBIC), float) * light
    rng = np.random.default_rng((seed, places))
    for label in ("ok", "defect"):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            photo = scene * rng.uniform(0.9, 1.1) + rng.normal(0, 6, scene.shape)
            image = Image.fromarray(photo.clip(0, 255).astype(np.uint8))
            x, y = rng.integers(120, 500), rng.integers(100, 360)
            pen = ImageDraw.Draw(image)
            box = (x - radius, y - radius, x + radius, y + radius)
            (pen.ellipse if label == "ok" else pen.rectangle)(box, fill=tuple(int(c * light) for c in (230, 220, 40)))
            image.save(folder / label / f"{number:03}.jpg", quality=92)


SHOTS = {
    "saved again": lambda photo: photo.resize((320, 240)),
    "cropped": lambda photo: photo.crop((8, 6, 636, 476)),
    "turned": lambda photo: photo.rotate(1, Image.Resampling.BICUBIC).crop((12, 9, 628, 471)),
    "brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.1),
}


@pytest.mark.parametrize(
    ("radius", "light", "count"), [(28, 1.0, 16), (60, 1.0, 16), (14, 1.0, 16), (28, 0.25, 16), (28, 1.0, 3)]
)
def test_a_fixed_scene_is_no_near_duplicate_but_copies_in_it_are(
    tmp_path: Path, radius: int, light: float, count: int
) -> None:
    fixed_scene(tmp_path, 1, radius, light, count)
    for shot, change in SHOTS.items():
        with Image.open(tmp_path / "ok" / "002.jpg") as photo:
            change(photo).save(tmp_path / "ok" / f"002 {shot}.jpg", quality=80)
    split = read_split([tmp_path])
    assert len(split.train) + len(split.val) == 2 * count + len(SHOTS)
    assert {s.label for s in split.val} == {"ok", "defect"}
    paths = sorted(tmp_path.glob("*/*.jpg"))
    groups = near_groups([scan([path])[path] for path in paths]).tolist()
    first = groups[paths.index(tmp_path / "ok" / "002.jpg")]
    twins = {p.name for p, group in zip(paths, groups, strict=True) if group == first and p.parent.name == "ok"}
    assert {"002.jpg", *(f"002 {shot}.jpg" for shot in SHOTS)} <= twins
    assert np.unique([g for g in groups if g != first], return_counts=True)[1].max() <= 4, "subjects may meet by chance"


def test_a_fixed_scene_in_given_folders_stays(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "val")):
        fixed_scene(tmp_path / part, 1, 28, 1.0, 8, places=seed)
    split = read_split([tmp_path])
    assert len(split.val) == 16
    assert len(split.train) >= 14, "subjects may meet by chance"


def test_groups_are_joined_where_half_of_the_photos_across_are_pairs() -> None:
    assert group_pairs(5, [(3, 1), (1, 4), (3, 4)]).tolist() == [0, 1, 2, 1, 1]
    assert group_pairs(4, [(0, 1), (2, 3), (1, 2), (0, 2)]).tolist() == [0, 0, 0, 0]
    chain = group_pairs(100, [(i, i + 1) for i in range(99)])
    assert 2 <= np.unique(chain, return_counts=True)[1].max() <= 4


def test_many_photos_of_one_scene_are_compared_with_a_bounded_number_each() -> None:
    hashes = np.zeros(3000, np.uint64)
    assert len(_near_hashes(hashes)) <= 3000 * _MAX_COMPARISONS
    assert {tuple(pair) for pair in _near_hashes(hashes[:50]).tolist()} == set(itertools.combinations(range(50), 2))


def test_near_duplicates_may_be_left_ungrouped(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 1)
    for label in ("adelie", "gentoo", "king"):
        with Image.open(root / label / f"{label}_000.jpg") as photo:
            photo.save(root / label / "again.jpg", quality=50)
    with pytest.raises(DataError, match="no-group-near-duplicates"):
        read_split([root])
    assert len(read_split([root], group_near=False).val) == 3


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


def test_near_twins_stay_on_one_side(tmp_path: Path) -> None:
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


def test_near_twins_of_two_classes_are_kept_together_and_said(tmp_path: Path) -> None:
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


def test_training_photos_with_a_twin_in_val_or_test_go(tmp_path: Path) -> None:
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


def test_twins_of_what_was_trained_on_earlier_train_too(tmp_path: Path) -> None:
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


def test_new_validation_photos_must_not_be_twins_of_trained_ones(tmp_path: Path) -> None:
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


def test_a_class_that_is_all_twins_of_validation_photos_is_said_with_a_way_out(tmp_path: Path) -> None:
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
def test_no_validation_flower_has_a_twin_in_training(shared: Path) -> None:
    """Computed another way: correlation of colour thumbnails of all pairs, no hashes involved."""
    split = read_split([shared / "data" / "flowers"])
    assert len(split.train) + len(split.val) == 4317 - 2 - 8
    assert 0.195 < len(split.val) / 4307 < 0.205

    def thumbnails(part: str) -> np.ndarray:
        rows = []
        for sample in split.part(part):
            with Image.open(sample.path) as photo:
                rows.append(
                    np.asarray(photo.convert("L").resize((24, 24), Image.Resampling.BILINEAR), np.float32).ravel()
                )
        table = np.stack(rows)
        table -= table.mean(axis=1, keepdims=True)
        return table / np.linalg.norm(table, axis=1, keepdims=True)

    closest = (thumbnails("val") @ thumbnails("train").T).max()
    assert closest < 0.985
    digests = {part: {s.sha256 for s in scan([x.path for x in split.part(part)]).values()} for part in ("train", "val")}
    assert not digests["train"] & digests["val"]


@pytest.mark.shared
def test_the_dish_that_is_trained_on_and_tested_leaves_training(shared: Path) -> None:
    split = read_split([shared / "data" / "food5"])
    assert len(split.test) == 100
    reasons = {s.path.name: s.reason for s in split.skipped}
    assert "nearly the same photo as" in reasons["1335350.jpg"]
    assert len({"1469191.jpg", "1461580.jpg"} & set(reasons)) == 1
