"""A person's labels: what is moved where, what is refused, what can be undone."""

import errno
import multiprocessing
import os
import unicodedata
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import DataError, PhotoError, RecordError, UsageError
from edgeclf.evaluation.folder_layout import read_layout
from edgeclf.evaluation.folder_name_rules import holds_photos, list_folder, read_class_folders
from edgeclf.field import sort_journal, sorting
from edgeclf.field.review import ReviewFolder
from edgeclf.field.sort_journal import JOURNAL
from edgeclf.field.sorting import SortFolder
from edgeclf.files import move_new as moving
from edgeclf.files.move_new import move_new, numbered

LABELS = ("gentoo", "king", "a:b")


def tray(folder: Path, *names: str) -> SortFolder:
    for name in names:
        path = folder / "_unsorted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
    return SortFolder(folder, LABELS, {"king": "König"})


def id_of(folder: SortFolder, name: str) -> str:
    return next(photo.id for photo in folder.photos() if f"{photo.tray}/{photo.name}" == name)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != JOURNAL)


def test_a_label_moves_the_copy_and_undo_moves_it_back(tmp_path: Path) -> None:
    folder = tray(tmp_path, "king/a.jpg", "king/b.JPG", "a_b/c.png", "gentoo/a.jpg")
    guesses = {f"{p.tray}/{p.name}": p.guess for p in folder.photos()}
    assert guesses == {"a_b/c.png": "a:b", "gentoo/a.jpg": "gentoo", "king/a.jpg": "king", "king/b.JPG": "king"}
    first = folder.label([id_of(folder, "king/a.jpg"), id_of(folder, "gentoo/a.jpg")], "gentoo")
    assert (len(first.moved), first.failed, first.label) == (2, (), "gentoo")
    assert files(tmp_path) == ["_unsorted/a_b/c.png", "_unsorted/king/b.JPG", "gentoo/a-2.jpg", "gentoo/a.jpg"]
    second = folder.label([id_of(folder, "king/b.JPG")], None)
    assert "_unsorted/_none_of_these/b.JPG" in files(tmp_path)
    state = folder.state()
    assert (state.left, state.done, state.can_undo) == (1, 3, "1 photo sorted as none of these")
    counts = {entry.label: (entry.display_name, entry.count) for entry in state.classes}
    assert counts == {"gentoo": ("gentoo", 2), "king": ("König", 0), "a:b": ("a:b", 0)}
    assert folder.undo().action == second.action
    assert folder.state().can_undo == "2 photos sorted as gentoo"
    undone = folder.undo(first.action)
    assert set(undone.restored) == set(first.moved)
    assert folder.undo() == sorting.Undone((), (), 0)
    assert {f"{p.tray}/{p.name}" for p in folder.photos()} == set(guesses)
    assert {(tmp_path / "_unsorted" / name).read_bytes().decode() for name in guesses} == set(guesses)
    assert not (tmp_path / "gentoo").exists(), "the class folder that the label made"
    assert (folder.state().left, folder.state().done) == (4, 0)


def test_progress_begins_anew_when_the_trays_were_empty(tmp_path: Path) -> None:
    folder = tray(tmp_path, "king/a.jpg", "king/b.jpg")

    def progress() -> tuple[int, int]:
        return folder.state().done, folder.state().left

    folder.label([id_of(folder, "king/a.jpg")], "king")
    assert progress() == (1, 1)
    folder.label([id_of(folder, "king/b.jpg")], "king")
    assert progress() == (2, 0)
    tray(tmp_path, "king/c.jpg")
    assert progress() == (0, 1)
    folder.label([id_of(folder, "king/c.jpg")], "king")
    assert progress() == (1, 0)
    folder.undo()
    assert progress() == (0, 1)
    folder.undo()
    assert progress() == (1, 2)


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


