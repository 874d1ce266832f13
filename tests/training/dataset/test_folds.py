"""Folds: whole groups, classes evenly, every photo once."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset.folds import assign_folds
from edgeclf_training.dataset.samples import Sample, read_lists, write_lists
from edgeclf_training.dataset.split import read_split
from helpers import draw


def groups_of(sizes: dict[str, list[int]]) -> list[list[Sample]]:
    return [
        [Sample(Path(f"{label}/{group}-{n}.jpg"), label, 1) for n in range(size)]
        for label, of in sizes.items()
        for group, size in enumerate(of)
    ]


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
@pytest.mark.parametrize("seed", range(3))
def test_folds_are_even_in_each_class(folds: int, seed: int) -> None:
    found = assign_folds(groups_of({"a": [1] * 30, "b": [1] * 53, "c": [1] * 11}), folds, seed)
    assert len(found) == 94
    counts = Counter((sample.label, fold) for sample, fold in found.items())
    assert {fold for _, fold in counts} == set(range(1, folds + 1))
    for label in "abc":
        of = [counts[label, fold] for fold in range(1, folds + 1)]
        assert max(of) - min(of) <= 1


def test_groups_stay_together_and_folds_as_even_as_they_allow() -> None:
    rng = np.random.default_rng(0)
    groups = groups_of({label: rng.integers(1, 9, 40).tolist() for label in "abc"})
    found = assign_folds(groups, 5, 0)
    for group in groups:
        assert len({found[sample] for sample in group}) == 1
    totals = Counter(found.values())
    assert max(totals.values()) - min(totals.values()) <= 8


def test_another_seed_gives_other_folds_and_the_order_of_groups_none() -> None:
    groups = groups_of({"a": [1] * 20, "b": [1] * 20})
    assert assign_folds(groups, 4, 0) == assign_folds(groups[::-1], 4, 0) != assign_folds(groups, 4, 1)


def test_too_few_photos_are_told() -> None:
    with pytest.raises(DataError, match=r"all photos of b are in one fold"):
        assign_folds(groups_of({"a": [1] * 20, "b": [7]}), 5, 0)
    with pytest.raises(DataError, match=r"a fold would be empty"):
        assign_folds(groups_of({"a": [1, 1], "b": [1, 1]}), 5, 0)


def test_near_duplicates_share_a_fold_test_photos_have_none_and_val_photos_take_part(tmp_path: Path) -> None:
    for part, label, numbers in (
        ("train", "a", range(8)),
        ("train", "b", range(20, 28)),
        ("val", "a", [40]),
        ("test", "b", [50]),
    ):
        folder = tmp_path / part / label
        folder.mkdir(parents=True)
        for number in numbers:
            draw(number).save(folder / f"{number}.jpg", quality=95)
            if number in (3, 24):
                draw(number).save(folder / f"{number}-again.jpg", quality=60)
    split = read_split(tmp_path, folds=4)
    assert split.train == split.val
    assert len(split.train) == 19
    assert [s.path.stem for s in split.test] == ["50"]
    assert set(split.folds) == set(split.val)
    of = {sample.path.stem: fold for sample, fold in split.folds.items()}
    assert of["3"] == of["3-again"]
    assert of["24"] == of["24-again"]
    assert "40" in of
    assert split.val_origin == "4 folds, each photo by a network that was not trained on it"
    write_lists(split, tmp_path / "lists")
    assert read_lists(tmp_path / "lists", split.classes, split.val_origin).folds == split.folds


def test_a_class_of_one_group_needs_photos_that_always_train() -> None:
    groups = groups_of({"a": [1] * 6, "b": [1] * 6, "owl": [5]})
    with pytest.raises(DataError, match=r"all photos of owl are in one fold \(grouped by folder:1\)"):
        assign_folds(groups, 3, 0, rule="folder:1")
    assert len(assign_folds(groups, 3, 0, always={"owl"})) == 17
