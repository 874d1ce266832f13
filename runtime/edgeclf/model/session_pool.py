"""The onnxruntime sessions of one classifier. They are opened when needed, and again in every child process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import BackendError
from edgeclf.model import fork_safety
from edgeclf.model.file import ModelFile
from edgeclf.model.session import CPU, open_session


class Sessions:
    """One session for single photos, and one for photos in parallel.

    Args:
        file: the model.
        device, spin, low_memory: as for ``open_session``.
        threads: CPU threads of the first session.
    """

    def __init__(self, file: ModelFile, device: str, threads: int, *, spin: bool, low_memory: bool) -> None:
        self._file, self._device, self._threads, self._spin, self._low_memory = file, device, threads, spin, low_memory
        self.after_fork()
        fork_safety.call_after_fork(self)

    def after_fork(self) -> None:
        """Forget everything that belongs to the parent process."""
        self._first: tuple[Any, str] | None = None
        self._error: Exception | None = None
        self._many: Any = None
        self._turns = threading.Lock()

    def begin(self) -> None:
        """Open the first session in a thread; ``first`` raises its errors."""
        threading.Thread(target=self._open_first, name="edgeclf-opening").start()

    def first(self) -> tuple[Any, str]:
        """The first session, and the execution provider that runs it. Raises what ``open_session`` raises."""
        first = self._first or self._open_first()
        if first is None:
            assert self._error is not None
            raise self._error
        return first

    def many(self) -> Any:
        """A session whose inferences use one thread each: N of them in parallel are faster than one with N threads.

        None if the first session is used for photos in parallel too, in its ``turn``.
        """
        first, provider = self.first()
        if self._threads == 1 or self._low_memory or provider != CPU:
            return None
        with fork_safety.opening:
            if self._many is None:
                # If the file was overwritten in place, the open session still has the checked bytes.
                whole = self._file.content.is_whole()
                self._many = open_session(self._file, provider, 1)[0] if whole else first
            return self._many

    @contextmanager
    def turn(self) -> Iterator[Any]:
        """The first session, for one inference: several run concurrently on the CPU, one at a time on other devices."""
        session, provider = self.first()
        if provider == CPU:
            yield session
        else:
            with self._turns:
                yield session

    def run(self, session: Any, image: NDArray[np.uint8], *outputs: str) -> Any:
        """Run one inference.

        Args:
            session: as ``many`` gives it; None: the first session, in its turn.
            image: RGB uint8 ``[size, size, 3]``.
            outputs: names of the requested outputs.

        Returns:
            The outputs as arrays, each with a batch axis of 1.

        Raises:
            BackendError: onnxruntime failed.
        """
        with self.turn() if session is None else nullcontext(session) as chosen:
            try:
                return chosen.run(outputs, {"image": image[None]})
            except Exception as error:  # onnxruntime's own classes, and MemoryError
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                what = f"onnxruntime failed on a photo ({reason})"
                raise BackendError(what, "if memory ran out, try --low-memory or a smaller model") from error

    def _open_first(self) -> tuple[Any, str] | None:
        with fork_safety.opening:
            if self._first is None and self._error is None:
                try:
                    self._first = open_session(
                        self._file, self._device, self._threads, spin=self._spin, low_memory=self._low_memory
                    )
                except Exception as error:  # raised by ``first``
                    self._error = error
            return self._first
