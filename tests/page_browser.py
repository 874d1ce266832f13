"""A browser and services for the tests of the pages. Needs playwright's Python package and Debian's chromium."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless chromium; skips where it or playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser: Any, **options: Any) -> Iterator[Any]:
    """A page in a new context; at its end there must have been no error in its scripts, and nothing blocked."""
    context = browser.new_context(**options)
    context.set_default_timeout(20_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    try:
        yield page
    finally:
        context.close()
    assert wrong == []


class Service:
    """``edgeclf serve`` in a child process, on a free port that it keeps when it is started again.

    Args:
        arguments: of the command.
    """

    def __init__(self, *arguments: str | Path) -> None:
        self._arguments, self._port = arguments, 0
        self.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Return when it serves."""
        command = [sys.executable, "-m", "edgeclf", "serve", "--port", str(self._port), *map(str, self._arguments)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self._port = int(found[1])
                return
        raise AssertionError(f"the service did not start: {said}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and return when it has ended."""
        self._process.send_signal(how)
        self._process.wait(20)
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def running(*arguments: str | Path) -> Iterator[Service]:
    """A service, ended at the end."""
    pytest.importorskip("starlette", reason="needs the extra [serve]")
    pytest.importorskip("uvicorn", reason="needs the extra [serve]")
    service = Service(*arguments)
    try:
        yield service
    finally:
        service.stop(signal.SIGKILL)
