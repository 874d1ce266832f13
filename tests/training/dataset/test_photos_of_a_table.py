"""From the rows of a labels table to photos: where their paths lead, and what is left out."""

import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset.check import check_data
from edgeclf_training.dataset.class_changes import read_class_changes
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.found import Found
from edgeclf_training.dataset.labels_table import read_labels
from edgeclf_training.dataset.split import read_split
from edgeclf_training.dataset.table_problems import LabelsError
from edgeclf_training.dataset.zip_data import open_data
from helpers import put


def found(root: Path, text: str, name: str = "labels.csv", **options: Any) -> Found:
    (root / name).write_text(text)
    return find_photos([root / "photos"], labels=read_labels(root / name), **options)


def placed(found: Found, root: Path) -> dict[str, dict[str, str]]:
    return {
        part: {s.path.relative_to(root / "photos").as_posix(): s.label for s in samples}
        for part, samples in found.parts.items()
        if samples
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(["cam1/a.jpg", "cam1/b.jpg", "cam2/a.jpg", "cam2/C.JPG", "d.jpg"]):
        put(tmp_path / "photos" / name, number)
    (tmp_path / "photos" / "cam2" / "notes.txt").write_text("x")
    put(tmp_path / "beside.jpg")
    return tmp_path


def test_labels_come_from_the_table_and_the_rest_is_counted(photos: Path) -> None:
    here = found(photos, "path,label,split,group\ncam1/a.jpg,x,,g1\ncam1/b.jpg,y,,g1\ncam2/a.jpg,x,test,\n")
    assert placed(here, photos) == {"train": {"cam1/a.jpg": "x", "cam1/b.jpg": "y"}, "test": {"cam2/a.jpg": "x"}}
    assert here.classes == ("x", "y")
    assert {path.name: group for path, group in here.groups.items()} == {"a.jpg": "g1", "b.jpg": "g1"}
    assert f"left out, not in the table: 2 photos, first: {photos / 'photos' / 'd.jpg'}" in here.notes


@pytest.mark.parametrize(
    "path", ["cam1/b.jpg", "photos/cam1/b.jpg", "./cam1//b.jpg", "cam1\\b.jpg", "b.jpg", "CAM1/B.jpg", "{root}/b.jpg"]
)
def test_ways_to_write_a_path(photos: Path, path: str) -> None:
    path = path.format(root=photos / "photos" / "cam1")
    here = found(photos, f"path,label\n{path},x\nd.jpg,y\n")
    assert placed(here, photos) == {"train": {"cam1/b.jpg": "x", "d.jpg": "y"}}
    told = [note for note in here.notes if "of the table found" in note]
    assert len(told) == (path in ("b.jpg", "CAM1/B.jpg")), "a guess is told"


@pytest.mark.skipif(os.name == "nt", reason="a name that Windows does not allow")
def test_a_backslash_may_be_a_part_of_a_name(photos: Path) -> None:
    put(photos / "photos" / "cam1\\b.jpg", 9)
    here = found(photos, "path,label\ncam1\\b.jpg,x\ncam1/b.jpg,y\ncam2\\a.jpg,y\n")
    assert placed(here, photos) == {"train": {"cam1\\b.jpg": "x", "cam1/b.jpg": "y", "cam2/a.jpg": "y"}}


def test_data_folders_and_tars_that_are_a_split_by_their_name(tmp_path: Path) -> None:
    for number, place in enumerate(["train-1/a.jpg", "train-1/b.jpg", "birds-val-0001/c.jpg", "birds-val-0001/d.jpg"]):
        put(tmp_path / place, number)
    for name in ("train-1", "birds-val-0001"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            tar.add(tmp_path / name, ".")
    (tmp_path / "train-1").rename(tmp_path / "train")
    (tmp_path / "birds-val-0001").rename(tmp_path / "val")
    (tmp_path / "t.csv").write_text("path,label\na.jpg,x\nb.jpg,y\nc.jpg,x\nd.jpg,y\n")
    table = read_labels(tmp_path / "t.csv")
    for roots in (["train", "val"], ["train-1.tar", "birds-val-0001.tar"]):
        here = find_photos([tmp_path / root for root in roots], labels=table)
        assert {part: [s.path.name for s in samples] for part, samples in here.parts.items() if samples} == {
            "train": ["a.jpg", "b.jpg"],
            "val": ["c.jpg", "d.jpg"],
        }
        assert f"{tmp_path / roots[1]}: used as the val folder, because of its name" in here.notes
    rows = ("train-1.tar/a.jpg,x", "train-1.tar/b.jpg,y", "birds-val-0001.tar/c.jpg,x", "birds-val-0001.tar/d.jpg,y")
    (tmp_path / "t.csv").write_text("path,label\n" + "\n".join(rows))
    here = find_photos([], labels=read_labels(tmp_path / "t.csv"))
    assert [s.path.name for s in here.parts["val"]] == ["c.jpg", "d.jpg"]
    (tmp_path / "t.csv").write_text("path,label\nval/c.jpg,x\nbirds-val-0001.tar/d.jpg,y\n")
    with pytest.raises(DataError, match="validation or test folders, but no training folder"):
        find_photos([tmp_path / "val", tmp_path / "birds-val-0001.tar"], labels=read_labels(tmp_path / "t.csv"))


def test_every_mistake_of_the_paths_in_one_pass(photos: Path) -> None:
    text = """path,label,split,group
cam1/a.jpg,x,train,1
./cam1/a.jpg,y,train,1
photos/cam1/b.jpg,x,val,2
cam1/b.jpg,x,train,3
a.jpg,x,,
gone.jpg,x,,
cam1/gone.jpg,,,
../beside.jpg,x,,
/etc/hostname,x,,
cam2/notes.txt,x,,
d.jpg,z,vall,
"""
    with pytest.raises(LabelsError) as caught:
        found(photos, text)
    told: dict[str, list[str]] = {}
    for problem in caught.value.problems:
        told.setdefault(problem.kind, []).append(problem.detail)
    base = photos / "photos"
    assert told == {
        "table-two-labels": ["lines 2 and 3: ./cam1/a.jpg: x and y"],
        "table-two-splits": ["lines 4 and 5: cam1/b.jpg: val and train"],
        "table-two-groups": ["lines 4 and 5: cam1/b.jpg: 2 and 3"],
        "table-unclear-paths": [f"line 6: a.jpg fits {base / 'cam1' / 'a.jpg'} and {base / 'cam2' / 'a.jpg'}"],
        "table-not-found": ["line 7: gone.jpg", "line 8: cam1/gone.jpg"],
        "table-no-label": ["line 8: cam1/gone.jpg"],
        "table-outside": ["line 9: ../beside.jpg", "line 10: /etc/hostname"],
        "table-not-photos": ["line 11: cam2/notes.txt"],
        "table-splits": ["line 12: vall, did you mean val?"],
    }
    report = check_data(base, labels=photos / "labels.csv")
    assert {f.kind: len(f.items) for f in report.problems if f.kind in told} == {k: len(v) for k, v in told.items()}


def test_the_same_row_twice_is_no_mistake(photos: Path) -> None:
    here = found(photos, "path,label\ncam1/a.jpg,x\ncam1/a.jpg,x\nd.jpg,y\n")
    assert sum(map(len, here.parts.values())) == 2


def test_split_folders_are_not_trained_on_in_silence(tmp_path: Path) -> None:
    for number in range(6):
        put(tmp_path / "photos" / ("train", "test")[number > 3] / f"{number}.jpg", number)
    rows = "".join(f"{number}.jpg,{'xy'[number % 2]}\n" for number in range(6))
    here = found(tmp_path, f"path,label\n{rows}")
    assert {part: len(samples) for part, samples in here.parts.items()} == {"train": 4, "val": 0, "test": 2}
    assert any("the folders test, train are the splits" in note for note in here.notes)
    stated = "".join(f"{number}.jpg,{'xy'[number % 2]},train\n" for number in range(6))
    assert len(found(tmp_path, f"path,label,split\n{stated}").parts["train"]) == 6, "the table decides"


def test_classes_of_a_table_are_checked_as_those_of_folders(photos: Path) -> None:
    with pytest.raises(DataError, match="only one label, x"):
        found(photos, "path,label\ncam1/a.jpg,x\n")
    with pytest.raises(DataError, match="label y is in val, but not in train"):
        found(photos, "path,label,split\ncam1/a.jpg,x,\nd.jpg,y,val\n")
    with pytest.raises(DataError, match="no label q"):
        found(photos, "path,label\ncam1/a.jpg,x\nd.jpg,y\n", only=["x", "q"])
    three = "path,label\ncam1/a.jpg,x\nd.jpg,y\ncam2/a.jpg,z\n"
    assert found(photos, three, only=["x", "z"]).classes == ("x", "z")
    assert [len(found(photos, three + "cam1/b.jpg,x\n", max_per_class=n).parts["train"]) for n in (1, 2)] == [3, 4]


def test_the_split_column_says_where_validation_photos_come_from(photos: Path) -> None:
    names = ["cam1/a.jpg", "cam1/b.jpg", "cam2/a.jpg", "cam2/C.JPG"]
    rows = "".join(f"{name},{'xy'[n % 2]},{('', 'val')[n > 1]}\n" for n, name in enumerate(names))
    (photos / "labels.csv").write_text(f"path,label,split\n{rows}")
    split = read_split(photos / "photos", labels=photos / "labels.csv")
    assert (len(split.train), len(split.val), split.val_origin) == (2, 2, "the column split of labels.csv")


def test_the_split_does_not_depend_on_where_the_folder_lies_or_how_rows_are_ordered(photos: Path) -> None:
    for number in range(10):
        put(photos / "photos" / "more" / f"{number}.jpg", 10 + number)
    rows = [f"more/{number}.jpg,{'xy'[number % 2]}\n" for number in range(10)]
    (photos / "labels.csv").write_text("path,label\n" + "".join(rows))
    shutil.copytree(photos, photos.parent / "moved" / "far")
    (photos.parent / "moved" / "far" / "labels.csv").write_text(
        "label,path\n" + "".join(f"{r.strip().split(',')[1]},{r.split(',')[0]}\n" for r in rows[::-1])
    )
    one, two = (
        read_split(root / "photos", labels=root / "labels.csv") for root in (photos, photos.parent / "moved" / "far")
    )
    assert one.fingerprint() == two.fingerprint()
    assert one.val


def test_photos_in_a_zip(photos: Path) -> None:
    with zipfile.ZipFile(photos / "photos.zip", "w") as archive:
        for path in (photos / "photos").rglob("*.jpg"):
            archive.write(path, path.relative_to(photos))
    (photos / "labels.csv").write_text("path,label\ncam1/a.jpg,x\nphotos/d.jpg,y\n")
    here = find_photos(open_data(photos / "photos.zip"), labels=read_labels(photos / "labels.csv"))
    assert sorted(sample.path.name for sample in here.parts["train"]) == ["a.jpg", "d.jpg"]


def test_labels_of_the_earlier_classes_count_as_the_classes_now(photos: Path) -> None:
    text = "path,label\ncam1/a.jpg,gull\ncam1/b.jpg,mew\ncam2/a.jpg,auk\nd.jpg,tern\n"
    changes = read_class_changes(("auk", "gull", "tern"), ["gull=mew"], ["auk"])
    there = found(photos, text, changes=changes)
    assert placed(there, photos) == {"train": {"cam1/a.jpg": "mew", "cam1/b.jpg": "mew", "d.jpg": "tern"}}
    assert "labels.csv: gull is now mew" in there.notes
    assert "labels.csv: 1 row left out, the class is dropped" in there.notes
    with pytest.raises(DataError, match="only one label, mew"):
        found(photos, "path,label\ncam1/a.jpg,gull\n", changes=changes)
    assert found(photos, "path,label\ncam1/a.jpg,gull\n", changes=changes, elsewhere=("tern",)).classes == ("mew",)
