"""What long work tells whoever called it: typed events, given to one function.

Libraries never print. Everything in edgeclf that takes a while has a parameter ``on_event``: a function that gets each
event as it happens, in the thread that works. The command line gives one that prints lines and bars; a notebook or a
service gives its own. Without one, messages go to the logger ``edgeclf``, which is silent until the program configures
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

What such a function raises comes through, and ends the work: so work can be cancelled.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Event:
    """Something that happened. Packages derive their own from ``Message`` and ``Progress``."""


@dataclass(frozen=True)
class Message(Event):
    """A line of text for people.

    Attributes:
        text: one line, without a full stop at its end.
        level: "warning" where the result may not be what the user wants.
    """

    text: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True)
class Progress(Event):
    """How far a task is.

    Attributes:
        task: what is being done, "scanning" for example.
        done: how many of its steps are done.
        total: how many there are, 0 for as long as nobody knows.
        ended: the task is over, done or not; a bar can go.
    """

    task: str
    done: int
    total: int
    ended: bool = False


Listener: TypeAlias = Callable[[Event], None]


def log(event: Event) -> None:
    """Send messages to the logger ``edgeclf``, and nothing else anywhere."""
    if isinstance(event, Message):
        import logging  # takes milliseconds, and the command line does without

        logger = logging.getLogger("edgeclf")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # else Python prints warnings by itself
        logger.log(logging.WARNING if event.level == "warning" else logging.INFO, "%s", event.text)


def ignore(event: Event) -> None:
    """Do nothing with an event."""


def say(listener: Listener, text: str, level: Literal["info", "warning"] = "info") -> None:
    """Send a ``Message``."""
    listener(Message(text, level))


@contextmanager
def progress(listener: Listener, task: str) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that sends a ``Progress``; the last one, ``ended``, is sent when the block is left."""
    last = (0, 0)

    def update(done: int, total: int) -> None:
        nonlocal last
        last = done, total
        listener(Progress(task, done, total))

    try:
        yield update
    finally:
        listener(Progress(task, *last, ended=True))
