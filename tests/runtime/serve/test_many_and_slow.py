"""Clients that would keep the service busy, or its connections open: in small parts, slowly, or very many."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from edgeclf.serve.predictions import Predictor
from edgeclf.serve.settings import Access, Limits
from serving import EDGE, Running, Serve

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def jpeg(photo: Path) -> bytes:
    return photo.read_bytes()


def metric(service: Running, name: str) -> float:
    lines = service.get("/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@pytest.mark.parametrize("path", ["/explain", "/predict"])
def test_a_form_that_is_refused_in_the_middle_leaves_no_bytes_counted(serve: Serve, jpeg: bytes, path: str) -> None:
    """Its photos come in one piece: some are complete when the form turns out to be wrong."""
    service = serve(limits=Limits(photos=50, stop_seconds=5))
    parts = [("a.jpg", b"x" * 200)] * (49 if path == "/explain" else 60)
    for _ in range(20):
        assert service.post_form(path, parts).status in (400, 413)
    for _ in range(100):
        if metric(service, "edgeclf_photo_bytes") == 0:
            return
        time.sleep(0.02)
    raise AssertionError(metric(service, "edgeclf_photo_bytes"))


def test_chunks_of_one_byte_end_the_connection(serve: Serve) -> None:
    """For each the event loop does as much as for a whole request."""
    service = serve(access=Access("a-long-token"))
    stop, ended = threading.Event(), threading.Event()

    def flood() -> None:
        with service.connect() as connection:
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            try:
                while not stop.is_set():
                    connection.sendall(b"1\r\nx\r\n" * 5000)
            except OSError:
                ended.set()

    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert ended.wait(15)
    began = time.monotonic()
    assert service.get("/healthz").status == 200
    assert time.monotonic() - began < 3
    stop.set()
    for thread in threads:
        thread.join(30)


def test_many_small_requests_on_one_connection_are_no_flood(service: Running, jpeg: bytes) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    for _ in range(1500):
        connection.request("POST", "/sort", b"x")  # no such address: 404 at once
        assert connection.getresponse().read()
    connection.request("POST", "/predict", jpeg)
    assert connection.getresponse().status == 200
    connection.close()


def test_an_upload_that_goes_on_after_its_answer_is_ended(serve: Serve) -> None:
    service = serve(access=Access("a-long-token"), limits=Limits(stop_seconds=5))
    with service.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        connection.settimeout(1)
        began = time.monotonic()
        with pytest.raises((ConnectionError, BrokenPipeError)):
            _send_now_and_then(connection, began)
        assert time.monotonic() - began < 10


def _send_now_and_then(connection: socket.socket, began: float) -> None:
    while time.monotonic() - began < 15:
        connection.sendall(b"1\r\nx\r\n")
        time.sleep(0.1)


def test_idle_connections_are_bounded_and_one_address_cannot_take_all(serve: Serve) -> None:
    service = serve(limits=Limits(connections=40, stop_seconds=5))
    idle = [service.connect() for _ in range(60)]
    time.sleep(0.3)
    alive = 0
    for connection in idle:
        connection.setblocking(False)
        try:
            alive += connection.recv(1) != b""
        except BlockingIOError:
            alive += 1
        except ConnectionError:
            pass
    assert alive <= 20
    for connection in idle:
        connection.close()
    for _ in range(100):
        try:
            assert service.get("/healthz").status == 200
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the service does not answer")


def test_a_slow_reader_that_goes_on_reading_gets_everything(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    service = serve(limits=Limits(idle_seconds=0.5, bytes_per_second=10_000, stop_seconds=5))
    monkeypatch.setattr(Predictor, "overlay", lambda *_: (None, b"x" * 1_500_000))
    monkeypatch.setattr("edgeclf.serve.metrics.Metrics.photo", lambda *_: None)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", service.port))
        connection.sendall(
            b"POST /explain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
        )
        found, began = 0, time.monotonic()
        while chunk := connection.recv(30_000):
            found += len(chunk)
            time.sleep(0.02)
    assert found > 1_500_000
    assert time.monotonic() - began > 1  # longer than the time limit


def test_a_form_may_take_longer_than_an_upload_because_its_photos_do(
    serve: Serve, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Predictor.predict

    def slowly(predictor: Predictor, *arguments: Any) -> Any:
        time.sleep(0.1)
        return predict(predictor, *arguments)

    monkeypatch.setattr(Predictor, "predict", slowly)
    service = serve(limits=Limits(upload_seconds=0.5, idle_seconds=0.5, stop_seconds=5))
    records = service.post_form("/predict", [("a.jpg", jpeg)] * 30).value
    assert [one["unknown"] for one in records] == [False] * 30


def test_errors_reach_clients_that_send_everything_first(serve: Serve, tmp_path: Path) -> None:
    """Such as Python's own urllib, and with ``Connection: close``."""
    service = serve(access=Access("a-long-token"), limits=Limits(photo_bytes=2**20, waiting=1, stop_seconds=5))
    body = b"x" * 3_000_000
    for path, token, status in (
        ("predict", "wrong-token", 401),
        ("predict?top_k=0", "a-long-token", 400),
        ("no", "", 401),
    ):
        request = urllib.request.Request(f"http://127.0.0.1:{service.port}/{path}", body)
        request.add_header("Authorization", f"Bearer {token}")
        with pytest.raises(urllib.error.HTTPError) as found:
            urllib.request.urlopen(request, timeout=30)
        assert found.value.code == status
        assert json.load(found.value)["error"]["message"]


def test_names_of_files_in_forms(service: Running, jpeg: bytes) -> None:
    def named(disposition: str) -> Any:
        body = f"--{EDGE}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + jpeg
        body += f"\r\n--{EDGE}--\r\n".encode()
        return service.post("/predict", body, Content_Type=f"multipart/form-data; boundary={EDGE}")

    assert named('name="f"; filename="a b.jpg"').value[0]["path"] == "a b.jpg"
    assert named('name="f"; filename="%22q%22.jpg"').value[0]["path"] == '"q".jpg'
    assert named("name=f; filename*=UTF-8''caf%C3%A9.jpg").value[0]["path"] == "café.jpg"
    assert named('name="f"; filename=""').value[0]["path"] == "-"
    text = named('name="top_k"')
    assert (text.status, text.kind) == (400, "usage")
    assert "'top_k'" in text.value["error"]["message"]


def test_the_number_of_threads_follows_the_memory(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    from edgeclf.classifier import Classifier
    from edgeclf.hardware import Memory
    from edgeclf.serve import app

    classifier = Classifier(model, threads=4)
    for mib, threads in ((300, 1), (800, 1), (1100, 2), (9000, 4)):
        monkeypatch.setattr(app, "memory", lambda mib=mib: Memory(None, mib * 2**20))
        assert app._threads(classifier, Limits(memory_bytes=512 * 2**20)) == threads
    monkeypatch.setattr(app, "memory", lambda: Memory(None, None))
    assert app._threads(classifier, Limits()) == 4
