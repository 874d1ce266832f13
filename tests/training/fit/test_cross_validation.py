"""K-fold cross-validation: no network predicts a photo it was trained on, and nothing is lost."""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from edgeclf.errors import DataError, UsageError
from edgeclf.events import Event, Progress
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.quarantine import read_quarantine
from edgeclf_training.evaluation.predictions import predict
from edgeclf_training.fit import finish
from edgeclf_training.fit.messages import EpochEnd
from edgeclf_training.fit.train import resume, train
from edgeclf_training.report import write_report
from edgeclf_training.run.out_of_fold import out_of_fold
from edgeclf_training.run.relocate import with_photos
from edgeclf_training.run.run_folder import Run, load_run, save_run
from helpers import write_class_folders

OPTIONS = TrainOptions(
    arch="cnn4", weights="none", epochs=2, freeze_epochs=1, image_size=64, batch_size=8, workers=0, folds=2
)


@pytest.fixture
def whole(trained: Callable[..., Run]) -> Run:
    return trained(OPTIONS)


def test_each_photo_is_predicted_by_a_network_that_was_trained_on_the_others(
    class_folders: Path, tmp_path: Path
) -> None:
    """The logits of fold 1 are bit for bit those of a run of its own, whose val folder is fold 1."""
    options = replace(OPTIONS, freeze_epochs=0)
    run = train([class_folders], tmp_path / "run", options, report=False)
    assert run.split.train == run.split.val
    for sample in run.split.val:
        part = "val" if run.split.folds[sample] == 1 else "train"
        folder = tmp_path / "parts" / part / sample.label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, folder / sample.path.name)
    alone = train([tmp_path / "parts"], tmp_path / "alone", replace(options, folds=0, keep="last"), report=False)
    theirs = predict(alone.network(), alone.split.val, alone.classes, alone.contract, "validation")
    found = out_of_fold(run)
    of_fold_1 = [n for n, sample in enumerate(found.samples) if run.split.folds[sample] == 1]
    assert [found.samples[n].path.name for n in of_fold_1] == [s.path.name for s in theirs.samples]
    assert np.array_equal(found.logits[of_fold_1], theirs.logits)