@pytest.mark.parametrize("code", [0, errno.EINVAL, errno.ENOSYS])
def test_moving_is_exclusive_on_every_file_system(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if code:
        monkeypatch.setattr(moving, "_exclusive_rename", lambda: lambda source, target: code)
    for name in "ab":
        (tmp_path / name).write_text(name)
    assert not move_new(tmp_path / "a", tmp_path / "b")
    assert move_new(tmp_path / "a", tmp_path / "c")
    with pytest.raises(FileNotFoundError):
        move_new(tmp_path / "a", tmp_path / "d")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"b": "b", "c": "a"}


def test_numbers_in_names() -> None:
    assert [numbered("a.b.jpg", n) for n in (1, 2, 12)] == ["a.b.jpg", "a.b-2.jpg", "a.b-12.jpg"]
    long = numbered("ペ" * 84 + ".jpg", 100)
    assert (len(long.encode()) <= 255, long.endswith("ペ-100.jpg")) == (True, True)


def test_ids_are_no_paths_and_links_are_no_photos(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "king").mkdir(parents=True)
    (outside / "king" / "original.jpg").write_text("original")
    root = tmp_path / "dir"
    folder = tray(root, "king/a.jpg")
    (root / "_unsorted" / "linked").symlink_to(outside / "king")
    (root / "_unsorted" / "king" / "link.jpg").symlink_to(outside / "king" / "original.jpg")
    (root / "_unsorted" / "king" / "folder.jpg").mkdir()
    os.mkfifo(root / "_unsorted" / "king" / "pipe.jpg")
    (root / "gentoo").symlink_to(outside)
    (photo,) = folder.photos()
    assert (photo.name, photo.id.isalnum()) == ("a.jpg", True)
    for bad in (
        "..",
        "../outside/king/original.jpg",
        "king/a.jpg",
        "",
        "\0",
        "%2e%2e",
        "a" * 32,
        "_unsorted/king/a.jpg",
    ):
        done = folder.label([bad], "king")
        assert (done.moved, [f.id for f in done.failed], folder.find(bad)) == ((), [bad], None)
    with pytest.raises(RecordError, match="a link that leads elsewhere"):
        folder.label([photo.id], "gentoo")
    for label in ("..", "../outside", "/etc", "a/../../b"):
        with pytest.raises(UsageError, match="there is no class"):
            folder.label([photo.id], label)
    assert folder.label([photo.id], "../../outside", new=True).label == "__.._outside"
    assert sorted(os.listdir(outside / "king")) == ["original.jpg"]
    assert (root / "__.._outside" / "a.jpg").exists()
    (root / "_unsorted" / "king").rename(root / "elsewhere")
    (root / "_unsorted" / "king").symlink_to(outside / "king")
    undone = folder.undo()
    assert (undone.restored, [f.message for f in undone.failed]) == ((), ["cannot go back: king is a link now"])
    assert sorted(os.listdir(outside / "king")) == ["original.jpg"]


def test_a_journal_that_somebody_changed_moves_nothing_outside(tmp_path: Path) -> None:
    folder = tray(tmp_path / "dir", "king/a.jpg")
    folder.label([folder.photos()[0].id], "king")
    journal = tmp_path / "dir" / "_unsorted" / JOURNAL
    text = journal.read_text()
    for bad in ("../x/a.jpg", "/tmp/a.jpg"):
        journal.write_text(text.replace("king/a.jpg", bad))
        assert SortFolder(tmp_path / "dir", LABELS).undo().restored == ()
    assert files(tmp_path) == ["dir/king/a.jpg"]


