"""A browser and services for the tests of the pages. Needs playwright's Python package and Debian's chromium."""

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


@contextmanager
def open_browser(*arguments: str) -> Iterator[Any]:
    """A headless chromium with further arguments; skips where it or playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, *arguments])
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


@contextmanager
def static_host(folder: Path, path: str = "/") -> Iterator["StaticHost"]:
    """A web server that knows nothing of edgeclf: no compression, and types of its own. It may be stopped earlier."""
    host = StaticHost(folder, path)
    try:
        yield host
    finally:
        host.stop()


class StaticHost:
    """A web server of a folder, under a path, on a free port of loopback.

    Args:
        folder: what it serves.
        path: begins and ends with /.

    Attributes:
        asked: addresses that were asked for.
        said: what was sent to it.
    """

    def __init__(self, folder: Path, path: str) -> None:
        class Handler(SimpleHTTPRequestHandler):
            def translate_path(handler, address: str) -> str:  # noqa: N805
                bare = address.split("?")[0]
                self.asked.append(bare)
                inside = bare.removeprefix(path) if bare.startswith(path) else "outside"
                return super().translate_path("/" + inside)

            def do_POST(handler) -> None:  # noqa: N805
                self.said.put(handler.rfile.read(int(handler.headers["Content-Length"])))
                handler.send_response(204)
                handler.end_headers()

            def log_message(handler, *args: object) -> None:  # noqa: N805
                pass

        self.asked: list[str] = []
        self.said: queue.Queue[bytes] = queue.Queue()

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                pass  # a browser ends connections as it likes

        self._server = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def stop(self) -> None:
        """No connection is answered any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what a browser cannot know: folders, the device, and the time of a file below milliseconds."""
    name, error = Path(record["path"]).name, record.get("error")
    if error is not None:
        record = {**record, "error": {**error, "message": error["message"].replace(record["path"], name)}}
    if "modified" in record:
        record = {**record, "modified": record["modified"][:23], "folder": None}
    return {**record, "path": name, "device": "-"}


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
