"""Finding photos, naming classes, splitting: files are only read, and every oddity is one clear error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset.samples import read_lists, write_lists
from edgeclf_training.dataset.split import read_split
from helpers import draw, write_class_folders


def test_class_folders_alone_give_a_stratified_fifth_to_validation(class_folders: Path) -> None:
    split = read_split([class_folders], seed=3)
    assert split.classes == ("adelie", "gentoo", "king")
    assert [sum(s.label == c for s in split.val) for c in split.classes] == [2, 2, 2]
    assert len(split.train) == 24
    assert not set(split.train) & set(split.val)
    assert split.test == ()
    assert "20%" in split.val_origin


def test_the_split_follows_the_seed_and_not_the_place(class_folders: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(class_folders, moved)

    def names(root: Path, seed: int) -> list[str]:
        return [s.path.name for s in read_split([root], seed=seed).val]

    assert names(class_folders, 1) == names(moved, 1)
    assert names(class_folders, 1) != names(class_folders, 2)
    assert read_split([class_folders], seed=1).fingerprint() == read_split([moved], seed=1).fingerprint()


def test_train_val_and_test_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("val", 2), ("test", 3)):
        write_class_folders(tmp_path / part, count, seed=10 * count)
    (tmp_path / "marks.json").write_text("{}")
    split = read_split([tmp_path])
    assert (len(split.train), len(split.val), len(split.test)) == (12, 6, 9)
    assert split.val_origin == "the val folder"
    assert all(s.path.parts[-3] == "test" for s in split.test)


def test_classes_and_max_per_class_choose(class_folders: Path) -> None:
    split = read_split([class_folders], only=["king", "adelie"], max_per_class=5)
    assert split.classes == ("adelie", "king")
    assert len(split.train) + len(split.val) == 10
    assert split == read_split([class_folders], only=["adelie", "king"], max_per_class=5)


def test_several_folders_merge_and_an_earlier_split_holds(class_folders: Path, tmp_path: Path) -> None:
    earlier = read_split([class_folders], seed=0)
    write_class_folders(tmp_path / "more", 5, seed=500)
    split = read_split([class_folders, tmp_path / "more"], seed=99, earlier=earlier.known)
    assert set(earlier.train) <= set(split.train), "even with another seed"
    assert set(earlier.val) <= set(split.val)
    assert len(split.train) + len(split.val) == 45
    assert len(split.val) == len(earlier.val) + 3, "a fifth of the new photos validates"


def test_unreadable_photos_are_left_out_and_listed(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 5)
    whole = (root / "king" / "king_000.jpg").read_bytes()
    (root / "king" / "king_001.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "king" / "king_002.jpg").write_text("not a photo")
    (root / "king" / "king_003.jpg").write_bytes(b"")
    seen: list[tuple[int, int]] = []
    split = read_split([root], progress=lambda done, total: seen.append((done, total)))
    assert {s.path.name for s in split.skipped} == {"king_001.jpg", "king_002.jpg", "king_003.jpg"}
    assert all(s.path.name in s.reason for s in split.skipped)
    assert len(split.train) + len(split.val) == 12
    assert seen[-1] == (15, 15)
    assert (root / "king" / "king_002.jpg").read_text() == "not a photo", "user files stay as they are"


def test_lists_come_back_as_written(class_folders: Path, tmp_path: Path) -> None:
    split = read_split([class_folders])
    write_lists(split, tmp_path / "split")
    assert read_lists(tmp_path / "split", split.classes, split.val_origin) == split
    (tmp_path / "split" / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val\.txt"):
        read_lists(tmp_path / "split", split.classes, split.val_origin)


def test_what_cannot_be_trained_on_is_refused(class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    one = tmp_path / "one"
    shutil.copytree(class_folders / "king", one / "king")
    hollow = tmp_path / "hollow"
    shutil.copytree(class_folders, hollow)
    (hollow / "skua").mkdir()
    stray = tmp_path / "stray"
    shutil.copytree(class_folders, stray / "train")
    shutil.copytree(class_folders / "king", stray / "test" / "skua")
    for root, message in (
        (tmp_path / "nowhere", "no such folder"),
        (class_folders / "king" / "king_000.jpg", "not a folder"),
        (tmp_path / "empty", "no class folders"),
        (one, "only one class, king"),
        (hollow, "no images in class folder skua"),
        (stray, "class skua is in test, but not in train"),
    ):
        with pytest.raises(DataError, match=message):
            read_split([root])
    with pytest.raises(DataError, match="no class folder emperor"):
        read_split([class_folders], only=["king", "emperor"])


def test_a_class_that_loses_all_photos_is_an_error(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 3)
    for path in (root / "king").iterdir():
        path.write_text("broken")
    with pytest.raises(DataError, match="no readable training photo is left in king"):
        read_split([root])


def test_photos_once_trained_on_never_validate_wherever_they_turn_up(class_folders: Path, tmp_path: Path) -> None:
    earlier = read_split([class_folders])
    shutil.copytree(class_folders, tmp_path / "new" / "val")
    write_class_folders(tmp_path / "new" / "train", 4, seed=300)
    split = read_split([tmp_path / "new"], earlier=earlier.known)
    assert {s.path.name for s in split.val} == {s.path.name for s in earlier.val}


def test_names_that_repeat_in_sub_folders_split_the_same_in_every_process(tmp_path: Path) -> None:
    for start, label in enumerate(("adelie", "king")):
        for day in range(5):
            folder = tmp_path / "photos" / label / f"day{day}"
            folder.mkdir(parents=True)
            for number in range(2):
                draw(100 * start + day * 2 + number, 32, 24).save(folder / f"IMG_{number}.jpg")
    program = (
        "import sys; from pathlib import Path; from edgeclf_training.dataset.split import read_split;"
        "print([str(s.path) for s in read_split([Path(sys.argv[1])]).val])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program, tmp_path / "photos"],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2", "3")
    }
    assert len(answers) == 1


def test_odd_file_names_come_back_from_the_lists(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 3)
    for number, name in enumerate(("a\u2028b.jpg", "tab\there.jpg", "\udcff.jpg")):
        (root / "king" / f"king_{number:03}.jpg").rename(root / "king" / name)
    split = read_split([root])
    write_lists(split, tmp_path / "split")
    assert read_lists(tmp_path / "split", split.classes, split.val_origin) == split
    (root / "king" / "a\u2028b.jpg").rename(root / "king" / "line\nbreak.jpg")
    with pytest.raises(DataError, match="line break"):
        read_split([root])


def test_what_nobody_has_sorted_is_never_trained_on(class_folders: Path, tmp_path: Path) -> None:
    for name in ("photos", "photos/_unsorted"):
        shutil.copytree(class_folders, tmp_path / name, dirs_exist_ok=True)
    plain, split = read_split([class_folders]), read_split([tmp_path / "photos"])
    assert split.classes == plain.classes
    assert len(split.train) + len(split.val) == 30
    assert not [s for s in (*split.train, *split.val) if "_unsorted" in s.path.parts]
    assert f"{tmp_path / 'photos' / '_unsorted'}: left out" in split.notes[0]
    (tmp_path / "link").symlink_to(tmp_path / "photos" / "_unsorted")
    for root in (tmp_path / "photos" / "_unsorted", tmp_path / "photos" / "_unsorted" / "king", tmp_path / "link"):
        with pytest.raises(DataError, match=r"not sorted.*move it into the folder of its class"):
            read_split([root])


def test_one_photo_per_class_is_too_few_to_validate_with(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few photos"):
        read_split([write_class_folders(tmp_path / "photos", 1)])


def test_links_that_lead_back_are_left_out_and_broken_ones_are_reported(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 3)
    (root / "round").symlink_to(root)
    (root / "king" / "up").symlink_to(root / "king")
    (root / "self").symlink_to(root / "self")
    (root / "king" / "me.jpg").symlink_to(root / "king" / "me.jpg")
    (root / "king" / "gone.jpg").symlink_to(root / "king" / "nowhere.jpg")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number in range(3):
        draw(40 + number).save(elsewhere / f"{number}.jpg")
    (root / "skua").symlink_to(elsewhere)
    split = read_split([root])
    assert split.classes == ("adelie", "gentoo", "king", "skua"), "a link to a folder of photos is a class"
    assert len(split.train) + len(split.val) == 12
    assert {s.path.name for s in split.skipped} == {"me.jpg", "gone.jpg"}


def test_nested_folders_and_names_in_any_script_count(tmp_path: Path) -> None:
    for start, label in enumerate(("企鹅", "пингвин")):
        deep = tmp_path / "photos" / label / "día 1" / "утро"
        deep.mkdir(parents=True)
        for number in range(4):
            draw(100 * start + number).save(deep / f"{'長' * 70}{number} 🐧.jpg")
    split = read_split([tmp_path / "photos"])
    assert split.classes == ("пингвин", "企鹅")
    assert len(split.train) + len(split.val) == 8
    assert split.skipped == ()


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="permissions do not bind root")
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 3)
    (root / "king" / "king_000.jpg").chmod(0)
    split = read_split([root])
    assert "king_000.jpg" in split.skipped[0].reason
    (root / "gentoo").chmod(0)
    try:
        with pytest.raises(DataError, match=r"gentoo: the folder cannot be read \(Permission denied\); check"):
            read_split([root])
    finally:
        (root / "gentoo").chmod(0o755)
