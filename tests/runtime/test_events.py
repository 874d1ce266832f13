"""Events: their order, and a logger that is silent until it is configured."""

import doctest
import logging
import subprocess
import sys

import pytest
from edgeclf import events
from edgeclf.events import Event, Progress, log, progress, say


def test_the_example_runs() -> None:
    done = doctest.testmod(events)
    assert done.attempted >= 3
    assert done.failed == 0


def test_progress_ends_where_it_stood_also_when_the_work_fails() -> None:
    seen: list[Event] = []

    def scan() -> None:
        with progress(seen.append, "scanning") as update:
            update(2, 5)
            raise ValueError("bad photo")

    with pytest.raises(ValueError, match="bad photo"):
        scan()
    assert seen == [Progress("scanning", 2, 5), Progress("scanning", 2, 5, ended=True)]


def test_what_a_listener_raises_ends_the_work() -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress) and not event.ended:
            raise InterruptedError(event.task)

    with pytest.raises(InterruptedError, match="scanning"), progress(stop, "scanning") as update:
        update(1, 5)


def test_messages_go_to_the_logger_with_their_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    say(log, "20 % validate")
    say(log, "100 % of %s", "warning")  # text, not a format
    log(Progress("scanning", 1, 2))
    assert caplog.record_tuples == [
        ("edgeclf", logging.INFO, "20 % validate"),
        ("edgeclf", logging.WARNING, "100 % of %s"),
    ]


def test_nothing_is_printed_by_default() -> None:
    code = "from edgeclf.events import log, say; say(log, 'quiet', 'warning')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
