"""Events: how long-running functions report progress and messages.

Libraries never print. A function that takes long has a parameter ``on_event``: a callback that gets each event as it
happens, in the thread that works. The command line's callback prints lines and progress bars; a notebook or a service
has its own. Without a callback, messages go to the logger ``edgeclf``, which is silent until the program configures
logging.

    >>> def on_event(event):
    ...     if isinstance(event, Progress):
    ...         print(event.task, event.done, "of", event.total)
    ...     elif isinstance(event, Message):
    ...         print(event.level, event.text)
    >>> say(on_event, "no val/ folder: 20 % of the photos validate")
    info no val/ folder: 20 % of the photos validate
    >>> with progress(on_event, "scanning") as update:
    ...     update(1, 2)
    scanning 1 of 2
    scanning 1 of 2

An exception that the callback raises ends the work: so work can be cancelled.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Event:
    """Base of all events. Packages derive their own from ``Message`` and ``Progress``."""


@dataclass(frozen=True)
class Message(Event):
    """A line of text for the user.

    Attributes:
        text: one line, without a full stop at its end.
        level: "warning" if the result may not be what the user wants.
    """

    text: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True)
class Progress(Event):
    """Progress of a task.

    Attributes:
        task: its name, for example "scanning".
        done: number of completed steps.
        total: number of all steps, 0 as long as it is unknown.
        ended: the task has ended, completed or not; a progress bar can be removed.
    """

    task: str
    done: int
    total: int
    ended: bool = False


Listener: TypeAlias = Callable[[Event], None]


def log(event: Event) -> None:
    """Send messages to the logger ``edgeclf``, and ignore all other events."""
    if isinstance(event, Message):
        import logging  # importing it takes milliseconds, and the command line does not need it

        logger = logging.getLogger("edgeclf")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # without a handler, Python prints warnings
        logger.log(logging.WARNING if event.level == "warning" else logging.INFO, "%s", event.text)


def ignore(event: Event) -> None:
    """Ignore an event."""


def say(listener: Listener, text: str, level: Literal["info", "warning"] = "info") -> None:
    """Send a ``Message``."""
    listener(Message(text, level))


@contextmanager
def progress(listener: Listener, task: str) -> Iterator[Callable[[int, int], None]]:
    """Report the progress of a block: gives a function ``update(done, total)`` that sends a ``Progress``.

    At the end of the block, the last ``Progress`` is sent again with ``ended``.
    """
    last = (0, 0)

    def update(done: int, total: int) -> None:
        nonlocal last
        last = done, total
        listener(Progress(task, done, total))

    try:
        yield update
    finally:
        listener(Progress(task, *last, ended=True))
