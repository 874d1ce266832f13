"""Walking through folders: which folders are entered, what is never a photo, and links."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf.errors import UsageError
from edgeclf.evaluation.labelled_photos import find_labelled_photos
from edgeclf.field.photo_id import Digests
from edgeclf.field.watcher import FolderWatch
from edgeclf.files.photo_names import is_ignored
from edgeclf.files.walk import image_files
from helpers import draw

Run = Callable[..., subprocess.CompletedProcess[str]]

SYSTEM_FOLDERS = (
    *("@eaDir", "@EADIR", "#recycle", "#Recycle", "@Recycle", "@tmp", "#snapshot", ".snapshot", ".@__thumb"),
    *("@Recently-Snapshot", "lost+found", ".zfs", "$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information"),
    *("RECYCLER", "FOUND.000", "found.017", "__MACOSX", ".Trashes", ".fseventsd", ".Spotlight-V100", ".AppleDouble"),
    *("Network Trash Folder", "Temporary Items", ".thumbnails", ".Trash-1000", ".stfolder", ".stversions", ".sync"),
    *(".dropbox.cache", ".ipynb_checkpoints", "__pycache__", ".git", "Catalog Previews.lrdata", ".picasaoriginals"),
    *("Photos Library.photoslibrary", "THMBNL", "node_modules"),
)
SYSTEM_FILES = ("._photo.jpg", ".edgeclf-0123456789abcdef.tmp", "Thumbs.db", "desktop.ini", "a.jpg@SynoEAStream")
CLASSES = ("recycle", "Recycle Bin", "thumbs", "thumbnails", "Originals", "snapshot", "tmp", "found", "lost", "@home")


def put(path: Path, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(seed, 40, 30).save(path)
    return path


def below(folder: Path, found: "list[str] | None" = None) -> list[str]:
    names = list(image_files(str(folder))) if found is None else found
    return [os.path.relpath(name, folder).replace(os.sep, "/") for name in names]


def watched(folder: Path) -> list[str]:
    watch = FolderWatch(str(folder), Digests(), settle=0, retry_after=0)
    list(watch.scan())
    return below(folder, [photo.path for photo in watch.scan()])


@pytest.mark.parametrize("name", [*SYSTEM_FOLDERS, *SYSTEM_FILES])
def test_what_systems_keep_among_photos_is_ignored(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize("name", [*CLASSES, "DCIM", "100CANON", "MISC", "IMG_0042.JPG", "photo@home.jpg"])
def test_what_people_call_things_is_not(name: str) -> None:
    assert not is_ignored(name)


@pytest.fixture(scope="module")
def nas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, and all that systems write beside and inside them."""
    root = tmp_path_factory.mktemp("nas")
    for label, seed in (("cat", 1), ("dog", 2)):
        put(root / label / "a.jpg", seed)
        for name in SYSTEM_FOLDERS:
            put(root / label / name / "a.jpg" / "SYNOPHOTO_THUMB_M.jpg", seed)
    for name in SYSTEM_FOLDERS:
        put(root / name / "b.jpg")
    return root


def test_every_command_leaves_system_folders_alone(nas: Path) -> None:
    expected = ["cat/a.jpg", "dog/a.jpg"]
    assert below(nas) == expected
    assert watched(nas) == expected
    assert below(nas, [path for path, _ in find_labelled_photos(nas, ("cat", "dog")).photos]) == expected


def test_a_folder_that_is_named_is_walked(nas: Path) -> None:
    inner = nas / "cat" / "@eaDir"
    assert below(inner) == watched(inner) == ["a.jpg/SYNOPHOTO_THUMB_M.jpg"]


def test_links_to_folders_are_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    put(root / "real" / "a.jpg")
    put(away / "b.jpg")
    put(away / "deep" / "c.jpg")
    put(root / ".hidden" / "d.jpg")
    for name, target in (
        ("1 deep", away / "deep"),  # what is walked by this way, is not by the next
        ("2 away", away),
        ("3 away again", away),
        ("4 real again", root / "real"),
        ("5 up", root),
        ("6 above", tmp_path),
        ("7 hidden", root / ".hidden"),
        ("8 nowhere", tmp_path / "none"),
    ):
        (root / name).symlink_to(target)
    (root / "9 itself").symlink_to(root / "9 itself")
    (away / "back").symlink_to(root)
    (away / "deep" / "up").symlink_to(away)
    expected = ["1 deep/c.jpg", "2 away/b.jpg", "7 hidden/d.jpg", "real/a.jpg"]
    assert sorted(below(root)) == sorted(watched(root)) == expected
    (tmp_path / "link").symlink_to(root)
    assert sorted(below(tmp_path / "link")) == sorted(watched(tmp_path / "link")) == expected


def test_links_inside_class_folders_count(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for label, seed in (("cat", 1), ("dog", 2)):
        put(data / label / "a.jpg", seed)
        put(tmp_path / "disk2" / label / "b.jpg", seed + 10)
        (data / label / "more").symlink_to(tmp_path / "disk2" / label)
        (data / label / "loop").symlink_to(data)
    expected = ["cat/a.jpg", "cat/more/b.jpg", "dog/a.jpg", "dog/more/b.jpg"]
    assert below(data, [path for path, _ in find_labelled_photos(data, ("cat", "dog")).photos]) == expected


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    put(tmp_path / "closed" / "a.jpg")
    (tmp_path / "closed").chmod(0)
    told: list[OSError] = []
    assert list(image_files(str(tmp_path), told.append)) == []
    assert [error.filename for error in told] == [str(tmp_path / "closed")]
    (tmp_path / "closed").chmod(0o700)


def test_class_folders_that_hold_only_thumbnails_have_no_photos(tmp_path: Path) -> None:
    put(tmp_path / "cat" / "@eaDir" / "a.jpg")
    with pytest.raises(UsageError, match="no images in the class folders"):
        find_labelled_photos(tmp_path, ("cat",))


def test_watch_once_answers_what_linked_folders_hold(tmp_path: Path, model: Path, edgeclf: Run) -> None:
    put(tmp_path / "disk" / "a.jpg")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "disk")
    out = tmp_path / "out.jsonl"
    done = edgeclf("watch", tmp_path / "in", "--out", out, "-m", model, "--once", "--settle", 0)
    assert (done.returncode, len(out.read_text().splitlines())) == (0, 1), done.stderr
