"""Processes that load photos: batches through pipes, any start method, and one-line errors.

Batches do not use shared memory: containers usually have 64 MB of it, eight processes fill that with a few batches, and
a process that then writes to a new page is killed. A pipe costs 0.1 ms per photo.
"""

import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch
from edgeclf.errors import BackendError
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

TIMEOUT = 240  # seconds to wait for the next batch; reading a single photo times out after 30
_NAME = "edgeclf-loader"


class BatchLoader(DataLoader[Any]):
    """A torch ``DataLoader`` of (tensor, class index) samples, with any number of processes.

    Args:
        dataset: what to load.
        batch_size: samples at a time.
        processes: number of loader processes; 0 is used if none can be started.
        keep: keep the processes alive between epochs.
        keywords: as for ``DataLoader``.
    """

    def __init__(self, dataset: Any, batch_size: int, processes: int, *, keep: bool = False, **keywords: Any) -> None:
        processes = processes if _can_start(processes) else 0
        if processes:
            keywords |= {"collate_fn": _as_arrays, "multiprocessing_context": _context(), "timeout": TIMEOUT}
            keywords |= {"persistent_workers": keep, "worker_init_fn": _end_with_parent}
        super().__init__(dataset, batch_size, num_workers=processes, **keywords)

    def check_worker_number_rationality(self) -> None:
        """More processes than CPUs are the user's decision; torch would warn."""

    def __iter__(self) -> Any:
        return map(_as_tensors, super().__iter__())


def _end_with_parent(_: int) -> None:
    """In a loader process: end it when the process that it works for was killed.

    torch does that too, but a process that has put a batch into its pipe waits at its end until that was read. This
    would be for ever: it holds the reading end itself, so nothing tells it that nobody reads.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(process: BaseProcess) -> None:
    process.join()
    os._exit(1)


def _as_arrays(samples: Sequence[tuple[Tensor, int]]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A batch as arrays, which go through the pipe; tensors would go through shared memory."""
    return np.stack([inputs.numpy() for inputs, _ in samples]), np.array([label for _, label in samples], np.int64)


def _as_tensors(batch: Sequence[Any]) -> tuple[Tensor, ...]:
    tensors = (torch.as_tensor(part) for part in batch)
    # Not in torch's pinning thread: it waits forever for data that a killed process did not send completely.
    return tuple(tensor.pin_memory() if torch.cuda.is_available() else tensor for tensor in tensors)


def _can_start(processes: int) -> bool:
    """False in a daemon process, which may not have children, and if the locks of the queues cannot be created."""
    if multiprocessing.current_process().daemon:
        return False
    try:
        _ = [_context().Lock() for _ in range(4 * processes + 16)]
    except (ImportError, OSError):
        return False
    return True


def _context() -> Any:
    """The multiprocessing context: fork if that is the start method, else spawn without the caller's script.

    A loader needs only importable modules, so a script without ``if __name__ == "__main__"`` is not run again.
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
    """Convert the death of a loader process into a one-line error, and kill the other loader processes.

    Args:
        resume: the command that resumes the run, for the message.
        processes: number of loader processes.

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
        raise BackendError(what, f"free some memory, or resume with fewer processes: `{fewer}`") from error


def _kill_loaders() -> None:
    """Kill all loader processes, without torch's SIGCHLD handler, which would raise an error for each."""
    mine = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD")
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if mine else None
    for child in multiprocessing.active_children():
        if child.name == _NAME:
            child.kill()
            child.join()
    if mine:
        signal.signal(signal.SIGCHLD, handler)


def _what_ended(error: Exception) -> str | None:
    """What happened to a loader process; None if the error has another cause."""
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
