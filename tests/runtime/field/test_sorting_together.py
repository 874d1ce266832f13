"""Several people, threads and processes that sort the same folder at once."""

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import PhotoError, RecordError
from edgeclf.field import sort_journal, sorting
from edgeclf.field.sort_journal import JOURNAL
from edgeclf.field.sorting import SortFolder
from edgeclf.files.move_new import move_new
from sort_folders import LABELS, files, tray


def test_two_people_do_not_collide(tmp_path: Path) -> None:
    mine, theirs = tray(tmp_path, "king/a.jpg", "king/b.jpg", "king/c.jpg"), SortFolder(tmp_path, LABELS)
    a, b, c = (photo.id for photo in mine.photos())
    done = mine.label([a, a, b], "king", client="me")
    assert done.moved == (a, b)
    late = theirs.label([a, c], "gentoo", client="they")
    assert (late.moved, [(f.id, f.message) for f in late.failed]) == (
        (c,),
        [(a, "already sorted as king by someone else")],
    )
    again = mine.label([a, b], "king", client="me")
    assert (again.moved, again.failed, again.action) == ((a, b), (), done.action), "its answer was lost"
    assert mine.label([a], None, client="me").failed[0].message == "already sorted as König"
    assert mine.state("they").can_undo == "1 photo sorted as gentoo"
    assert mine.undo(client="me").restored == (a, b), "one's own, not the last of all"
    assert mine.state("me").can_undo is None


def test_what_another_program_does_meanwhile(tmp_path: Path) -> None:
    folder = tray(tmp_path, "king/a.jpg", "king/b.jpg")
    a, b = (photo.id for photo in folder.photos())
    photo = folder.find(a)
    assert photo
    assert folder.trays.bytes_of(photo) == b"king/a.jpg"
    (tmp_path / "_unsorted" / "king" / "a.jpg").unlink()
    (tmp_path / "_unsorted" / "king" / "b.jpg").write_text("another photo")
    done = folder.label([a, b], "king")
    assert [f.message for f in done.failed] == [
        "is not there any more: another program moved, changed or deleted it"
    ] * 2
    assert folder.find(a) is None
    with pytest.raises(PhotoError, match="was moved"):
        folder.trays.bytes_of(photo)
    tray(tmp_path, "new/c.jpg")
    assert [p.name for p in folder.photos()] == ["b.jpg", "c.jpg"]
    folder.label([p.id for p in folder.photos()], "king")
    (tmp_path / "king" / "c.jpg").unlink()
    undone = folder.undo()
    assert (len(undone.restored), undone.failed[0].message) == (1, "is not in king any more, or was changed there")


def test_never_over_a_file_whoever_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tray(tmp_path, "king/a.jpg", "gentoo/a.jpg")
    (tmp_path / "king").mkdir()
    (tmp_path / "king" / "a.jpg").write_text("mine")
    (tmp_path / "king" / "a-2.jpg").symlink_to("nowhere")
    real = move_new
    others = iter(["king/a-3.jpg"])

    def slow(source: Path, target: Path) -> bool:
        for name in others:  # another program is faster, once
            (tmp_path / name).write_text("another's")
        return real(source, target)

    monkeypatch.setattr(sorting, "move_new", slow)
    done = folder.label([photo.id for photo in folder.photos()], "king")
    assert len(done.moved) == 2
    assert {name: (tmp_path / "king" / name).read_text() for name in ("a.jpg", "a-3.jpg")} == {
        "a.jpg": "mine",
        "a-3.jpg": "another's",
    }
    assert len(files(tmp_path)) == 4
    tray(tmp_path, "king/a.jpg")  # the camera counts from the beginning again
    assert len(folder.undo().restored) == 2
    assert sorted(p.name for p in folder.photos()) == ["a-2.jpg", "a.jpg", "a.jpg"]


def test_what_was_moved_on_by_hand_does_not_stand_in_the_way_of_an_undo(tmp_path: Path) -> None:
    folder = tray(tmp_path, "king/a.jpg", "king/b.jpg")
    a, b = (photo.id for photo in folder.photos())
    folder.label([a], "king")
    last = folder.label([b], "gentoo")
    (tmp_path / "gentoo").rename(tmp_path / "papua")
    assert folder.state().can_undo == "1 photo sorted as König"
    assert folder.undo(last.action).failed[0].message == "is not in gentoo any more, or was changed there"
    assert folder.undo().restored == (a,)
    assert folder.state().can_undo is None


