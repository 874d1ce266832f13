"""Photos in a .tar are read where they lie, like those of a folder; what is odd in a .tar is refused."""

import gzip
import io
import os
import pickle
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest
from edgeclf import Classifier
from edgeclf.errors import DataError, PhotoError
from edgeclf.evaluation.evaluate import evaluate
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf.files import in_tar, tar_index
from edgeclf.files.hanging_disk import read_regular
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
    with pytest.raises(PhotoError, match="king: is a folder"):
        upright_rgb(tar / "king")
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


def extended(content: bytes, kind: bytes = tarfile.XHDTYPE, size: int | None = None) -> bytes:
    """A header that says more of the next file, or of all; it may lie about its size."""
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, len(content) if size is None else size
    return header.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


def keyed(*pairs: tuple[str, str]) -> bytes:
    """The content of such a header; the length of a pair counts its own three digits."""
    return b"".join(f"{len(key) + len(value) + 6:03} {key}={value}\n".encode() for key, value in pairs)


def headed(*headers: bytes) -> bytes:
    """A .tar of one empty photo, with these headers before it."""
    return b"".join(headers) + tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT) + bytes(1024)


HOSTILE = {
    "digits": (headed(extended(b"1" * 16_000)), "a very long number"),  # quadratic in tarfile (CVE-2024-6232)
    "20 kB": (headed(extended(b" " * 20_000)), "a header of 20480 bytes"),
    "negative header": (headed(extended(b"", size=-1024)), "a header of -1024 bytes"),
    "global keys": (headed(extended(keyed(*((f"k{n}", "v") for n in range(101))), tarfile.XGLTYPE)), "too many keys"),
    "chain": (headed(*[extended(b"")] * 400), "too many headers in a row"),
    "short chain": (headed(*[extended(b" " * 10_000)] * 20), "too many headers in a row"),
    "negative pax size": (headed(extended(keyed(("size", "-5")))), "a file of -5 bytes"),
    "endless": (headed(extended(keyed(("size", "9" * 30)))), "a file of 9+ bytes"),
}


@pytest.mark.parametrize(("data", "says"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_headers_are_refused_at_once(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "p.tar").write_bytes(data)
    start = time.process_time()
    with pytest.raises(DataError, match=says):
        index_of(str(tmp_path / "p.tar"))
    assert time.process_time() - start < 1


def test_headers_in_a_row_are_refused_deep_in_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_index, "_MAX_HEADERS_BYTES", 2**30)
    (tmp_path / "p.tar").write_bytes(headed(*[extended(b"")] * 400))
    with pytest.raises(DataError, match="too many headers in a row"):
        index_of(str(tmp_path / "p.tar"))


def test_names_of_digits_and_a_few_headers_are_read(tmp_path: Path) -> None:
    name = f"{'7' * 240}/{'8' * 240}.jpg"
    (tmp_path / "p.tar").write_bytes(
        headed(extended(keyed(("comment", "x")), tarfile.XGLTYPE), extended(keyed(("path", name))))
    )
    assert index_of(str(tmp_path / "p.tar")).find(name) is not None


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


def test_a_tar_that_is_replaced_before_it_is_opened_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar = packed(tmp_path / "p.tar", ("a.jpg", b"one"))
    contents = [b"two"]

    def opening(path: str, *rest: Any, **more: Any) -> Any:
        if path == str(tar) and contents:
            packed(tar, ("b.jpg", bytes(20_000)), ("a.jpg", contents.pop()))
            os.utime(tar, ns=(1, len(contents)))
        return open(path, *rest, **more)

    index_of(str(tar))
    monkeypatch.setattr(in_tar, "open", opening, raising=False)
    with in_tar.open_part(tar / "a.jpg") or pytest.fail("no part") as part:
        assert part.read() == b"two"
    contents += [b"three", b"four"]
    with pytest.raises(DataError, match="changes while it is read"):
        in_tar.open_part(tar / "a.jpg")


def test_threads_wait_for_the_one_that_reads_slow_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar = packed(tmp_path / "p.tar", *((f"{n}.jpg", b"x") for n in range(8)))
    monkeypatch.setenv("EDGECLF_TIMEOUT", "0.5")
    really, readers = tar_index.members, []

    def slow(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
        readers.append(threading.get_ident())
        for member in really(file):
            time.sleep(0.15)
            yield member

    monkeypatch.setattr(tar_index, "members", slow)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda n: read_regular(str(tar / f"{n}.jpg"), 10), range(4))) == [b"x"] * 4
    assert len(readers) == 1
