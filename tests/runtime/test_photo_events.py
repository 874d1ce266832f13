"""Photos of one camera within seconds: which belong together, and their common answer."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from edgeclf import Classifier, PhotoError, PhotoFacts, Prediction, UsageError, predict_events
from edgeclf.photo_events import event_prediction, group_by_event
from exif_photos import TAKEN, with_exif
from helpers import draw


def at(
    seconds: float, camera: str | None = "A", folder: str = "in", serial: str | None = None
) -> tuple[str, PhotoFacts]:
    minute, second = divmod(seconds, 60)
    return folder, PhotoFacts(f"2026-11-27T03:{minute:02.0f}:{second:06.3f}", camera, serial=serial)


def test_gaps_are_counted_from_photo_to_photo() -> None:
    photos = [at(100), at(0), at(5.25), at(10.5), at(15.751), at(104)]
    assert group_by_event(photos, 5.25) == [[0, 5], [1, 2, 3], [4]]
    assert group_by_event(photos, 0) == [[at] for at in range(6)]
    assert group_by_event(photos, float("inf")) == [[1, 2, 3, 4, 0, 5]]
    assert group_by_event([at(7), at(7)], 0) == [[0, 1]]
    assert group_by_event([], 5) == []


@pytest.mark.parametrize("gap", [1, 100, 300, 1001, 2500, 5000, 86_399_999])
def test_a_gap_of_exactly_the_longest_time_is_within(gap: int) -> None:
    """Milliseconds: float64 holds neither the times nor their difference exactly."""
    for fraction in range(0, 1000, 7):
        photos = [("in", PhotoFacts(taken(at), "A")) for at in (fraction, fraction + gap)]
        assert group_by_event(photos, gap / 1000) == [[0, 1]]
        assert group_by_event(photos, (gap - 0.5) / 1000) == group_by_event(photos, (gap - 1) / 1000) == [[0], [1]]


def taken(milliseconds: int) -> str:
    found = datetime(2026, 11, 27, 3, 26, 4) + timedelta(milliseconds=milliseconds)
    return found.isoformat(timespec="milliseconds")


def test_cameras_are_told_apart() -> None:
    photos = [at(0), at(1, "B"), at(2), at(3, "B"), at(4, None), at(5, None, "other"), at(6, None)]
    assert group_by_event(photos, 5) == [[0, 2], [1, 3], [4, 6], [5]]
    same_model = [at(0, folder="north"), at(1, folder="south"), at(2, folder="north")]
    assert group_by_event(same_model, 5) == [[0, 2], [1]], "without a serial number, a folder is a camera"
    known = [at(0, folder="100", serial="7"), at(1, folder="101", serial="7"), at(2, folder="101", serial="7")]
    assert group_by_event(known, 5) == [[0, 1, 2]], "a camera begins a new folder in the middle of a burst"


def test_times_without_an_offset_are_another_clock() -> None:
    times = ("2026-11-27T03:26:04-03:00", "2026-11-27T06:26:05", "2026-11-27T07:26:06+01:00", "2026-11-27T06:26:04.5")
    photos = [("in", PhotoFacts(taken, "A")) for taken in times]
    assert group_by_event(photos, 5) == [[0, 2], [1, 3][::-1]]


def test_a_photo_without_a_time_is_alone() -> None:
    assert group_by_event([("in", PhotoFacts(camera="A")), at(0), ("in", PhotoFacts())], 5) == [[0], [1], [2]]


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_wrong_time_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match=r"seconds is (-1|nan); give"):
        group_by_event([], seconds)


@pytest.fixture
def burst(tmp_path: Path) -> list[Path]:
    """Three photos of one event, the last of which is damaged, between two others."""
    files = []
    for number, second in enumerate((30, 2, 0, 4, 59)):
        files.append(tmp_path / f"{number}.jpg")
        files[-1].write_bytes(with_exif({TAKEN: f"2026:11:27 03:26:{second:02}"}, photo=draw(number)))
    os.truncate(files[3], os.path.getsize(files[3]) - 300)
    return files


def test_the_answer_is_the_mean_of_the_logits(make_model: Callable[..., Path], burst: list[Path]) -> None:
    classifier = Classifier(make_model())
    events = list(predict_events(classifier, burst, 5, top_k=2))
    assert [event.photos for event in events] == [
        (str(burst[0]),),
        tuple(map(str, (burst[2], burst[1], burst[3]))),
        (str(burst[4]),),
    ]
    alone, three, _ = events
    assert isinstance(three.results[2], PhotoError)
    single = [classifier.predict(burst[number], 2, logits=True) for number in (2, 1)]
    assert list(three.results[:2]) == single
    assert all(isinstance(one, PhotoError) or (one.logits is None and one.facts is not None) for one in three.results)
    mean = np.mean([one.logits for one in single], axis=0, dtype=np.float64).astype(np.float32)
    assert three.prediction == classifier.rank(mean, 2)
    assert three.prediction not in single
    assert alone.prediction == alone.results[0]


def test_a_folder_named_in_two_ways_is_one_camera(
    make_model: Callable[..., Path], burst: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(burst[0].parent)
    names = ["2.jpg", os.path.join(".", "1.jpg"), str(burst[3])]
    (event,) = predict_events(Classifier(make_model()), names, 5)
    assert event.photos == tuple(names)


def test_an_event_without_a_readable_photo_has_no_answer(make_model: Callable[..., Path], burst: list[Path]) -> None:
    classifier = Classifier(make_model())
    (event,) = predict_events(classifier, burst[3:4], 5)
    assert event.prediction is None
    (lost,) = predict_events(classifier, [burst[0].with_name("lost.jpg")], 5)
    assert isinstance(lost.results[0], PhotoError)
    assert event_prediction(classifier, []) is None


def test_facts_come_with_predictions_if_wanted(make_model: Callable[..., Path], burst: list[Path]) -> None:
    classifier = Classifier(make_model())
    pixels = np.zeros((40, 40, 3), np.uint8)
    photos = [burst[0], burst[0].read_bytes(), pixels]
    wanted = [one for one in classifier.predict_many(photos, facts=True) if isinstance(one, Prediction)]
    assert [one.facts and one.facts.taken for one in wanted] == [*2 * ["2026-11-27T03:26:30"], None]
    assert [one.facts for one in classifier.predict_many(photos) if isinstance(one, Prediction)] == 3 * [None]
    drawn = list(classifier.explain_many(photos, lambda found: found.prediction, logits=True, facts=True))
    assert drawn == wanted
    assert [one.facts for one in drawn if isinstance(one, Prediction)] == [one.facts for one in wanted]
    assert all(isinstance(one, Prediction) and one.logits is not None for one in drawn)
