"""Photos in a .tar are read where they lie, like those of a folder; what is odd in a .tar is refused."""

import gzip
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf import Classifier
from edgeclf.errors import DataError, PhotoError
from edgeclf.evaluation.evaluate import evaluate
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf.files import tar_index
from edgeclf.files.in_tar import is_file, is_folder, open_file, size_and_time
from edgeclf.files.tar_index import index_of
from edgeclf.files.walk import image_files
from edgeclf.images.photo_facts import photo_facts
from edgeclf.images.preprocess import upright_rgb
from exif_photos import WHOLE, with_exif
from helpers import CLASSES, put, write_class_folders


def packed(path: Path, *things: tuple[str, bytes] | tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as tar:
        for thing in things:
            if isinstance(thing, tarfile.TarInfo):
                tar.addfile(thing)
                continue
            member = tarfile.TarInfo(thing[0])
            member.size = len(thing[1])
            tar.addfile(member, io.BytesIO(thing[1]))
    return path


def member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize("start", [".", "", "deep/" * 40])
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_walked_like_the_folder_it_was(tmp_path: Path, start: str, format: int) -> None:
    root = tmp_path / "photos"
    names = [
        "b/2.jpg",
        "b/10.jpg",
        "a-b/1.jpg",
        "a/é 日本.jpg",
        "a/deeper/x.png",
        "top.jpg",
        "a/.hidden.jpg",
        "b/notes.txt",
    ]
    for name in [*names, "@eaDir/thumb.jpg"]:
        put(root / name) if name[-1] == "g" else (root / name).write_text("x")
    with tarfile.open(tmp_path / "p.TAR", "w", format=format) as tar:
        tar.add(root, start or "/")
    inside = tmp_path / "p.TAR" / start
    found = [os.path.relpath(path, inside) for path in image_files(str(inside))]
    assert found == [os.path.relpath(path, root) for path in image_files(str(root))]
    assert len(found) == 6
    for name in found:
        with open_file(inside / name) as file:
            data = (root / name).read_bytes()
            assert file.read() == data
            assert size_and_time(inside / name)[0] == len(data)
            file.seek(-3, os.SEEK_END)
            assert file.read() == data[-3:]
    assert all(map(is_folder, (inside / "a", inside, tmp_path / "p.TAR")))
    assert is_file(inside / "b" / "notes.txt")
    assert not any(map(is_folder, (inside / "c", inside / "a" / "deeper" / "x.png")))
    assert not any(map(is_file, (inside / "a", inside / "a" / "1.jpg")))
    assert list(image_files(str(inside / "nowhere"))) == []


def test_a_photo_there_is_read_as_a_file_is(tmp_path: Path) -> None:
    photo = with_exif(WHOLE)
    (tmp_path / "x.jpg").write_bytes(photo)
    (tmp_path / "İzmir").mkdir()  # in small letters it has one letter more
    tar = packed(
        tmp_path / "İzmir" / "p.tar", ("king/x.jpg", photo), ("king/empty.jpg", b""), ("king/cut.jpg", photo[:500])
    )
    assert upright_rgb(tar / "king/x.jpg").tobytes() == upright_rgb(tmp_path / "x.jpg").tobytes()
    assert photo_facts(tar / "king/x.jpg") == photo_facts(tmp_path / "x.jpg")
    assert photo_facts(tar / "king/x.jpg").taken
    for name, kind in (("empty", "empty"), ("cut", "damaged"), ("gone", "not-found")):
        with pytest.raises(PhotoError) as caught:
            upright_rgb(tar / "king" / f"{name}.jpg")
        assert caught.value.kind == kind
        assert str(tar / "king" / f"{name}.jpg") in str(caught.value)
    with pytest.raises(PhotoError, match="no such file"):
        upright_rgb(tmp_path / "gone.tar" / "x.jpg")


def test_a_folder_called_tar_is_a_folder(tmp_path: Path) -> None:
    put(tmp_path / "odd.tar" / "a.jpg")
    assert [os.path.basename(path) for path in image_files(str(tmp_path / "odd.tar"))] == ["a.jpg"]
    assert is_file(tmp_path / "odd.tar" / "a.jpg")


def test_it_is_evaluated_like_its_folders(tmp_path: Path, model: Path) -> None:
    root = write_class_folders(tmp_path / "photos", 2)
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(root, ".")
    classifier = Classifier(model, threads=1)
    by_folder = evaluate(classifier, find_labelled_photos(root, CLASSES))
    by_tar = evaluate(classifier, find_labelled_photos(tmp_path / "photos.tar", CLASSES))
    assert by_tar.metrics == by_folder.metrics
    assert by_tar.metrics.photos == 6
    assert [m.probability for m in by_tar.mistakes] == [m.probability for m in by_folder.mistakes]


def negative() -> bytes:
    """A second header that claims a negative size, which leads back to the first (CVE-2025-8194)."""
    first, second = tarfile.TarInfo("a.jpg"), tarfile.TarInfo("b.jpg")
    second.size = -1024
    return first.tobuf(tarfile.GNU_FORMAT) + second.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def large_header() -> bytes:
    """A header of 3 MB for one name; real ones have a few hundred bytes."""
    name = tarfile.TarInfo("x")
    name.type, name.size = tarfile.XHDTYPE, 3 * 2**20
    return name.tobuf(tarfile.USTAR_FORMAT) + bytes(3 * 2**20 + 1024)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: packed(path, member("a.jpg", tarfile.SYMTYPE, "/etc/passwd")), "a.jpg is a link"),
        (lambda path: packed(path, ("a.jpg", b"x"), member("b.jpg", tarfile.LNKTYPE, "a.jpg")), "b.jpg is a link"),
        (lambda path: packed(path, member("a.jpg", tarfile.CHRTYPE)), "a.jpg is a link or a special file"),
        (lambda path: packed(path, ("../../a.jpg", b"x")), "leads out"),
        (lambda path: packed(path, ("a/../../b.jpg", b"x")), "leads out"),
        (lambda path: packed(path, ("/etc/a.jpg", b"x")), "leads out"),
        (lambda path: packed(path, ("a.jpg", b"x"), ("./a.jpg", b"y")), "a.jpg twice"),
        (lambda path: packed(path, ("a" * 5000 + ".jpg", b"x")), "a name of 5004 bytes"),
        (lambda path: path.write_bytes(negative()), "not a whole .tar"),
        (lambda path: path.write_bytes(large_header()), "a header of 3145728 bytes"),
        (lambda path: path.write_bytes(packed(path, ("a.jpg", bytes(5000))).read_bytes()[:3000]), "not a whole"),
        (lambda path: path.write_bytes(packed(path, ("a.jpg", bytes(5000))).read_bytes()[:5632]), "its end is missing"),
        (lambda path: path.write_bytes(gzip.compress(packed(path, ("a.jpg", b"x")).read_bytes())), "not a whole"),
        (lambda path: path.write_bytes(b"no archive at all, but a text of some length" * 40), "not a whole .tar"),
    ],
    ids=[
        *("symbolic link", "hard link", "device", "above", "above later", "absolute", "twice", "long name"),
        *("negative size", "large header", "cut photo", "cut end", "compressed", "text"),
    ],
)
def test_a_tar_that_breaks_a_rule_is_refused(tmp_path: Path, make: Callable[[Path], object], says: str) -> None:
    make(tmp_path / "p.tar")
    with pytest.raises(DataError, match=says) as caught:
        index_of(str(tmp_path / "p.tar"))
    assert str(tmp_path / "p.tar") in caught.value.message
    assert "\n" not in str(caught.value)
    with pytest.raises(PhotoError) as damaged:
        upright_rgb(tmp_path / "p.tar" / "a.jpg")
    assert damaged.value.kind == "damaged"


