"""ImageNet weights of timm's networks: from the hub's cache, from a hub, and without a network."""

import hashlib
import http.server
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from edgeclf.errors import WeightsError
from edgeclf_training.networks.hub_weights import HubWeights, LinkedWeights

constants = pytest.importorskip("huggingface_hub.constants", reason="the extra [timm] is not installed")

WEIGHTS = HubWeights("timm/some_network.a1", None, "apache-2.0")
CONTENT = b"weights " * 100


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to other machines are a failure; this one may be asked."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] != "127.0.0.1":
            raise AssertionError(f"network access: {address}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


def _use(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


class _Hub(http.server.BaseHTTPRequestHandler):
    """Has one file of one repository."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        found = urlsplit(self.path).path == f"/{WEIGHTS.repository}/resolve/main/pytorch_model.bin"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(CONTENT) if found else 0))
        if found:
            self.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Nothing on the console."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on this machine; what it was asked for."""
    _Hub.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        _use(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield _Hub.asked
        server.shutdown()


def test_they_are_downloaded_once(asked: list[str], cache: Path) -> None:
    """Of the usual names, the repository has the second one."""
    path = WEIGHTS.fetch()
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(cache)
    requests = len(asked)
    assert requests >= 3
    assert WEIGHTS.fetch() == path
    assert len(asked) == requests, "the cache first: no network is needed twice"


def test_a_repository_without_such_a_file_is_one_line(asked: list[str]) -> None:
    with pytest.raises(WeightsError, match=r"cannot be downloaded \(.*404.*--weights FILE") as caught:
        HubWeights("timm/some_network.a1", "nosuch.bin", "mit").fetch()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("offline", [True, False], ids=["offline mode", "nobody answers"])
def test_without_a_network_one_line_is_told_at_once(
    offline: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:  # a port where nobody listens
        unused.bind(("127.0.0.1", 0))
        _use(monkeypatch, f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        began = time.monotonic()
        with caplog.at_level(logging.WARNING), pytest.raises(WeightsError) as caught:
            WEIGHTS.fetch()
    message = str(caught.value)
    assert time.monotonic() - began < 5, "huggingface_hub alone tries for 24 s"
    assert ("offline mode" if offline else "Connection refused") in message
    assert f"{constants.ENDPOINT}/timm/some_network.a1/resolve/main/model.safetensors" in message
    assert "--weights FILE" in message
    assert len(message.splitlines()) == 1
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_behind_a_proxy_the_hub_itself_need_not_answer(
    name: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's hub plays the proxy for one whose address leads nowhere."""
    monkeypatch.setenv(name, constants.ENDPOINT)
    _use(monkeypatch, "http://hub.invalid")
    assert WEIGHTS.fetch().read_bytes() == CONTENT
    assert all(path.startswith("http://hub.invalid/") for path in asked)


def test_an_address_outside_the_hub_is_told(asked: list[str]) -> None:
    with pytest.raises(WeightsError, match=r"not on the Hugging Face hub.*https://example.org/w.pth.*--weights FILE"):
        LinkedWeights("https://example.org/w.pth", "mit").fetch()
    assert asked == []
