"""What data folders mean: one reading for training, `data check` and `evaluate`, told or refused, never guessed."""

import os
import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import DataError, UsageError
from edgeclf.evaluation.folder_name_rules import split_of
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.found import Found
from folder_trees import PAIR, both, tree

Counts = dict[str, dict[str, int]]


def counts(found: Found) -> Counts:
    return {part: dict(Counter(s.label for s in samples)) for part, samples in found.parts.items() if samples}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Train", "TRAINING", "training_set", "train-data", "Train Set")),
        *((name, "val") for name in ("val", "Val", "valid", "Validation", "dev", "DevSet", "validation set")),
        *((name, "test") for name in ("test", "Test", "testing", "TEST", "test_set", "testdata")),
        *((name, None) for name in ("trains", "tester", "set", "data", "dataset", "develop", "contest", "vale", "")),
    ],
)
def test_splits_are_known_by_their_names(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize("val", ["Val", "dev", "valid", "Validation", "val_set"])
@pytest.mark.parametrize("test", ["Test", "testing"])
def test_splits_mean_the_same_to_train_and_to_evaluate(val: str, test: str, tmp_path: Path) -> None:
    tree(tmp_path, both("Train", val, test))
    one = {"cat": 1, "dog": 1}
    assert counts(find_photos([tmp_path])) == {"train": one, "val": one, "test": one}
    chosen = [find_labelled_photos(tmp_path, PAIR, split=split) for split in (None, "val", "test", "train")]
    assert [f.split for f in chosen] == ["test", "validation", "test", "training"]
    assert [f.folder.name for f in chosen] == [test, val, test, "Train"]


def refused(root: Path, message: str) -> None:
    """By training, by the check, and by evaluate, each with its own kind of error."""
    for checking in (False, True):
        with pytest.raises(DataError, match=message):
            find_photos([root], checking=checking)
    with pytest.raises(UsageError, match=f"{message}|the model has no class"):
        find_labelled_photos(root, PAIR)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (f"{both('train', 'val')} bird", "bird lies beside train, val, in no split"),
        (f"{both('test', 'train')} extra/a/b", "extra lies beside test, train, in no split"),
        (f"{both('val')} cat dog", "cat, dog lie beside val, in no split"),
        (both("train", "val", "Valid"), "val, Valid mean the same split|Valid, val mean the same split"),
        (both("train", "test", "dev", "val"), "dev, val mean the same split"),
        ("train test", "test, train hold photos, but no class folders; put the photos of each class"),
        ("Train", "Train holds photos, but no class folders"),
        ("val test dev", "dev, test, val hold photos, but no class folders"),
        ("train test cat", "test, train hold photos, but no class folders"),
        (
            "cat/train cat/val dog/train dog/val",
            "splits train, val lie inside a class folder; put the splits above the classes: train/cat",
        ),
        ("seg_pred/seg_pred seg_test/seg_test/cat seg_train/seg_train/cat", "seg_test, seg_train look like splits"),
        ("images-train/cat images-train/dog images-val/cat", "images-train, images-val look like splits"),
        ("cat dog animals/cat animals/dog", "animals: cat, dog inside it has the name of another class"),
    ],
)
def test_what_is_not_clear_is_refused_with_what_was_found(folders: str, message: str, tmp_path: Path) -> None:
    refused(tree(tmp_path / "d", folders), message)


def test_training_wants_a_train_folder_and_evaluate_something_held_out(tmp_path: Path) -> None:
    tree(tmp_path / "held", both("val", "test"))
    with pytest.raises(DataError, match=r"test, val without a train folder"):
        find_photos([tmp_path / "held"])
    assert find_labelled_photos(tmp_path / "held", PAIR).split == "test"
    tree(tmp_path / "only", both("training"))
    assert counts(find_photos([tmp_path / "only"])) == {"train": {"cat": 1, "dog": 1}}
    with pytest.raises(UsageError, match="neither test nor val"):
        find_labelled_photos(tmp_path / "only", PAIR)


def test_evaluate_leaves_folders_beside_the_splits_out_when_told_to(tmp_path: Path) -> None:
    tree(tmp_path, f"{both('train', 'val')} bird labels/x.txt")
    with pytest.raises(UsageError, match=r"bird lies beside.*--ignore-unknown"):
        find_labelled_photos(tmp_path, PAIR)
    found = find_labelled_photos(tmp_path, PAIR, ignore_unknown=True)
    assert (found.split, len(found.photos)) == ("validation", 2)
    assert found.notes == (f"{tmp_path}: left out, in no split: bird",)


@pytest.mark.parametrize("wrapper", ["dataset", "dataset/dataset", "a/b/c", "train/dataset"])
@pytest.mark.parametrize("inside", [both("train", "val"), "cat dog", both("Training", "testing")])
@pytest.mark.parametrize("junk", ["", "readme.txt __MACOSX/dataset/cat"])
def test_wrapper_folders_are_entered_and_told(wrapper: str, inside: str, junk: str, tmp_path: Path) -> None:
    data = tree(tmp_path / "d", junk)
    tree(data / wrapper, inside)
    found = find_photos([data])
    assert counts(found)["train"] == {"cat": 1, "dog": 1}
    assert len(counts(found)) == (2 if "/" in inside else 1)
    split, inner = ("train", "dataset") if wrapper.startswith("train") and inside == "cat dog" else (None, wrapper)
    told = f"{data / (split or '')}: its photos are read from {Path(inner)}, the folder inside"
    assert told in found.notes
    assert any("ignored: __MACOSX" in note for note in found.notes) == bool(junk)
    judged = find_labelled_photos(data, PAIR, split=split)
    assert len(judged.photos) == 2
    assert told in judged.notes


