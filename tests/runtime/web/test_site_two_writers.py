"""Two processes that write one site: the second is turned away, and nobody reports a site that is not there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import UsageError
from edgeclf.files import lock
from edgeclf.files.atomic_write import write_atomically
from edgeclf.web import changeover
from edgeclf.web.changeover import LIST, UNFINISHED
from edgeclf.web.folder import check_folder, write_site
from edgeclf.web.site import Site
from small_sites import FIRST, SECOND, files_of, is_whole


def _has(folder: Path, site: Site) -> bool:
    return {path: (folder / path).read_bytes() for path in site.files if (folder / path).exists()} == site.files


def _between(folder: Path) -> bool:
    return (folder / UNFINISHED).exists()


_BUSY = "another edgeclf is writing this folder; wait until it has ended"


def _no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network mounts."""
    monkeypatch.setattr(lock, "lock", lambda file, path: None)


def _when_staged(monkeypatch: pytest.MonkeyPatch, other: Callable[[], Any]) -> None:
    """Have another writer act once, when all new files have temporary names and no journal is there."""
    waiting = [other]

    def sync(folder: Path) -> None:
        if waiting:
            waiting.pop()()

    monkeypatch.setattr(changeover, "sync_folder", sync)


def _while_renamed(monkeypatch: pytest.MonkeyPatch, other: Callable[[], Any]) -> None:
    """Have another writer act once, when the journal is there and the first file gets its name."""
    waiting, real = [other], os.replace

    def replace(source: Any, target: Any) -> None:
        if waiting and Path(target).name != UNFINISHED:
            waiting.pop()()
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("pause", [_when_staged, _while_renamed])
@pytest.mark.parametrize("before", [None, FIRST], ids=["new", "update"])
def test_a_second_writer_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Site | None, pause: Callable[..., None]
) -> None:
    if before is not None:
        write_site(before, tmp_path)
    turned_away = []

    def second() -> None:
        for act in (lambda: check_folder(tmp_path), lambda: write_site(FIRST, tmp_path)):
            with pytest.raises(UsageError, match=_BUSY):
                act()
            turned_away.append(act)

    pause(monkeypatch, second)
    write_site(SECOND, tmp_path)
    assert len(turned_away) == 2
    assert files_of(tmp_path).keys() == {*SECOND.files, "index.html.gz", "page/a.js.gz", LIST}
    assert is_whole(tmp_path)
    write_site(FIRST, tmp_path)  # the lock has ended
    assert _has(tmp_path, FIRST)


def test_without_locks_the_first_of_two_says_that_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one deletes what the first one has staged; its own site stays whole."""
    write_site(FIRST, tmp_path)
    _no_locks(monkeypatch)
    other = Site(FIRST.files | {"page/c.js": b"c"}, {}, "v3")
    _when_staged(monkeypatch, lambda: write_site(other, tmp_path))
    with pytest.raises(OSError, match=r"somebody deleted or changed the new page/b\.js"):
        write_site(Site({"page/b.js": b"b", **SECOND.files}, {}, "v2"), tmp_path)
    assert files_of(tmp_path).keys() == {*other.files, "index.html.gz", "page/a.js.gz", LIST}
    assert is_whole(tmp_path)


def test_files_deleted_after_the_journal_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_site(FIRST, tmp_path)
    before = files_of(tmp_path)

    def write(path: Path, content: Callable[..., Any]) -> None:
        write_atomically(path, content)
        for staged in tmp_path.glob(".edgeclf-*.tmp"):
            staged.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(changeover, "write_atomically", write)
        with pytest.raises(OSError, match="somebody deleted"):
            write_site(SECOND, tmp_path)
    assert {path: data for path, data in files_of(tmp_path).items() if path != UNFINISHED} == before
    write_site(FIRST, tmp_path)  # a journal that nobody can finish does not stay
    assert files_of(tmp_path) == before


def test_without_locks_another_may_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_site(FIRST, tmp_path)
    _no_locks(monkeypatch)
    _while_renamed(monkeypatch, lambda: check_folder(tmp_path))
    write_site(SECOND, tmp_path)
    assert files_of(tmp_path).keys() == {*SECOND.files, "index.html.gz", "page/a.js.gz", LIST}
    assert is_whole(tmp_path)


def test_names_are_on_the_disk_before_the_journal_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        changeover, "sync_folder", lambda folder: synced.append((str(folder.relative_to(tmp_path)), _between(tmp_path)))
    )
    write_site(FIRST, tmp_path)
    assert synced[:2] == [(".", False), (".", True)]  # the journal, before anything is renamed
    assert set(synced[2:-1]) == {(".", True), ("page", True)}
    assert synced[-1] == (".", False)
