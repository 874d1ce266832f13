"""Tables of labels as files: separators, encodings, columns, and every mistake in one pass."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf.errors import BackendError, DataError
from edgeclf_training.dataset.labels_table import LabelsTable, read_labels
from edgeclf_training.dataset.table_problems import KINDS, LabelsError

ROWS = [("a.jpg", "cat"), ("b c.jpg", "Zürichsee"), ("sub/ü.jpg", "cat")]


def table(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def pairs(read: LabelsTable) -> list[tuple[str, str]]:
    return [(row.path, row.label) for row in read.rows]


def kinds(read: LabelsTable) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in read.problems:
        found.setdefault(problem.kind, []).append(problem.detail)
    assert set(found) <= set(KINDS)
    return found


def text_of(separator: str, end: str = "\n", head: str = "") -> str:
    lines = [("path", "label"), *ROWS]
    return head + "".join(f"{path}{separator} {label}{end}" for path, label in lines)


@pytest.mark.parametrize(
    "data",
    [
        text_of(",").encode(),
        text_of(";", "\r\n").encode("utf-8-sig"),
        text_of("\t", "\r\n").encode("utf-16"),  # Excel: Unicode text
        text_of("|").encode(),
        text_of(";", "\r\n", "sep=;\r\n").encode(),
        text_of(",", "\n\n,\n").encode(),
        text_of(";", "\n", "\n  \nsep=;\n").encode(),
        text_of(";", "\n", "\n").encode(),
        b'"path","label"\n"a.jpg","cat"\n"b c.jpg","Z\xc3\xbcrichsee"\n"sub/\xc3\xbc.jpg","cat"',
    ],
)
def test_text_as_spreadsheets_write_it(tmp_path: Path, data: bytes) -> None:
    read = read_labels(table(tmp_path / "t.csv", data))
    assert pairs(read) == ROWS
    assert read.problems == ()


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra [parquet]")
    arrow = pytest.importorskip("pyarrow")
    columns = {"path": [p for p, _ in ROWS], "label": [x for _, x in ROWS], "split": ["val", None, "train"]}
    parquet.write_table(arrow.table(columns | {"group": [7, 7, None]}), tmp_path / "t.parquet")
    read = read_labels(tmp_path / "t.parquet")
    assert pairs(read) == ROWS
    assert [(row.line, row.split, row.group) for row in read.rows] == [(1, "val", "7"), (2, "", "7"), (3, "train", "")]
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:80])
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "cut.parquet")


def test_other_columns_of_parquet_are_not_read(tmp_path: Path) -> None:
    """Times that Python cannot hold, images, lists; and labels as pandas writes them when some are missing."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra [parquet]")
    arrow = pytest.importorskip("pyarrow")
    columns = {
        "image": arrow.array([b"\xff\xd8", b"\xff"], arrow.binary()),
        "path": arrow.array(["a.jpg", "b.jpg"]),
        "taken": arrow.array([1700000000123456789, 2**62], arrow.timestamp("ns")),
        "far": arrow.array([2**60, 1], arrow.timestamp("us")),
        "label": arrow.array([1.0, float("nan")]),
        "embedding": arrow.array([[1.0], [2.0]]),
        "split": arrow.array(["val", None]).dictionary_encode(),
        "group": arrow.array([True, False]),
    }
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    read = read_labels(tmp_path / "t.parquet")
    rows = [(row.path, row.label, row.split, row.group) for row in read.rows]
    assert rows == [("a.jpg", "1", "val", "True"), ("b.jpg", "", "", "False")]
    assert kinds(read) == {"table-no-label": ["line 2: b.jpg"]}


def test_two_columns_of_the_name_of_the_groups(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 columns are called nest"):
        read_labels(table(tmp_path / "t.csv", "path,label,nest,nest\na.jpg,x,1,2\n"), "nest")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BackendError, match=r"edgeclf\[parquet\]"):
        read_labels(table(tmp_path / "t.parquet", b"PAR1 and more"))


