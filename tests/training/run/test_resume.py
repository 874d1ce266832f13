"""A run is never lost: interruptions, kills, damage, and going on with the same weights bit for bit."""

import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from edgeclf.errors import DataError, UsageError
from edgeclf.events import Event, Listener
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.messages import EpochEnd
from edgeclf_training.fit.train import resume, train
from edgeclf_training.networks import Architecture, registry
from edgeclf_training.run.run_folder import Run, load_run
from torch import nn
from warm_processes import run_command, warm_process

# Two phases of two epochs, with all that is random switched on.
OPTIONS = TrainOptions(
    arch="cnn4", weights="none", epochs=4, freeze_epochs=2, image_size=64, batch_size=8, workers=0, mix_share=0.7
)


def stop_after(epoch: int) -> Listener:
    """Interrupts like Ctrl-C when the given epoch has been reported."""

    def on_event(event: Event) -> None:
        if isinstance(event, EpochEnd) and event.epoch.epoch == epoch:
            os.kill(os.getpid(), signal.SIGINT)

    return on_event


@pytest.fixture
def whole(trained: Callable[..., Run]) -> Run:
    return trained(OPTIONS)


@pytest.fixture(scope="module")
def stopped(class_folders: Path, once: Callable[..., Path]) -> Path:
    """A run interrupted after its first epoch; copy it before going on with it."""

    def make(path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            train([class_folders], path, OPTIONS, on_event=stop_after(1))

    return once("stopped", make)


def assert_same_weights(a: Run, b: Run) -> None:
    ours, theirs = a.network().state_dict(), b.network().state_dict()
    different = [name for name, tensor in ours.items() if not torch.equal(tensor, theirs[name])]
    assert not different
    assert a.metrics == b.metrics
    # All but the wall times.
    texts = ((run.folder / "metrics.csv").read_text().splitlines() for run in (a, b))
    first, second = ([row.rsplit(",", 1)[0] for row in rows] for rows in texts)
    assert first == second


# Within the frozen phase, between the phases, within the second, where loader processes read ahead.
@pytest.mark.parametrize(("epochs_done", "workers"), [(1, 0), (2, 0), (3, 0), (3, 2)])
def test_going_on_ends_in_the_same_weights_bit_for_bit(
    whole: Run, class_folders: Path, tmp_path: Path, epochs_done: int, workers: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train([class_folders], tmp_path / "run", replace(OPTIONS, workers=workers), on_event=stop_after(epochs_done))
    unfinished = load_run(tmp_path / "run")
    assert unfinished.metrics == ()
    unfinished.network()
    assert (tmp_path / "run" / "checkpoint.pt").exists()
    torch.manual_seed(123)  # what went before in this process must not matter
    assert_same_weights(resume(tmp_path / "run"), whole)
    assert not (tmp_path / "run" / "checkpoint.pt").exists(), "a finished run needs none"
    assert load_run(tmp_path / "run").metrics == whole.metrics


def test_running_statistics_are_resumed_too(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {"small": Architecture(_small_with_batch_norm, _three_stages)})
    options = replace(OPTIONS, arch="small", image_size=32, epochs=2, freeze_epochs=0, batch_norm="update")
    with pytest.raises(KeyboardInterrupt):
        train([class_folders], tmp_path / "run", options, report=False, on_event=stop_after(1))
    whole = train([class_folders], tmp_path / "whole", options, report=False)
    assert any(name.endswith("running_mean") for name in whole.network().state_dict())
    assert_same_weights(resume(tmp_path / "run", report=False), whole)


def _small_with_batch_norm() -> nn.Module:
    net = nn.Module()
    for name, inputs, outputs in (("one", 3, 8), ("two", 8, 16), ("three", 16, 16)):
        net.add_module(name, nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2), nn.BatchNorm2d(outputs), nn.ReLU()))
    return net


def _three_stages(net: nn.Module) -> tuple[list[tuple[str, nn.Module]], None]:
    return list(net.named_children()), None


def test_going_on_from_a_run_needs_that_run_only_to_begin(whole: Run, class_folders: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(whole.folder, earlier)
    with pytest.raises(KeyboardInterrupt):
        train([class_folders], tmp_path / "run", OPTIONS, start=load_run(earlier), on_event=stop_after(3))
    uninterrupted = train([class_folders], tmp_path / "on", OPTIONS, start=load_run(earlier), report=False)
    shutil.rmtree(earlier)
    assert_same_weights(resume(tmp_path / "run", report=False), uninterrupted)


def test_loader_processes_change_nothing(whole: Run, class_folders: Path, tmp_path: Path) -> None:
    assert_same_weights(train([class_folders], tmp_path / "run", replace(OPTIONS, workers=2)), whole)


def test_the_resolved_recipe_trains_the_same_network(whole: Run, class_folders: Path, tmp_path: Path) -> None:
    from edgeclf_training.config.recipe_file import read_recipe

    recipe = read_recipe(str(whole.folder / "recipe.toml"))
    assert_same_weights(train([class_folders], tmp_path / "run", replace(recipe, workers=0)), whole)


def _go_on(data: Path, out: Path) -> None:
    torch.set_num_threads(1)
    if (out / "run.json").exists():
        resume(out)
    else:
        shutil.rmtree(out, ignore_errors=True)
        train([data], out, OPTIONS)


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.campaign)])
def test_kill_minus_9_ends_in_the_same_weights(times: int, whole: Run, class_folders: Path, tmp_path: Path) -> None:
    """Processes are killed at random moments until so many have been; each goes on where the last one was cut off."""
    warm_process(os.getpid).join()  # until torch is imported
    started = time.perf_counter()
    warm_process(_go_on, class_folders, tmp_path / "quiet").join()
    takes = time.perf_counter() - started
    assert_same_weights(load_run(tmp_path / "quiet"), whole)

    moments, kills, out = random.Random(5), 0, tmp_path / "killed"
    while kills < times:
        process = warm_process(_go_on, class_folders, out)
        process.join(moments.uniform(0.05, 0.7) * takes)
        if process.is_alive():
            kills += 1
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if out.exists() and (out / "run.json").exists() and load_run(out).metrics:
            assert_same_weights(load_run(out), whole)
            shutil.rmtree(out)  # it got through: the next one begins anew
    warm_process(_go_on, class_folders, out).join()
    assert_same_weights(load_run(out), whole)
    assert not list(out.glob("*.part"))


