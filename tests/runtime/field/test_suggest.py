"""Which photos are suggested: those that stand for many others, are unlike labelled ones, and are not clear already."""

from collections.abc import Sequence

import numpy as np
import pytest
from edgeclf.field import suggest
from edgeclf.field.photo_vectors import LENGTH, PhotoVectors, directions
from edgeclf.field.suggest import ALIKE, choose, unsureness

KINDS = np.random.default_rng(7).uniform(0, 1, (6, 400)).astype(np.float32)


def photos_of(kinds: Sequence[int], seed: int = 0, spread: float = 0.15) -> PhotoVectors:
    """Photos of kinds that look different; those of one kind look alike."""
    rng, vectors = np.random.default_rng(seed), PhotoVectors()
    for kind in kinds:
        vectors.add((KINDS[kind] + spread * rng.standard_normal(400)).astype(np.float32))
    return vectors


def test_every_kind_is_suggested_once_before_any_twice_and_the_frequent_ones_first() -> None:
    kinds = [0] * 30 + [1] * 4 + [2] * 12 + [3] * 7 + [4] * 20
    chosen = choose(photos_of(kinds), [0.5] * len(kinds), PhotoVectors(), 8)
    assert len({one.photo for one in chosen}) == 8
    assert [kinds[one.photo] for one in chosen[:5]] == [0, 4, 2, 3, 1]
    gains = [one.gain for one in chosen]
    assert gains == sorted(gains, reverse=True)
    assert 0 < sum(gains) <= 1.0001


def test_kinds_that_are_labelled_come_last() -> None:
    kinds = [0] * 30 + [1] * 10 + [2] * 10
    photos = photos_of(kinds)
    assert kinds[choose(photos, [0.5] * 50, PhotoVectors(), 1)[0].photo] == 0
    chosen = choose(photos, [0.5] * 50, photos_of([0] * 5, seed=1), 3)
    assert {kinds[one.photo] for one in chosen[:2]} == {1, 2}
    assert kinds[chosen[2].photo] == 0


def test_of_equal_kinds_the_one_that_is_unsure_comes_first() -> None:
    kinds = [0] * 10 + [1] * 10
    for doubtful in (0, 1):
        unsure = [0.9 if kind == doubtful else 0.05 for kind in kinds]
        assert kinds[choose(photos_of(kinds), unsure, PhotoVectors(), 1)[0].photo] == doubtful


def test_photos_that_look_alike_belong_to_one_suggestion() -> None:
    kinds = [0] * 9 + [1] * 8 + [2] * 7 + [3]
    photos = photos_of(kinds)
    chosen = choose(photos, [0.5] * len(kinds), PhotoVectors(), 4)
    listed = [number for one in chosen for number in (one.photo, *one.alike)]
    assert sorted(listed) == list(range(len(kinds)))
    for one in chosen:
        assert {kinds[number] for number in one.alike} <= {kinds[one.photo]}
        assert list(one.similarity) == sorted(one.similarity, reverse=True)
        assert all(ALIKE <= cosine <= 1 for cosine in one.similarity)
    assert chosen[-1].alike == ()


def test_more_photos_than_are_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [number // 300 for number in range(1200)]
    photos = photos_of(kinds)
    monkeypatch.setattr(suggest, "MAX_CANDIDATES", 60)
    chosen = choose(photos, [0.5] * 1200, PhotoVectors(), 4)
    assert {kinds[one.photo] for one in chosen} == {0, 1, 2, 3}
    assert sum(len(one.alike) for one in chosen) == 1196, "groups are found among all photos"
    assert choose(photos, [0.5] * 1200, PhotoVectors(), 4) == chosen
    assert len(choose(photos, [0.5] * 1200, PhotoVectors(), 100)) == 60


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_photos_than_wanted(count: int) -> None:
    chosen = choose(photos_of([0] * count), [1.0] * count, photos_of([0]), 60)
    assert sorted(one.photo for one in chosen) == list(range(count))


def test_equal_photos_and_a_model_that_is_sure_of_all() -> None:
    photos = photos_of([0] * 5, spread=0)
    for unsure in ([0.0] * 5, [1.0] * 5):
        assert len(choose(photos, unsure, photos_of([0], spread=0), 3)) == 3


def test_vectors_keep_distances_and_any_number_of_photos() -> None:
    rng = np.random.default_rng(1)
    features = rng.uniform(0, 2, (700, 1280)).astype(np.float32)
    vectors = PhotoVectors()
    for one in features:
        vectors.add(one)
    vectors.add(np.zeros(1280, np.float32))
    assert len(vectors) == 701
    rows = vectors.rows(0, 700)
    assert rows.shape == (700, LENGTH)
    assert rows.dtype == np.float32
    assert np.array_equal(vectors.take(np.array([3, 600])), rows[[3, 600]])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    wanted = np.linalg.norm(unit[:350] - unit[350:], axis=1)
    ratio = np.linalg.norm(rows[:350] - rows[350:], axis=1) / wanted
    assert 0.7 < ratio.min() < ratio.max() < 1.3
    assert np.allclose(vectors.mean(), vectors.rows().mean(0), atol=1e-4)
    assert np.allclose(np.linalg.norm(directions(rows, vectors.mean()), axis=1), 1, atol=1e-5)
    assert not PhotoVectors().mean().any()


def test_unsureness() -> None:
    assert unsureness([1.0]) == 0
    assert unsureness([0.5, 0.5]) == 1
    assert unsureness([0.6, 0.3, 0.1]) == pytest.approx(0.7)
