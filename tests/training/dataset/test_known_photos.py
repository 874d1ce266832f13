"""A photo is known by its content: whatever is renamed, what was once trained on never validates or tests again."""

import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import SPLITS
from edgeclf_training.dataset.known_photos import KnownPhoto, read_known, write_known
from edgeclf_training.dataset.samples import KNOWN_PHOTOS_FILE, Split, write_lists
from edgeclf_training.dataset.scan import scan_one
from edgeclf_training.dataset.split import read_split
from helpers import write_class_folders
from PIL import Image
from trainings import photos, pixels, rename_a_class


def change_case(root: Path) -> None:
    (root / "king").rename(root / "King")


def decompose(root: Path) -> None:
    (root / "king").rename(root / unicodedata.normalize("NFD", "k\xf6nig"))


def merge_classes(root: Path) -> None:
    for path in photos(root / "king"):
        path.rename(root / "gentoo" / path.name)
    (root / "king").rmdir()


def move_to_another_class(root: Path) -> None:
    for path in photos(root / "king")[:7]:
        path.rename(root / "gentoo" / path.name)


def renumber(root: Path) -> None:
    for number, path in enumerate(photos(root)):
        path.rename(path.with_name(f"IMG_{97 * number % 1000:04}.jpg"))


def link_hard(root: Path) -> None:
    for path in photos(root):
        os.link(path, path.with_name(f"again-{path.name}"))


def link_soft(root: Path) -> None:
    for path in photos(root):
        path.with_name(f"0-{path.name}").symlink_to(path)


def into_sub_folders(root: Path) -> None:
    for path in photos(root):
        (path.parent / "day1").mkdir(exist_ok=True)
        path.rename(path.parent / "day1" / path.name)


def edit_exif(root: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a caption"
    comment = b"\xff\xfe\x00\x07hello"
    for path in photos(root):
        data = path.read_bytes()
        block = exif.tobytes()
        app1 = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
        path.with_name(f"edited-{path.name}").write_bytes(data[:2] + app1 + comment + data[2:])
        path.unlink()


def save_again(root: Path) -> None:
    for path in photos(root):
        with Image.open(path) as photo:
            photo.resize((48, 36)).save(path.with_suffix(".webp"), quality=60)
        path.unlink()


def turn(root: Path) -> None:
    for number, path in enumerate(photos(root)):
        with Image.open(path) as photo:
            photo.transpose(list(Image.Transpose)[number % 7]).save(path, quality=85)


CHANGES = (
    rename_a_class,
    change_case,
    decompose,
    merge_classes,
    move_to_another_class,
    renumber,
    link_hard,
    link_soft,
    into_sub_folders,
    edit_exif,
    save_again,
    turn,
)


@pytest.fixture(scope="module")
def first(class_folders: Path) -> Split:
    return read_split([class_folders])


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_what_was_trained_on_never_validates_whatever_was_renamed(
    change: Callable[[Path], None], class_folders: Path, first: Split, tmp_path: Path
) -> None:
    root = tmp_path / "moved"
    shutil.copytree(class_folders, root)
    change(root)
    split = read_split([root], seed=5, earlier=first.known)
    assert len(split.train) == 24
    assert len(split.val) == 6
    again = change in (save_again, turn)
    assert again or pixels(split, "val") == pixels(first, "val")
    if again:
        assert {s.path.stem for s in split.val} == {s.path.stem for s in first.val}
        assert (
            "30 of 30 photos nearly the same as photos of earlier runs: saved again, rotated or mirrored" in split.notes
        )
    else:
        (note,) = [note for note in split.notes if "found in earlier runs" in note]
        assert "trained on" in note
        assert ("another name or class" in note) == (change is not into_sub_folders)


@pytest.mark.parametrize("part", ["val", "test"])
def test_the_user_s_own_split_holds_but_for_photos_once_trained_on(
    part: str, class_folders: Path, first: Split, tmp_path: Path
) -> None:
    write_class_folders(tmp_path / "train", 4, seed=300)
    write_class_folders(tmp_path / part, 2, seed=600)
    seen = next(s for s in first.train if s.label == "king")
    shutil.copy(seen.path, tmp_path / part / "gentoo" / "seen.jpg")
    with Image.open(seen.path) as photo:
        photo.save(tmp_path / part / "king" / "again.jpg", quality=40)
    judged = next(s for s in first.val if s.label == "king")
    shutil.copy(judged.path, tmp_path / part / "king" / "judged.jpg")
    split = read_split([tmp_path], earlier=first.known)
    names = {s.path.name for s in split.part(part)}
    assert "judged.jpg" in names
    assert not names & {"seen.jpg", "again.jpg"}
    assert len(names) == 7
    told = [s.reason for s in split.skipped]
    assert any("seen.jpg: left out" in reason and "trained on it" in reason for reason in told)
    assert any("again.jpg: left out" in reason and "nearly the same" in reason for reason in told)
    assert (part == "test") == any("1 photo of test validated an earlier run" in note for note in split.notes)
    assert any(note.startswith(f"2 photos left out of {part}: an earlier run trained on them") for note in split.notes)


def test_a_split_made_by_hand_from_photos_that_were_split_by_seed_holds(first: Split, tmp_path: Path) -> None:
    """What validated may now be trained on, if the user says so; what was trained on may not validate."""
    for number, sample in enumerate((*first.train, *first.val)):
        part = ("train", "train", "test", "val")[number % 4]
        (tmp_path / part / sample.label).mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, tmp_path / part / sample.label / f"{number}.jpg")
    split = read_split([tmp_path], earlier=first.known)
    was = {scan_one(s.path).pixels for s in first.train}
    assert not pixels(split, "val", "test") & was
    assert all(s.path.parent.parent.name == "train" for s in split.train)
    assert len(split.train) == 16
    assert {s.path.parent.parent.name for s in split.test} <= {"test"}