def test_a_folder_that_was_taken_away_is_not_made_anew(tmp_path: Path) -> None:
    folder = tray(tmp_path / "disk", "king/a.jpg")
    (photo,) = folder.photos()
    (tmp_path / "disk").rename(tmp_path / "other")
    with pytest.raises(RecordError, match="nothing was moved"):
        folder.label([photo.id], "king")
    assert not (tmp_path / "disk").exists()
    (tmp_path / "other").rename(tmp_path / "disk")
    assert folder.label([photo.id], "king").moved == (photo.id,)


def _sort_all(path: Path, label: str, ready: Any, out: Any) -> None:
    folder = SortFolder(path, LABELS)
    ids = [photo.id for photo in folder.photos()]
    ready.wait()
    moved, failed = [], []
    for id in ids:
        done = folder.label([id], label, client=label)
        moved += done.moved
        failed += [failure.message for failure in done.failed]
    out.put((label, moved, failed))


def test_two_processes_label_the_same_photos_at_once(tmp_path: Path) -> None:
    tray(tmp_path, *(f"tray/{n}.jpg" for n in range(40)))
    context = multiprocessing.get_context("spawn")
    ready, out = context.Barrier(2), context.Queue()
    children = [context.Process(target=_sort_all, args=(tmp_path, label, ready, out)) for label in ("king", "gentoo")]
    for child in children:
        child.start()
    answers = {label: (moved, failed) for label, moved, failed in (out.get(timeout=60) for _ in children)}
    for child in children:
        child.join(60)
    moved = [id for ids, _ in answers.values() for id in ids]
    assert len(moved) == len(set(moved)) == len(files(tmp_path)) == 40
    for label, other in (("king", "gentoo"), ("gentoo", "king")):
        assert len(list((tmp_path / label).glob("*"))) == len(answers[label][0])
        name = {"king": "king", "gentoo": "gentoo"}[other]
        assert set(answers[label][1]) <= {f"already sorted as {name} by someone else"}


def test_a_lock_that_is_never_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort_journal, "_LOCK_SECONDS", 0.1)
    folder, other = tray(tmp_path, "king/a.jpg"), SortFolder(tmp_path, LABELS)
    with other._journal.writing(), pytest.raises(RecordError, match=r"another edgeclf is writing.*try again later"):
        folder.label([folder.photos()[0].id], "king")
    assert len(folder.label([folder.photos()[0].id], "king").moved) == 1


HOLDER = """
import fcntl, sys
with open(sys.argv[1], "a+b") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def locked_by_another_process(journal: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(journal)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        yield  # at the end its standard input is closed, so it ends


@pytest.mark.skipif(sys.platform == "win32", reason="locks with flock")
def test_who_waits_for_another_process_keeps_nobody_from_looking(tmp_path: Path) -> None:
    folder = tray(tmp_path, "king/a.jpg", "king/b.jpg", "king/c.jpg")
    a, b, c = (photo.id for photo in folder.photos())
    folder.label([a], "king")
    done: dict[str, Any] = {}
    threads = [
        threading.Thread(target=lambda: done.update(undone=folder.undo().restored)),
        threading.Thread(target=lambda: done.update(labelled=folder.label([b], "king", client="other").moved)),
    ]
    with locked_by_another_process(tmp_path / "_unsorted" / JOURNAL):
        for thread in threads:
            thread.start()
        time.sleep(0.1)  # they wait now
        began = time.monotonic()
        state = folder.state()
        assert (state.left, state.done) == (2, 1)
        assert folder.find(c) is not None
        assert time.monotonic() - began < 2
        assert not done
    for thread in threads:
        thread.join(30)
    assert done == {"undone": (a,), "labelled": (b,)}
    assert files(tmp_path) == ["_unsorted/king/a.jpg", "_unsorted/king/c.jpg", "king/b.jpg"]


def test_threads_take_turns_however_long_that_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort_journal, "_LOCK_SECONDS", 0.0)  # only other processes are not waited for
    folder = tray(tmp_path, *(f"king/{n}.jpg" for n in range(12)))
    really = move_new

    def slowly(source: Path, target: Path) -> bool:
        time.sleep(0.02)
        return really(source, target)

    monkeypatch.setattr(sorting, "move_new", slowly)
    moved: list[str] = []
    threads = [
        threading.Thread(target=lambda id=photo.id: moved.extend(folder.label([id], "king").moved))
        for photo in folder.photos()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(moved)) == len(list((tmp_path / "king").iterdir())) == 12
