"""Events for code that still reports through a console: to be removed with its last caller."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from edgeclf.events import Event, Listener, progress, say


class ConsoleLike:
    """A listener that also has the methods of ``edgeclf.cli.console.Console`` that libraries use."""

    def __init__(self, on_event: Listener) -> None:
        self._on_event = on_event

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        self._on_event(event)

    def line(self, text: str) -> None:
        """Send a line as a message."""
        say(self._on_event, text)

    def progress(self, what: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """Send progress as events."""
        return progress(self._on_event, what)
