"""Photos and their classes from a list: the same evaluation as from class folders."""

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Done
from edgeclf import Classifier, UsageError
from edgeclf.errors import DataError
from edgeclf.evaluation.evaluate import evaluate
from edgeclf.evaluation.labelled_list import labelled_photos, read_labelled_list
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from helpers import CLASSES, write_class_folders

Run = Callable[..., Done]
TWO = ("cat", "dog")


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_is_evaluated_as_its_folders_are(tmp_path: Path, model: Path) -> None:
    photos = write_class_folders(tmp_path / "photos", 4)
    classifier = Classifier(model, threads=1)
    by_folders = find_labelled_photos(photos, CLASSES)
    rows = [(path, CLASSES[number]) for path, number in by_folders.photos]
    with (tmp_path / "photos" / "labels.csv").open("w", newline="") as file:
        names = [(Path(path).relative_to(photos).as_posix(), label) for path, label in rows]
        csv.writer(file).writerows([("file name", "Species"), *names])
    found = labelled_photos(photos / "labels.csv", CLASSES)
    assert found == replace(by_folders, folder=photos / "labels.csv")
    assert evaluate(classifier, found) == evaluate(classifier, by_folders)
    assert found.photos


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(
        pa.table({"path": ["/x/a.jpg", "b.jpg"], "label": ["dog", "cat"], "size": [1, 2]}), tmp_path / "l.parquet"
    )
    found = labelled_photos(tmp_path / "l.parquet", TWO)
    assert found.photos == ((str(tmp_path / "b.jpg"), 0), ("/x/a.jpg", 1))
    assert found.notes == ("l.parquet: columns not used: size",)


def test_which_split_is_used(tmp_path: Path) -> None:
    file = written(
        tmp_path / "l.csv",
        "path,label,split\na,cat,train\nb,dog,val\nc,cat,test\nd,dog,Test set\ns3://x/%20,cat,test\n",
    )
    assert read_labelled_list(file, TWO).photos == (
        (str(tmp_path / "c"), 0),
        ("s3://x/%20", 0),
        (str(tmp_path / "d"), 1),
    )
    validated = read_labelled_list(file, TWO, split="val")
    assert (validated.split, validated.photos, validated.absent) == (
        "validation",
        ((str(tmp_path / "b"), 1),),
        ("cat",),
    )
    file = written(tmp_path / "l.csv", "path,label,split\na,cat,train\n")
    with pytest.raises(UsageError, match="optimistic"):
        read_labelled_list(file, TWO)
    assert len(read_labelled_list(file, TWO, split="train").photos) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("photo,kind\na,cat\n", "no column label; the columns are kind and photo|no column label"),
        ("path,file,label\na,b,cat\n", ""),
        ("file,image,label\na,b,cat\n", "may all be the path"),
        ("path,label\na,cat\na,dog\n", "line 3: a is cat on an earlier line, and dog here"),
        ("path,label\na,\n", "line 2: no label"),
        ("path,label\n,cat\n", "line 2: no path"),
        ("path,label,split\na,cat,tset\n", "line 2: tset: not train, val or test"),
        ("path,label,split\na,cat,test\nb,cat,\n", "1 without"),
        ("path,label\na,cow\n", r"no class cow.*--ignore-unknown"),
        ("path,label\na,cat\n./a,dog\n", "line 3: ./a is cat on an earlier line"),
        ("path,label\n", "no row but the first"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = written(tmp_path / "l.csv", text)
    if not says:
        assert len(read_labelled_list(file, TWO).photos) == 1
        return
    with pytest.raises(UsageError, match=says):
        read_labelled_list(file, TWO)


def test_rows_of_other_classes_and_repeated_rows(tmp_path: Path) -> None:
    file = written(tmp_path / "l.csv", "path;label\na;cat\na;cat\nb;cow\n")
    found = read_labelled_list(file, TWO, ignore_unknown=True)
    assert (found.photos, found.ignored) == (((str(tmp_path / "a"), 0),), ("cow",))
    assert found.notes == ("l.csv: 1 row of photos named before, which count once",)


def test_a_list_made_on_windows(tmp_path: Path) -> None:
    file = written(tmp_path / "l.csv", "path;label\r\nphotos\\cat\\1.jpg;cat\r\n")
    assert read_labelled_list(file, TWO).photos == ((str(tmp_path / "photos" / "cat" / "1.jpg"), 0),)


@pytest.mark.skipif(os.name == "nt", reason="a name that Windows does not allow")
def test_a_backslash_may_be_a_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "cat\\1.jpg").touch()
    file = written(tmp_path / "l.csv", "path,label\ncat\\1.jpg,cat\n")
    assert read_labelled_list(file, TWO).photos == ((str(tmp_path / "cat\\1.jpg"), 0),)


def test_labels_of_another_split_do_not_count(tmp_path: Path) -> None:
    file = written(tmp_path / "l.csv", "path,label,split\na,cow,train\nb,cat,test\nc,cow,val\n")
    assert read_labelled_list(file, TWO).ignored == ()
    with pytest.raises(UsageError, match="no row with a class"):
        read_labelled_list(file, TWO, split="val", ignore_unknown=True)


@pytest.mark.parametrize("data", [b",,\n", b"\xef\xbb\xbf", b"sep=;\n", b"\n"])
def test_a_list_of_nothing_is_empty(tmp_path: Path, data: bytes) -> None:
    (file := tmp_path / "l.csv").write_bytes(data)
    with pytest.raises(DataError, match="is empty"):
        read_labelled_list(file, TWO)


def test_a_list_has_no_events(edgeclf: Run, tmp_path: Path, model: Path) -> None:
    """Its folders may be the classes, and would tell the answer."""
    done = edgeclf("evaluate", model, written(tmp_path / "l.csv", f"path,label\na,{CLASSES[0]}\n"), "--events", "5")
    assert done.returncode == 2
    assert "a list does not say which of its folders are cameras" in done.stderr


def test_on_the_command_line_a_missing_photo_is_reported(edgeclf: Run, tmp_path: Path, model: Path) -> None:
    photos = write_class_folders(tmp_path / "photos", 1)
    first = next((photos / CLASSES[0]).iterdir())
    file = written(
        tmp_path / "l.csv", f"path,label\nphotos/{CLASSES[0]}/{first.name},{CLASSES[0]}\ngone.jpg,{CLASSES[0]}\n"
    )
    done = edgeclf("evaluate", model, file)
    assert done.returncode == 1
    assert f"photos       {file} (not split)" in done.stdout
    assert "of 1 photos right" in done.stdout
    assert "gone.jpg: no such file" in done.stderr
