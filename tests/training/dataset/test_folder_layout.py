"""What data folders mean: one reading for training, `data check` and `evaluate`, told or refused, never guessed."""

import json
import os
import shlex
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.class_names import natural
from edgeclf.errors import DataError, EdgeclfError, UsageError
from edgeclf.evaluation.class_folders import split_of
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf.images.overlay_mark import OVERLAY_MARK
from edgeclf_training.dataset.find_photos import Found, find_photos
from helpers import draw

PAIR = ("cat", "dog")
Counts = dict[str, dict[str, int]]


def tree(root: Path, folders: str | Iterable[str], photos: int = 1) -> Path:
    """Folders with photos in them ("a/" stays empty, "a.txt" is a file); nothing here opens a photo."""
    for name in folders.split() if isinstance(folders, str) else folders:
        if name.endswith(".txt"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
            continue
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(0 if name.endswith("/") else photos):
            (root / name / f"{number}.jpg").touch()
    return root


def counts(found: Found) -> Counts:
    return {part: dict(Counter(s.label for s in samples)) for part, samples in found.parts.items() if samples}


def both(*parts: str) -> str:
    return " ".join(f"{part}/{label}" for part in parts for label in PAIR)


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
            "splits train, val lie inside a class folder; turn it round: train/cat",
        ),
        ("seg_pred/seg_pred seg_test/seg_test/cat seg_train/seg_train/cat", "seg_test, seg_train look like splits"),
        ("images-train/cat images-train/dog images-val/cat", "images-train, images-val look like splits"),
        ("cat dog animals/cat animals/dog", "animals: cat, dog inside it is called like another class"),
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


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        ("train bus", ("bus", "train")),
        ("bus train car", ("bus", "car", "train")),
        ("test control", ("control", "test")),
        ("dev ops", ("dev", "ops")),
        ("train/train train/bus", ("bus", "train")),
        ("train/train train/bus val/train val/bus", ("bus", "train")),
    ],
)
def test_a_class_may_be_called_like_a_split(folders: str, classes: tuple[str, ...], tmp_path: Path) -> None:
    found = find_photos([tree(tmp_path, folders)])
    assert found.classes == classes
    named = next(name for name in classes if split_of(name))
    assert any(f"{named}: taken for a class, not for a split" in note for note in found.notes)
    split = None if "/" not in folders or "val/" in folders else "train"
    assert sorted({i for _, i in find_labelled_photos(tmp_path, classes, split=split).photos}) == [*range(len(classes))]


def test_evaluate_knows_classes_called_like_splits_by_the_model(tmp_path: Path) -> None:
    tree(tmp_path / "flat", "test val")
    assert find_labelled_photos(tmp_path / "flat", ("test", "val")).split == "all"
    tree(tmp_path / "split", "train/test train/val test/test test/val")
    found = find_labelled_photos(tmp_path / "split", ("test", "val"))
    assert (found.split, len(found.photos)) == ("test", 2)


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
    told = f"{data / (split or '')}: its photos are taken from {Path(inner)}, the folder inside"
    assert told in found.notes
    assert any("left alone: __MACOSX" in note for note in found.notes) == bool(junk)
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


def test_what_nobody_has_sorted_is_told_wherever_it_lies(tmp_path: Path) -> None:
    tree(tmp_path, f"{both('w/train', 'w/val')} w/_unsorted/cat w/val/_unsorted/cat")
    found = find_photos([tmp_path])
    assert [p.relative_to(tmp_path).as_posix() for p in found.unsorted] == ["w/_unsorted", "w/val/_unsorted"]
    assert counts(found)["val"] == {"cat": 1, "dog": 1}


@pytest.mark.parametrize("order", [("train", "val", "test"), ("test", "train"), ("Val", "training")])
def test_parts_given_one_by_one_are_parts(order: tuple[str, ...], tmp_path: Path) -> None:
    tree(tmp_path, both(*order))
    found = find_photos([tmp_path / name for name in order])
    assert set(counts(found)) == {split_of(name) for name in order}
    assert sum("taken for the" in note for note in found.notes) == len(order) - 1
    assert counts(find_photos([tmp_path / order[0]])) == {"train": {"cat": 1, "dog": 1}}, "alone it is meant"


def test_the_line_to_type_is_told_where_parts_of_a_data_folder_are_given(tmp_path: Path) -> None:
    tree(tmp_path / "my photos", both("val", "test"))
    root = tmp_path / "my photos"
    with pytest.raises(DataError, match=r"none to train on; .*edgeclf train '"):
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


NAMES = [
    ("Pizza", "pizza"),
    ("pizza", "pizza "),
    ("Pizza", "pizza."),
    ("STRASSE", "Straße"),
    ("a  b", "a b"),
    ("cat", "c\u0430t"),
    ("ﬁsh", "fish"),
    ("ｶﾒﾗ", "カメラ"),
]


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not keep apart")
@pytest.mark.parametrize("names", [*NAMES, tuple(unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))])
def test_classes_that_cannot_be_told_apart_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    if sum(1 for _ in tree(tmp_path / "d", [*names, "rice"]).iterdir()) < 3:
        pytest.skip("this file system does not keep them apart")
    with pytest.raises(DataError, match=r"class folders '.*' and '.*' cannot be told apart"):
        find_photos([tmp_path / "d"])
    checked = find_photos([tmp_path / "d"], checking=True)
    assert [{p.name for p in group} for group in checked.alike] == [{*names}]


