"""Processes that load photos: through pipes, however they are started, and what ends one is one line."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from edgeclf.errors import BackendError
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.train import resume, train
from edgeclf_training.loading import loader_processes as processes
from edgeclf_training.loading.loader_processes import BatchLoader, loader_errors
from edgeclf_training.loading.photo_dataset import PhotoDataset
from torch.utils.data import Dataset

QUICK = TrainOptions(arch="cnn4", weights="none", epochs=2, image_size=64, batch_size=8, workers=2, head_lr=2e-3)


class Samples(Dataset[Any]):
    """Forty samples; ``at`` is called for the eighth."""

    def __init__(self, at: Callable[[], object] = lambda: None) -> None:
        self._at = at

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if index == 8:
            self._at()
        return torch.full((2, 3), index, dtype=torch.uint8), index % 3


class LargeSamples(Samples):
    """Batches of them do not fit into a pipe."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(300_000, dtype=torch.uint8), 0


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash_me() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def stop_me() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def out_of_memory() -> None:
    raise MemoryError


def test_batches_come_through_pipes_not_shared_memory() -> None:
    alone, helped = (list(BatchLoader(Samples(), 7, processes)) for processes in (0, 2))
    assert len(alone) == 6
    for (images, labels), (others, same) in zip(alone, helped, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, same)
        assert (others.dtype, same.dtype) == (torch.uint8, torch.int64)
        assert not others.is_shared()


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize(
    ("at", "says"),
    [
        (kill_me, "was killed, most often because memory ran out"),
        (crash_me, r"died \(segmentation fault\)"),
        (out_of_memory, "memory ran out"),
        (stop_me, "no photo came from the processes that load them for 2 s"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_ends_a_loader_is_one_line_in_time(
    at: Callable[[], object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "TIMEOUT", 2)
    handler, began = signal.getsignal(signal.SIGCHLD), time.monotonic()
    with pytest.raises(BackendError, match=says) as caught, loader_errors("edgeclf train --resume RUN", 3):
        for _ in BatchLoader(Samples(at), 4, 3, keep=True):
            pass
    assert caught.value.remedy.endswith("`edgeclf train --resume RUN --workers 1`")
    assert time.monotonic() - began < 60
    assert [child for child in multiprocessing.active_children() if child.name == processes._NAME] == []
    assert handler in (signal.getsignal(signal.SIGCHLD), signal.SIG_DFL)


def load_and_wait(told: Any) -> None:
    for _ in BatchLoader(LargeSamples(), 4, 2):
        told.send([child.pid for child in multiprocessing.active_children()])
        time.sleep(600)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_loaders_end_with_the_process_that_they_work_for() -> None:
    """Although they have batches that nobody reads any more."""
    listener, told = multiprocessing.Pipe(duplex=False)
    with listener, told:
        trainer = multiprocessing.Process(target=load_and_wait, args=(told,))
        trainer.start()
        assert listener.poll(60)
        loaders = listener.recv()
        time.sleep(0.5)  # for the batches that they load in advance
        trainer.kill()
        trainer.join()
    assert len(loaders) == 2
    deadline = time.monotonic() + 10
    while any(map(runs, loaders)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in loaders if runs(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def test_a_run_whose_loader_was_killed_goes_on(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, parent = PhotoDataset.__getitem__, os.getpid()

    def deadly(self: PhotoDataset, key: tuple[int, int]) -> Any:
        if key == (1, 3) and os.getpid() != parent:
            kill_me()
        return read(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(PhotoDataset, "__getitem__", deadly)
        with pytest.raises(BackendError, match="was killed") as caught:
            train(str(class_folders), str(tmp_path / "run"), QUICK, report=False)
    assert f"--resume {tmp_path / 'run'} --workers 1" in caught.value.remedy
    run = resume(str(tmp_path / "run"), machine={"workers": 1}, report=False)
    whole = train([str(class_folders)], tmp_path / "whole", QUICK, report=False)
    assert run.metrics == whole.metrics


def test_no_processes_where_none_may_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(multiprocessing.context.BaseContext, "Lock", no_room)
    assert BatchLoader(Samples(), 4, 3).num_workers == 0
