"""Processes that load photos: batches that come through a pipe, under any way to start them, and an end in one line.

Batches do not pass through shared memory: containers have 64 MB of it as a rule, which eight processes fill with a few
batches, and whoever then touches the next page is killed. A pipe costs 0.1 ms a photo.
"""

import contextlib
import errno
import multiprocessing
import signal
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np
import torch
from edgeclf.errors import BackendError
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

TIMEOUT = 240  # seconds for the next batch; a photo that gets no further is given up after 30
_NAME = "edgeclf-loader"


class BatchLoader(DataLoader[Any]):
    """A torch ``DataLoader`` of (tensor, class index) samples, with any number of processes.

    Args:
        dataset: what to load.
        batch_size: samples at a time.
        processes: how many; none where none can be started.
        keep: use them for one pass after another.
        keywords: as for ``DataLoader``.
    """

    def __init__(self, dataset: Any, batch_size: int, processes: int, *, keep: bool = False, **keywords: Any) -> None:
        processes = processes if _can_start(processes) else 0
        if processes:
            keywords |= {"collate_fn": _as_arrays, "multiprocessing_context": _context(), "timeout": TIMEOUT}
            keywords["persistent_workers"] = keep
        super().__init__(dataset, batch_size, num_workers=processes, **keywords)

    def check_worker_number_rationality(self) -> None:
        """More processes than CPUs are the user's decision; torch would warn."""

    def __iter__(self) -> Any:
        return map(_as_tensors, super().__iter__())


def _as_arrays(samples: Sequence[tuple[Tensor, int]]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A batch as arrays, which go through the pipe; tensors would go through shared memory."""
    return np.stack([inputs.numpy() for inputs, _ in samples]), np.array([label for _, label in samples], np.int64)


def _as_tensors(batch: Sequence[Any]) -> tuple[Tensor, ...]:
    tensors = (torch.as_tensor(part) for part in batch)
    # Here and not in torch's thread, which waits for ever for what a killed process has begun to send.
    return tuple(tensor.pin_memory() if torch.cuda.is_available() else tensor for tensor in tensors)


def _can_start(processes: int) -> bool:
    """Not from a process that may have no children, nor where there is no room for the locks of their queues."""
    if multiprocessing.current_process().daemon:
        return False
    try:
        _ = [_context().Lock() for _ in range(4 * processes + 16)]
    except (ImportError, OSError):
        return False
    return True


def _context() -> Any:
    """How to start processes: by fork where that is the way here, else by spawn, and without the caller's script.

    Everything a loader needs lies in modules. So a script without ``if __name__ == "__main__"`` is not run once more.
    """
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    context: Any = type(multiprocessing.get_context("fork" if method == "fork" else "spawn"))()
    context.Process = partial(context.Process if method == "fork" else _WithoutMain, name=_NAME)
    return context


class _WithoutMain(SpawnProcess):
    def start(self) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


@contextlib.contextmanager
def loader_errors(resume: str, processes: int) -> Iterator[None]:
    """What ends a loader process as one clear line; the others are ended too.

    Args:
        resume: the command that goes on with the run.
        processes: how many there are.

    Raises:
        BackendError: a loader process was killed, or does not answer, or could not be started.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        what = _what_ended(error)
        if what is None:
            raise
        _kill_loaders()
        fewer = f"{resume} --workers {processes // 2}"
        raise BackendError(what, f"free some memory, or go on with fewer: `{fewer}`") from error


def _kill_loaders() -> None:
    """The rest of them, without torch's handler, which would raise once more for each."""
    mine = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD")
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if mine else None
    for child in multiprocessing.active_children():
        if child.name == _NAME:
            child.kill()
            child.join()
    if mine:
        signal.signal(signal.SIGCHLD, handler)


def _what_ended(error: Exception) -> str | None:
    """What happened to a loader process, None if nothing did."""
    text = f"{error} {error.__cause__}"
    if isinstance(error, OSError):
        if error.errno in (errno.ENOMEM, errno.EAGAIN) and error.filename is None:
            return f"no process to load photos could be started ({error.strerror})"
        return None
    if isinstance(error, MemoryError):
        return "memory ran out while photos were loaded"
    if "DataLoader timed out" in text:
        return f"no photo came from the processes that load them for {TIMEOUT} s"
    if "DataLoader worker (pid" not in text:
        return None
    how = text.partition("killed by signal: ")[2].partition(".")[0].strip().lower()
    if how in ("", "killed", "bus error"):
        return "a process that loads photos was killed, most often because memory ran out"
    return f"a process that loads photos died ({how})"
