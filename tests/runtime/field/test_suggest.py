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
    chosen = choose(photos_of([0] * count), [1.0] * count, photos_of([0], seed=1), 60)  # like these, but no copy
    assert sorted(one.photo for one in chosen) == list(range(count))


@pytest.mark.parametrize("unsure", [0.0, 1.0])
def test_copies_of_one_photo_are_one_suggestion(unsure: float) -> None:
    # Before, three of five copies were suggested when three were wanted: a person labelled one photo three times.
    photos = photos_of([0] * 6, spread=0)
    (only,) = choose(photos, [unsure] * 6, PhotoVectors(), 3)
    assert only.gain == pytest.approx(1)
    assert sorted((only.photo, *only.alike)) == [0, 1, 2, 3, 4, 5]
    assert only.similarity == pytest.approx([1] * 5)
    assert choose(photos, [unsure] * 6, photos_of([0], spread=0), 3) == ()


def test_copies_among_other_photos_are_not_suggested() -> None:
    kinds = [0, 1, 2, 3] * 25
    photos = photos_of(kinds, spread=0)
    chosen = choose(photos, [0.5] * 100, PhotoVectors(), 60)
    assert sorted(kinds[one.photo] for one in chosen) == [0, 1, 2, 3]
    assert [len(one.alike) for one in chosen] == [24] * 4
    chosen = choose(photos, [0.5] * 100, photos_of([1, 3], spread=0), 60)
    assert sorted(kinds[one.photo] for one in chosen) == [0, 2]


def test_copies_of_labelled_photos_do_not_look_like_a_suggestion() -> None:
    kinds = [0] * 10 + [1] * 5
    photos, known = photos_of(kinds), PhotoVectors()
    rng = np.random.default_rng(0)  # as photos_of: its first four photos, of which these are copies
    for _ in range(4):
        known.add((KINDS[0] + 0.15 * rng.standard_normal(400)).astype(np.float32))
    chosen = choose(photos, [0.5] * 15, known, 15)
    assert sorted(number for one in chosen for number in (one.photo, *one.alike)) == list(range(4, 15))


def test_photos_that_are_nearly_equal_may_be_suggested() -> None:
    photos = photos_of([0] * 5 + [1] * 5, spread=0.002)
    assert len(choose(photos, [0.5] * 10, PhotoVectors(), 10)) == 2, "less than 0.1 % of one photo is no gain"
    photos = photos_of([0] * 5 + [1] * 5, spread=0.05)
    assert len(choose(photos, [0.5] * 10, PhotoVectors(), 10)) == 10


@pytest.mark.parametrize("labelled", [0, 10])
def test_one_scene_in_most_photos_does_not_fill_the_list(labelled: int) -> None:
    """As of a camera trap: 300 frames of one scene, with a little noise, and 30 photos of five other kinds."""
    kinds = [0] * 300 + [1, 2, 3, 4, 5] * 6
    photos = PhotoVectors()
    rng = np.random.default_rng(3)
    for kind in kinds:
        spread = 0.15 if kind else 0.04
        photos.add((KINDS[kind] + spread * rng.standard_normal(400)).astype(np.float32))
    chosen = choose(photos, [0.5] * 330, photos_of([0] * labelled, seed=4, spread=0.04), 20)
    found = [kinds[one.photo] for one in chosen]
    assert set(found[: 5 if labelled else 6]) == set(range(1 if labelled else 0, 6))
    assert found.count(0) <= 2
    scene = [len(one.alike) for one in chosen if kinds[one.photo] == 0]
    assert sum(scene) == 300 - len(scene), "the frames of the scene look alike"


def test_the_mean_counts_a_scene_once() -> None:
    one, other = np.eye(2, LENGTH, dtype=np.float32)
    mean, shares = suggest._mean(np.stack([one, one, one, other]), np.stack([one]))
    assert shares == pytest.approx([0.25, 0.25, 0.25, 1])
    assert mean[:2] == pytest.approx([0.5, 0.5])
    mean, _ = suggest._mean(np.stack([one] * 3), np.empty((0, LENGTH), np.float32))
    assert mean == pytest.approx(one)


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
