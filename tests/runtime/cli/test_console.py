"""The console prints the events of libraries."""

import io
import sys

import pytest
from edgeclf.cli.console import Console
from edgeclf.events import progress, say


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_a_message_becomes_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(Console().listener, "no val/ folder", "warning")
    assert capsys.readouterr().err == "no val/ folder\n"


def test_progress_becomes_a_bar_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    console, shown = Console(), terminal(monkeypatch)
    with progress(console.listener, "scanning") as update:
        update(1, 2)
        update(2, 2)
    assert shown.getvalue() == "\rscanning: 1/2\x1b[K\rscanning: 2/2\x1b[K\r\x1b[K"
    with progress(console.listener, "scanning") as update:  # the same task again is a bar of its own
        update(2, 2)
    assert shown.getvalue().endswith("\rscanning: 2/2\x1b[K\r\x1b[K")


def test_no_bar_without_a_terminal_and_nothing_at_all_when_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress(Console().listener, "scanning") as update:
        update(1, 1)
    assert capsys.readouterr().err == ""
    shown = terminal(monkeypatch)
    quiet = Console(quiet=True)
    say(quiet.listener, "hello")
    with progress(quiet.listener, "scanning") as update:
        update(1, 1)
    assert shown.getvalue() == ""
