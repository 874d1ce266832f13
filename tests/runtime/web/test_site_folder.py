"""Writing a site: all of it or none, over nothing that somebody else made."""

import errno
import gzip
import hashlib
import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import UsageError
from edgeclf.files import atomic_write
from edgeclf.web.changeover import LIST, UNFINISHED
from edgeclf.web.folder import check_folder, write_site
from edgeclf.web.site import Site
from small_sites import FIRST, SECOND, TEXT, files_of, is_whole


def test_a_new_site(tmp_path: Path) -> None:
    written = write_site(FIRST, tmp_path / "deep" / "site")
    found = files_of(tmp_path / "deep" / "site")
    assert found.keys() == {*FIRST.files, "index.html.gz", "page/a.js.gz", LIST}
    assert gzip.decompress(found["index.html.gz"]) == TEXT
    assert is_whole(tmp_path / "deep" / "site")
    sizes = {path: len(data) for path, data in found.items()}
    assert written.plain == sum(map(len, FIRST.files.values()))
    assert written.gzip == sizes["index.html.gz"] + sizes["page/a.js.gz"] + 3 + 1
    assert (written.files, written.changed) == (6, True)


def test_an_update(tmp_path: Path) -> None:
    write_site(FIRST, tmp_path)
    (tmp_path / "CNAME").write_text("birds")
    (tmp_path / "page" / "mine.txt").write_text("mine")
    write_site(SECOND, tmp_path)
    found = files_of(tmp_path)
    assert found.keys() == {*SECOND.files, "index.html.gz", "page/a.js.gz", LIST, "CNAME", "page/mine.txt"}
    assert {path: found[path] for path in SECOND.files} == SECOND.files
    assert is_whole(tmp_path)


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    write_site(FIRST, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert not write_site(FIRST, tmp_path).changed
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_missing_file_is_written_again(tmp_path: Path) -> None:
    write_site(FIRST, tmp_path)
    (tmp_path / "page" / "a.js").unlink()
    assert write_site(FIRST, tmp_path).changed
    assert is_whole(tmp_path)


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
    before = files_of(tmp_path)
    with pytest.raises(UsageError, match=what):
        write_site(SECOND, tmp_path)
    assert files_of(tmp_path) == before


def test_folders_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not a site made by edgeclf"):
        write_site(FIRST, tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        write_site(FIRST, tmp_path / "thesis.txt")
    assert files_of(tmp_path) == {"thesis.txt": b"mine"}


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


class _Killed(BaseException):
    """What stands for the end of the process: nothing that it would still do happens."""


def _killed_at(step: int, monkeypatch: pytest.MonkeyPatch, folder: Path) -> bool:
    """Write SECOND, without any change of the file system from a step on; False: it had ended before."""
    left = step

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Killed
            return real(*given, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("open", "replace", "unlink", "mkdir", "rmdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            write_site(SECOND, folder)
        except _Killed:
            return True
    return False


def _has(folder: Path, site: Site) -> bool:
    return {path: (folder / path).read_bytes() for path in site.files if (folder / path).exists()} == site.files


@pytest.mark.parametrize("before", [None, FIRST], ids=["new", "update"])
def test_killed_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Site | None) -> None:
    """All of before or all of the new one; in between, what a service worker says is there, and any call finishes."""
    states = []
    for step in itertools.count():
        folder = tmp_path / str(step)
        if before is not None:
            write_site(before, folder)
        if not _killed_at(step, monkeypatch, folder):
            break
        listed, between = (folder / LIST).exists(), (folder / UNFINISHED).exists()
        states.append("between" if between else "new" if _has(folder, SECOND) else "before")
        assert not listed or is_whole(folder)
        if not between:
            assert before is None or listed
            assert _has(folder, SECOND) or _has(folder, before or Site({}, {}, ""))
        script = folder / "service-worker.js"
        assert not script.exists() or script.read_bytes() == b"1" or _has(folder, SECOND)
        if step % 2:
            check_folder(folder)  # any next call, before it writes
            assert not between or _has(folder, SECOND)
        write_site(SECOND, folder)
        assert files_of(folder).keys() == {*SECOND.files, "index.html.gz", "page/a.js.gz", LIST}
        assert is_whole(folder)
    assert [state for state, _ in itertools.groupby(states)][:2] == ["before", "between"]
    assert states.count("before") >= 5
    assert states.count("between") >= 5


def test_killed_by_the_system(tmp_path: Path) -> None:
    """While files are written under temporary names, the site of before is in use."""
    write_site(FIRST, tmp_path)
    large = Site(SECOND.files | {f"page/{number}.bin": os.urandom(9000) for number in range(200)}, {}, "v3")
    child = os.fork()
    if child == 0:
        try:
            write_site(large, tmp_path)
        finally:
            os._exit(0)
    while len(list(tmp_path.glob(".edgeclf-*.tmp"))) < 5:
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert is_whole(tmp_path)
    assert _has(tmp_path, FIRST)
    write_site(large, tmp_path)
    assert is_whole(tmp_path)
    assert not list(tmp_path.glob(".edgeclf-*"))


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_site(FIRST, tmp_path)
    before = files_of(tmp_path)
    calls = iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_write, "flush", full)
    with pytest.raises(OSError, match="No space left"):
        write_site(SECOND, tmp_path)
    assert files_of(tmp_path) == before


def test_what_somebody_changed_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted update is not finished over a file of somebody else."""
    write_site(FIRST, tmp_path)
    step = next(step for step in itertools.count() if _killed_at(step, monkeypatch, tmp_path) and _between(tmp_path))
    assert step > 0
    (tmp_path / "page" / "b.js").write_text("mine")
    with pytest.raises(UsageError, match=r"b\.js"):
        write_site(SECOND, tmp_path)
    assert (tmp_path / "page" / "b.js").read_text() == "mine"


def _between(folder: Path) -> bool:
    return (folder / UNFINISHED).exists()


def test_the_service_worker_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        order.append(Path(target).name)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
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
    assert is_whole(tmp_path)