def test_links_that_are_no_photos_and_other_files_are_left_out(tmp_path: Path) -> None:
    tar = packed(
        tmp_path / "p.tar", ("a/x.jpg", b"x"), member("a/latest", tarfile.SYMTYPE, "x.jpg"), ("a/x.json", b"{}")
    )
    assert [name for name, _ in index_of(str(tar)).entries("a")] == ["x.jpg", "x.json"]


def test_a_tar_that_changes_is_read_again(tmp_path: Path) -> None:
    tar = packed(tmp_path / "p.tar", ("a.jpg", b"one"))
    assert open_file(tar / "a.jpg").read() == b"one"
    packed(tar, ("b.jpg", b"before it"), ("a.jpg", b"two"))
    os.utime(tar, ns=(1, 1))
    assert open_file(tar / "a.jpg").read() == b"two"


def test_headers_are_read_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar = packed(tmp_path / "p.tar", ("a.jpg", b"one"))
    sent = pickle.dumps(tar_index.known_indexes([str(tar / "a.jpg")]) or (index_of(str(tar)),))
    assert tar_index.known_indexes([str(tar / "a.jpg"), str(tmp_path / "b.jpg")]) == (index_of(str(tar)),)
    tar_index._known.clear()
    pickle.loads(sent)
    monkeypatch.setattr(tar_index, "members", None)
    assert open_file(tar / "a.jpg").read() == b"one"
