"""Ending when asked to: with the work in hand finished, or at once where none has begun."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from edgeclf.cli.console import Console

_STEP = 0.2  # seconds; a signal must not be noticed late


class Stopping:
    """While it lasts, the first SIGINT or SIGTERM only asks to stop, by ``signal``; the next one interrupts.

    Attributes:
        signal: which signal asked, None as long as none did.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stopping":
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # what a shell starts in the background ignores SIGINT
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
        """Sleep, or less if asked to stop."""
        end = time.monotonic() + seconds
        while not self and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _STEP))

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Imports that take seconds, and a line that says so. Ctrl-C ends the process there and then.

    torch's import swallows one KeyboardInterrupt in twenty, or leaves modules behind that fail later.
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
