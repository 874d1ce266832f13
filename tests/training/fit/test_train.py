"""From folders to a run: phases, best weights, the run folder, going on from an earlier run."""

import csv
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from edgeclf.cli.console import Console
from edgeclf.evaluation.metrics import wilson_interval
from edgeclf.events import Event, Progress
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.samples import Split
from edgeclf_training.dataset.split import read_split
from edgeclf_training.evaluation.predictions import evaluate
from edgeclf_training.fit import lightning_module as fine_tuning
from edgeclf_training.fit.messages import EpochEnd
from edgeclf_training.fit.train import resume, train
from edgeclf_training.loading.photo_dataset import PhotoDataset, loader
from edgeclf_training.run.history import CHECKPOINT
from edgeclf_training.run.run_folder import Run, load_run
from helpers import write_class_folders
from PIL import Image
from trainings import QUICK

REPORT = ("report.html", "metrics.json")


@pytest.fixture
def run(trained: Callable[..., Run]) -> Run:
    return trained()


def rows(run: Run) -> list[dict[str, str]]:
    with (run.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_training_sends_events_and_prints_nothing(
    class_folders: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[Event] = []
    run = train([class_folders], tmp_path / "run", replace(QUICK, epochs=2), on_event=events.append)
    ends = [event for event in events if isinstance(event, EpochEnd)]
    assert [(end.epoch.epoch, end.epochs) for end in ends] == [(1, 2), (2, 2)]
    assert [f"{end.epoch.val_loss:.3f}" for end in ends] == [f"{float(row['val_loss']):.3f}" for row in rows(run)]
    steps = [e for e in events if isinstance(e, Progress) and e.task == "epoch 1/2, step"]
    assert len(run.split.train) == 24
    assert [(e.done, e.total, e.ended) for e in steps] == [(1, 3, False), (2, 3, False), (3, 3, False), (3, 3, True)]
    tasks = {e.task for e in events if isinstance(e, Progress)}
    assert {e.task for e in events if isinstance(e, Progress) and e.ended} == tasks  # no bar stays behind
    assert capfd.readouterr() == ("", "")


def test_the_run_folder_holds_everything(run: Run) -> None:
    names = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
    lists = {f"split/{part}.txt" for part in ("train", "val", "test", "skipped", "notes")} | {
        "split/known.jsonl",
        "kept/kept.txt",
    }
    lists |= {f"kept/{number:03}.jpg" for number in range(6)}
    assert names == {
        "run.json",
        "recipe.toml",
        "network.pt",
        "metrics.csv",
        "confusion.csv",
        *REPORT,
        *lists,
    }
    assert [r["phase"] for r in rows(run)] == ["fine-tune"] * 4
    confusion = [line.split(",")[1:] for line in (run.folder / "confusion.csv").read_text("utf-8-sig").splitlines()[1:]]
    assert sum(int(n) for row in confusion for n in row) == 6


def test_it_learns_and_figures_are_counted_with_the_best_weights(run: Run) -> None:
    (metrics,) = run.metrics
    assert metrics.split == "validation", "without a test folder no metrics are called test"
    assert metrics.accuracy == pytest.approx(max(float(r["val_accuracy"]) for r in rows(run)))
    assert metrics.correct >= 5, "three tints are easy to tell apart"
    dataset = PhotoDataset(run.split.val, run.classes, run.contract)
    again = evaluate(run.network(), loader(dataset, 4, 0, shuffle=False), 3, "validation")
    assert again.confusion == metrics.confusion


def test_a_run_comes_back_as_it_was_saved(run: Run) -> None:
    assert load_run(run.folder) == run
    assert run.options.head == "mlp"
    assert run.options.freeze_epochs == 0
    assert run.provenance.seed == 0
    assert "torch" in run.provenance.versions


def test_the_same_seed_gives_the_same_weights(run: Run, class_folders: Path, tmp_path: Path) -> None:
    again = train([class_folders], tmp_path / "again", QUICK)
    for name, tensor in run.network().state_dict().items():
        assert torch.equal(tensor, again.network().state_dict()[name]), name


def test_the_weights_kept_are_the_best_not_the_last(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learning rate that explodes after the first epoch ruins the last weights, not the kept ones."""
    real = fine_tuning.rate_factor
    monkeypatch.setattr(fine_tuning, "rate_factor", lambda step, *more: real(step, *more) if step < 9 else 1e4)
    run = train([class_folders], tmp_path / "run", replace(QUICK, epochs=4))
    losses = [float(r["val_loss"]) for r in rows(run)]
    assert losses[-1] > 10 * losses[0]
    best = max(rows(run), key=lambda r: (float(r["val_accuracy"]), -float(r["val_loss"])))
    assert best["epoch"] != "4"
    assert run.metrics[0].accuracy == pytest.approx(float(best["val_accuracy"]))


def test_the_base_is_frozen_first_then_freed_from_the_named_stage(class_folders: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "cnn4.pth"
    from edgeclf_training.networks import ARCHITECTURES

    start = ARCHITECTURES["cnn4"].skeleton().state_dict()
    torch.save(start, weights)
    options = replace(QUICK, weights=str(weights), epochs=3, freeze_epochs=1, unfreeze="conv4", augment="none")
    run = train([class_folders], tmp_path / "run", options)
    assert [r["phase"] for r in rows(run)] == ["frozen", "fine-tune", "fine-tune"]
    trained = run.network().features
    assert torch.equal(trained.conv3[1].weight, start["conv3.weight"])
    best = max(rows(run), key=lambda r: (float(r["val_accuracy"]), -float(r["val_loss"])))
    assert best["phase"] == "fine-tune"
    assert not torch.equal(trained.conv4[1].weight, start["conv4.weight"])
    frozen = train([class_folders], tmp_path / "frozen", replace(options, epochs=1, freeze_epochs=1))
    assert torch.equal(frozen.network().features.conv4[1].weight, start["conv4.weight"])


def test_going_on_from_a_run_with_more_photos_and_a_new_class(run: Run, class_folders: Path, tmp_path: Path) -> None:
    more = write_class_folders(tmp_path / "more", 6, seed=700)
    (more / "king").rename(more / "skua")
    moved = tmp_path / "moved"  # an earlier split holds wherever its photos lie now
    shutil.copytree(class_folders, moved)
    on = train([moved, more], tmp_path / "on", TrainOptions(epochs=1, batch_size=8, workers=0, seed=9), start=run)
    assert on.classes == ("adelie", "gentoo", "king", "skua")
    assert on.options.arch == "cnn4"
    for part in ("train", "val"):
        assert {s.path.name for s in run.split.part(part)} <= {s.path.name for s in on.split.part(part)}
    assert any("earlier run" in line for line in on.provenance.weights)
    assert on.metrics[0].accuracy >= 0.6, "it starts from what the earlier run knew"


def test_going_on_never_ends_clearly_worse_than_it_began(run: Run, class_folders: Path, tmp_path: Path) -> None:
    wild = TrainOptions(epochs=1, batch_size=8, workers=0, head_lr=0.5, backbone_lr=0.5)
    on = train([class_folders], tmp_path / "on", wild, start=run)
    assert on.metrics == run.metrics
    for name, tensor in run.network().state_dict().items():
        assert torch.equal(tensor, on.network().state_dict()[name]), name
    page = (on.folder / "report.html").read_text()
    assert "Every epoch did clearly worse on the validation photos" in page


@pytest.mark.parametrize(
    ("keep", "above_the_floor", "kept", "said"),
    [
        (None, (0.1, 0.01), 2, "last: epoch 2; its"),  # though the earlier network and epoch 1 look better
        (None, (0.01, -0.01), 1, "last: epoch 1, after which it diverged or became clearly worse than before; its"),
        (None, (-0.01, -0.02), 0, "every epoch was clearly worse than the network before, whose"),
        ("best", (0.1, 0.01), 1, "best: epoch 1; its"),
        ("best", (-0.01, 0.01), 2, "best: epoch 2; its"),
        ("best", (-0.01, -0.02), 0, "every epoch was clearly worse than the network before, whose"),
    ],
)
def test_going_on_keeps_an_epoch_that_is_not_clearly_worse(
    keep: Any,
    above_the_floor: tuple[float, float],
    kept: int,
    said: str,
    run: Run,
    class_folders: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floor, _ = wilson_interval(run.metrics[0].correct, run.metrics[0].photos)
    real, given = fine_tuning.FineTuning.epoch_metrics, iter(above_the_floor)

    def told(self: fine_tuning.FineTuning) -> dict[str, float]:
        return {**real(self), "val_accuracy": floor + next(given)}

    monkeypatch.setattr(fine_tuning.FineTuning, "epoch_metrics", told)
    options = TrainOptions(epochs=2, freeze_epochs=0, batch_size=8, workers=0, keep=keep)
    told_events = list[Event]()
    on = train([class_folders], tmp_path / "on", options, start=run, report=False, on_event=told_events.append)
    assert on.best_epoch == kept
    assert f"{said} weights are kept" in [str(getattr(event, "text", "")) for event in told_events]


def test_ctrl_c_says_what_is_left(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = fine_tuning.FineTuning.training_step
    for epochs_done, message in ((0, "nothing is kept"), (1, "1 of 4 epochs are finished")):

        def interrupted(self: fine_tuning.FineTuning, batch: Any, number: int, stop: int = epochs_done) -> torch.Tensor:
            if self.current_epoch == stop:
                os.kill(os.getpid(), signal.SIGINT)
            return real(self, batch, number)

        monkeypatch.setattr(fine_tuning.FineTuning, "training_step", interrupted)
        out = tmp_path / f"run{epochs_done}"
        with pytest.raises(KeyboardInterrupt):
            train([class_folders], out, QUICK, on_event=Console().listener)
        assert message in capsys.readouterr().err.splitlines()[-1]
        assert out.exists() == (epochs_done > 0)
        if epochs_done:
            assert load_run(out).metrics == ()
            load_run(out).network()
            # Again before the end of an epoch: the folder was there, so it stays with what is in it.
            (out / CHECKPOINT).unlink()
            monkeypatch.setattr(fine_tuning.FineTuning, "training_step", partialmethod(interrupted, stop=0))
            with pytest.raises(KeyboardInterrupt):
                resume(out, on_event=Console().listener)
            assert "--resume" in capsys.readouterr().err.splitlines()[-1]
            assert (out / "network.pt").exists()


def test_an_empty_folder_behind_a_link_stays(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")

    def interrupt(event: Event) -> None:
        if isinstance(event, Progress) and "step" in event.task:
            os.kill(os.getpid(), signal.SIGINT)
        Console().listener(event)

    with pytest.raises(KeyboardInterrupt):
        train([class_folders], tmp_path / "run", QUICK, on_event=interrupt)
    assert "nothing is kept" in capsys.readouterr().err.splitlines()[-1]
    assert list((tmp_path / "run").iterdir()) == []


def test_a_test_folder_is_counted_once_and_called_test(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("test", 2)):
        write_class_folders(tmp_path / "data" / part, count, seed=10 * count)
    run = train([tmp_path / "data"], tmp_path / "run", replace(QUICK, epochs=1))
    assert [(f.split, f.photos) for f in run.metrics] == [("validation", 3), ("test", 6)]


def test_event_files_on_request(class_folders: Path, tmp_path: Path) -> None:
    run = train([class_folders], tmp_path / "run", replace(QUICK, epochs=1), logger="tensorboard")
    assert list((run.folder / "tensorboard").glob("events.out.tfevents.*"))


def test_odd_class_names_cost_no_metrics(class_folders: Path, tmp_path: Path) -> None:
    data = tmp_path / "photos"
    shutil.copytree(class_folders, data)
    for label, name in (("king", "$a_b$, \u30a2"), ("gentoo", "cost_$5_and_$10")):
        (data / label).rename(data / name)
    run = train([data], tmp_path / "run", replace(QUICK, epochs=1))
    assert load_run(run.folder).metrics == run.metrics != ()
    with (run.folder / "confusion.csv").open(newline="", encoding="utf-8-sig") as file:
        table = list(csv.reader(file))
    assert table[0][1:] == list(run.classes)
    assert {len(row) for row in table} == {4}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("architecture", "head", "weights"),
    [
        pytest.param("squeezenet1_1", "mlp", "file", marks=pytest.mark.campaign),  # learning is tested with cnn4, too
        pytest.param("squeezenet1_1", "linear", "none", marks=pytest.mark.campaign),
        pytest.param("resnet50", "mlp", "file", marks=pytest.mark.campaign),  # minutes each
        pytest.param("vgg16", "linear", "none", marks=pytest.mark.campaign),
    ],
)
def test_deep_networks_overfit_32_real_photos_and_export_agrees(
    architecture: str, head: str, weights: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf_export.api.export_run import export_run

    for label in ("ants", "bees"):
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        for photo in sorted((shared / "data" / "hymenoptera" / "val" / label).glob("*.jpg"))[:16]:
            with Image.open(photo) as image:  # small: each is decoded dozens of times
                image.thumbnail((128, 128))
                image.save(folder / photo.name, quality=95)

    def same_photos(*arguments: Any, **options: Any) -> Split:
        """No split would allow this: it is about capacity to learn, not about generalising."""
        split = read_split(*arguments, **options)
        photos = tuple(sorted((*split.train, *split.val)))
        return replace(split, train=photos * 4, val=photos)  # four rounds an epoch: fewer checkpoints of 500 MB

    monkeypatch.setattr("edgeclf_training.fit.train.read_split", same_photos)
    if weights == "file":
        torch.manual_seed(0)
        weights = str(tmp_path / "weights.pth")
        torch.save(getattr(torchvision.models, architecture)().state_dict(), weights)
    options = TrainOptions(
        arch=architecture,
        weights=weights,
        head=head,
        augment="none",
        epochs=7,
        image_size=64,
        batch_size=16,
        workers=0,
    )
    if weights != "none":  # random weights in a file: nothing pretrained that low rates would have to spare
        options = replace(options, freeze_epochs=0, head_lr=1e-4, backbone_lr=1e-4)
    run = train([tmp_path / "data"], tmp_path / "run", options)
    assert run.metrics[0].correct >= 31
    exported = export_run(run, tmp_path / "model.onnx")
    assert [row.agreeing for row in exported.rows] == [32, 32]
