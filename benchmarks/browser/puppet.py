"""A browser that runs the page's modules on what it gets: started with a new profile, without a driver."""

import json
import queue
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgeclf.web.browser_runtime import PAGE_FOLDER, read_browser_runtime

HERE = Path(__file__).parent
SECONDS = 600  # for one answer, on a machine that is busy
_CHROMIUM = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_TYPES = {".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm"}
Answer = tuple[dict[str, Any], list[bytes]]


class Puppet:
    """A page in a browser.

    Attributes:
        browser: what the browser says that it is.
    """

    def __init__(self, asked: "queue.Queue[bytes]", said: "queue.Queue[Answer]", process: subprocess.Popen[bytes]):
        self._asked, self._said, self.process = asked, said, process
        self.browser = str(self._next()[0]["browser"])

    def ask(self, kind: str, payload: bytes = b"", **job: Any) -> Answer:
        """What the page finds: ``puppet.js`` has the kinds.

        Raises:
            RuntimeError: it failed, or said nothing for too long.
        """
        text = json.dumps({"kind": kind, **job}).encode()
        self._asked.put(struct.pack("<I", len(text)) + text + payload)
        return self._next() if kind != "end" else ({}, [])

    def _next(self) -> Answer:
        try:
            head, parts = self._said.get(timeout=SECONDS)
        except queue.Empty:
            raise RuntimeError(f"no answer from the browser for {SECONDS} s") from None
        if "failed" in head:
            raise RuntimeError(head["failed"])
        return head, parts


@contextmanager
def puppet(name: str) -> Iterator[Puppet]:
    """A page in "chromium" or "firefox", until the context ends."""
    asked: queue.Queue[bytes] = queue.Queue()
    said: queue.Queue[Answer] = queue.Queue()
    handler = partial(_Handler, asked, said)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/puppet.html"
        none = subprocess.DEVNULL
        process = subprocess.Popen(_command(name, profile, address), stdout=none, stderr=none)
        try:
            yield Puppet(asked, said, process)
        finally:
            asked.put(struct.pack("<I", 14) + b'{"kind":"end"}')
            process.terminate()
            process.wait(30)
            server.shutdown()


def installed(name: str) -> str | None:
    """The program of "chromium" or "firefox", None without one."""
    names = {"chromium": ("chromium",), "firefox": ("firefox-esr", "firefox")}[name]
    return next((found for one in names if (found := shutil.which(one))), None)


def _command(name: str, profile: str, address: str) -> Sequence[str]:
    program = installed(name)
    if program is None:
        raise RuntimeError(f"{name} is not installed")
    if name == "chromium":
        return (program, *_CHROMIUM, f"--user-data-dir={profile}", address)
    return (program, "--headless", "--no-remote", "--profile", profile, address)


class _Handler(BaseHTTPRequestHandler):
    """Gives the page's files, takes an answer, and gives the next job."""

    def __init__(self, asked: "queue.Queue[bytes]", said: "queue.Queue[Answer]", *rest: Any) -> None:
        self._asked, self._said = asked, said
        super().__init__(*rest)

    def do_GET(self) -> None:
        path = self.path.split("?")[0].lstrip("/")
        vendor = read_browser_runtime().files
        name = path.removeprefix("page/vendor/")
        file = PAGE_FOLDER / path.removeprefix("page/") if path.startswith("page/") else HERE / path
        if name not in vendor and not file.is_file():
            self.send_error(404)
            return
        self._send(vendor[name] if name in vendor else file.read_bytes(), _TYPES.get(file.suffix, "text/plain"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (length,) = struct.unpack_from("<I", body)
        head, at, parts = json.loads(body[4 : 4 + length]), 4 + length, []
        for size in head["sizes"]:
            parts.append(body[at : at + size])
            at += size
        self._said.put((head, parts))
        self._send(self._asked.get(), "application/octet-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
