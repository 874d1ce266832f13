"""The same photo is found however it was saved, and different photos are not taken for it."""

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


def test_flat_pictures_have_no_near_duplicates(tmp_path: Path) -> None:
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
