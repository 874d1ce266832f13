"""A person's labels: what is moved where, what is refused, what can be undone."""

import errno
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import DataError, RecordError, UsageError
from edgeclf.evaluation.folder_layout import read_layout
from edgeclf.evaluation.folder_name_rules import holds_photos, list_folder, read_class_folders
from edgeclf.field import sort_journal, sorting
from edgeclf.field.sort_journal import JOURNAL
from edgeclf.field.sorting import SortFolder
from sort_folders import LABELS, files, id_of, tray


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
