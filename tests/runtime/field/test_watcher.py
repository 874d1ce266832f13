"""What ``edgeclf watch`` is made of: which photos are taken from a folder and when, and copies for review."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import RecordError, UsageError
from edgeclf.field import watcher as watching
from edgeclf.field.photo_id import Digests
from edgeclf.field.review import ReviewFolder, safe_name
from edgeclf.field.watcher import FolderWatch
from helpers import draw


def put(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(seed).save(path)
    return path


def watcher(folder: Path, known: Digests | None = None, **options: Any) -> FolderWatch:
    return FolderWatch(
        str(folder), known if known is not None else Digests(), **{"settle": 0, "retry_after": 0, **options}
    )


def found(watch: FolderWatch) -> list[str]:
    return [os.path.relpath(photo.path, watch.folder) for photo in watch.scan()]


def test_a_photo_is_taken_when_two_scans_saw_it_the_same(tmp_path: Path) -> None:
    path, known = put(tmp_path / "a.png"), Digests()
    watch = watcher(tmp_path, known)
    assert (found(watch), watch.waiting) == ([], 1)
    with path.open("ab") as file:
        file.write(b"more")
    assert (found(watch), watch.waiting) == ([], 1)
    (photo,) = watch.scan()
    assert (photo.path, photo.size) == (str(path), path.stat().st_size)
    assert found(watch) == ["a.png"], "until it is known"
    known.add(photo.digest())
    assert (found(watch), watch.waiting) == ([], 0)
    os.utime(path, (1, 1))
    watch._full_scan_at = 0
    assert (found(watch), found(watch)) == ([], ["a.png"])


def test_photos_put_off_are_given_again_ever_later(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    watch = watcher(tmp_path, retry_after=0.3)
    (photo,) = [*watch.scan(), *watch.scan()]
    assert (watch.put_off(photo), watch.postponed, found(watch)) == (1, 1, [])
    time.sleep(0.35)
    assert found(watch) == ["a.png"]
    assert (watch.put_off(photo), watch.postponed) == (2, 1)
    time.sleep(0.35)
    assert found(watch) == [], "twice as long this time"
    watch.give_up(photo)
    assert (watch.postponed, found(watch)) == (0, ["a.png"])
    watch.put_off(photo)
    (tmp_path / "a.png").unlink()
    assert (found(watch), found(watch), watch.postponed) == ([], [], 0), "what is gone is forgotten"


def test_unchanged_folders_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Digests()
    for name in ("a/1.png", "a/b/2.png", "c/3.png"):
        put(tmp_path / name)
    old = time.time() - 60
    for folder in ("a/b", "a", "c", "."):
        os.utime(tmp_path / folder, (old, old))
    read: list[str] = []
    entries = watching._listed
    monkeypatch.setattr(watching, "_listed", lambda folder: [read.append(folder), entries(folder)][1])  # type: ignore[func-returns-value]
    watch = watcher(tmp_path, known)
    assert [found(watch), sorted(found(watch))] == [[], ["a/1.png", "a/b/2.png", "c/3.png"]]
    for photo in watch.scan():
        known.add(photo.digest())
    assert found(watch) == []
    read.clear()
    assert (found(watch), read) == ([], [])
    put(tmp_path / "a" / "b" / "new.png")
    assert (found(watch), read) == ([], [str(tmp_path / "a" / "b")])
    assert found(watch) == ["a/b/new.png"]
    read.clear()
    watch._full_scan_at = 0
    assert found(watch) == ["a/b/new.png"]
    assert len(read) == 4, "now and then every folder is"


def test_what_is_no_photo_and_where_not_to_look(tmp_path: Path) -> None:
    for name in ("in/a.png", "in/_unsorted/king/b.png", "in/review/c.png", "in/.trash/d.png", "elsewhere/e.png"):
        put(tmp_path / name)
    (tmp_path / "in" / "folder.jpg").mkdir()
    (tmp_path / "in" / "nowhere.jpg").symlink_to("missing")
    (tmp_path / "in" / "back").symlink_to(tmp_path)
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "elsewhere" / "e.png")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    (tmp_path / "way").symlink_to(tmp_path / "in")
    for folder in (tmp_path / "in", tmp_path / "way"):
        watch = watcher(folder, skip=tmp_path / "way" / "review")
        assert [found(watch), found(watch)] == [[], ["a.png", "link.png"]]
    gone = watcher(tmp_path / "missing")
    assert found(gone) == []
    assert gone.gone is not None


def test_a_folder_that_cannot_be_read_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "locked" / "b.png")
    told: list[str] = []
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    watch = watcher(tmp_path, on_unreadable=lambda path, error: told.append(f"{path}: {error.strerror}"))
    assert [found(watch), found(watch)] == [[], ["a.png"]]
    assert told == [f"{tmp_path / 'locked'}: Permission denied"]


def test_copies_for_review(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    photo = put(tmp_path / "in" / "x.JPG")
    review = ReviewFolder(tmp_path / "review", tmp_path / "in")
    place = tmp_path / "review" / "_unsorted" / "king"
    assert review.copy(str(photo), "king") == review.copy(str(photo), "king") == place / "x.JPG"
    taken = (place / "x.JPG").read_bytes()
    put(photo, 2)
    assert review.copy(str(photo), "king") == place / "x-2.JPG"
    assert (place / "x.JPG").read_bytes() == taken
    assert sorted(path.name for path in place.iterdir()) == ["x-2.JPG", "x.JPG"]
    assert review.copy(str(tmp_path / "in" / "gone.jpg"), "king") is None
    for name, age in ((".edgeclf-old.tmp", 4000), (".edgeclf-new.tmp", 0)):
        (place / name).write_bytes(b"half a copy")
        os.utime(place / name, (time.time() - age, time.time() - age))
    ReviewFolder(tmp_path / "review", tmp_path / "in")
    assert sorted(path.name for path in place.iterdir()) == [".edgeclf-new.tmp", "x-2.JPG", "x.JPG"]
    for bad in (tmp_path / "in", tmp_path / "in" / ".." / "in"):
        with pytest.raises(UsageError, match="watched as well"):
            ReviewFolder(bad, tmp_path / "in")
    with pytest.raises(UsageError, match="watched as well"):
        ReviewFolder(tmp_path / "review", place)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot be written"):
        ReviewFolder(tmp_path / "file", tmp_path / "in").copy(str(photo), "king")


def test_copies_are_made_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    test_copies_for_review(tmp_path)


def test_class_names_are_folder_names_everywhere() -> None:
    unsafe = {"..": "_", "a/b": "a_b", "a\\b": "a_b", ".hidden": "_hidden", "what?": "what_", "end. ": "end_", "": "_"}
    assert {name: safe_name(name) for name in unsafe} == unsafe
    assert safe_name("king penguin") == "king penguin"
    assert safe_name("ペンギン") == "ペンギン"
