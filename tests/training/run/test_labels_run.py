"""A run whose labels came from a table: it resumes, moves, exports and continues without the table."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.train import resume, train
from edgeclf_training.report import write_report
from edgeclf_training.run.relocate import relocated
from edgeclf_training.run.run_folder import load_run
from test_resume import stop_after

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
OPTIONS = TrainOptions(arch="cnn4", weights="none", epochs=2, image_size=64, batch_size=8, workers=0)


@pytest.fixture
def pool(class_folders: Path, tmp_path: Path) -> tuple[Path, Path]:
    """One folder with the photos of all classes, and a table beside it."""
    pool, table = tmp_path / "pool", tmp_path / "labels.csv"
    pool.mkdir()
    lines = ["path;label;split"]
    for path in sorted(class_folders.rglob("*.jpg")):
        shutil.copy(path, pool)
        number = int(path.stem[-3:])
        lines.append(f"{path.name};{path.parent.name};{'test' if number == 0 else ''}")
    table.write_text("\n".join(lines))
    return pool, table


def test_a_run_with_a_table_goes_on_after_a_stop_and_a_move(pool: tuple[Path, Path], tmp_path: Path) -> None:
    photos, table = pool
    whole = train(photos, tmp_path / "whole", OPTIONS, labels=table, report=False)
    assert whole.classes == ("adelie", "gentoo", "king")
    assert len(whole.split.test) == 3
    assert whole.labels == table
    with pytest.raises(KeyboardInterrupt):
        train(photos, tmp_path / "run", OPTIONS, labels=table, report=False, on_event=stop_after(1))
    table.unlink()
    photos.rename(tmp_path / "moved")
    run = resume(tmp_path / "run", tmp_path / "moved", report=False)
    for name, tensor in whole.network().state_dict().items():
        assert torch.equal(tensor, run.network().state_dict()[name]), name
    assert {s.path.parent for s in run.split.train} == {tmp_path / "moved"}
    assert "--labels" in (tmp_path / "run" / "recipe.toml").read_text()
    assert load_run(tmp_path / "run").labels == table
    assert write_report(relocated(load_run(tmp_path / "whole"), tmp_path / "moved"))["headline"] == "test"


def test_the_commands_take_a_table(edgeclf: Cli, pool: tuple[Path, Path], tmp_path: Path) -> None:
    photos, table = pool
    flags = ("--arch", "cnn4", "--image-size", 64, "--epochs", 1, "--workers", 0, "--no-report")
    done = edgeclf("train", photos, "--labels", table, *flags, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert f"labels from {table}: 30 photos" in done.stderr
    assert edgeclf("data", "check", photos, "--labels", table).returncode in (0, 1)
    done = edgeclf("export", tmp_path / "run", "-o", tmp_path / "model.onnx")
    assert done.returncode == 0, done.stderr
    table.write_text(table.read_text() + "\nnone.jpg;king;\nadelie_001.jpg;king;")
    done = edgeclf("train", photos, "--labels", table, *flags, "--out", tmp_path / "two")
    assert done.returncode == 5
    assert "2 problems" in done.stderr
    assert not (tmp_path / "two").exists()
    done = edgeclf("data", "check", photos, "--labels", table)
    assert done.returncode == 1
    assert "none.jpg" in done.stdout
    assert "adelie and king" in done.stdout
    done = edgeclf("train", "--resume", tmp_path / "run", "--labels", table)
    assert "--labels contradicts --resume" in done.stderr


def test_photos_are_known_again_when_the_labels_come_from_a_table(
    class_folders: Path, pool: tuple[Path, Path], tmp_path: Path
) -> None:
    first = train(class_folders, tmp_path / "first", replace(OPTIONS, epochs=1), report=False)
    photos, table = pool
    table.write_text(table.read_text().replace(";test", ";"))
    again = train(photos, tmp_path / "again", replace(OPTIONS, epochs=1), start=first, labels=table, report=False)
    assert {s.path.name for s in again.split.val} == {s.path.name for s in first.split.val}


def test_photos_taken_out_of_the_table_do_not_come_back_from_the_earlier_run(
    pool: tuple[Path, Path], tmp_path: Path
) -> None:
    photos, table = pool
    first = train(photos, tmp_path / "first", replace(OPTIONS, epochs=1), labels=table, report=False)
    rows = [row for row in table.read_text().splitlines() if not row.startswith(("king_003", "king_004"))]
    table.write_text("\n".join(rows))
    options = TrainOptions(epochs=1, workers=0)
    again = train(photos, tmp_path / "again", options, start=first, labels=table, report=False)
    used = {s.path.name for part in ("train", "val", "test") for s in again.split.part(part)}
    assert len(used) == 28
    assert not used & {"king_003.jpg", "king_004.jpg"}


def test_groups_hold_in_a_run_its_recipe_and_the_next_run(
    edgeclf: Cli, pool: tuple[Path, Path], tmp_path: Path
) -> None:
    photos, table = pool
    rows = [line.split(";") for line in table.read_text().splitlines()[1:]]
    group = {name: f"cam{number % 5}" for number, (name, _, _) in enumerate(rows)}
    table.write_text("\n".join(["path,label,cam", *(f"{name},{label},{group[name]}" for name, label, _ in rows)]))
    flags = ("--arch", "cnn4", "--image-size", 64, "--epochs", 1, "--workers", 0, "--no-report")
    done = edgeclf("train", photos, "--labels", table, "--group-by", "cam", *flags, "--out", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    assert "grouped by column:cam: 5 groups" in done.stderr
    one = load_run(tmp_path / "one")
    assert one.options.group_by == "cam"
    held = {group[s.path.name] for s in one.split.val}
    assert held
    assert not held & {group[s.path.name] for s in one.split.train}
    recipe = ("--recipe", tmp_path / "one" / "recipe.toml")
    done = edgeclf("train", photos, "--labels", table, *recipe, "--workers", 0, "--out", tmp_path / "two")
    assert load_run(tmp_path / "two").split.val == one.split.val, done.stderr
    done = edgeclf("train", photos, *recipe, "--out", tmp_path / "three")
    assert done.returncode == 2
    assert "--labels" in done.stderr
    done = edgeclf("train", photos, "--labels", table, "--group-by", "site", *flags, "--out", tmp_path / "four")
    assert done.returncode == 5
    assert "no column site" in done.stderr
    assert not (tmp_path / "four").exists()
