"""Names of class folders: which are one class, which are refused, and in what order people read them."""

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.class_names import natural
from edgeclf.errors import DataError
from edgeclf.evaluation.folder_name_rules import split_of
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.found import Found
from folder_trees import tree
from helpers import draw

Counts = dict[str, dict[str, int]]


def counts(found: Found) -> Counts:
    return {part: dict(Counter(s.label for s in samples)) for part, samples in found.parts.items() if samples}


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
    assert any(f"{named}: read as a class, not as a split" in note for note in found.notes)
    split = None if "/" not in folders or "val/" in folders else "train"
    assert sorted({i for _, i in find_labelled_photos(tmp_path, classes, split=split).photos}) == [*range(len(classes))]


def test_evaluate_knows_classes_called_like_splits_by_the_model(tmp_path: Path) -> None:
    tree(tmp_path / "flat", "test val")
    assert find_labelled_photos(tmp_path / "flat", ("test", "val")).split == "all"
    tree(tmp_path / "split", "train/test train/val test/test test/val")
    found = find_labelled_photos(tmp_path / "split", ("test", "val"))
    assert (found.split, len(found.photos)) == ("test", 2)


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
    with pytest.raises(DataError, match=r"class folders '.*' and '.*' are too similar"):
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
    with pytest.raises(DataError, match="are too similar"):
        find_photos([tmp_path / "train", tmp_path / "twice"])
    tree(tmp_path / "b", ["Tea", composed])
    with pytest.raises(DataError, match=r"[Tt]ea' and '[^']*[Tt]ea' are too similar"):
        find_photos([tmp_path / "train", tmp_path / "b"])


@pytest.mark.parametrize("name", ["unknown", "Unknown", "UNKNOWN"])
def test_the_word_for_a_refusal_is_no_class(name: str, tmp_path: Path) -> None:
    tree(tmp_path, ["cat", "dog", name])
    with pytest.raises(DataError, match=f"{name}: unknown is the label of photos below the confidence threshold"):
        find_photos([tmp_path])
    assert [p.name for p in find_photos([tmp_path], checking=True).refusals] == [name]
    assert find_labelled_photos(tmp_path, ("cat", "dog", name)).absent == (), (
        "a model that has it is judged all the same"
    )


def test_lists_for_people_go_by_number_and_the_index_by_characters(tmp_path: Path) -> None:
    numbers = [str(n) for n in range(1, 21)]
    assert sorted(sorted(numbers), key=natural) == numbers
    mixed = ["b", "A", "a10", "a9", "x1y10", "x1y9", "٣", "½"]
    assert sorted(mixed, key=natural)[:4] == ["A", "a9", "a10", "b"]
    found = find_photos([tree(tmp_path, numbers)])
    assert found.classes == tuple(sorted(numbers)), "an index is the same on every machine"
    assert any("class indices follow characters, not numbers: 1, 10, 11, ..." in note for note in found.notes)
    (tmp_path / "3" / "0.jpg").unlink()
    (tmp_path / "12" / "0.jpg").unlink()
    with pytest.raises(DataError, match="class folder 3, 12;"):
        find_photos([tmp_path])


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
    assert "class indices follow characters, not numbers: 1, 10, 11, ..." in checked
