"""Trying a site on this machine: a small web server, on loopback only."""

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json"}


class _Handler(SimpleHTTPRequestHandler):
    """Sends the compressed file where there is one, so that a visit transfers what it will on the real host."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012 - as the base class has it

    def send_head(self) -> Any:
        found = Path(self.translate_path(self.path))
        packed = found.with_name(f"{found.name}.gz")
        if self.path.endswith("/") or "gzip" not in self.headers.get("Accept-Encoding", "") or not packed.is_file():
            return super().send_head()
        file = open(packed, "rb")  # noqa: SIM115 - the caller closes it
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(found)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(packed.stat().st_size))
        self.end_headers()
        return file

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *args: Any) -> None:
        pass  # browsers end connections as they like


def listen(folder: Path, port: int) -> ThreadingHTTPServer:
    """A web server of a folder, for ``serve_forever``; its ``server_address`` has the port.

    Args:
        folder: the site.
        port: 0 for any free one.

    Raises:
        OSError: the port is in use.
    """
    return _Server(("127.0.0.1", port), functools.partial(_Handler, directory=str(folder)))
