"""The report's confusion matrix: readable with any number of classes and names of any length."""

import re

import numpy as np
import pytest
from edgeclf_training.report.confusion_matrix import classes_to_draw, draw_confusion_matrix


@pytest.mark.parametrize("classes", [2, 25, 26, 100, 1000])
def test_the_matrix_is_readable_with_any_number_of_classes(classes: int) -> None:
    names = [f"class {i}" for i in range(classes)]
    confusion = 5 * np.eye(classes, dtype=int)
    confusion[0, 1] = 91
    if classes > 2:
        confusion[24, 2], confusion[2, 24] = 17, 3
    drawn = classes_to_draw(confusion.tolist())
    assert drawn == (list(range(classes)) if classes <= 25 else [0, 1, 2, 24])
    drawing = draw_confusion_matrix(confusion.tolist(), names, drawn)
    assert len(drawing) < 100_000
    told = re.findall(r">([^<>]+)</text>", drawing)
    assert [name for name in told if name.startswith("class ")] == 2 * [names[i] for i in drawn]
    assert (f"{classes - 4} other classes" in told) == (classes > 25)
    assert {"91", "5"} <= set(told)
    if classes > 25:
        assert {"17", "3", str(5 * (classes - 4))} <= set(told)


def test_the_most_confused_classes_are_those_confused_most_often_either_way() -> None:
    confusion = np.zeros((60, 60), int)
    confusion[5:50, 59] = 1  # one class swallows a photo of many others
    confusion[3, 4] = 9
    confusion[np.arange(6, 30), np.arange(7, 31)] += 2
    drawn = classes_to_draw(confusion.tolist())
    assert {3, 4, 59} < set(drawn)
    assert len(drawn) == 20
    assert drawn == sorted(drawn)
    assert classes_to_draw(np.eye(60, dtype=int).tolist()) == []


def test_long_names_are_told_apart_by_either_end() -> None:
    names = ["penguin seen from the front left", "penguin seen from the front right"]
    told = re.findall(r">(penguin[^<>]+)</text>", draw_confusion_matrix([[1, 0], [0, 1]], names, [0, 1]))
    assert len(set(told)) == 2
    assert all(len(name) <= 24 for name in told)
