"""Photos of a job: every kind of source gives the same files, and listing is lazy."""

import csv
import os
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from edgeclf.cluster.entries import Entry, packed, unpacked
from edgeclf.cluster.listing import blocks
from edgeclf.cluster.sources import check_sources, entries
from edgeclf.errors import PhotoError, UsageError
from edgeclf.field.photo_id import Digests, look_at
from edgeclf.images.photo_bytes import NamedPhoto
from pyarrow import parquet

NAMES = ["cut.jpg", "empty.jpg", *(f"p{number}.jpg" for number in range(9))]


def names(*sources: object) -> list[str]:
    return sorted(os.path.basename(entry.path) for entry in entries([str(source) for source in sources]))


def test_a_folder_and_a_pattern(many: Path) -> None:
    assert names(many) == NAMES
    assert names(many / "*" / "*.jpg") == NAMES
    assert names(many / "a", many / "b") == NAMES


def test_a_text_list_counts_from_its_own_folder(many: Path) -> None:
    paths = sorted(str(path.relative_to(many)) for path in many.rglob("*.jpg"))
    (many / "list.txt").write_text("\n".join([*paths, "", str(many / "a" / "p0.jpg")]))
    assert names(many / "list.txt") == sorted([*NAMES, "p0.jpg"])
    assert all(os.path.exists(entry.path) for entry in entries([str(many / "list.txt")]))


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_tables_with_and_without_sizes(many: Path, ending: str) -> None:
    rows: list[dict[str, Any]] = [{"Filename": str(path), "species": "x"} for path in sorted(many.rglob("*.jpg"))]
    for sized in (False, True):
        for row in rows if sized else ():
            row |= {"size": 7, "modified": "2026-01-01T00:00:00.000000000Z"}
        file = many / f"list-{sized}{ending}"
        if ending == ".csv":
            with open(file, "w", newline="") as text:
                writer = csv.DictWriter(text, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        else:
            parquet.write_table(pa.Table.from_pylist(rows), file)
        assert names(file) == NAMES
        assert {entry.size for entry in entries([str(file)])} == {7 if sized else None}


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "utf-8")])
def test_lists_as_spreadsheets_on_windows_write_them(many: Path, separator: str, encoding: str) -> None:
    rows = ["species", "path"], *(["king", str(path.relative_to(many))] for path in sorted(many.rglob("*.jpg")))
    lines = [separator.join(row).replace("/", "\\") for row in rows]
    for ending, wanted in (
        (".csv", lines),
        (".tsv", lines),
        (".txt", [line.split(separator)[1] for line in lines[1:]]),
    ):
        (many / f"list{ending}").write_bytes("\r\n".join(wanted).encode(encoding))
        assert names(many / f"list{ending}") == NAMES
        assert all(os.path.exists(entry.path) for entry in entries([str(many / f"list{ending}")]))


@pytest.mark.skipif(os.name == "nt", reason="a name that Windows does not allow")
def test_a_backslash_may_be_a_part_of_a_name(many: Path) -> None:
    (many / "a\\b.jpg").touch()
    (many / "list.txt").write_text("a\\b.jpg\na\\p0.jpg\n")
    assert [entry.path for entry in entries([str(many / "list.txt")])] == [f"{many}/a\\b.jpg", f"{many}/a/p0.jpg"]


def test_a_list_on_this_machine_may_name_addresses(many: Path) -> None:
    (many / "list.csv").write_text("path\ns3://bucket/a.jpg\na/p0.jpg\n")
    assert [entry.path for entry in entries([str(many / "list.csv")])] == ["s3://bucket/a.jpg", f"{many}/a/p0.jpg"]


def test_a_list_that_may_mean_two_columns_is_one_error(many: Path) -> None:
    (many / "list.csv").write_text("file,image\na,b\n")
    (entry,) = entries([str(many / "list.csv")])
    assert entry.error is not None
    assert "may all be the path" in entry.error[1]


def test_a_table_without_paths_is_one_error(many: Path) -> None:
    (many / "list.csv").write_text("species\nking\n")
    (entry,) = entries([str(many / "list.csv")])
    assert entry.error is not None
    assert "path" in entry.error[1]