def test_new_classes(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "größer")
    folder = tray(tmp_path, *(f"king/{n}.jpg" for n in range(6)))
    (tmp_path / nfd).mkdir()
    ids = [photo.id for photo in folder.photos()]
    assert folder.label(ids[:1], unicodedata.normalize("NFC", nfd), new=True).label == nfd
    assert folder.label(ids[1:2], "  king ", new=True).label == "king"
    assert folder.label(ids[2:3], "皇帝 ペンギン", new=True).label == "皇帝 ペンギン"
    assert folder.label(ids[3:4], "rock/sea?", new=True).label == "rock_sea_"
    assert folder.label(ids[4:5], "a:b").label == "a:b"
    assert files(tmp_path) == sorted(
        ["_unsorted/king/5.jpg", "a_b/4.jpg", f"{nfd}/0.jpg", "king/1.jpg", "rock_sea_/3.jpg", "皇帝 ペンギン/2.jpg"]
    )
    assert [entry.label for entry in folder.state().classes] == [*LABELS, nfd, "rock_sea_", "皇帝 ペンギン"]
    for text, why in {
        "": "empty",
        " \u200b": "empty",
        "/": "empty",
        "King": "hard to tell from the class 'king'",
        "a\u202eb": "cannot be shown",
        "a\nb": "cannot be shown",
        "x" * 201: "too long",
        "_unsorted": "means something else",
        "_none_of_these": "means something else",
        "Train": "means something else",
        "thumbs.db": "means something else",
    }.items():
        with pytest.raises(UsageError, match=why):
            folder.label(ids[5:], text, new=True)
    assert folder.label(ids[5:], "con", new=True).label == "_con", "a device on Windows"


def test_names_in_odd_scripts_come_through(tmp_path: Path) -> None:
    names = [f"king/{name}.jpg" for name in ("ペンギン", "e\u0301", "é", "a b", "-rf", "ع", "x\udcff", "n\nl", "😀")]
    folder = tray(tmp_path, *names)
    done = folder.label([photo.id for photo in folder.photos()], "king")
    assert (len(done.moved), done.failed) == (len(names), ())
    assert files(tmp_path) == sorted(names)
    assert len(SortFolder(tmp_path, LABELS).undo().restored) == len(names), "from the journal alone"


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


def test_trays_that_did_not_change_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tray(tmp_path, "king/a.jpg", "gentoo/b.jpg")
    os.utime(tmp_path / "_unsorted" / "king", (1e9, 1e9))
    folder.photos()
    scanned, scandir = [], os.scandir

    def scan(path: Any) -> Any:
        scanned.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert len(folder.photos()) == 2
    assert "gentoo" in scanned
    assert "king" not in scanned
    tray(tmp_path, "king/c.jpg")
    assert len(folder.photos()) == 3


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


def refuse(code: int) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise OSError(code, os.strerror(code))

    return call


def test_a_full_disk_or_a_read_only_folder_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tray(tmp_path, "king/a.jpg")
    id = folder.photos()[0].id
    with monkeypatch.context() as patch:
        patch.setattr(sort_journal, "flush", refuse(errno.ENOSPC))
        with pytest.raises(RecordError, match=r"nothing was moved.*No space left on device.*free space"):
            folder.label([id], "king")
    assert not (tmp_path / "king").exists(), "no class folder without a photo"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse(errno.EROFS))
        with pytest.raises(RecordError, match=r"nothing was moved.*Read-only file system"):
            folder.label([id], "king")
    with monkeypatch.context() as patch:
        patch.setattr(sorting, "move_new", refuse(errno.EDQUOT))
        done = folder.label([id], "king")
        assert (done.moved, done.action) == ((), 0)
        assert "cannot be moved (Disk quota exceeded); check permissions" in done.failed[0].message
    assert files(tmp_path) == ["_unsorted/king/a.jpg"]
    written = iter([True])

    def once(descriptor: int) -> None:
        if not next(written, False):  # the disk is full after the move
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(sort_journal, "flush", once)
        assert folder.label([id], "king").moved == (id,)
    assert folder.undo().restored == (id,)
    assert SortFolder(tmp_path, LABELS).label([id], "gentoo").moved == (id,)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    folder = tray(tmp_path, "king/a.jpg")
    (tmp_path / "_unsorted").chmod(0o555)
    try:
        with pytest.raises(RecordError, match="Permission denied"):
            folder.label([folder.photos()[0].id], "king")
    finally:
        (tmp_path / "_unsorted").chmod(0o755)


