"""Text for terminals, and what long work tells people: lines, and a progress count where stderr is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def printable(text: str) -> str:
    """File names may hold anything, terminal escapes included: show what is not printable as Python would."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Console:
    """Reports to stderr, or not at all."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def line(self, text: str) -> None:
        """Print one line, in place of what a progress bar left on the current one."""
        if not self.quiet:
            erase = "\r\x1b[K" if sys.stderr.isatty() else ""
            print(f"{erase}{text}", file=sys.stderr, flush=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """One line while something takes a while, on terminals only; erased at the end."""
        with self.progress(what) as update:
            update(0, 0)
            yield

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A callback (done, all, or 0 where nobody knows) that keeps one line up to date; erased at the end."""
        live = not self.quiet and sys.stderr.isatty()
        shown = 0.0

        def update(done: int, total: int) -> None:
            nonlocal shown
            if live and (done == total or time.monotonic() - shown > 0.1):
                shown = time.monotonic()
                count = f": {done}/{total}" if total else f": {done}" if done else " ..."
                print(f"\r{what}{count}", end="", file=sys.stderr, flush=True)

        try:
            yield update
        finally:
            if live and shown:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
