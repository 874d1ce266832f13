"""What a network has lost of the classes that it knew: counts, the test against chance, and the lines for people."""

import math

import numpy as np
import pytest
from edgeclf_training.evaluation.forgetting import ClassForgetting, Forgetting, compare, sign_test


def test_the_sign_test_is_the_binomial_tail() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == 1 / 32
    assert sign_test(3, 1) == pytest.approx((4 + 1) / 16)
    assert sign_test(1, 3) == pytest.approx(15 / 16)
    assert 0 < sign_test(1100, 900) < 1e-5
    assert math.isfinite(sign_test(2000, 2000))


def logits(*best: int, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[list(best)] * 5


def test_both_networks_are_compared_on_the_classes_that_are_kept() -> None:
    # earlier: a, b, c, d; c is dropped, a and d are united as u, n is new
    before = np.array([[2, 1, 9, 1.9], [0, 3, 0, 0], [3, 2, 0, 0], [1.5, 2, 0, 1.5]], np.float32)
    now = logits(2, 0, 1, 1, classes=3)
    rows = {"b": (1,), "n": (), "u": (0, 3)}
    found = compare("first", before, now, ["u", "b", "b", "u"], ("b", "n", "u"), rows, missing=2)
    assert (found.photos, found.missing, found.new) == (4, 2, ("n",))
    assert found.as_it_was == 1, "only the second photo: the others are taken for c, a and b"
    assert found.before == 3, "without c, and with the probabilities of a and d added"
    assert found.now == 2
    assert found.now_among_kept == 3, "where n is no answer, ties of the others count for the first"
    assert found.classes == (ClassForgetting("b", 2, 1, 1, 0, 0, 1), ClassForgetting("u", 2, 2, 1, 1, 0, 1))
    assert Forgetting.from_dict(found.to_dict()) == found
    assert found.report()["lost"] == 1


def example(lost: int, gained: int) -> Forgetting:
    kept = ClassForgetting("kept", 50, 45, 45, 0, 0, 0)
    hit = ClassForgetting("hit", 50, 45, 45 - lost + gained, lost, gained, lost)
    return Forgetting("first", 100, 0, 90, 90, 90 - lost + gained, 90, (kept, hit), ("new",))


def test_a_loss_beyond_chance_is_said_with_the_class_and_what_to_do() -> None:
    (line,) = example(4, 1).lines()
    assert line.endswith("(90.0% -> 87.0%; 4 lost, 1 gained; no loss beyond chance)")
    line, warning = example(12, 1).lines()
    assert "fell beyond chance" in line
    assert warning.startswith("warning: the network has forgotten some of what it knew, most of hit 45 -> 34 of 50")
    assert "12 photos of earlier classes are now taken for new" in warning
    assert [c.label for c in example(12, 1).fallen()] == ["hit"]
    assert not example(1, 12).beyond_chance


def test_without_photos_nothing_is_claimed() -> None:
    (line,) = Forgetting("first", 0, 8, 0, 0, 0, 0, ()).lines()
    assert "not measured" in line