def test_metrics_and_calibration_are_those_of_the_folds_and_the_network_saw_all_photos(whole: Run) -> None:
    found = out_of_fold(whole)
    assert whole.metrics == (found.metrics,)
    assert found.metrics.photos == len(whole.split.train) == 30
    assert whole.calibration is not None
    assert whole.calibration.photos == 30
    rows = (whole.folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3
    assert all("nan,nan" in row for row in rows[1:]), "nothing is left to validate the last network"
    assert not list((whole.folder / "folds").glob("*/")), "the networks of the folds are not kept"


@pytest.mark.parametrize("stop_at", ["fold 1/2, epoch 1", "fold 2/2, epoch 1", "epoch 1", "epoch 2"])
def test_an_interrupted_run_goes_on_to_the_same_bits(
    whole: Run, class_folders: Path, tmp_path: Path, stop_at: str
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, EpochEnd) and event.text.startswith(stop_at):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train([class_folders], tmp_path / "run", OPTIONS, on_event=interrupt)
    torch.manual_seed(123)
    run = resume(tmp_path / "run", report=False)
    ours, theirs = run.network().state_dict(), whole.network().state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert np.array_equal(out_of_fold(run).logits, out_of_fold(whole).logits)
    assert run.calibration == whole.calibration


def test_before_the_first_epoch_of_the_first_fold_nothing_is_kept(class_folders: Path, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Progress) and "step" in event.task:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train([class_folders], tmp_path / "run", OPTIONS, on_event=interrupt)
    assert not (tmp_path / "run").exists()


def test_frozen_features_are_computed_once_for_all_folds(class_folders: Path, tmp_path: Path) -> None:
    tasks: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.ended:
            tasks.append(event.task)

    train([class_folders], tmp_path / "run", replace(OPTIONS, folds=3, epochs=1), report=False, on_event=listen)
    assert tasks.count("computing frozen features") == 1


def test_report_and_moved_photos(class_folders: Path, tmp_path: Path) -> None:
    shutil.copytree(class_folders, tmp_path / "photos")
    run = train([tmp_path / "photos"], tmp_path / "run", replace(OPTIONS, epochs=1, freeze_epochs=0), report=False)
    run.split.val[0].path.unlink()
    (tmp_path / "photos").rename(tmp_path / "moved")
    there = with_photos(run, [tmp_path / "moved"], lambda _: None)
    metrics = write_report(there, on_event=lambda _: None)
    assert metrics["splits"]["validation"]["photos"] == 29
    assert "2 folds, each photo by a network" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_going_on_from_a_run_with_folds_trains_on_its_photos_and_validates_with_none(
    whole: Run, tmp_path: Path
) -> None:
    write_class_folders(tmp_path / "photos", 5, seed=300)
    (tmp_path / "photos" / "king").rename(tmp_path / "emu")
    (tmp_path / "new").mkdir()
    (tmp_path / "emu").rename(tmp_path / "new" / "emu")
    plain = replace(OPTIONS, folds=0)
    run = train([tmp_path / "new"], tmp_path / "run", plain, start=whole, report=False)
    assert run.classes == ("adelie", "emu", "gentoo", "king")
    assert set(whole.split.train) < set(run.split.train)
    assert (len(run.split.train), [s.label for s in run.split.val]) == (34, ["emu"])
    assert any("was trained with --folds, on all its photos: none of them validates" in n for n in run.split.notes)
    assert run.forgetting is not None
    assert (run.forgetting.photos, run.forgetting.missing) == (0, 30)
    for options in (replace(OPTIONS, folds=3), replace(plain, epochs=0, freeze_epochs=0, rename=("king=konge",))):
        with pytest.raises(DataError, match=r"the earlier run trained on these photos.*after --folds it has none"):
            train([], tmp_path / "none", options, start=whole)
    assert not (tmp_path / "none").exists()


def test_photos_that_are_probably_labelled_wrong_are_listed_and_can_be_left_out(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(class_folders, tmp_path / "photos")
    classes = sorted(path.name for path in (tmp_path / "photos").iterdir())
    moved = sorted((tmp_path / "photos" / classes[0]).iterdir())[0]
    wrong = moved.rename(tmp_path / "photos" / classes[1] / f"was-{classes[0]}.jpg")
    options = replace(
        OPTIONS, epochs=8, freeze_epochs=0, folds=3, augment="none", image_size=48, head_lr=4e-3, backbone_lr=4e-3
    )
    list_file = tmp_path / "run" / "doubtful-labels.txt"
    complete: list[bool] = []
    monkeypatch.setattr(finish, "save_run", lambda run: (complete.append(list_file.exists()), save_run(run)))
    run = train([tmp_path / "photos"], tmp_path / "run", options)
    assert complete == [True], "a killed run has not finished before all its files are there"
    assert run.metrics[0].accuracy > 0.8
    listed = read_quarantine(list_file)
    assert wrong.resolve() in listed
    assert f"{classes[0]}" in listed[wrong.resolve()]
    assert f"was-{classes[0]}.jpg" in (run.folder / "report.html").read_text("utf-8")
    again = train(
        [tmp_path / "photos"], tmp_path / "again", replace(OPTIONS, epochs=1), quarantine=listed, report=False
    )
    assert wrong.resolve() not in {sample.path for sample in again.split.train}


def test_what_cannot_be_combined_is_refused_before_anything_is_written(class_folders: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--folds 1: nothing would be left to train on"):
        train([class_folders], tmp_path / "run", replace(OPTIONS, folds=1))
    with pytest.raises(UsageError, match="--folds trains on one device"):
        train([class_folders], tmp_path / "run", replace(OPTIONS, devices=2))
    assert not (tmp_path / "run").exists()


def test_damaged_predictions_of_a_fold_are_one_line(whole: Run, tmp_path: Path) -> None:
    shutil.copytree(whole.folder, tmp_path / "run")
    (tmp_path / "run" / "folds" / "2.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=r"2\.npz cannot be read"):
        out_of_fold(load_run(tmp_path / "run"))
