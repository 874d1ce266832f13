"""Signals that end a command: after the photos that are being classified, or at once before any work has begun."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from edgeclf.cli.console import Console

_MAX_SLEEP = 0.2  # seconds, so that a signal is noticed soon


class Stopping:
    """A context in which the first SIGINT or SIGTERM only sets ``signal``; the next one interrupts.

    Attributes:
        signal: the number of the signal that asked to stop, None before.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stopping":
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as in a background job of a shell
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self.signal is not None

    def wait(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until asked to stop."""
        end = time.monotonic() + seconds
        while not self and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _MAX_SLEEP))

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def loading(what: str) -> Iterator[None]:
    """A context for imports that take seconds: it shows a line, and Ctrl-C ends the process at once.

    The import of torch loses one KeyboardInterrupt in twenty, or leaves modules behind that fail later.
    """

    def end(number: int, frame: FrameType | None) -> None:
        if sys.stderr.isatty():
            os.write(2, b"\r\x1b[K")
        os._exit(128 + number)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)
    try:
        with Console().waiting(f"loading {what}"):
            yield
    finally:
        signal.signal(signal.SIGINT, before)