def test_half_a_line_in_the_journal_hides_nothing(tmp_path: Path) -> None:
    folder = tray(tmp_path, "king/a.jpg", "king/b.jpg")
    a, b = (photo.id for photo in folder.photos())
    folder.label([a], "king")
    journal = tmp_path / "_unsorted" / JOURNAL
    with open(journal, "ab") as file:
        file.write(b'\xff{"operation": 2, "label"')
    assert folder.label([b], "gentoo").moved == (b,)
    fresh = SortFolder(tmp_path, LABELS)
    assert fresh.state().done == 2
    assert (fresh.undo().restored, fresh.undo().restored) == ((b,), (a,))
    journal.unlink()
    assert (folder.state().done, folder.undo().restored) == (0, ())


def test_folders_with_splits_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "king").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"its class folders lie in train.*name a folder of class folders, such as"):
        SortFolder(tmp_path, LABELS)
    assert SortFolder(tmp_path / "train", LABELS).state().left == 0
    assert SortFolder(tmp_path / "missing", LABELS).state().left == 0
    assert not (tmp_path / "missing").exists(), "looking makes nothing"


def test_training_never_sees_what_is_none_of_these(tmp_path: Path) -> None:
    folder = tray(tmp_path, "king/a.jpg", "king/b.jpg", "gentoo/c.jpg", "king/d.jpg")
    a, b, c, d = (id_of(folder, name) for name in ("king/a.jpg", "king/b.jpg", "gentoo/c.jpg", "king/d.jpg"))
    for id, label in ((a, "king"), (b, None), (c, "gentoo")):
        folder.label([id], label)
    assert (tmp_path / "_unsorted" / "_none_of_these" / "b.jpg").exists()
    assert (tmp_path / "_unsorted" / JOURNAL).exists()
    assert [photo.id for photo in folder.photos()] == [d], "none of these is no tray"
    layout = read_layout(tmp_path, DataError)
    assert (layout.parts, layout.notes) == ({"all": tmp_path}, ())
    assert read_class_folders(tmp_path, DataError).names == ("gentoo", "king")
    assert list_folder(tmp_path, DataError).ignored == ()
    (tmp_path / "king" / "a.jpg").unlink()
    (tmp_path / "gentoo" / "c.jpg").unlink()
    assert not any(holds_photos(tmp_path / name, DataError) for name in ("gentoo", "king"))


def test_an_upload_is_kept_as_a_copy_is(tmp_path: Path) -> None:
    review = ReviewFolder(tmp_path)
    place = tmp_path / "_unsorted" / "a_b"
    jpeg, png = b"\xff\xd8\xff\xe0 one", b"\x89PNG\r\n\x1a\n"
    assert review.keep(jpeg, "IMG 1.JPG", "a:b") == review.keep(jpeg, "x/y\\IMG 1.JPG", "a:b") == place / "IMG 1.JPG"
    assert review.keep(b"two", "IMG 1.JPG", "a:b") == place / "IMG 1-3fc4ccfe74.JPG"  # of SHA-256
    names = {
        "../../etc/passwd": "passwd.jpg",
        "..": "photo.jpg",
        "": f"photo-{sha256(jpeg + bytes([2])).hexdigest()[:10]}.jpg",
        ".hidden.jpg": "_hidden.jpg",
        "con.png": "_con.png",
        "a\0b\n.png": "a_b_.png",
        "script.php": "script.php.jpg",
        "x" * 300 + ".png": "x" * 80 + ".png",
        "ペ" * 300 + ".png": "ペ" * 80 + ".png",
        "@eaDir": "@eaDir.jpg",
    }
    for number, (name, kept) in enumerate(names.items()):
        assert review.keep(jpeg + bytes([number]), name, "king").name == kept
    assert review.keep(png, "clipboard", "king").name == "clipboard.png"
    assert len(SortFolder(tmp_path, LABELS).photos()) == len(names) + 3, "each is found again as a photo"
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="a copy cannot be written"):
        ReviewFolder(tmp_path / "file").keep(jpeg, "a.jpg", "king")
