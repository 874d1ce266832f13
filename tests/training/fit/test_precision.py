"""One truth about a run, whatever precision it was computed in, and strings where paths are asked for."""

import csv
import json
from pathlib import Path

import pytest
import torch
from edgeclf_export.api.export_run import export_run
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.config.resolve import resolve_machine
from edgeclf_training.dataset.check import check_data
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.quarantine import read_quarantine, write_quarantine
from edgeclf_training.dataset.split import read_split
from edgeclf_training.dataset.zip_data import open_data
from edgeclf_training.evaluation.predictions import predict
from edgeclf_training.fit.train import train
from edgeclf_training.run.run_folder import Run, load_run, load_run_or_checkpoint

QUICK = TrainOptions(arch="cnn4", weights="none", epochs=3, image_size=64, batch_size=8, workers=0, head_lr=2e-3)


@pytest.fixture(scope="module")
def run(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained with bfloat16, and asked for with strings only."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(str(class_folders), str(out), TrainOptions(**{**vars(QUICK), "precision": "bf16"}))


def test_validation_is_counted_as_the_figures_are(run: Run) -> None:
    with (run.folder / "metrics.csv").open() as file:
        kept = list(csv.DictReader(file))[(run.best_epoch or 0) - 1]
    assert round(float(kept["val_accuracy"]) * run.metrics[0].photos) == run.metrics[0].correct
    predictions = predict(run.network(), run.split.val, run.classes, run.contract, "validation")
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(predictions.logits), torch.from_numpy(predictions.labels)
    )
    assert float(kept["val_loss"]) == pytest.approx(float(expected), abs=1e-5)  # bfloat16 would be off by a hundredth


def test_report_and_training_name_one_epoch(run: Run, tmp_path: Path) -> None:
    assert run.best_epoch
    assert load_run(run.folder) == run
    assert json.loads((run.folder / "metrics.json").read_text())["best_epoch"] == run.best_epoch
    again = train([run.data[0]], tmp_path / "again", QUICK, start=str(run.folder))
    told = json.loads((again.folder / "metrics.json").read_text())
    assert told["best_epoch"] == again.best_epoch


@pytest.mark.parametrize(("real", "precision"), [(True, "bf16"), (False, "32")])
def test_bf16_is_chosen_where_it_is_real_not_emulated(
    real: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or real)
    assert resolve_machine(TrainOptions()).precision == precision


def test_strings_are_paths_in_every_function(run: Run, class_folders: Path, tmp_path: Path) -> None:
    data, folder, listed = str(class_folders), str(run.folder), str(tmp_path / "list.txt")
    assert run.data == (class_folders,)
    assert load_run(folder) == load_run_or_checkpoint(folder) == run
    for given in (data, [data]):
        assert read_split(given) == read_split([class_folders])
        assert find_photos(given) == find_photos([class_folders])
        assert check_data(given) == check_data([class_folders])
        assert open_data(given) == [class_folders]
    photo = next(class_folders.rglob("*.jpg"))
    write_quarantine(listed, {photo: "blurred"})
    assert read_quarantine(listed) == {photo: "blurred"}
    assert export_run(folder, str(tmp_path / "model.onnx"), data=data, force=True).path == tmp_path / "model.onnx"
