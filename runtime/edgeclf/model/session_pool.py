"""The onnxruntime sessions of one classifier: opened when wanted, and anew in every process it gets into."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import BackendError
from edgeclf.model import fork_safety as forks
from edgeclf.model.file import ModelFile
from edgeclf.model.session import CPU, open_session


class Sessions:
    """One session for a photo at a time, and one for photos side by side.

    Args:
        file: the model.
        device, spin, low_memory: as for ``open_session``.
        threads: CPU threads of the first session.
    """

    def __init__(self, file: ModelFile, device: str, threads: int, *, spin: bool, low_memory: bool) -> None:
        self._file, self._device, self._threads, self._spin, self._low_memory = file, device, threads, spin, low_memory
        self.after_fork()
        forks.renew(self)

    def after_fork(self) -> None:
        """Forget everything that belongs to another process."""
        self._first: tuple[Any, str] | None = None
        self._refused: Exception | None = None
        self._many: Any = None
        self._turns = threading.Lock()

    def begin(self) -> None:
        """Open the first session in a thread; what is wrong with it is raised by ``first``."""
        threading.Thread(target=self._open_first, name="edgeclf-opening").start()

    def first(self) -> tuple[Any, str]:
        """The session, and the execution provider that serves it. Raises what ``open_session`` raises."""
        first = self._first or self._open_first()
        if first is None:
            assert self._refused is not None
            raise self._refused
        return first

    def many(self) -> Any:
        """A session whose inferences use one thread each: measured, N of those side by side beat N threads in one.

        None where the first one serves photos side by side too, each in its ``turn``.
        """
        first, provider = self.first()
        if self._threads == 1 or self._low_memory or provider != CPU:
            return None
        with forks.opening:
            if self._many is None:
                # Written over in place since: the session that is open still is what was checked.
                whole = self._file.content.is_whole()
                self._many = open_session(self._file, provider, 1)[0] if whole else first
            return self._many

    @contextmanager
    def turn(self) -> Iterator[Any]:
        """The first session for one inference: sessions on the CPU serve several at once, on other devices one."""
        session, provider = self.first()
        if provider == CPU:
            yield session
        else:
            with self._turns:
                yield session

    def run(self, session: Any, image: NDArray[np.uint8], *outputs: str) -> Any:
        """One inference of a session, or of the first one in its turn if None.

        Args:
            session: as ``many`` gives it.
            image: RGB uint8 ``[size, size, 3]``.
            outputs: names of the outputs wanted.

        Returns:
            The outputs as arrays, each of a batch of one.

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
        with forks.opening:
            if self._first is None and self._refused is None:
                try:
                    self._first = open_session(
                        self._file, self._device, self._threads, spin=self._spin, low_memory=self._low_memory
                    )
                except Exception as error:  # raised by whoever asks for the session
                    self._refused = error
            return self._first