def test_resuming_is_refused_where_it_would_not_be_the_same_run(
    whole: Run, stopped: Path, class_folders: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="has finished"):
        resume(whole.folder)
    with pytest.raises(DataError, match="not a run folder"):
        resume(tmp_path)
    with pytest.raises(DataError, match=r"trained on .*: none of its 30 photos is in"):
        resume(stopped, [tmp_path])
    photos, out = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(class_folders, photos)
    with pytest.raises(KeyboardInterrupt):
        train([photos], out, OPTIONS, on_event=stop_after(1))
    changed, gone, *_ = photos.glob("king/*.jpg")
    changed.write_bytes(changed.read_bytes()[:500])
    gone.unlink()
    with pytest.raises(DataError, match=r"2 of 30 photos .* gone or changed, the first is .*king"):
        resume(out)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_photo_that_vanishes_while_training_is_one_clear_error(
    workers: int, class_folders: Path, tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(class_folders, photos)

    def vanish(event: Event) -> None:
        if isinstance(event, EpochEnd) and event.epoch.epoch == 2:  # the frozen phase needs no photo any more
            next(photos.glob("king/*.jpg")).rename(tmp_path / "away.jpg")

    with pytest.raises(DataError, match=r"king.*--resume") as error:
        train([photos], out, replace(OPTIONS, workers=workers), on_event=vanish)
    assert "\n" not in str(error.value)


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_malicious_or_damaged_checkpoint_is_refused(stopped: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    good = (run / "checkpoint.pt").read_bytes()
    for bad in (pickle.dumps(_Malicious(tmp_path / "owned")), good[: len(good) // 2], b"", os.urandom(500)):
        (run / "checkpoint.pt").write_bytes(bad)
        with pytest.raises(DataError, match=r"checkpoint\.pt: damaged"):
            resume(run)
    torch.save(_Malicious(tmp_path / "owned"), run / "checkpoint.pt")
    with pytest.raises(DataError, match="not a checkpoint"):
        resume(run)
    saved = torch.load(stopped / "checkpoint.pt", weights_only=True)
    saved["callbacks"]["History"]["weights"] = {}
    for bad in ({"callbacks": {}}, torch.zeros(3), saved):
        torch.save(bad, run / "checkpoint.pt")
        with pytest.raises(DataError, match="not a checkpoint of this run"):
            resume(run)
    assert not (tmp_path / "owned").exists()


def _with_small_files(data: Path, out: Path, log: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))  # a checkpoint is larger: as on a full disk
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        train([data], out, OPTIONS)
    except UsageError as error:
        log.write_text(str(error))


def test_a_disk_that_fills_up_is_one_clear_error(whole: Run, class_folders: Path, tmp_path: Path) -> None:
    warm_process(_with_small_files, class_folders, tmp_path / "run", tmp_path / "log").join()
    message = (tmp_path / "log").read_text()
    assert "cannot be written" in message
    assert "--resume" in message
    assert_same_weights(resume(tmp_path / "run"), whole)


def test_a_full_disk_is_found_before_training_starts(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(UsageError, match="1 MB left"):
        train([class_folders], tmp_path / "run", OPTIONS)
    assert not (tmp_path / "run").exists()


def test_sigterm_says_how_to_go_on(
    class_folders: Path, tmp_path: Path, edgeclf: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    flags = "--arch cnn4 --image-size 64 --batch-size 8 --epochs 500 --workers 0 --early-stopping 0"
    command = ("train", class_folders, "--out", tmp_path / "run", *flags.split())
    errors = tmp_path / "errors"
    os.mkfifo(errors)
    process = warm_process(run_command, errors, *command)
    with errors.open() as told:
        for line in told:
            if line.startswith("epoch 2/"):
                os.kill(process.pid, signal.SIGTERM)
                break
        rest = told.read()
    process.join()
    assert process.exitcode == 130
    assert "Traceback" not in rest
    assert f"`edgeclf train --resume {tmp_path / 'run'}` resumes it" in rest
    assert len(load_run(tmp_path / "run").network().state_dict()) > 0
    wrong = edgeclf("train", "--resume", tmp_path / "run", "--epochs", 3)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "--epochs contradicts --resume" in wrong.stderr
