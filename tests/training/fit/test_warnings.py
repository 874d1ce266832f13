"""What training and its report say when a run went wrong: it diverged, or its accuracy hides a class."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from edgeclf.cli.console import Console
from edgeclf.errors import DataError
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.evaluation.divergence import diverged
from edgeclf_training.fit import lightning_module as fine_tuning
from edgeclf_training.fit.train import train
from edgeclf_training.run.run_folder import load_run
from helpers import write_class_folders

Cli = Callable[..., CompletedProcess[str]]
QUICK = TrainOptions(arch="cnn4", weights="none", epochs=1, image_size=48, batch_size=8, workers=0, augment="none")


@pytest.mark.parametrize(
    ("losses", "kept", "classes", "ruined"),
    [
        ([2.6e25], 1, 5, True),
        ([1.6, 16.2], 2, 5, True),
        ([1.6, 15.9], 2, 5, None),  # badly calibrated, as a network may be that is right
        ([0.5, 2.6e25], 1, 3, False),
        ([0.5, math.nan], 1, 3, False),
        ([0.5, None, None], 1, 3, False),
        ([None, None], 0, 3, False),
        ([0.1, 2.5], 1, 3, False),  # ten times the lowest, twice that of guessing
        ([0.1, 2.1], 1, 3, None),
        ([0.5, 2.5], 1, 3, None),
        ([0.1, 2.5], 2, 3, None),
        ([9e9, 1.0], 2, 3, None),  # it came back
        ([1.1, 0.4, 0.6], 2, 3, None),
        ([], None, 3, None),
    ],
)
def test_a_loss_that_ran_away_is_known(losses: list[float], kept: int, classes: int, ruined: bool | None) -> None:
    found = diverged(losses, kept, classes)
    assert (found.weights_unusable if found else None) is ruined


def test_a_run_whose_kept_weights_are_ruined_says_diverged_and_fails(class_folders: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"training diverged: the validation loss of epoch 1.*lower --head-lr") as error:
        train(class_folders, tmp_path / "run", replace(QUICK, head_lr=1e2, backbone_lr=1e2))
    assert error.value.exit_code == 5
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["diverged"] == error.value.message
    assert metrics["diverged"] in (tmp_path / "run" / "report.html").read_text()
    assert load_run(tmp_path / "run").metrics, "the run is complete, to look at"


def test_a_run_that_diverged_after_the_kept_epoch_says_so(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = fine_tuning.rate_factor
    monkeypatch.setattr(fine_tuning, "rate_factor", lambda step, *more: real(step, *more) if step < 9 else 1e9)
    run = train(class_folders, tmp_path / "run", replace(QUICK, epochs=4, head_lr=2e-3), on_event=Console().listener)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "training diverged" in line]
    assert f"the weights of epoch {run.best_epoch}, from before that, are kept" in line
    assert json.loads((run.folder / "metrics.json").read_text())["diverged"] in line


def test_what_the_accuracy_hides_is_told_by_train_and_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], edgeclf: Cli
) -> None:
    """Thirty photos of one class, two of another, one of a third: the last has none to validate with."""
    root = write_class_folders(tmp_path / "photos", 30)
    for label, kept in (("gentoo", 2), ("king", 1)):
        for path in sorted((root / label).iterdir())[kept:]:
            path.unlink()
    run = train(root, tmp_path / "run", replace(QUICK, balance=False, head_lr=1e-5), on_event=Console().listener)
    said = capsys.readouterr().err
    assert run.metrics[0].confusion == ((6, 0, 0), (1, 0, 0), (0, 0, 0))
    told = json.loads((run.folder / "metrics.json").read_text())["splits"]["validation"]
    assert told["accuracy"] == pytest.approx(6 / 7)
    assert told["balanced_accuracy"] == 0.5
    assert told["remarks"] == [
        "not clearly better than guessing: 6 of 7 photos right, guessing gives about 6",
        "never predicted, so all photos of it are wrong: gentoo",
        "no photos: accuracy is unknown: king",
        "fewer than 5 photos: recall is mostly chance: gentoo",
    ]
    assert "6 of 7 photos right (85.7%); balanced accuracy 50.0%" in said
    page = (run.folder / "report.html").read_text("utf-8")
    assert ">50.0\N{NO-BREAK SPACE}%<" in page
    printed = edgeclf("report", run.folder).stdout
    assert "balanced accuracy 50.0%" in printed
    for line in told["remarks"]:
        assert f"validation: {line}\n" in said
        assert f"validation: {line}\n" in printed
        assert f"validation: {line}<" in page
