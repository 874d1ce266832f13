"""No camera, individual or burst on both sides of a split: by folders, names, columns and EXIF."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset.bursts import burst_groups
from edgeclf_training.dataset.check import check_data
from edgeclf_training.dataset.choose_groups import nearest_to_a_fifth
from edgeclf_training.dataset.exclusion_counts import count_left_out
from edgeclf_training.dataset.groups import join_groups
from edgeclf_training.dataset.known_photos import read_known, write_known
from edgeclf_training.dataset.samples import Sample, Split
from edgeclf_training.dataset.scan import Scanned
from edgeclf_training.dataset.split import read_split
from helpers import draw
from PIL import Image

CLASSES = ("robin", "wren")


def put(path: Path, seed: int, taken: str = "", model: str = "Cam") -> Path:
    """A small photo; ``taken`` is its EXIF time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if taken:
        exif[0x0110] = model
        exif.get_ifd(0x8769)[0x9003] = taken
    draw(seed, 60, 40).save(path, quality=90, exif=exif)
    return path


def cameras(root: Path, number: int, each: int = 4, first: int = 0) -> Path:
    """Class folders with a folder for each camera; every camera has photos of both classes."""
    seed = 10_000 * first
    for camera in range(first, first + number):
        for label in CLASSES:
            for _ in range(each):
                put(root / label / f"cam{camera}" / f"c{camera}_{seed}.jpg", seed)
                seed += 1
    return root


def sides(split: Split, name_of: Any) -> dict[str, set[str]]:
    """For each group the parts that it is in."""
    found: dict[str, set[str]] = {}
    for part in ("train", "val", "test"):
        for sample in split.part(part):
            found.setdefault(name_of(sample.path), set()).add(part)
    return found


def of_folder(path: Path) -> str:
    return path.parent.name


def whole(split: Split, name_of: Any) -> bool:
    return all(len(parts) == 1 for parts in sides(split, name_of).values())


def counts(samples: Iterable[Sample]) -> Counter[str]:
    return Counter(sample.label for sample in samples)


@pytest.mark.parametrize("rule", ["folder:1", "name:^[^_]+", "name:^c(\\d+)"])
def test_no_camera_is_on_both_sides(tmp_path: Path, rule: str) -> None:
    root = cameras(tmp_path / "photos", 10)
    assert not whole(read_split(root), of_folder), "at random, cameras are parted"
    splits = [read_split(root, seed=seed, group_by=rule) for seed in range(3)]
    for split in splits:
        assert whole(split, of_folder)
        assert counts(split.val) == {"robin": 8, "wren": 8}, "a fifth"
        assert f"whole groups by {rule}" in split.val_origin
    assert splits[0] == read_split(root, seed=0, group_by=rule)
    assert len({frozenset(split.val) for split in splits}) > 1, "the seed chooses"


def test_the_first_by_name_are_whole_groups_too(tmp_path: Path) -> None:
    split = read_split(cameras(tmp_path / "photos", 10), val_split="first", group_by="folder:1")
    assert set(map(of_folder, (s.path for s in split.val))) == {"cam0", "cam1"}


def test_each_data_folder_is_a_group(tmp_path: Path) -> None:
    roots = [cameras(tmp_path / f"place{n}", 1, first=n) for n in range(5)]
    split = read_split(roots, group_by="folder:0")
    assert whole(split, lambda path: path.relative_to(tmp_path).parts[0])
    assert len(split.val) == 8


def test_a_column_of_the_table(tmp_path: Path) -> None:
    rows = []
    for number in range(40):
        put(tmp_path / "photos" / f"{number}.jpg", number)
        rows.append(f"{number}.jpg,{CLASSES[number % 2]},site {number // 4 % 10},nest {number // 2 % 5}")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label,site,group", *rows]))
    options = {"labels": table}

    def value(column: int) -> Any:
        return lambda path: rows[int(path.stem)].split(",")[column]

    by_default = read_split(tmp_path / "photos", **options)
    assert whole(by_default, value(3)), "the column group holds without --group-by"
    assert not whole(by_default, value(2))
    assert whole(read_split(tmp_path / "photos", group_by="site", **options), value(2))
    assert not whole(read_split(tmp_path / "photos", group_by="none", **options), value(3))
    with pytest.raises(DataError, match="no column camera"):
        read_split(tmp_path / "photos", group_by="camera", **options)


def bursts(root: Path, number: int = 10, each: int = 4) -> Path:
    """Photos of both classes, taken in bursts of 5 s between two photos and an hour between bursts."""
    seed = 0
    for label in CLASSES:
        for burst in range(number):
            for shot in range(each):
                put(
                    root / label / f"{seed}.jpg",
                    seed,
                    f"2026:05:{1 + burst:02} {CLASSES.index(label):02}:10:{5 * shot:02}",
                )
                seed += 1
    return root


