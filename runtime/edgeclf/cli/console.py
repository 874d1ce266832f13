"""Text for terminals: lines, and a progress count if stderr is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgeclf.events import Event, Message, Progress


def printable(text: str) -> str:
    """Text that is safe to print: control characters, which file names may contain, become escapes as in Python."""
    if text.isprintable():
        return text
    from edgeclf.class_names import shown

    return shown(text)


class Console:
    """Reports to stderr, or not at all."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._bars: dict[str, _Bar] = {}

    def line(self, text: str) -> None:
        """Print one line, in place of a progress bar on the current line."""
        if not self.quiet:
            erase = "\r\x1b[K" if sys.stderr.isatty() else ""
            print(f"{erase}{text}", file=sys.stderr, flush=True)

    def listener(self, event: Event) -> None:
        """Print an event of a library: a message as a line, progress as a bar. Pass it as ``on_event``."""
        if isinstance(event, Message):
            self.line(printable(event.text))
        elif isinstance(event, Progress):
            bar = self._bars.get(event.task) or _Bar(event.task, self._live())
            if event.ended:
                self._bars.pop(event.task, None)
                bar.erase()
            else:
                self._bars[event.task] = bar
                bar.update(event.done, event.total)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show one line during work that takes a while, on terminals only; erased at the end."""
        with self.progress(what) as update:
            update(0, 0)
            yield

    @contextmanager
    def progress(self, what: str, *, live: bool = True) -> Iterator[Callable[[int, int], None]]:
        """A callback (done, total) that keeps one line up to date; erased at the end.

        ``total`` may be 0 while it is unknown; ``live=False`` shows nothing.
        """
        bar = _Bar(what, live and self._live())
        try:
            yield bar.update
        finally:
            bar.erase()

    def _live(self) -> bool:
        return not self.quiet and sys.stderr.isatty()


class _Bar:
    """One line of a terminal with the progress of a task; ``live`` is False if nothing is to be shown."""

    def __init__(self, task: str, live: bool) -> None:
        self.task, self.live = task, live
        self.began, self.shown = time.monotonic(), 0.0

    def update(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.live and (done == total or now - self.shown > 0.1):
            self.shown = now
            count = _count(done, total, now - self.began)
            print(f"\r{self.task}{count}\x1b[K", end="", file=sys.stderr, flush=True)

    def erase(self) -> None:
        if self.live and self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _count(done: int, total: int, seconds: float) -> str:
    """The text after the name, as far as it is known: done/total, rate and time left."""
    if not done and not total:
        return " ..."
    count = f": {done}/{total}" if total else f": {done}"
    if not done or seconds < 2:  # too early to tell
        return count
    rate = done / seconds
    return f"{count}, {rate:.1f}/s" + (f", {_duration((total - done) / rate)} left" if total > done else "")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
