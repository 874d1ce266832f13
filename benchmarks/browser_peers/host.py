"""A web server of a folder that compresses with gzip, and counts what it sends."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_TYPES = {
    ".html": "text/html; charset=utf-8",
    **dict.fromkeys((".js", ".mjs"), "text/javascript"),
    **{".css": "text/css", ".json": "application/json", ".wasm": "application/wasm"},
}


class Host:
    """A running server.

    Attributes:
        url: of the folder.
        sent: bytes of the bodies that were sent, compressed, by path.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: dict[str, int] = {}


@contextmanager
def serve(folder: Path) -> Iterator[Host]:
    """Serve a folder on a free port of loopback, until the context ends; files that are PUT are kept in it."""
    host = Host("")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folder, host)) as server:
        host.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield host
        finally:
            server.shutdown()


@lru_cache(maxsize=200)
def _packed(path: Path) -> bytes:
    made = path.with_name(path.name + ".gz")
    return made.read_bytes() if made.is_file() else gzip.compress(path.read_bytes(), 9)


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, host: Host, *rest: Any) -> None:
        self._folder, self._host = folder, host
        super().__init__(*rest)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._path().write_bytes(body)
        self.send_response(204)
        self.end_headers()

    def _path(self) -> Path:
        return self._folder / self.path.split("?")[0].lstrip("/")

    def _answer(self, with_body: bool) -> None:
        path = self._path()
        if not path.is_file():
            self.send_error(404)
            return
        body = _packed(path)
        self.send_response(200)
        self.send_header("Content-Type", _TYPES.get(path.suffix, "application/octet-stream"))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self._host.sent[self.path] = self._host.sent.get(self.path, 0) + len(body)
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
