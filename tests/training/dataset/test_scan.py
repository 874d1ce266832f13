"""Every photo is looked at once, and what was seen is remembered until the file changes."""

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest
from edgeclf_training.dataset import scan as module
from edgeclf_training.dataset.scan import Scanned, scan, scan_one
from helpers import draw, write_class_folders
from PIL import Image


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "scans.sqlite"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return sorted(write_class_folders(tmp_path / "photos", 4).rglob("*.jpg"))


def must_not_decode(path: Path) -> Scanned:
    raise AssertionError(f"{path} was decoded again")


def test_a_scan_says_what_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(3, 160, 120).save(path, exif=exif)
    seen = scan_one(path)
    assert (seen.kind, seen.width, seen.height, seen.orientation) == ("", 120, 160, 6)
    assert (seen.format, seen.mode, seen.frames) == ("JPEG", "RGB", 1)
    assert seen.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(seen.thumb) == 1024
    frames = [draw(i).convert("P") for i in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    moving = scan_one(tmp_path / "moving.gif")
    assert (moving.format, moving.mode, moving.frames) == ("GIF", "P", 3)


def test_pixels_tell_a_photo_from_its_metadata(tmp_path: Path) -> None:
    draw(3).save(tmp_path / "a.png")
    draw(3).save(tmp_path / "b.bmp")
    draw(4).save(tmp_path / "c.png")
    a, b, c = (scan_one(tmp_path / name) for name in ("a.png", "b.bmp", "c.png"))
    assert a.sha256 != b.sha256
    assert a.pixels == b.pixels != c.pixels


def test_the_second_scan_decodes_only_what_changed(
    cache: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths[0].write_bytes(paths[0].read_bytes()[:300])
    first = scan(paths)
    assert first[paths[0]].kind == "damaged"
    assert cache.is_file()
    with monkeypatch.context() as patch:
        patch.setattr(module, "scan_one", must_not_decode)
        assert scan(paths) == first
    draw(77, 30, 20).save(paths[1])
    again = scan(paths)
    assert (again[paths[1]].width, again[paths[2]]) == (30, first[paths[2]])
    stamp = paths[2].stat().st_mtime_ns + 1_000_000
    os.utime(paths[2], ns=(stamp, stamp))
    monkeypatch.setattr(module, "scan_one", must_not_decode)
    with pytest.raises(AssertionError, match=paths[2].name):
        scan(paths)


@pytest.mark.parametrize("damage", ["rubbish", "cut", "other", "folder"])
def test_a_damaged_cache_is_made_anew(damage: str, cache: Path, paths: list[Path]) -> None:
    first = scan(paths)
    if damage == "rubbish":
        cache.write_bytes(b"rubbish " * 4000)
    elif damage == "cut":
        cache.write_bytes(cache.read_bytes()[:5000])
    elif damage == "other":
        cache.unlink()
        with sqlite3.connect(cache) as database:
            database.execute("CREATE TABLE scans (other TEXT)")
        database.close()
    else:
        cache.unlink()
        cache.mkdir()
    assert scan(paths) == first
    assert scan(paths) == first


def test_an_unwritable_cache_is_done_without(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "file"))
    assert all(not s.kind for s in scan(paths).values())


def test_what_may_pass_later_is_not_remembered(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "late.jpg"
    assert scan([path])[path].kind == "not-found"
    draw(1).save(path)
    assert scan([path])[path].kind == ""
