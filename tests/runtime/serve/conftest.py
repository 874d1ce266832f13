"""Services for tests."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra [serve]")

from edgeclf.classifier import Classifier
from edgeclf.serve.settings import Access, Limits, Settings
from serving import Running, Serve, running


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections of the test's own process to other machines are a failure."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"network access: {address}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def serve(make_model: Callable[..., Path]) -> Iterator[Serve]:
    """Starts services: serve(), serve(limits=Limits(...)), serve(access=Access(...), model=...)."""
    stack: list[Any] = []

    def start(
        *, model: Path | None = None, access: Access | None = None, limits: Limits | None = None, **more: Any
    ) -> Running:
        classifier = Classifier(model or make_model(), threads=2)
        settings = Settings(access or Access(), limits or Limits(stop_seconds=5), "small.onnx", **more)
        context = running(classifier, settings)
        stack.append(context)
        return context.__enter__()

    yield start
    for context in reversed(stack):
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def service(make_model: Callable[..., Path]) -> Iterator[Running]:
    """One service without special settings for the tests of a module."""
    classifier = Classifier(make_model(display={"king": "Königspinguin"}), threads=2)
    with running(classifier, Settings(limits=Limits(stop_seconds=5), model_file="small.onnx")) as found:
        yield found
