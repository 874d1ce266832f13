"""Data in a .tar: the same photos, classes, parts, findings and groups as in the folder it was packed from."""

import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset.check import check_data
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.labels_table import read_labels
from edgeclf_training.dataset.quarantine import read_quarantine, write_quarantine
from edgeclf_training.dataset.samples import SPLITS, Split
from edgeclf_training.dataset.scan import scan
from edgeclf_training.dataset.split import read_split
from edgeclf_training.dataset.table_problems import LabelsError
from edgeclf_training.dataset.zip_data import data_name, open_data
from helpers import write_class_folders


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "photos", 5)


def pack(folder: Path, name: str = "") -> Path:
    path = folder.with_name(f"{name or folder.name}.tar")
    with tarfile.open(path, "w") as tar:
        tar.add(folder, ".")
    return path


def parts(split: Split, root: Path) -> list[list[tuple[str, str, int]]]:
    return [[(str(s.path.relative_to(root)), s.label, s.size) for s in split.part(part)] for part in SPLITS]


def test_it_is_checked_and_split_like_its_folder(troubled: Path) -> None:
    """The folder has one of everything: damaged photos, copies, near-duplicates, conflicts, leaks."""
    tar = pack(troubled)
    by_folder, by_tar = check_data(troubled), check_data(tar)
    texts = [repr(report).replace(str(root), "ROOT") for report, root in ((by_folder, troubled), (by_tar, tar))]
    assert texts[0] == texts[1]
    assert len(by_tar.quarantine) > 3
    listed = troubled.with_name("list.txt")
    write_quarantine(listed, by_tar.quarantine)
    splits = [
        read_split(tar, quarantine=read_quarantine(listed)),
        read_split(troubled, quarantine={troubled / p.relative_to(tar): why for p, why in by_tar.quarantine.items()}),
    ]
    assert parts(splits[0], tar) == parts(splits[1], troubled)
    assert splits[0].fingerprint() == splits[1].fingerprint()
    assert [k.scan for k in splits[0].known] == [k.scan for k in splits[1].known]


def test_groups_are_folders_in_it(tmp_path: Path) -> None:
    for camera in range(4):
        write_class_folders(tmp_path / "c", 2, seed=100 * camera)
        for label in ("adelie", "king"):
            (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "c" / label).rename(tmp_path / "photos" / label / f"camera{camera}")
        shutil.rmtree(tmp_path / "c")
    tar = pack(tmp_path / "photos")
    split = read_split(tar, group_by="folder:1")
    assert {s.path.parent.name for s in split.val}.isdisjoint({s.path.parent.name for s in split.train})
    assert parts(split, tar) == parts(read_split(tmp_path / "photos", group_by="folder:1"), tmp_path / "photos")


def test_shards_are_joined_and_their_names_are_splits(folders: Path) -> None:
    for number, part in enumerate(("train", "train", "val", "test")):
        target = folders.parent / f"birds-{part}-{number}"
        for path in folders.rglob(f"*_00{number}.jpg"):
            (target / path.parent.name).mkdir(parents=True, exist_ok=True)
            path.rename(target / path.parent.name / path.name)
        pack(target)
    found = find_photos(sorted(folders.parent.glob("birds-*-?.tar")))
    assert {part: len(samples) for part, samples in found.parts.items()} == {"train": 6, "val": 3, "test": 3}
    assert any("used as the val folder, because of its name" in note for note in found.notes)


def test_a_table_names_members(folders: Path) -> None:
    """By the path from the table, by the path in the .tar, and by the end of the path."""
    tar = pack(folders)
    (folders / "labels.csv").write_text(
        "path,label\n" + "".join(f"adelie/adelie_00{n}.jpg,{'ab'[n % 2]}\n" for n in range(4))
    )
    by_folder = read_split(folders, labels=folders / "labels.csv")
    for prefix in ("photos.tar/adelie/", "adelie/", ""):
        table = folders.parent / "labels.csv"
        table.write_text("path,label\n" + "".join(f"{prefix}adelie_00{n}.jpg,{'ab'[n % 2]}\n" for n in range(4)))
        assert parts(read_split(tar, labels=table), tar) == parts(by_folder, folders)


def test_a_table_without_data_names_photos_anywhere(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    table, tar = tmp_path / "lists" / "labels.csv", pack(folders)
    photos = sorted(folders.rglob("*.jpg"))
    table.write_text("path,label\n" + "".join(f"{path},{path.parent.name}\n" for path in photos))
    with_data = read_split(folders, labels=table)
    split = read_split([], labels=table)
    assert replace(split, notes=()) == replace(with_data, notes=())
    assert check_data([], labels=table).readable == len(photos)
    names = [f"../photos.tar/{path.relative_to(folders)},{path.parent.name}\n" for path in photos]
    table.write_text("path,label\n" + "".join(names))
    assert parts(read_split([], labels=table), tar) == parts(split, folders)
    table.write_text("path,label\n" + "".join([*names, "../photos.tar/king/gone.jpg,king\n", "nowhere.jpg,king\n"]))
    with pytest.raises(LabelsError, match=r"not found: 2 \(line 17: .*gone.jpg, line 18: nowhere.jpg"):
        find_photos([], labels=read_labels(table))


def test_what_is_no_tar_of_photos_is_one_line(folders: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as tar:
        tar.add(folders, ".")
    with pytest.raises(DataError, match=r"p.tar.gz: is a compressed archive"):
        open_data([tmp_path / "p.tar.gz"])
    (tmp_path / "q.tar").write_bytes((tmp_path / "p.tar.gz").read_bytes())
    with pytest.raises(DataError, match=r"q.tar: not a whole .tar file"):
        open_data([tmp_path / "q.tar"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty.tar: no class folders"):
        find_photos(pack(tmp_path / "empty"))
    assert data_name(tmp_path / "q.tar") == "q"


def test_unchanged_members_are_not_scanned_again(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [path for samples in find_photos(pack(folders)).parts.values() for path in (s.path for s in samples)]
    first = scan(paths)
    monkeypatch.setattr("edgeclf_training.dataset.scan.scan_one", None)
    assert scan(paths) == first
