"""More than one process, and GPUs."""

import csv
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeclf_training.run.run_folder import load_run
from helpers import write_class_folders
from warm_processes import run_command, warm_process

FLAGS = (
    *("--arch", "cnn4", "--image-size", "64", "--batch-size", "8", "--epochs", "3"),
    *("--workers", "0", "--dropout", "0", "--mix-share", "0"),
)
CPU = (*FLAGS, "--device", "cpu")


def metrics(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if "_" in k} for row in csv.DictReader(file)]


def test_two_processes_get_the_metrics_of_one(
    tmp_path: Path,
    edgeclf: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    data = write_class_folders(tmp_path / "photos" / "train", 8).parent
    write_class_folders(data / "val", 3, seed=50)
    for label in ("king", "gentoo"):
        next((data / "val" / label).glob("*.jpg")).unlink()  # seven photos: one process has one more than the other
    errors = tmp_path / "errors"
    for name, devices in (("one", 1), ("two", 2)):
        errors.write_bytes(b"")
        process = warm_process(run_command, errors, "train", data, *CPU, "--devices", devices, "--out", tmp_path / name)
        process.join(300)
        told = errors.read_text()
        assert process.exitcode == 0, told
        assert told.count("run folder: ") == told.count("report: ") == 1, "one process does the talking"
    one, two = (metrics(tmp_path / name) for name in ("one", "two"))
    assert len(one) == 3
    for alone, together in zip(one, two, strict=True):
        assert together == pytest.approx(alone, abs=1e-4)
    assert one[0] != one[2], "it learned something"
    assert load_run(tmp_path / "two").metrics == load_run(tmp_path / "one").metrics
    assert load_run(tmp_path / "two").metrics[0].photos == 7
    uneven = edgeclf(
        "train", data, *FLAGS, "--batch-size", 9, "--device", "cpu", "--devices", 2, "--out", tmp_path / "x"
    )
    assert uneven.returncode == 2
    assert "cannot be divided among 2 processes" in uneven.stderr


@pytest.mark.campaign  # with one process, SIGTERM is tested with each change
def test_sigterm_in_the_second_phase_ends_all_processes(class_folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = ["--epochs", "500", "--freeze-epochs", "1", "--early-stopping", "0", "--devices", "2", "--out", out]
    errors = tmp_path / "errors"
    os.mkfifo(errors)
    main = warm_process(run_command, errors, "train", class_folders, *CPU, *flags)
    with errors.open() as told:
        for line in told:
            if line.startswith("epoch 3/"):
                started = subprocess.run(["pgrep", "-P", str(main.pid)], capture_output=True, text=True).stdout.split()
                os.kill(main.pid, signal.SIGTERM)
                break
        rest = told.read()
    main.join()
    assert main.exitcode == 130
    assert f"`edgeclf train --resume {out}` resumes it" in rest
    assert "Traceback" not in rest
    assert started, "there was another process"
    time.sleep(1)
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    load_run(out).network()
    assert (out / "checkpoint.pt").exists()


@pytest.mark.campaign
@pytest.mark.parametrize("which", ["first", "second"])
def test_a_run_goes_on_after_one_of_two_processes_was_killed(class_folders: Path, tmp_path: Path, which: str) -> None:
    """With the weights of a run that nobody disturbed, bit for bit; no process of the killed run is left."""
    flags = [*CPU, "--epochs", "4", "--freeze-epochs", "1", "--devices", "2", "--no-report"]
    errors = tmp_path / "errors"
    errors.touch()
    whole = warm_process(run_command, errors, "train", class_folders, *flags, "--out", tmp_path / "whole")
    whole.join(300)
    assert whole.exitcode == 0, errors.read_text()
    os.mkfifo(tmp_path / "told")
    main = warm_process(run_command, tmp_path / "told", "train", class_folders, *flags, "--out", tmp_path / "run")
    with (tmp_path / "told").open() as told:
        next(line for line in told if line.startswith("epoch 2/"))
        started = subprocess.run(["pgrep", "-P", str(main.pid)], capture_output=True, text=True).stdout.split()
        others = [int(pid) for pid in started if b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes()]
        os.kill(main.pid if which == "first" else others[0], signal.SIGKILL)
        rest = told.read()  # ends when both processes have
    main.join(60)
    if which == "second":
        assert main.exitcode == 4
        assert "another process of this training ended" in rest
        assert "Traceback" not in rest
    resumed = warm_process(run_command, errors, "train", "--resume", tmp_path / "run", "--no-report")
    resumed.join(300)
    assert resumed.exitcode == 0, errors.read_text()
    ours, theirs = (load_run(tmp_path / name).network().state_dict() for name in ("run", "whole"))
    assert [name for name, tensor in ours.items() if not tensor.equal(theirs[name])] == []


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32", "bf16", "fp16"])
def test_a_gpu_learns_the_same_task(
    precision: str, class_folders: Path, tmp_path: Path, edgeclf_child: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = edgeclf_child(
        "train", class_folders, *FLAGS, "--epochs", 8, "--head-lr", "2e-3", "--device", "cuda",
        "--precision", precision, "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert load_run(tmp_path / "run").metrics[0].correct >= 5
