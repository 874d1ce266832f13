"""Zips are unpacked once, within bounds; hostile and damaged ones are one line and leave nothing behind."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset import zip_data as zips
from edgeclf_training.dataset.split import read_split
from edgeclf_training.dataset.zip_data import data_name, open_data
from helpers import draw


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def jpeg(seed: int) -> bytes:
    data = io.BytesIO()
    draw(seed, 64, 48).save(data, "JPEG")
    return data.getvalue()


def make_zip(path: Path, prefix: str = "", extra: Callable[[zipfile.ZipFile], None] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for start, label in enumerate(("adelie", "king")):
            for number in range(4):
                archive.writestr(f"{prefix}{label}/{number}.jpg", jpeg(100 * start + number))
        if extra:
            extra(archive)
    return path


def assert_refused(path: Path, cache: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_data([path])
    assert "\n" not in str(caught.value)
    assert str(path) in caught.value.message
    assert [p for p in cache.rglob("*") if p.name != "zips"] == [], "nothing is left behind"
    assert not list(path.parent.glob("evil*"))


@pytest.mark.parametrize("prefix", ["", "photos/", "a/b/", "train/", "photos/train/"])
def test_a_zip_reads_like_the_folder_it_was(prefix: str, tmp_path: Path) -> None:
    def litter(archive: zipfile.ZipFile) -> None:
        archive.writestr("__MACOSX/photos/king/._0.jpg", b"resource fork")
        archive.writestr(f"{prefix}king/.hidden.jpg", b"hidden")
        archive.writestr(f"{prefix}king/readme.txt", b"no photo")
        archive.writestr(f"{prefix}king/more.zip", b"PK nested zips are not looked into")

    [folder] = open_data([make_zip(tmp_path / "birds.zip", prefix, litter)])
    split = read_split([folder])
    assert split.classes == ("adelie", "king")
    assert len(split.train) + len(split.val) == 8
    assert split.skipped == ()
    assert sorted(p.suffix for p in folder.rglob("*") if p.is_file()) == [".jpg"] * 8


def test_the_same_content_is_unpacked_once_whatever_its_name(tmp_path: Path) -> None:
    first = make_zip(tmp_path / "a.zip")
    second = tmp_path / "b.ZIP"
    second.write_bytes(first.read_bytes())
    seen: list[tuple[int, int]] = []
    [folder] = open_data([first], lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8)
    stamp = (folder / "king" / "0.jpg").stat().st_mtime_ns
    assert open_data([second, tmp_path], lambda *_: pytest.fail("unpacked again")) == [folder, tmp_path]
    assert (folder / "king" / "0.jpg").stat().st_mtime_ns == stamp
    assert data_name(second) == "b"


def test_what_was_left_half_done_is_done_again(tmp_path: Path, cache: Path) -> None:
    path = make_zip(tmp_path / "a.zip")
    [folder] = open_data([path])
    (folder / "king" / "0.jpg").unlink()
    next(cache.glob("zips/*/complete")).unlink()
    assert open_data([path]) == [folder]
    assert (folder / "king" / "0.jpg").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "king/../../evil.jpg",
        "/evil.jpg",
        "C:/evil.jpg",
        "C:evil.jpg",
        "king\\..\\evil.jpg",
        ".. /evil.jpg",
    ],
)
def test_entries_that_lead_out_are_refused(name: str, tmp_path: Path, cache: Path) -> None:
    path = make_zip(tmp_path / "a.zip", extra=lambda archive: archive.writestr(name, jpeg(5)))
    assert_refused(path, cache, "leads out of the archive")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(kind: int, tmp_path: Path, cache: Path) -> None:
    info = zipfile.ZipInfo("king/evil.jpg")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    path = make_zip(tmp_path / "a.zip", extra=lambda archive: archive.writestr(info, "/etc/hostname"))
    assert_refused(path, cache, "a link or a special file")


def test_bombs_are_refused_by_what_they_write(tmp_path: Path, cache: Path) -> None:
    nothing = bytes(zips.RATIO_FLOOR * 2)
    path = make_zip(tmp_path / "a.zip", extra=lambda archive: archive.writestr("king/evil.bmp", nothing))
    assert_refused(path, cache, "far more than a photo would")
    many = make_zip(
        tmp_path / "b.zip",
        extra=lambda archive: [archive.writestr(f"king/{i}.bmp", nothing[: zips.RATIO_FLOOR // 2]) for i in range(8)],  # type: ignore[func-returns-value]
    )
    assert_refused(many, cache, "far more than a photo would")


def test_a_header_that_lies_about_sizes_gains_nothing(tmp_path: Path, cache: Path) -> None:
    nothing = bytes(zips.RATIO_FLOOR * 2)
    path = make_zip(tmp_path / "a.zip", extra=lambda archive: archive.writestr("king/evil.bmp", nothing))
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\1\2")  # the bomb's entry is the last
    struct.pack_into("<I", data, entry + 20, 2**31)  # compressed: so that the ratio looks harmless
    struct.pack_into("<I", data, entry + 24, 1000)  # uncompressed
    path.write_bytes(data)
    assert_refused(path, cache, "not a complete zip file|far more")


def test_bounds_on_entries_and_bytes_hold(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "a.zip")
    monkeypatch.setattr(zips, "MAX_ENTRIES", 7)
    assert_refused(path, cache, "more than 7 entries")
    monkeypatch.setattr(zips, "MAX_ENTRIES", 8)
    monkeypatch.setattr(zips, "MAX_BYTES", 2000)
    assert_refused(path, cache, "unpacks to more than")


def test_damaged_zips_are_one_line(tmp_path: Path, cache: Path) -> None:
    whole = make_zip(tmp_path / "whole.zip").read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"adelie/0.jpg") + 200] ^= 0xFF
    for name, data in (
        ("truncated", whole[: len(whole) // 2]),
        ("no zip", b"this is not a zip at all"),
        ("empty", b""),
        ("flipped", bytes(flipped)),
    ):
        path = tmp_path / f"{name}.zip"
        path.write_bytes(data)
        assert_refused(path, cache, "not a complete zip file")


def test_an_encrypted_zip_is_refused(tmp_path: Path, cache: Path) -> None:
    path = make_zip(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = -1
        while (start := data.find(magic, start + 1)) >= 0:
            data[start + flags] |= 1
    path.write_bytes(data)
    assert_refused(path, cache, "is encrypted")


def test_a_name_twice_and_no_images_are_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = make_zip(tmp_path / "a.zip", extra=lambda archive: archive.writestr("king/0.jpg", jpeg(9)))
    assert_refused(path, cache, "contains .* twice")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    assert_refused(tmp_path / "b.zip", cache, "no images inside")


def test_an_unwritable_cache_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="EDGECLF_CACHE"):
        open_data([make_zip(tmp_path / "a.zip")])
