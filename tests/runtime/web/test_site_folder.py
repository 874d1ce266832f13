"""Writing a site: all of it or none, over nothing that somebody else made."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import UsageError
from edgeclf.web import folder as site_folder
from edgeclf.web.folder import LIST, UNFINISHED, write_site
from edgeclf.web.site import Site

TEXT = b"text that can be compressed " * 20
SCRIPT = b"let a; " * 30
FIRST = Site({"index.html": TEXT, "page/a.js": SCRIPT, "page/gone.js": b"old", "service-worker.js": b"1"}, {}, "v1")
SECOND = Site({"index.html": TEXT * 2, "page/a.js": SCRIPT, "page/b.js": b"b", "service-worker.js": b"2"}, {}, "v2")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _is_whole(folder: Path) -> bool:
    listed = json.loads((folder / LIST).read_text())["files"]
    return all(hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest for path, digest in listed.items())


def test_a_new_site(tmp_path: Path) -> None:
    written = write_site(FIRST, tmp_path / "deep" / "site")
    found = _files(tmp_path / "deep" / "site")
    assert found.keys() == {*FIRST.files, "index.html.gz", "page/a.js.gz", LIST}
    assert gzip.decompress(found["index.html.gz"]) == TEXT
    assert _is_whole(tmp_path / "deep" / "site")
    sizes = {path: len(data) for path, data in found.items()}
    assert written.plain == sum(map(len, FIRST.files.values()))
    assert written.gzip == sizes["index.html.gz"] + sizes["page/a.js.gz"] + 3 + 1
    assert (written.files, written.changed) == (6, True)


def test_an_update(tmp_path: Path) -> None:
    write_site(FIRST, tmp_path)
    (tmp_path / "CNAME").write_text("birds")
    (tmp_path / "page" / "mine.txt").write_text("mine")
    write_site(SECOND, tmp_path)
    found = _files(tmp_path)
    assert found.keys() == {*SECOND.files, "index.html.gz", "page/a.js.gz", LIST, "CNAME", "page/mine.txt"}
    assert {path: found[path] for path in SECOND.files} == SECOND.files
    assert _is_whole(tmp_path)


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    write_site(FIRST, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert not write_site(FIRST, tmp_path).changed
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_missing_file_is_written_again(tmp_path: Path) -> None:
    write_site(FIRST, tmp_path)
    (tmp_path / "page" / "a.js").unlink()
    assert write_site(FIRST, tmp_path).changed
    assert _is_whole(tmp_path)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("page/a.js", "was changed after edgeclf wrote it"),
        ("page/b.js", "exists already and is not edgeclf's"),
        ("page/gone.js", "was changed after edgeclf wrote it"),
    ],
)
def test_files_of_others_stay(tmp_path: Path, name: str, what: str) -> None:
    write_site(FIRST, tmp_path)
    (tmp_path / name).write_text("mine")
    before = _files(tmp_path)
    with pytest.raises(UsageError, match=what):
        write_site(SECOND, tmp_path)
    assert _files(tmp_path) == before


def test_folders_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not a site made by edgeclf"):
        write_site(FIRST, tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        write_site(FIRST, tmp_path / "thesis.txt")
    assert _files(tmp_path) == {"thesis.txt": b"mine"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.js"
    elsewhere.write_bytes(FIRST.files["page/a.js"])
    write_site(FIRST, tmp_path / "site")
    (tmp_path / "site" / "page" / "a.js").unlink()
    (tmp_path / "site" / "page" / "a.js").symlink_to(elsewhere)
    with pytest.raises(UsageError, match=r"a\.js"):
        write_site(SECOND, tmp_path / "site")
    assert elsewhere.read_bytes() == FIRST.files["page/a.js"]


def test_a_list_that_points_outside(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / LIST).write_text(json.dumps({"files": {"../mine.txt": digest}}))
    with pytest.raises(UsageError, match="outside"):
        write_site(FIRST, tmp_path / "site")
    assert (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize("before", [None, FIRST], ids=["new", "update"])
def test_interrupted_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Site | None) -> None:
    """However many files were written: no list of a whole site, and the next call makes it whole."""
    real = site_folder.write_atomically
    for count in range(1, 10):
        folder = tmp_path / str(count)
        if before is not None:
            write_site(before, folder)
        calls = 0

        def write(path: Path, *args: object, limit: int = count) -> None:
            nonlocal calls
            calls += 1
            if calls > limit:
                raise KeyboardInterrupt
            real(path, *args)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(site_folder, "write_atomically", write)
            try:
                write_site(SECOND, folder)
            except KeyboardInterrupt:
                assert (folder / UNFINISHED).exists()
                assert not (folder / LIST).exists()
            else:
                break
        write_site(SECOND, folder)
        assert _files(folder).keys() == {*SECOND.files, "index.html.gz", "page/a.js.gz", LIST}
        assert _is_whole(folder)
    assert calls >= 4


def test_the_service_worker_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = site_folder.write_atomically

    def write(path: Path, content: Any) -> None:
        order.append(path.name)
        real(path, content)

    monkeypatch.setattr(site_folder, "write_atomically", write)
    write_site(FIRST, tmp_path)
    assert (order[0], order[-1]) == (UNFINISHED, LIST)
    assert order[-3:-1] == ["index.html.gz", "service-worker.js"]


def test_what_a_power_cut_left_half_written_is_deleted(tmp_path: Path) -> None:
    leftover, others = ".edgeclf-0123456789abcdef.tmp", ".edgeclf-notes.tmp"
    (tmp_path / leftover).write_bytes(b"half of a list")
    write_site(FIRST, tmp_path)  # not taken for somebody else's file
    (tmp_path / "page" / leftover).write_bytes(b"half of a file")
    (tmp_path / "page" / others).write_text("mine")
    write_site(FIRST, tmp_path)
    assert not list(tmp_path.rglob(leftover))
    assert (tmp_path / "page" / others).read_text() == "mine"
    assert _is_whole(tmp_path)
