"""Training from a .tar: the weights of the unpacked folder bit for bit, also after an interruption."""

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edgeclf.errors import DataError
from edgeclf.events import Event, ignore
from edgeclf_training.fit.messages import EpochEnd
from edgeclf_training.fit.train import resume, train
from edgeclf_training.run.run_folder import Run, load_run
from helpers import write_class_folders
from trainings import QUICK

Run_ = Callable[..., subprocess.CompletedProcess[str]]
OPTIONS = replace(QUICK, epochs=2, image_size=48)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    root = write_class_folders(tmp_path / "photos", 4)
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(root, ".")
    return root


def stop_after_one(event: Event) -> None:
    if isinstance(event, EpochEnd) and event.epoch.epoch == 1:
        raise KeyboardInterrupt


def same_weights(a: Run, b: Run) -> bool:
    ours, theirs = a.network().state_dict(), b.network().state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_the_weights_are_those_of_the_folder(folders: Path, tmp_path: Path) -> None:
    tar = tmp_path / "photos.tar"
    whole = train(folders, tmp_path / "by-folder", OPTIONS, report=False, on_event=ignore)
    with pytest.raises(KeyboardInterrupt):
        train(tar, tmp_path / "by-tar", replace(OPTIONS, workers=2), report=False, on_event=stop_after_one)
    shutil.rmtree(folders)
    (tmp_path / "elsewhere").mkdir()
    tar.rename(tmp_path / "elsewhere" / "moved.tar")
    with pytest.raises(DataError, match="gone or changed"):
        resume(tmp_path / "by-tar", on_event=ignore)
    resumed = resume(tmp_path / "by-tar", tmp_path / "elsewhere" / "moved.tar", report=False, on_event=ignore)
    assert same_weights(resumed, whole)
    assert resumed.metrics == whole.metrics
    assert not list((tmp_path / "elsewhere").glob("*/"))
    kept = sorted(path.name for path in (tmp_path / "by-tar" / "kept").glob("*.jpg"))
    assert kept == sorted(path.name for path in (tmp_path / "by-folder" / "kept").glob("*.jpg"))
    (tmp_path / "elsewhere" / "moved.tar").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"moved.tar: not a whole"):
        train(tmp_path / "elsewhere" / "moved.tar", tmp_path / "again", OPTIONS, on_event=ignore)
    assert load_run(tmp_path / "by-tar").metrics


def test_on_the_command_line_a_table_is_enough(
    folders: Path, tmp_path: Path, edgeclf: Run_, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"photos.tar/{path.relative_to(folders)},{path.parent.name}\n" for path in sorted(folders.rglob("*.jpg"))]
    (tmp_path / "birds.csv").write_text("path,label\n" + "".join(rows))
    shutil.rmtree(folders)
    checked = edgeclf("data", "check", "--labels", "birds.csv")
    assert "12 photos, 12 readable, 3 classes" in checked.stdout, checked.stderr
    assert "edgeclf train --labels birds.csv" in checked.stdout
    quick = ("--arch", "cnn4", "--weights", "none", "--epochs", "1", "--image-size", "48", "--workers", "0")
    done = edgeclf("train", "--labels", "birds.csv", *quick, "--no-report")
    assert done.returncode == 0, done.stderr
    assert "run: runs/birds-cnn4" in done.stdout
    for command in ("train", "data check"):
        assert "no photos given" in edgeclf(*command.split()).stderr
