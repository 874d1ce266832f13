"""Uploads that are kept, and photos in trays that change in place."""

import os
import time
from collections import namedtuple
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import pytest
from edgeclf.errors import RecordError, UsageError
from edgeclf.field import review
from edgeclf.field.review import ReviewFolder
from edgeclf.field.sorting import SortFolder
from edgeclf.files.atomic_write import write_new
from helpers import draw
from sort_folders import LABELS


def test_a_thousand_uploads_under_one_name_are_stored_without_reading_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    really = Path.read_bytes

    def counting(path: Path) -> bytes:
        nonlocal reads
        reads += 1
        return really(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    folder = ReviewFolder(tmp_path)
    uploads = [number.to_bytes(4, "big") * 8 for number in range(300)]
    paths = [folder.keep(data, "feeder.jpg", "king") for data in uploads]
    assert len(set(paths)) == 300
    assert reads <= 300  # the photo with the plain name, each time
    assert [really(path) for path in paths] == uploads
    assert [folder.keep(data, "feeder.jpg", "king") for data in uploads[:20]] == paths[:20]
    assert len(list((tmp_path / "_unsorted" / "king").iterdir())) == 300


def test_nothing_is_kept_on_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(review.shutil, "disk_usage", lambda _: usage(2**40, 2**40, 100 * 2**20))
    with pytest.raises(RecordError, match="MiB are free"):
        ReviewFolder(tmp_path).keep(b"photo", "a.jpg", "king")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_photo_that_was_written_to_in_place_is_listed_anew(tmp_path: Path) -> None:
    tray = tmp_path / "_unsorted" / "king"
    tray.mkdir(parents=True)
    draw(1).save(tray / "a.png")
    past = time.time() - 100
    os.utime(tray / "a.png", (past, past))
    os.utime(tray, (past, past))
    folder = SortFolder(tmp_path, ("king",))
    (before,) = folder.photos()
    with open(tray / "a.png", "ab") as file:  # the folder's time does not change
        file.write(b"more")
    assert folder.find(before.id) is None
    (after,) = folder.photos()
    assert after.id != before.id
    with open(tray / "a.png", "ab") as file:
        file.write(b"more")
    assert folder.label([after.id], "king").moved == ()
    (last,) = folder.photos()
    assert folder.label([last.id], "king").moved == (last.id,)
    assert folder.photos() == []


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is not a folder"):
        SortFolder(tmp_path / "file")
    SortFolder(tmp_path / "not there yet")
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0)
        SortFolder(tmp_path / "closed")  # listing says what is wrong


def test_an_upload_is_kept_as_a_copy_is(tmp_path: Path) -> None:
    review = ReviewFolder(tmp_path)
    place = tmp_path / "_unsorted" / "a_b"
    jpeg, png = b"\xff\xd8\xff\xe0 one", b"\x89PNG\r\n\x1a\n"
    assert review.keep(jpeg, "IMG 1.JPG", "a:b") == review.keep(jpeg, "x/y\\IMG 1.JPG", "a:b") == place / "IMG 1.JPG"
    assert review.keep(b"two", "IMG 1.JPG", "a:b") == place / "IMG 1-3fc4ccfe.JPG"  # of SHA-256
    names = {
        "../../etc/passwd": "passwd.jpg",
        "..": "photo.jpg",
        "": f"photo-{sha256(jpeg + bytes([2])).hexdigest()[:8]}.jpg",
        ".hidden.jpg": "_hidden.jpg",
        "con.png": "_con.png",
        "a\0b\n.png": "a_b_.png",
        "script.php": "script.php.jpg",
        "x" * 300 + ".png": "x" * 236 + ".png",
        "ペ" * 300 + ".png": "ペ" * 78 + ".png",
        "@eaDir": "@eaDir.jpg",
    }
    for number, (name, kept) in enumerate(names.items()):
        assert review.keep(jpeg + bytes([number]), name, "king").name == kept
    assert review.keep(png, "clipboard", "king").name == "clipboard.png"
    assert len(SortFolder(tmp_path, LABELS).photos()) == len(names) + 3, "each is found again as a photo"
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="a copy cannot be written"):
        ReviewFolder(tmp_path / "file").keep(jpeg, "a.jpg", "king")


@pytest.mark.parametrize("letter", ["x", "é", "ペ", "😀", "👩‍🔬", "e\u0301"])
def test_long_names_fit_into_a_file_name_in_every_script(letter: str, tmp_path: Path) -> None:
    review = ReviewFolder(tmp_path)
    uploads = [b"photo %d" % number for number in range(30)]
    kept = [review.keep(data, letter * 300 + ".jpeg", "king") for data in uploads]
    assert [path.read_bytes() for path in kept] == uploads
    names = [os.fsencode(path.name) for path in kept]
    assert len(names[0]) in range(230, 241), "as long as it may be, without half a letter"
    assert max(map(len, names)) <= 249
    assert all(
        name.endswith(f"-{sha256(data).hexdigest()[:8]}.jpeg".encode())
        for name, data in zip(names[1:], uploads[1:], strict=True)
    )
    sorting = SortFolder(tmp_path, LABELS)
    (tmp_path / "king").mkdir()
    for name in names:  # another photo of each name was sorted before
        (tmp_path / "king" / os.fsdecode(name)).write_bytes(b"before")
    done = sorting.label([photo.id for photo in sorting.photos()], "king")
    assert (len(done.moved), done.failed) == (30, ())
    assert len(list((tmp_path / "king").iterdir())) == 60
    assert len(sorting.undo().restored) == 30
    assert sorted(path.read_bytes() for path in kept) == sorted(uploads)


def test_two_uploads_whose_hashes_begin_alike_are_both_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "_HASH_DIGITS", 1)
    uploads = [b"photo %d" % number for number in range(40)]  # 16 digits: some have the same
    kept = [ReviewFolder(tmp_path).keep(data, "a.jpg", "king") for data in uploads]
    assert [path.read_bytes() for path in kept] == uploads


@pytest.mark.parametrize(("meanwhile", "names"), [(b"photo", ["a.jpg"]), (b"other", ["a-2.jpg", "a.jpg"])])
def test_a_photo_that_another_thread_keeps_at_the_same_moment_is_kept_once(
    meanwhile: bytes, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(path: Path, write: Callable[[IO[bytes]], Any]) -> bool:
        if path.name == "a.jpg":
            path.write_bytes(meanwhile)
        return write_new(path, write)

    monkeypatch.setattr("edgeclf.field.review.write_new", late)
    place = tmp_path / "_unsorted" / "king"
    assert ReviewFolder(tmp_path).keep(b"photo", "a.jpg", "king") == place / names[0]
    assert sorted(path.name for path in place.iterdir()) == names
    assert (place / names[0]).read_bytes() == b"photo"
