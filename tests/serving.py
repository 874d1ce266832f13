"""A running service for tests: a real server on loopback, in a thread of the test's process."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgeclf.classifier import Classifier
from edgeclf.serve.app import create_app
from edgeclf.serve.server import Service, listen
from edgeclf.serve.settings import Settings

EDGE = "edgeXedge"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: its status, its headers in lower case, its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        """Of an error."""
        return str(self.value["error"]["kind"])


@dataclass(frozen=True)
class Running:
    """A service that answers on a port of loopback."""

    port: int
    service: Service

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = b"", **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def post_form(self, path: str, photos: list[tuple[str, bytes]], **headers: str) -> Answer:
        """Photos with their names as a form."""
        return self.post(path, form(photos), Content_Type=f"multipart/form-data; boundary={EDGE}", **headers)

    def connect(self) -> socket.socket:
        """A connection for raw bytes."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


def form(photos: list[tuple[str, bytes]]) -> bytes:
    """The body of a form, as browsers and curl write it."""
    parts = [
        f'--{EDGE}\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n'.encode()
        + b"Content-Type: image/jpeg\r\n\r\n"
        + photo
        + b"\r\n"
        for name, photo in photos
    ]
    return b"".join(parts) + f"--{EDGE}--\r\n".encode()


Serve = Callable[..., Any]


@contextmanager
def running(classifier: Classifier, settings: Settings) -> Iterator[Running]:
    """A service until the context ends."""
    listener = listen("127.0.0.1", 0)
    service = Service(create_app(classifier, settings), listener, settings.limits)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        found = Running(listener.getsockname()[1], service)
        end = time.monotonic() + 60
        while not service.started and thread.is_alive() and time.monotonic() < end:
            time.sleep(0.01)
        yield found
    finally:
        service.stop()
        thread.join(60)
        assert not thread.is_alive(), "the service did not end"
