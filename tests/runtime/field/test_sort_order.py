"""Which photos come first: the least sure, near-duplicates together."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeclf.classifier import Classifier
from edgeclf.field import near_duplicates, sort_order
from edgeclf.field.near_duplicates import Groups, difference_hash
from edgeclf.field.sort_order import SortOrder
from edgeclf.field.sorting import SortFolder
from edgeclf.field.trays import TrayPhoto
from helpers import draw
from PIL import Image, ImageEnhance


def hash_of(image: Image.Image) -> bytes:
    return difference_hash(np.asarray(image.resize((224, 224)).convert("RGB")))


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_near_duplicates_are_one_group_and_others_are_not() -> None:
    groups = Groups()
    photos = [draw(seed, 400, 300) for seed in range(30)]
    numbers = [groups.join(hash_of(photo)) for photo in photos]
    assert len(set(numbers)) == 30
    for photo, number in zip(photos, numbers, strict=True):
        for variant in (
            photo.resize((200, 150)),
            ImageEnhance.Brightness(photo).enhance(1.2),
            photo.crop((4, 3, 400, 300)),
        ):
            assert groups.join(hash_of(variant)) == number


def test_a_group_does_not_grow_from_photo_to_photo() -> None:
    groups = Groups()
    codes = [np.packbits(np.arange(64) < ones).tobytes() for ones in range(0, 64, 4)]
    assert [groups.join(code) for code in codes] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5]


def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_MAX_GROUPS", 100)
    groups, rng = Groups(), np.random.default_rng(0)
    numbers = [groups.join(rng.bytes(8)) for _ in range(500)]
    assert max(numbers) < 100


def fill(folder: Path, classifier: Classifier) -> SortFolder:
    place = folder / "_unsorted" / "king"
    place.mkdir(parents=True)
    for seed in range(8):
        draw(seed, 100, 80).save(place / f"{seed}.png")
    ImageEnhance.Brightness(draw(3, 100, 80)).enhance(1.1).save(place / "like 3.png")
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return SortFolder(folder, classifier.labels)


def test_the_least_sure_come_first_and_near_duplicates_together(model: Path, tmp_path: Path) -> None:
    classifier = Classifier(model, threads=1)
    folder = fill(tmp_path, classifier)
    order = SortOrder(folder, classifier)
    first = order.ordered(folder.photos())
    assert [look for _, look in first] == [None] * 10, "at first nothing is known"
    until(lambda: all(look for _, look in order.ordered(folder.photos())))
    photos = order.ordered(folder.photos())
    names = [photo.name for photo, _ in photos]
    looks = {photo.name: look for photo, look in photos if look}
    for name, look in looks.items():
        if name != "broken.jpg":
            wanted = classifier.predict(tmp_path / "_unsorted" / "king" / name)
            assert look.ranking == wanted.ranking
    assert names[-1] == "broken.jpg"
    assert "damaged" in looks["broken.jpg"].error
    assert looks["3.png"].group == looks["like 3.png"].group
    assert abs(names.index("3.png") - names.index("like 3.png")) == 1
    alone = [looks[name].certainty for name in names[:-1] if name not in ("3.png", "like 3.png")]
    assert alone == sorted(alone)
    assert len(set(alone)) > 1
    draw(50, 100, 80).save(tmp_path / "_unsorted" / "king" / "0.png")  # a replaced file is another photo
    draw(51, 100, 80).save(tmp_path / "_unsorted" / "king" / "new.png")
    again = order.ordered(folder.photos())
    assert [photo.name for photo, look in again if look is None] == ["0.png", "new.png"]
    assert [photo.name for photo, _ in again][-2:] == ["0.png", "new.png"], "what is not known comes last"
    until(lambda: all(look for _, look in order.ordered(folder.photos())))
    order.close()
    order.close()


def test_other_work_goes_first(model: Path, tmp_path: Path) -> None:
    classifier = Classifier(model, threads=1)
    folder = fill(tmp_path, classifier)
    asked, busy = [0], [True]

    def is_busy() -> bool:
        asked[0] += 1
        return busy[0]

    order = SortOrder(folder, classifier, is_busy)
    order.ordered(folder.photos())
    until(lambda: asked[0] >= 3)
    assert [look for _, look in order.ordered(folder.photos())] == [None] * 10
    busy[0] = False
    until(lambda: all(look for _, look in order.ordered(folder.photos())))
    order.close()


def test_what_is_remembered_is_bounded_and_nothing_is_looked_at_twice(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sort_order, "_MAX_LOOKS", 4)
    classifier = Classifier(model, threads=1)
    folder = fill(tmp_path, classifier)
    looked_at: list[str] = []
    really = folder.trays.bytes_of

    def counting(photo: TrayPhoto) -> bytes:
        looked_at.append(photo.name)
        return really(photo)

    monkeypatch.setattr(folder.trays, "bytes_of", counting)
    order = SortOrder(folder, classifier)

    def known() -> list[str]:
        return [photo.id for photo, look in order.ordered(folder.photos()) if look]

    def as_many_as_may_be() -> bool:
        assert len(order._looks) <= 4
        return len(known()) == min(4, len(folder.photos()))

    until(as_many_as_may_be)
    for _ in range(20):  # a page that asks again and again
        known()
        time.sleep(0.005)
    assert len(looked_at) == 4
    folder.label(known()[:1], "king")
    until(as_many_as_may_be)
    assert len(looked_at) == 5, "there is room for one more"
    folder.label([photo.id for photo in folder.photos() if photo.id not in known()], "king")
    assert len(known()) == len(folder.photos()) == 4
    undone = folder.undo().restored  # five photos, which were not looked at
    assert len(undone) == 5
    while folder.photos():
        until(as_many_as_may_be)
        folder.label(known()[:3], "king")
    order.close()
    assert len(looked_at) == len(set(looked_at)) == 10
    assert len(order._looks) <= 4


def test_after_an_undo_what_was_seen_is_still_known(model: Path, tmp_path: Path) -> None:
    classifier = Classifier(model, threads=1)
    folder = fill(tmp_path, classifier)
    order = SortOrder(folder, classifier)
    until(lambda: all(look for _, look in order.ordered(folder.photos())))
    folder.label([folder.photos()[0].id], "king")
    order.ordered(folder.photos())
    folder.undo()
    assert all(look for _, look in order.ordered(folder.photos()))
    order.close()


def test_a_device_that_fails_does_not_stop_the_sorting(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier(model, threads=1)
    folder = fill(tmp_path, classifier)

    def fail(*_: object) -> None:
        raise RuntimeError("the device\nis gone")

    monkeypatch.setattr(classifier, "predict", fail)
    order = SortOrder(folder, classifier)
    order.ordered(folder.photos())
    until(lambda: all(look for _, look in order.ordered(folder.photos())))
    order.close()
    assert {look.error for _, look in order.ordered(folder.photos()) if look} >= {"the device is gone"}