def test_a_tar_gives_the_bytes_of_its_files(many: Path, tar_of: Callable[[Path], Path]) -> None:
    shard = tar_of(many)
    found = list(entries([str(shard)]))
    assert sorted(os.path.basename(entry.path) for entry in found) == NAMES
    for entry in found:
        photo = entry.photo()
        assert isinstance(photo, NamedPhoto)
        assert photo.data == next(many.rglob(os.path.basename(entry.path))).read_bytes()


def test_a_cut_tar_gives_what_it_has_and_an_error(many: Path, tar_of: Callable[[Path], Path]) -> None:
    shard = tar_of(many)
    data = shard.read_bytes()
    last = [entry.offset for entry in entries([str(shard)])][-1]
    for length in range(last - 2048, last + 1024, 256):  # in the last header, before it, and in the photo
        shard.write_bytes(data[:length])
        *whole, end = entries([str(shard)])
        assert len(whole) in (9, 10, 11), length
        assert end.error is not None, length
        assert end.path == str(shard)
        assert all(isinstance(entry.photo(), NamedPhoto) for entry in whole[:9])


def test_addresses(many: Path) -> None:
    store = fsspec.filesystem("memory")
    for path in many.rglob("*.*"):
        store.pipe(f"/bucket/card/{path.parent.name}/{path.name}", path.read_bytes())
    try:
        found = list(entries(["memory://bucket/card"]))
        assert sorted(os.path.basename(entry.path) for entry in found) == NAMES
        assert names("memory://bucket/card/*/p*.jpg") == [name for name in NAMES if name.startswith("p")]
        photo = found[0].photo()
        assert isinstance(photo, NamedPhoto)
        assert photo.name == "memory://bucket/card/a/cut.jpg"
        assert photo.data == (many / "a" / "cut.jpg").read_bytes()
        (gone,) = entries(["memory://bucket/nothing.jpg"])
        assert gone.error is not None
        assert gone.error[0] == "not-found"
    finally:
        store.rm("/bucket", recursive=True)


def test_what_is_missing_is_an_error_among_the_others(many: Path) -> None:
    found = list(entries([str(many / "a"), str(many / "gone"), str(many / "gone.tar")]))
    errors = [entry for entry in found if entry.error is not None or isinstance(entry.photo(), PhotoError)]
    assert [os.path.basename(entry.path) for entry in errors] == ["gone.tar"]
    assert found[-2].path == str(many / "gone")  # fails when it is read, as in predict


@pytest.mark.parametrize("source", ["-", "card.tar.gz"])
def test_refused(source: str) -> None:
    with pytest.raises(UsageError):
        check_sources([source])


def test_blocks_know_sizes_and_leave_out_what_is_known(many: Path) -> None:
    found = list(blocks(entries([str(many), str(many)]), 4, Digests()))  # named twice
    assert [len(block) for block in found] == [4, 4, 3]
    for entry in found[0]:
        assert entry.file == look_at(entry.path)
    known = Digests()
    for entry in found[0]:
        known.add(entry.digest)
    rest = [entry for block in blocks(entries([str(many)]), 4, known) for entry in block]
    assert sorted(rest) == sorted(entry for block in found[1:] for entry in block)


def test_the_first_block_comes_before_the_last_name(many: Path) -> None:
    taken = 0

    def endless() -> Iterator[Entry]:
        nonlocal taken
        for number in count():
            taken = number
            yield Entry(f"s3://bucket/{number}.jpg", 1, "2026")

    assert len(list(islice(blocks(endless(), 10, Digests()), 3))) == 3
    assert taken < 100


def test_a_digest_is_that_of_records(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = look_at(str(many / "a" / "p0.jpg"))
    assert file is not None
    assert Entry(file.path, file.size, file.modified).digest == file.digest()
    monkeypatch.chdir(many)
    assert Entry(os.path.join("a", "p0.jpg"), file.size, file.modified).digest == file.digest()


def test_packed_entries_come_back(many: Path) -> None:
    made = [
        Entry("a\udcff.jpg", 1, "now", True, "x.tar", 512),
        Entry("b.jpg", error=("damaged", "is cut", "copy it"), number=7),
    ]
    assert unpacked(packed(made)) == made