def burst_of(path: Path) -> str:
    return str(int(path.stem) // 4)


def test_bursts_stay_together_and_are_found_by_the_check(tmp_path: Path) -> None:
    root = bursts(tmp_path / "photos")
    assert not whole(read_split(root), burst_of)
    assert whole(read_split(root, group_by="burst"), burst_of)
    assert whole(read_split(root, group_by="burst:5"), burst_of)
    assert not whole(read_split(root, group_by="burst:4"), burst_of), "the pause between two photos is longer"
    found = {f.kind: f for f in check_data(root).findings}
    assert len(found["bursts"].items) == 20
    assert found["bursts"].items[0].detail == "4 photos from 2026-05-01 00:10:00, Cam"
    assert "burst-leaks" not in found
    (root / "robin").rename(tmp_path / "r")
    for name, part in (("r", "train"), ("photos/wren", "train")):
        (tmp_path / "split" / part).mkdir(parents=True, exist_ok=True)
        (tmp_path / name).rename(tmp_path / "split" / part / {"r": "robin", "photos/wren": "wren"}[name])
    for label, stem in (("robin", "0"), ("wren", "40")):
        val = tmp_path / "split" / "val" / label
        val.mkdir(parents=True)
        (tmp_path / "split" / "train" / label / f"{stem}.jpg").rename(val / f"{stem}.jpg")
    problems = {f.kind: f for f in check_data(tmp_path / "split").problems}
    assert len(problems["burst-leaks"].items) == 2


def test_bursts_of_scans() -> None:
    def at(time: str, camera: str = "a") -> Scanned:
        return Scanned(taken=f"2026-05-01T{time}", camera=camera)

    scans = [at("10:00:30"), at("10:00:00"), at("10:00:15"), at("10:00:31", "b"), Scanned(), at("10:00:46"), Scanned()]
    assert burst_groups(scans, 15).tolist() == [0, 0, 0, 3, 4, 5, 6]
    assert burst_groups(scans, 16).tolist() == [0, 0, 0, 3, 4, 0, 6]
    assert burst_groups(scans, 14).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert burst_groups([], 1).tolist() == []
    assert burst_groups([Scanned()], 1).tolist() == [0]
    summer = [Scanned(taken="2026-05-01T12:00:00+02:00"), Scanned(taken="2026-05-01T10:00:05+00:00")]
    assert burst_groups(summer, 5).tolist() == [0, 0]


def test_joined_groups_are_connected_components() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        count = int(random.integers(1, 40))
        labels = [random.integers(0, 25, count) for _ in range(2)]
        parts = [np.array([int(np.flatnonzero(one == value)[0]) for value in one]) for one in labels]
        expected = list(range(count))
        for _ in range(count):
            for part in parts:
                for i in range(count):
                    low = min(expected[i], expected[int(part[i])])
                    expected[i] = expected[int(part[i])] = low
        assert join_groups(*parts).tolist() == expected


def test_a_near_duplicate_joins_two_groups(tmp_path: Path) -> None:
    root = cameras(tmp_path / "photos", 10)
    first = next((root / "robin" / "cam0").iterdir())
    Image.open(first).resize((90, 60)).save(root / "robin" / "cam1" / "again.jpg", quality=80)
    for seed in range(4):
        split = read_split(root, seed=seed, group_by="folder:1")
        assert (
            len({part for name, parts in sides(split, of_folder).items() if name in ("cam0", "cam1") for part in parts})
            == 1
        )


def test_validation_folders_of_the_user_hold_and_training_photos_of_their_groups_go(tmp_path: Path) -> None:
    cameras(tmp_path / "d" / "train", 4)
    cameras(tmp_path / "d" / "val", 2, first=3)
    split = read_split(tmp_path / "d", group_by="folder:1")
    assert sides(split, of_folder) == {
        "cam0": {"train"},
        "cam1": {"train"},
        "cam2": {"train"},
        "cam3": {"val"},
        "cam4": {"val"},
    }
    assert count_left_out(split.skipped) == {"group": 8}
    assert "8 photos left out of training: of a group that has photos in val or test" in split.notes
    problems = {f.kind: f for f in check_data(tmp_path / "d", group_by="folder:1").problems}
    assert [item.detail for item in problems["group-leaks"].items] == ["cam3"]
    cameras(tmp_path / "d" / "val", 3)
    with pytest.raises(DataError, match=r"every training photo in robin, wren is in a group with one of val or test"):
        read_split(tmp_path / "d", group_by="folder:1")


def test_a_class_that_is_one_group_trains_and_says_so_in_one_line(tmp_path: Path) -> None:
    root = cameras(tmp_path / "photos", 5)
    for seed in range(900, 906):
        put(root / "owl" / "cam9" / f"{seed}.jpg", seed)
    split = read_split(root, group_by="folder:1")
    assert counts(split.train)["owl"] == 6
    told = [note for note in split.notes if note.startswith("owl")]
    assert told == [
        "owl: no validation photos, its accuracy is unknown "
        "(all its photos are one group by folder:1, which stays in train)"
    ]
    problems = {f.kind: f for f in check_data(root, group_by="folder:1").problems}
    assert [item.detail for item in problems["one-group-classes"].items] == ["owl"]


def test_new_photos_may_all_be_alone_where_earlier_ones_are_in_groups(tmp_path: Path) -> None:
    root = cameras(tmp_path / "photos", 5)
    earlier = read_split(root, group_by="folder:1").known
    for number in range(5):
        put(tmp_path / "new" / "owl" / f"{number}.jpg", 900 + number)
        put(tmp_path / "new" / "crow" / f"{number}.jpg", 950 + number)
    split = read_split(tmp_path / "new", group_by="folder:1", earlier=earlier)
    assert len(split.train) == 8


def test_when_every_class_is_one_group_nothing_can_be_set_aside(tmp_path: Path) -> None:
    root = cameras(tmp_path / "photos", 1)
    with pytest.raises(
        DataError, match=r"all photos of each class are one group by folder:1; give each class photos of"
    ):
        read_split(root, group_by="folder:1")
    with pytest.raises(DataError, match="no photo is in a group"):
        read_split(root, group_by="folder:3")
    with pytest.raises(DataError, match="no photo is in a group"):
        read_split(root, group_by="name:zebra")


def test_two_cameras_of_a_class_are_one_on_each_side(tmp_path: Path) -> None:
    for label, sizes in (("robin", (3, 9)), ("wren", (5, 5))):
        for camera, size in enumerate(sizes):
            for number in range(size):
                put(
                    tmp_path / "p" / label / f"{label}{camera}" / f"{camera}{number}.jpg",
                    100 * camera + number + len(label) * 1000,
                )
    for seed in range(5):
        split = read_split(tmp_path / "p", seed=seed, group_by="folder:1")
        assert counts(split.val) == {"robin": 3, "wren": 5}, "the smaller group of robins: nearer to a fifth"
        assert any("25% of the photos of robin and 50% of wren" in note for note in split.notes)


def test_groups_of_many_classes_are_chosen_near_a_fifth() -> None:
    random = np.random.default_rng(1)
    labels = [f"class{n}" for n in range(6)]
    groups = [
        [Sample(Path(f"{g}-{n}.jpg"), str(random.choice(labels)), g) for n in range(int(random.integers(3, 60)))]
        for g in range(25)
    ]
    total = counts(s for group in groups for s in group)
    for seed in range(5):
        held = counts(nearest_to_a_fifth(groups, seed, {}))
        assert all(0.12 < held[label] / total[label] < 0.28 for label in labels)


def test_an_earlier_run_that_trained_on_a_camera_keeps_it_out_of_validation(tmp_path: Path) -> None:
    first = read_split(cameras(tmp_path / "one", 5), group_by="folder:1")
    write_known(first.known, tmp_path / "known.jsonl")
    earlier = read_known(tmp_path / "known.jsonl")
    assert [k.group for k in earlier] == [k.group for k in first.known]
    trained = {name for name, parts in sides(first, of_folder).items() if parts == {"train"}}
    # Other photos of the same cameras, and of five new ones; those of the first run are gone.
    seed = 50_000
    for camera in range(10):
        for label in CLASSES:
            for _ in range(3):
                put(tmp_path / "two" / label / f"cam{camera}" / f"{seed}.jpg", seed)
                seed += 1
    again = read_split(tmp_path / "two", group_by="folder:1", earlier=earlier)
    found = sides(again, of_folder)
    assert all(found[name] == {"train"} for name in trained)
    assert {name for name, parts in found.items() if parts == {"val"}} > set(sides(first, of_folder)) - trained
    assert whole(again, of_folder)
    other = read_split(tmp_path / "two", group_by="name:^[0-9]+", earlier=earlier)
    assert other.val, "groups of another rule are other groups"
    for label in CLASSES:
        (tmp_path / "three" / "val").mkdir(parents=True, exist_ok=True)
        (tmp_path / "two" / label).rename(tmp_path / "three" / "val" / label)
    cameras(tmp_path / "three" / "train", 3, first=20)
    last = read_split(tmp_path / "three", group_by="folder:1", earlier=earlier)
    assert not {of_folder(s.path) for s in last.val} & trained
    assert count_left_out(last.skipped) == {"trained": 6 * len(trained)}


def test_an_earlier_run_that_trained_on_a_burst_keeps_it_out_of_validation(tmp_path: Path) -> None:
    root = bursts(tmp_path / "photos")
    for path in sorted(root.rglob("*.jpg")):  # the third of each burst comes later
        if int(path.stem) % 4 == 2:
            (tmp_path / "late" / path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(tmp_path / "late" / path.parent.name / path.name)
    first = read_split(root, group_by="burst")
    again = read_split(tmp_path / "late", group_by="burst", earlier=first.known)
    parts = sides(first, burst_of)
    assert all(parts[burst_of(s.path)] == {"val"} for s in again.val)
    assert all(parts[burst_of(s.path)] == {"train"} for s in again.train)
    assert len(again.val) == 4
