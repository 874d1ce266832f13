"""A disk that is slow, or a folder that another process keeps locked: who does not need it goes on."""

import fcntl
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from edgeclf.field.review import ReviewFolder
from edgeclf.field.sort_journal import JOURNAL
from helpers import draw
from serving import Answer, Serve


@contextmanager
def at_once(count: int, ask: Callable[[], Answer]) -> Iterator[list[int]]:
    """Requests that run meanwhile; at the end they must have been answered. Gives their statuses."""
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ask().status)) for _ in range(count)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    yield statuses
    for thread in threads:
        thread.join(60)


def answers_soon(ask: Callable[[], Answer]) -> Answer:
    began = time.monotonic()
    answer = ask()
    assert time.monotonic() - began < 5
    return answer


def test_labels_that_wait_for_a_locked_folder_take_no_thread_from_others(
    serve: Serve, tmp_path: Path, photo: Path
) -> None:
    place = tmp_path / "_unsorted" / "king"
    place.mkdir(parents=True)
    for seed in range(2):
        draw(seed).save(place / f"{seed}.png")
    service = serve(review=tmp_path)
    first, second = (one["id"] for one in service.get("/sort/photos").value["photos"])
    label = json.dumps({"ids": [first], "label": "king"})
    with open(tmp_path / "_unsorted" / JOURNAL, "a+b") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        with at_once(8, lambda: service.post("/sort/label", label)) as statuses:
            assert answers_soon(lambda: service.get("/sort/state")).value["left"] == 2
            assert answers_soon(lambda: service.get("/sort/photos")).status == 200
            assert answers_soon(lambda: service.get(f"/sort/photo/{second}")).status == 200
            assert answers_soon(lambda: service.post("/predict", photo.read_bytes())).status == 200
            assert statuses == []
            fcntl.flock(journal, fcntl.LOCK_UN)
    assert statuses == [200] * 8
    assert service.get("/sort/state").value["left"] == 1


def test_photos_that_are_written_slowly_take_no_thread_from_others(
    serve: Serve, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    really = ReviewFolder.keep

    def slowly(folder: ReviewFolder, *arguments: Any) -> Path:
        assert go_on.wait(60)
        return really(folder, *arguments)

    monkeypatch.setattr(ReviewFolder, "keep", slowly)
    service = serve(review=tmp_path, keep_unsure=True)
    jpeg = photo.read_bytes()
    with at_once(6, lambda: service.post("/predict?threshold=1&name=a.jpg", jpeg)) as statuses:
        answer = answers_soon(lambda: service.post("/predict?threshold=0", jpeg))
        assert (answer.status, answer.value["unknown"]) == (200, False)
        assert statuses == []
        go_on.set()
    assert statuses == [200] * 6
    assert [path.name for path in tmp_path.glob("_unsorted/*/*")] == ["a.jpg"]