def test_the_same_name_spelt_otherwise_elsewhere_is_the_same_class(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    tree(tmp_path, [f"train/{composed}", "train/tea", f"val/{apart}", "val/tea", f"test/{apart}"])
    assert counts(find_photos([tmp_path]))["val"] == {composed: 1, "tea": 1}
    assert [index for _, index in find_labelled_photos(tmp_path, (composed, "tea"), split="val").photos] == [0, 1]
    merged = find_photos([tmp_path / "train", tmp_path / "val", tree(tmp_path / "more", [apart, "tea"])])
    assert merged.classes == (composed, "tea")
    tree(tmp_path / "other", [f"train/{apart}", "train/tea", f"val/{composed}"])
    assert counts(find_photos([tmp_path / "other"]))["val"] == {apart: 1}
    tree(tmp_path / "twice", [apart, composed])
    with pytest.raises(DataError, match="cannot be told apart"):
        find_photos([tmp_path / "train", tmp_path / "twice"])
    tree(tmp_path / "b", ["Tea", composed])
    with pytest.raises(DataError, match=r"[Tt]ea' and '[^']*[Tt]ea' cannot be told apart"):
        find_photos([tmp_path / "train", tmp_path / "b"])


@pytest.mark.parametrize("name", ["unknown", "Unknown", "UNKNOWN"])
def test_the_word_for_a_refusal_is_no_class(name: str, tmp_path: Path) -> None:
    tree(tmp_path, ["cat", "dog", name])
    with pytest.raises(DataError, match=f"{name}: unknown is the word for a photo that is not answered"):
        find_photos([tmp_path])
    assert [p.name for p in find_photos([tmp_path], checking=True).refusals] == [name]
    assert find_labelled_photos(tmp_path, ("cat", "dog", name)).absent == (), (
        "a model that has it is judged all the same"
    )


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


def test_lists_for_people_go_by_number_and_the_index_by_characters(tmp_path: Path) -> None:
    numbers = [str(n) for n in range(1, 21)]
    assert sorted(sorted(numbers), key=natural) == numbers
    mixed = ["b", "A", "a10", "a9", "x1y10", "x1y9", "٣", "½"]
    assert sorted(mixed, key=natural)[:4] == ["A", "a9", "a10", "b"]
    found = find_photos([tree(tmp_path, numbers)])
    assert found.classes == tuple(sorted(numbers)), "an index is the same on every machine"
    assert any("class index: by characters, not by number: 1, 10, 11, ..." in note for note in found.notes)
    (tmp_path / "3" / "0.jpg").unlink()
    (tmp_path / "12" / "0.jpg").unlink()
    with pytest.raises(DataError, match="class folder 3, 12;"):
        find_photos([tmp_path])


def test_of_several_data_folders_evaluate_says_what_to_type(
    edgeclf: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    tree(tmp_path / "my photos", both("test", "val"))
    done = edgeclf("evaluate", model, *sorted((tmp_path / "my photos").iterdir()))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("edgeclf: 2 data folders given, first: ")
    assert done.stderr.count("\n") == 1
    words = shlex.split(done.stderr.partition("edgeclf evaluate ")[2])
    assert os.path.samefile(words[1], tmp_path / "my photos")


def test_people_read_classes_by_number(
    edgeclf: Callable[..., Any], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    numbers = [str(n) for n in range(1, 13)]
    for n in numbers:
        (tmp_path / "d" / n).mkdir(parents=True)
        for copy in range(2):
            draw(10 * int(n) + copy, 32, 24).save(tmp_path / "d" / n / f"{copy}.png")
    model = make_model(classes=tuple(sorted(numbers)))
    listed = [line.split() for line in edgeclf("info", model).stdout.splitlines()[-12:]]
    assert [name for _, name in listed] == numbers
    assert [index for index, _ in listed[:3]] == ["0", "4", "5"], "the index goes by characters"
    judged = edgeclf("evaluate", model, tmp_path / "d")
    table, matrix = (block.splitlines()[1:] for block in judged.stdout.split("\n\n")[1:3])
    assert [line.split()[0] for line in table] == numbers
    assert [line.split()[1] for line in matrix] == numbers
    counted = json.loads(edgeclf("evaluate", model, tmp_path / "d", "--json").stdout)
    assert counted["classes"] == sorted(numbers)
    for line in matrix:
        row = dict(zip(numbers, map(int, line.split()[2:]), strict=True))
        index = counted["classes"].index(line.split()[1])
        assert row == dict(zip(counted["classes"], counted["confusion"][index], strict=True))
    checked = edgeclf("data", "check", tmp_path / "d", "--quarantine", tmp_path / "q.txt").stdout
    assert [line.split()[0] for line in checked.splitlines()[1:13]] == numbers
    assert "class index: by characters, not by number: 1, 10, 11, ..." in checked


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
