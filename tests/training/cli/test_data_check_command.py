"""`edgeclf data check` from the shell: exit codes, the line to type next, and training with its quarantine list."""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_check_then_train_from_the_shell(
    edgeclf: Cli, troubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    done = edgeclf("data", "check", troubled)
    assert done.returncode == 1, done.stderr
    assert "problem: damaged or unreadable photos: 2" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"edgeclf train {troubled} --quarantine birds-quarantine.txt")
    assert os.listdir(work) == ["birds-quarantine.txt"]
    done = edgeclf("data", "check", troubled, "--json", "--quarantine", "mine.txt")
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert set(answer) == {"schema_version", "data", "photos", "readable", "classes", "findings", "quarantine"}
    assert answer["quarantine"]["file"] == "mine.txt"
    assert len(answer["quarantine"]["entries"]) == 8
    assert answer["classes"]["king"] == {"train": 12, "val": 0, "test": 2}
    assert answer["photos"] - answer["readable"] == 3
    done = edgeclf(
        *("train", troubled, "--quarantine", "mine.txt", "--arch", "cnn4", "--image-size", 64, "--epochs", 1),
        *("--workers", 0, "--batch-size", 8, "--out", "run"),
    )
    assert done.returncode == 0, done.stderr
    assert "8 photos on the quarantine list left out" in done.stderr
    assert len((work / "run" / "split" / "skipped.txt").read_text().splitlines()) == 8
    assert "quarantine list" in (work / "run" / "split" / "notes.txt").read_text()


def test_clean_data_and_zips_answer_0(
    edgeclf: Cli, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("birds.zip", "w") as archive:
        for path in class_folders.rglob("*.jpg"):
            archive.write(path, Path("wrapped") / path.relative_to(class_folders))
    for data in (class_folders, "birds.zip"):
        done = edgeclf("data", "check", data)
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1] == f"no problems; next: edgeclf train {data}"
    assert os.listdir() == ["birds.zip"]
    done = edgeclf(
        *("train", "birds.zip", "--arch", "cnn4", "--image-size", 64, "--epochs", 1, "--workers", 0, "--batch-size", 8)
    )
    assert done.returncode == 0, done.stderr
    assert "run: runs/birds-cnn4" in done.stdout.replace(os.sep, "/")


def test_unusable_data_is_one_line_and_5(edgeclf: Cli, class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_bytes(b"PK")
    for data, message in (
        (tmp_path / "empty", "no class folders"),
        (tmp_path / "broken.zip", "not a complete zip file"),
        (class_folders / "king" / "king_000.jpg", "not a folder"),
        (tmp_path / "nowhere", "no such folder"),
    ):
        done = edgeclf("data", "check", data)
        assert done.returncode == 5
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert message in done.stderr


def test_the_data_group_explains_itself(edgeclf: Cli) -> None:
    done = edgeclf("data", "--help")
    assert done.returncode == 0
    assert "check" in done.stdout
    assert edgeclf("data", "nonsense").returncode == 2


def test_camera_raw_files_are_told_in_one_line(class_folders: Path, tmp_path: Path, edgeclf: Cli) -> None:
    root = shutil.copytree(class_folders, tmp_path / "data")
    for number in range(3):
        (root / "king" / f"DSC_{number}.NEF").write_bytes(b"MM\0*" + bytes(100))
    done = edgeclf("data", "check", root)
    lines = [line for line in done.stdout.splitlines() if "camera raw" in line]
    assert len(lines) == 1
    assert "3 camera raw files left out" in lines[0]
