"""What training refuses: options, folders and runs that cannot be used; nothing is left behind."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from edgeclf.errors import BackendError, DataError, UsageError
from edgeclf_training.fit import lightning_module as fine_tuning
from edgeclf_training.fit.train import train
from edgeclf_training.run.run_folder import Run, load_run
from trainings import QUICK


@pytest.fixture
def run(trained: Callable[..., Run]) -> Run:
    return trained()


def test_options_that_make_no_sense_are_refused_before_anything_is_written(class_folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for changes, message in (
        ({"epochs": 0}, "--epochs"),
        ({"freeze_epochs": 9}, "--freeze-epochs"),
        ({"batch_size": 1}, "--batch-size"),
        ({"image_size": 16}, "--image-size"),
        ({"head": "deep"}, "--head"),
        ({"augment": "lots"}, "--augment"),
        ({"unfreeze": "layer9"}, "no such stage"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**32}, "--seed"),
        ({"workers": -1}, "--workers"),
        ({"arch": "resnet51"}, "resnet51"),
    ):
        with pytest.raises(UsageError, match=message):
            train([class_folders], out, replace(QUICK, **changes))  # type: ignore[arg-type]
    assert not out.exists()
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="cuda"):
            train([class_folders], out, replace(QUICK, device="cuda"))
    with pytest.raises(UsageError, match="inside the photos"):
        train([class_folders], class_folders / "runs" / "run", QUICK)
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="not empty"):
        train([class_folders], out, QUICK)
    assert (out / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("late", ["tensorboard", "processes", "memory"])
def test_a_usage_error_leaves_the_place_of_the_run_free(
    late: str, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, options, logger = tmp_path / "run", QUICK, "csv"
    if late == "tensorboard":
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
        logger = "tensorboard"
    elif late == "processes":
        options = replace(QUICK, devices=3)
    else:

        def full(*_: Any) -> None:
            raise torch.cuda.OutOfMemoryError("no room")

        monkeypatch.setattr(fine_tuning.FineTuning, "training_step", full)
    with pytest.raises((UsageError, BackendError)):
        train([class_folders], out, options, logger=logger)
    assert not out.exists()


def test_a_run_folder_that_is_none_or_damaged_is_one_clear_error(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run folder"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        load_run(tmp_path)
    values = json.loads((run.folder / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**values, "schema_version": 99}))
    with pytest.raises(DataError, match="another version"):
        load_run(tmp_path)
    with pytest.raises(DataError, match=r"network\.pt"):
        replace(run, folder=tmp_path).network()


def test_training_that_diverges_is_one_clear_error(class_folders: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="diverged"):
        train([class_folders], tmp_path / "run", replace(QUICK, epochs=1, head_lr=1e30, backbone_lr=1e30))
