"""What is left out of data folders: system folders, links in circles, heat maps, unsorted photos."""

import os
from collections import Counter
from pathlib import Path

import pytest
from edgeclf.errors import EdgeclfError, UsageError
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf.images.heatmap_mark import OVERLAY_MARK
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.found import Found
from folder_trees import PAIR, both, tree

Counts = dict[str, dict[str, int]]


def counts(found: Found) -> Counts:
    return {part: dict(Counter(s.label for s in samples)) for part, samples in found.parts.items() if samples}


def test_what_nobody_has_sorted_is_told_wherever_it_lies(tmp_path: Path) -> None:
    tree(tmp_path, f"{both('w/train', 'w/val')} w/_unsorted/cat w/val/_unsorted/cat")
    found = find_photos([tmp_path])
    assert [p.relative_to(tmp_path).as_posix() for p in found.unsorted] == ["w/_unsorted", "w/val/_unsorted"]
    assert counts(found)["val"] == {"cat": 1, "dog": 1}


JUNK = ["__MACOSX/", "System Volume Information/", "lost+found/", "$RECYCLE.BIN/", "@eaDir/x", ".Trash-1000/x"]


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("part", ["", "train/"])
def test_what_systems_leave_behind_is_left_alone(junk: str, part: str, tmp_path: Path) -> None:
    tree(tmp_path, [f"{part}cat", f"{part}dog", f"{part}{junk}"])
    found = find_photos([tmp_path])
    assert counts(found) == {"train": {"cat": 1, "dog": 1}}
    name = junk.split("/")[0]
    assert [name in note for note in found.notes] == ([] if name.startswith(".") else [True])
    assert len(find_labelled_photos(tmp_path, PAIR, split="train" if part else None).photos) == 2


def test_what_may_not_be_listed_is_left_alone_where_nobody_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, ["cat", "dog", "lost+found/"])
    real = os.scandir

    def scandir(path: str = ".") -> object:
        if str(path).endswith(("lost+found", "closed")):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert find_photos([tmp_path]).classes == PAIR
    (tmp_path / "closed").mkdir()
    for read in (lambda: find_photos([tmp_path]), lambda: find_labelled_photos(tmp_path, PAIR)):
        with pytest.raises(EdgeclfError, match="closed: the folder cannot be read"):
            read()


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_linked_folders_inside_class_folders_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    data = tree(tmp_path / "d", "cat dog cat/day1")
    tree(tmp_path / "card", "more/deep", photos=3)
    away = tree(tmp_path / "away", "x", photos=2)
    for link, target in (
        ("cat/card", tmp_path / "card"),
        ("cat/day1/deeper", away / "x"),
        ("cat/again", away / "x"),
        ("cat/up", data / "cat"),
        ("cat/day1/top", data),
        ("cat/self", data / "cat" / "self"),
        ("dog/gone", tmp_path / "nowhere"),
        ("dog/other", data / "cat" / "day1"),
    ):
        (data / link).symlink_to(target)
    # What dog is linked to is its photo too, and then filed under two classes: that is found by content.
    expected = {"cat": 1 + 1 + 3 + 2, "dog": 1 + 1 + 2}
    assert counts(find_photos([data])) == {"train": expected}
    assert counts(find_photos([data], checking=True)) == {"train": expected}
    judged = find_labelled_photos(data, PAIR).photos
    assert Counter(PAIR[index] for _, index in judged) == expected
    tree(tmp_path / "split", "train/cat train/dog")
    (tmp_path / "split" / "val").symlink_to(data)
    assert counts(find_photos([tmp_path / "split"]))["val"] == expected, "a split may be a link as well"


def test_heat_maps_beside_splits_are_no_photos(tmp_path: Path) -> None:
    tree(tmp_path, f"{both('train', 'test')} maps")
    with pytest.raises(UsageError, match="maps lies beside"):
        find_labelled_photos(tmp_path, PAIR)
    (tmp_path / "maps" / "0.jpg").write_bytes(b"\xff\xd8\xff\xfe\0\x12" + OVERLAY_MARK)
    assert find_labelled_photos(tmp_path, PAIR).split == "test"
    assert len(counts(find_photos([tmp_path]))) == 2


def test_training_walks_folders_as_the_other_commands_do(tmp_path: Path) -> None:
    """The rules themselves are tested with the walk: tests/runtime/files/test_walk.py."""
    tree(tmp_path / "d", "cat dog cat/@eaDir/0.jpg cat/.thumbnails cat/day1")
    tree(tmp_path / "disk2", "cat")
    (tmp_path / "d" / "cat" / "Thumbs.db").touch()
    (tmp_path / "d" / "cat" / "._0.jpg").touch()
    (tmp_path / "d" / "cat" / "more").symlink_to(tmp_path / "disk2" / "cat")
    (tmp_path / "d" / "cat" / "loop").symlink_to(tmp_path / "d")
    names = [
        sample.path.relative_to(tmp_path / "d").as_posix() for sample in find_photos([tmp_path / "d"]).parts["train"]
    ]
    assert sorted(names) == ["cat/0.jpg", "cat/day1/0.jpg", "cat/more/0.jpg", "dog/0.jpg"]