def test_no_package_for_parquet_is_imported_for_csv(tmp_path: Path) -> None:
    code = f"""
import sys
from edgeclf_training.dataset.labels_table import read_labels
read_labels({str(table(tmp_path / "t.csv", text_of(",")))!r})
assert not {{"pyarrow", "pandas", "torch"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_columns_by_other_names_and_in_any_order(tmp_path: Path) -> None:
    read = read_labels(
        table(tmp_path / "t.csv", "Observer,Species,File name,Subset,Group\nme,cat,a.jpg,Validation,7\n")
    )
    assert read.rows == ((2, "a.jpg", "cat", "val", "7"),)
    assert (read.group_column, read.has_splits) == ("Group", True)
    assert any("label from the column Species" in note for note in read.notes)
    assert any("not used: Observer" in note for note in read.notes)


def test_a_named_column_gives_the_groups(tmp_path: Path) -> None:
    file = table(tmp_path / "t.csv", "path,label,group,Site no\na.jpg,cat,1,north\n")
    assert [row.group for row in read_labels(file).rows] == ["1"]
    assert [row.group for row in read_labels(file, "Site no").rows] == ["north"]
    assert [row.group for row in read_labels(file, "site_no").rows] == ["north"]
    assert kinds(read_labels(file, "camera")) == {
        "table-columns": ["no column camera; the columns are group, label, path, Site no"]
    }


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Datei,Art", "no column path and no column label; the columns are Art, Datei"),
        ("path,Art", "no column label"),
        ("a.jpg,cat", "the first line must name the columns"),
        ("path,class,species", "class, species may all be the label"),
        ("path,path,label", "path, path may all be the path"),
    ],
)
def test_a_table_without_the_columns_is_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(table(tmp_path / "t.csv", f"{header}\nx,y,z\n"))


def test_a_misspelled_column_is_a_mistake(tmp_path: Path) -> None:
    read = read_labels(table(tmp_path / "t.csv", "path,label,spilt\na.jpg,cat,val\n"))
    assert kinds(read) == {"table-columns": ["spilt: did you mean split?"]}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none.csv", None, "cannot be read"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b"path,label\n", "no rows"),
        ("t.xlsx", b"PK\3\4\0\0", "not a text file"),
        ("t.csv", b"\xff\xd8\xff\xe0\0\x10JFIF", "not a text file"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    if data is not None:
        table(tmp_path / name, data)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / name)


def test_every_mistake_of_the_cells_in_one_pass(tmp_path: Path) -> None:
    lines = [
        "path,label,split",
        "a.jpg,,",  # 2: no label
        ",cat,",  # 3: no path
        "b.jpg,cat,vall",  # 4: no such split
        "c.jpg,cat,,,x",  # 5: too many cells
        "d.jpg,Unknown,",  # 6: the word for refusals
        "e.jpg,a/b,",  # 7: no folder can be called so
        "f.jpg,Cat,",  # 8: looks like cat
        "g.jpg,\x1b[2J,",  # 9: no text
        "h.jpg,caf\xe9,",  # 10: Windows-1252
        'i.jpg,"open,',  # 11 and 12: a quote that is not closed
        "j.jpg,cat,",
    ]
    read = read_labels(table(tmp_path / "t.csv", "\n".join(lines).encode("cp1252")))
    assert kinds(read) == {
        "table-encoding": ["line 10: café"],
        "table-rows": [
            "line 5: 5 cells for 3 columns",
            "line 12: a line break in a cell; is a double quote not closed?",
        ],
        "table-no-path": ["line 3"],
        "table-no-label": ["line 2: a.jpg"],
        "table-labels": [
            "line 6: Unknown: the word for photos below the confidence threshold",
            "line 7: a/b: cannot be the name of a folder",
            "line 9: \\x1b[2J: U+001B (a control character) is not text",
        ],
        "table-labels-alike": ["'Cat' (line 8) and 'cat' (line 4)"],
        "table-splits": ["line 4: vall, did you mean val?"],
    }
    error = LabelsError(tmp_path / "t.csv", read.problems)
    assert "10 problems" in str(error)
    assert all(KINDS[kind] in str(error) for kind in kinds(read))
    assert str(pickle.loads(pickle.dumps(error))) == str(error), "loader processes and callers may pass it on"


def test_accents_composed_or_not_are_one_label(tmp_path: Path) -> None:
    read = read_labels(table(tmp_path / "t.csv", "path,label\na.jpg,caf\u00e9\nb.jpg,cafe\u0301\n"))
    assert [row.label for row in read.rows] == ["caf\u00e9"] * 2
    assert read.problems == ()


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int], Path]:
    def write(count: int) -> Path:
        rows = "".join(f"{number}.jpg,label {number % 9}\n" for number in range(count))
        return table(tmp_path / f"{count}.csv", f"path,label\n{rows}")

    return write


def test_an_error_stays_short_however_many_mistakes_there_are(many: Callable[[int], Path]) -> None:
    file = many(2000)
    file.write_text(file.read_text().replace("label 3", ""))
    read = read_labels(file)
    assert len(read.problems) == 222
    assert len(str(LabelsError(file, read.problems))) < len(str(file)) + 250
