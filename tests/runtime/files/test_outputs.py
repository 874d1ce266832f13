"""Writing files: never over a file that edgeclf did not make, and also on file systems with few features."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.cli.photo_sources import OverlayFiles
from edgeclf.errors import EdgeclfError, UsageError
from edgeclf.field.record import Record
from edgeclf.field.record_file import RecordFile
from edgeclf.field.review import ReviewFolder
from edgeclf.files.atomic_write import may_write, write_atomically, write_new, write_over
from edgeclf.images.heatmap_mark import is_overlay
from edgeclf.model.file import is_model_file
from helpers import OLD_MODELS, draw
from PIL import Image

Run = Callable[..., subprocess.CompletedProcess[str]]
OURS = b"ours"


def is_ours(path: str) -> bool:
    return Path(path).read_bytes().startswith(OURS)


def over(path: Path, data: bytes = b"ours, new") -> None:
    write_over(path, lambda file: file.write(data), is_ours, "a thing")


def test_the_shell_makes_a_photo_the_target(edgeclf: Run, model: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        draw(1).save(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = edgeclf("predict", "-m", model, "--cam", *sorted(before))
    assert (done.returncode, done.stdout) == (2, "")
    assert "exists already and is not a heat map made by edgeclf" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b"foreign"),
        lambda path: path.write_bytes(b""),
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to(path.with_name("foreign")),
        lambda path: os.link(path.with_name("foreign"), path),
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to("/dev/null"),
    ],
    ids=["file", "empty", "folder", "pipe", "link", "hard link", "link to itself", "link to a device"],
)
def test_nothing_foreign_is_written_over(make: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "foreign").write_bytes(b"foreign")
    make(tmp_path / "target")
    before = os.lstat(tmp_path / "target")
    with pytest.raises(UsageError, match="name another file"):
        over(tmp_path / "target")
    assert os.path.samestat(os.lstat(tmp_path / "target"), before)
    assert (tmp_path / "foreign").read_bytes() == b"foreign"
    assert not list(tmp_path.glob(".edgeclf-*"))


def test_what_edgeclf_made_is_written_over_through_links_too(tmp_path: Path) -> None:
    over(tmp_path / "real", b"ours, old")
    (tmp_path / "latest").symlink_to(tmp_path / "real")
    os.link(tmp_path / "real", tmp_path / "kept")
    over(tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"ours, new"
    assert (tmp_path / "kept").read_bytes() == b"ours, old", "the other name keeps what it had"


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    def write(file: Any) -> None:
        file.write(b"ours")
        (tmp_path / "target").write_bytes(b"foreign")

    with pytest.raises(UsageError, match="exists already"):
        write_over(tmp_path / "target", write, is_ours, "a thing")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target").read_bytes() == b"foreign"


def saved(files: OverlayFiles, picture: Image.Image, photo: str) -> Path:
    return files.save(files.encode(picture), photo)


def overlay_into_a_file(target: Path) -> None:
    OverlayFiles(str(target), ["photo.jpg"])


def overlay_later(target: Path) -> None:
    target.rename(target.with_suffix(".aside"))
    files = OverlayFiles(str(target), ["photo.jpg"])
    target.with_suffix(".aside").rename(target)
    saved(files, draw(2), "photo.jpg")


OUTPUTS: dict[str, Callable[[Path], object]] = {
    "--cam.jpg": overlay_into_a_file,
    "--cam.png": overlay_later,
    "--out.jsonl": lambda path: RecordFile(path, "0" * 64, 2),
    "--out --resume.jsonl": lambda path: RecordFile(path, "0" * 64, 2, resume=True),
    "--out --resume.csv": lambda path: RecordFile(path, "0" * 64, 2, resume=True),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_command_writes_over_a_photo(name: str, tmp_path: Path) -> None:
    target = tmp_path / f"target{os.path.splitext(name)[1]}"
    draw(1).save(target, format="JPEG")
    before = target.read_bytes()
    with pytest.raises((EdgeclfError, ValueError)):
        OUTPUTS[name](target)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("text", ['{"path": "a.jpg", "label": "cat"}', '{"path": 1}', '{"path": "\u00e4"}'])
def test_a_file_of_one_line_without_its_end_is_not_taken_for_a_torn_record(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(EdgeclfError, match="is not a record file of edgeclf"):
        RecordFile(path, "0" * 64, 2, resume=True)
    assert path.read_text("utf-8") == text


def test_overlays_in_a_folder_make_way_for_other_files(tmp_path: Path) -> None:
    foreign = tmp_path / "a-cam.jpg"
    draw(1).save(foreign)
    (tmp_path / "a-2-cam.jpg").symlink_to(tmp_path / "nowhere")
    before = foreign.read_bytes()
    assert saved(OverlayFiles(str(tmp_path), ["a.jpg"]), draw(2), "a.jpg").name == "a-3-cam.jpg"
    assert saved(OverlayFiles(str(tmp_path), ["a.jpg"]), draw(2), "a.jpg").name == "a-3-cam.jpg", "one of ours"
    assert foreign.read_bytes() == before
    assert not (tmp_path / "nowhere").exists()


def test_what_edgeclf_makes_is_recognised(model: Path, tmp_path: Path) -> None:
    shutil.copy(model, tmp_path / "ours.onnx")
    assert may_write(tmp_path / "ours.onnx", is_model_file)
    for data in (b"", b"short", b"x" * 1000):
        (tmp_path / "other.onnx").write_bytes(data)
        assert not may_write(tmp_path / "other.onnx", is_model_file)
    for schema in OLD_MODELS.glob("*.onnx"):
        assert is_model_file(str(schema)), "of any version"
    for suffix in (".jpg", ".png", ".webp"):
        path = saved(OverlayFiles(str(tmp_path / f"map{suffix}"), ["photo.jpg"]), draw(1), "photo.jpg")
        assert is_overlay(path)
        draw(1).save(tmp_path / f"photo{suffix}")
        assert not is_overlay(tmp_path / f"photo{suffix}")


def refused(number: int) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL, errno.ENOSYS])
def test_what_a_file_system_refuses_is_done_without(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chmod", "fchmod", "link", "utime", *(("fsync",) if number != errno.EPERM else ())):
        monkeypatch.setattr(os, name, refused(number))
    write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    assert write_new(tmp_path / "b", lambda file: file.write(b"b"))
    assert not write_new(tmp_path / "b", lambda file: file.write(b"c"))
    over(tmp_path / "ours")
    over(tmp_path / "ours")
    draw(1).save(tmp_path / "photo.jpg")
    (tmp_path / "in").mkdir()
    copy = ReviewFolder(tmp_path / "review", tmp_path / "in").copy(str(tmp_path / "photo.jpg"), "king")
    assert copy is not None
    assert copy.read_bytes() == (tmp_path / "photo.jpg").read_bytes()
    assert saved(OverlayFiles(str(tmp_path / "maps"), ["x"]), draw(1), "photo.jpg").exists()
    with RecordFile(tmp_path / "out.jsonl", "0" * 64, 2) as records:
        records.add(None, Record("-"))
    assert (tmp_path / "b").read_bytes() == b"b"
    assert not list(tmp_path.rglob(".edgeclf-*"))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_is_an_error_all_the_same(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refused(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="mode bits")
def test_files_have_the_mode_bits_that_the_user_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("target", ["maps-2024.05/", "maps-2024.05", "maps.jpg/", "v1.2.3"])
def test_what_looks_like_a_folder_is_one(target: str, tmp_path: Path) -> None:
    files = OverlayFiles(f"{tmp_path}/{target}", [str(tmp_path)])
    assert saved(files, draw(1), "photo.jpg") == tmp_path / target / "photo-cam.jpg"


def test_overlays_saved_by_python_carry_the_mark(model: Path, photo: Path, tmp_path: Path) -> None:
    from edgeclf import Classifier

    overlay = Classifier(model).explain(photo).overlay()
    overlay.save(tmp_path / "why.jpg")
    assert is_overlay(tmp_path / "why.jpg")
    assert isinstance(overlay, Image.Image)