def test_wrappers_inside_splits_and_beside_folders_without_photos_are_entered(tmp_path: Path) -> None:
    tree(tmp_path / "twice", "train/train/cat train/train/dog test/images/cat test/images/dog")
    assert {p: sum(c.values()) for p, c in counts(find_photos([tmp_path / "twice"])).items()} == {"train": 2, "test": 2}
    assert len(find_labelled_photos(tmp_path / "twice", PAIR).photos) == 2
    tree(tmp_path / "beside", f"{both('data/train', 'data/val')} labels/a.txt paper/")
    assert set(counts(find_photos([tmp_path / "beside"]))) == {"train", "val"}
    (tmp_path / "cover" / "data").mkdir(parents=True)
    (tmp_path / "cover" / "data" / "cover.jpg").touch()
    found = find_photos([tree(tmp_path / "cover", both("data/train", "data/val"))])
    assert set(counts(found)) == {"train", "val"}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ("cat/monday/", "only one class, cat"),
        ("cat/monday", "only one class, cat"),
        ("cat dog/", "no images in class folder dog"),
        ("cat/monday cat/tuesday dog/", "no images in class folder dog"),
        ("dataset/cat", "only one class, dataset"),
        ("", "no class folders"),
    ],
)
def test_what_is_no_wrapper_is_not_entered(folders: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(DataError, match=message):
        find_photos([tree(tmp_path / "d", folders)])


def test_a_held_out_class_alone_in_its_split_is_no_wrapper(tmp_path: Path) -> None:
    tree(tmp_path, f"{both('train')} val/cat/monday val/cat/tuesday")
    assert counts(find_photos([tmp_path]))["val"] == {"cat": 2}
    assert [index for _, index in find_labelled_photos(tmp_path, PAIR).photos] == [0, 0]
    tree(tmp_path / "more", "bird/monday bird/tuesday")
    assert "bird" in find_photos([tmp_path / "train", tmp_path / "more"]).classes


@pytest.mark.parametrize("order", [("train", "val", "test"), ("test", "train"), ("Val", "training")])
def test_parts_given_one_by_one_are_parts(order: tuple[str, ...], tmp_path: Path) -> None:
    tree(tmp_path, both(*order))
    found = find_photos([tmp_path / name for name in order])
    assert set(counts(found)) == {split_of(name) for name in order}
    assert sum("used as the" in note for note in found.notes) == len(order) - 1
    assert counts(find_photos([tmp_path / order[0]])) == {"train": {"cat": 1, "dog": 1}}, "alone it is meant"


def test_the_line_to_type_is_told_where_parts_of_a_data_folder_are_given(tmp_path: Path) -> None:
    tree(tmp_path / "my photos", both("val", "test"))
    root = tmp_path / "my photos"
    with pytest.raises(DataError, match=r"no training folder; .*edgeclf train '"):
        find_photos([root / "test", root / "val"])
    tree(tmp_path / "flat", "cat dog")
    with pytest.raises(DataError, match=f"but no class folders; .*edgeclf train {tmp_path / 'flat'}"):
        find_photos([tmp_path / "flat" / "cat", tmp_path / "flat" / "dog"])
    (tmp_path / "flat" / "readme.txt").touch()
    with pytest.raises(DataError, match=f"readme.txt: is not a folder; give the folder above: .* {tmp_path / 'flat'}"):
        find_photos(sorted((tmp_path / "flat").iterdir()))
    found = find_photos([tmp_path / "flat", root / "test"])
    assert set(counts(found)) == {"train", "test"}


def test_folders_inside_class_folders_are_told(tmp_path: Path) -> None:
    tree(tmp_path / "days", "cat/day1 cat/day2 dog/day1 dog/day2")
    found = find_photos([tmp_path / "days"])
    assert counts(found) == {"train": {"cat": 2, "dog": 2}}
    assert found.mixed == ()
    (note,) = found.notes
    assert note.endswith("count for that class: cat (day1, day2), dog (day1, day2)")
    assert find_labelled_photos(tmp_path / "days", PAIR).notes == found.notes
    tree(tmp_path / "mixed", "animals/cat animals/dog bus car cat2 cat2/2021")
    found = find_photos([tmp_path / "mixed"])
    assert found.mixed == (tmp_path / "mixed" / "animals",)
    assert "animals (cat, dog)" in found.notes[0]
    tree(tmp_path / "kept", "cat cat/garden cat/street dog/left dog/right fox/left fox/right owl/2020 owl/2021")
    assert find_photos([tmp_path / "kept"]).mixed == (), "by place, by camera, by year"
    with pytest.raises(UsageError, match=r"no class animals \(inside: cat, dog\)"):
        find_labelled_photos(tmp_path / "mixed", ("bus", "car", "cat", "cat2", "dog"))
    tree(tmp_path / "folds", "fold1/a fold1/b fold2/a fold2/b")
    with pytest.raises(DataError, match=r"fold1: looks like a part of the data, not a class: it holds a, b; give each"):
        find_photos([tmp_path / "folds"])
    assert find_photos([tmp_path / "folds" / "fold1", tmp_path / "folds" / "fold2"]).classes == ("a", "b")


def test_of_several_data_folders_evaluate_says_what_to_type(
    edgeclf: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    tree(tmp_path / "my photos", both("test", "val"))
    done = edgeclf("evaluate", model, *sorted((tmp_path / "my photos").iterdir()))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("edgeclf: 2 data folders, first: ")
    assert done.stderr.count("\n") == 1
    words = shlex.split(done.stderr.partition("edgeclf evaluate ")[2])
    assert os.path.samefile(words[1], tmp_path / "my photos")