def test_what_an_older_version_let_validate_beside_its_duplicate_trains_from_now_on(
    first: Split, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    for sample in (*first.train, *first.val):
        (root / sample.label).mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, root / sample.label)
    sample = first.val[0]
    with Image.open(sample.path) as photo:
        photo.save(tmp_path / "twin.png")
        photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png")
    for name in ("twin.png", "turned.png"):
        twin = KnownPhoto("train", sample.label, name, 1, scan_one(tmp_path / name))
        split = read_split([root], earlier=(*first.known, twin))
        assert sample.path.name in {s.path.name for s in split.train}
        assert len(split.val) == 5


def test_new_photos_of_a_fixed_scene_validate(tmp_path: Path) -> None:
    """A fixed camera's photos are alike but for their subject: none is taken for another one that was trained on."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    background = np.asarray(Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC), np.float64)
    for number in range(60):
        seen = background * rng.uniform(0.9, 1.1) + rng.normal(0, 3, background.shape)
        photo = Image.fromarray(seen.clip(0, 255).astype(np.uint8))
        x, y = int(rng.integers(20, 120)), int(rng.integers(20, 80))
        photo.paste((230, 220, 40) if number % 2 else (40, 60, 230), (x, y, x + 18, y + 18))
        folder = tmp_path / ("first" if number < 30 else "later") / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        photo.save(folder / f"{number}.jpg", quality=92)
    earlier = read_split([tmp_path / "first"])
    split = read_split([tmp_path / "first", tmp_path / "later"], earlier=earlier.known)
    assert len({s.path for s in split.val if "later" in s.path.parts}) >= 3


def test_without_grouping_only_the_same_pixels_are_known(class_folders: Path, first: Split, tmp_path: Path) -> None:
    shutil.copytree(class_folders, tmp_path / "photos")
    save_again(tmp_path / "photos")
    split = read_split([tmp_path / "photos"], seed=5, earlier=first.known, group_near=False)
    assert {s.path.stem for s in split.val} != {s.path.stem for s in first.val}
    split = read_split([class_folders], seed=5, earlier=first.known, group_near=False)
    assert set(split.val) == set(first.val)


def test_nothing_left_to_validate_with_is_said_as_it_is(first: Split, tmp_path: Path) -> None:
    for sample in first.train:
        (tmp_path / sample.label).mkdir(exist_ok=True)
        shutil.copy(sample.path, tmp_path / sample.label)
    with pytest.raises(DataError, match="the earlier run trained on these"):
        read_split([tmp_path], earlier=first.known)


def test_photos_come_back_from_the_file_and_later_keys_are_passed_over(first: Split, tmp_path: Path) -> None:
    odd = KnownPhoto("train", "k\xf6nig", "\udcff.jpg", 5)
    write_known((*first.known, odd), tmp_path / KNOWN_PHOTOS_FILE)
    back = read_known(tmp_path / KNOWN_PHOTOS_FILE)
    assert [(k.part, k.name, k.scan and (k.scan.sha256, k.scan.pixels, k.scan.phash, k.scan.thumb)) for k in back] == [
        (k.part, k.name, k.scan and (k.scan.sha256, k.scan.pixels, k.scan.phash, k.scan.thumb))
        for k in (*first.known, odd)
    ]
    row = json.loads((tmp_path / KNOWN_PHOTOS_FILE).read_text().splitlines()[0])
    row["scan"]["taste"] = "sour"
    (tmp_path / KNOWN_PHOTOS_FILE).write_text(json.dumps(row) + "\n")
    assert read_known(tmp_path / KNOWN_PHOTOS_FILE) == back[:1]
    for bad in ("{", "[]", '{"part": "train"}', "\xff"):
        (tmp_path / KNOWN_PHOTOS_FILE).write_bytes(bad.encode("latin-1"))
        with pytest.raises(DataError, match="cannot be read"):
            read_known(tmp_path / KNOWN_PHOTOS_FILE)


def test_lists_say_nothing_of_content_without_the_file(first: Split, tmp_path: Path) -> None:
    write_lists(first, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {f"{n}.txt" for n in (*SPLITS, "skipped", "notes")}
