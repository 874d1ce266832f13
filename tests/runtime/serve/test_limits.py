"""Limits: beyond each there is one clear answer, and nothing stays behind."""

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeclf.classifier import Classifier
from edgeclf.serve.predictions import Predictor
from edgeclf.serve.settings import Limits
from helpers import draw
from serving import EDGE, Running, Serve, form

HEAD = "POST /predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def jpeg(photo: Path) -> bytes:
    return photo.read_bytes()


def ended(connection: socket.socket, seconds: float = 20) -> bytes:
    """What the service still sends, until it closes the connection."""
    connection.settimeout(seconds)
    found = b""
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def nothing_is_left(service: Running) -> None:
    """No request and no byte of a photo is counted any more."""
    for _ in range(100):
        text = service.get("/metrics").body.decode()
        lines = ("edgeclf_requests_waiting 0.0", "edgeclf_photo_bytes 0.0", "edgeclf_photos_in_work 0.0")
        if all(line in text for line in lines):
            return
        time.sleep(0.05)
    raise AssertionError(text)


def test_a_photo_that_is_too_large_is_refused_and_the_others_are_answered(serve: Serve, jpeg: bytes) -> None:
    service = serve(limits=Limits(photo_bytes=len(jpeg), stop_seconds=5))
    large = jpeg + b"\0"
    alone = service.post("/predict?name=large.jpg", large)
    assert (alone.status, alone.kind) == (413, "too-large")
    assert alone.value["path"] == "large.jpg"
    assert service.post("/explain?format=json", large).status == 413
    records = service.post_form("/predict", [("a.jpg", jpeg), ("large.jpg", large), ("b.jpg", jpeg)]).value
    assert [one.get("error", {}).get("kind") for one in records] == [None, "too-large", None]
    assert [one["path"] for one in records] == ["a.jpg", "large.jpg", "b.jpg"]
    with service.connect() as connection:  # without a stated length
        chunk = b"%x\r\n%b\r\n" % (len(large), large)
        connection.sendall(
            HEAD.encode() + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunk + b"0\r\n\r\n"
        )
        assert ended(connection).startswith(b"HTTP/1.1 413")
    with service.connect() as connection:  # a stated length alone is enough
        connection.sendall(HEAD.encode() + b"Content-Length: 99999999999\r\nConnection: close\r\n\r\n")
        assert ended(connection).startswith(b"HTTP/1.1 413")
    nothing_is_left(service)


def test_too_many_photos_in_a_form(serve: Serve, jpeg: bytes) -> None:
    service = serve(limits=Limits(photos=3, stop_seconds=5))
    assert len(service.post_form("/predict", [("a.jpg", jpeg)] * 3).value) == 3
    answer = service.post_form("/predict", [("a.jpg", jpeg)] * 4)
    assert (answer.status, answer.kind) == (413, "too-many")
    lines = service.post_form("/predict", [("a.jpg", jpeg)] * 4, Accept="application/x-ndjson")
    assert "too-many" in lines.body.decode()  # the answer may have begun: then the last line says it
    nothing_is_left(service)


def test_a_form_that_is_none(service: Running, jpeg: bytes) -> None:
    whole = form([("a.jpg", jpeg)])
    kind = f"multipart/form-data; boundary={EDGE}"
    for content_type, body in (
        ("multipart/form-data", whole),
        ("multipart/form-data; boundary=", whole),
        (f"multipart/form-data; boundary={'x' * 300}", whole),
        ("multipart/form-data; boundary=other", whole),
        (kind, whole[: len(whole) // 2]),
        (kind, b"no form"),
        (kind, b""),
        (kind, whole.replace(b"Content-Disposition", b"\0\xff")[:200]),
    ):
        answer = service.post("/predict", body, Content_Type=content_type)
        assert (answer.status, answer.kind) == (400, "usage"), (content_type, body[:40])
        assert service.post("/explain", body, Content_Type=content_type).status == 400
    two = service.post_form("/explain", [("a.jpg", jpeg), ("b.jpg", jpeg)])
    assert (two.status, two.kind) == (400, "usage")
    assert service.post("/predict", f"--{EDGE}--\r\n", Content_Type=kind).status in (200, 400)
    nothing_is_left(service)


class Stuck:
    """Classifies when it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.begun = threading.Event(), threading.Semaphore(0)
        predict = Predictor.predict

        def wait(predictor: Predictor, *arguments: Any) -> Any:
            self.begun.release()
            assert self.go.wait(60)
            return predict(predictor, *arguments)

        monkeypatch.setattr(Predictor, "predict", wait)


def in_background(work: Callable[[], Any], count: int) -> tuple[list[threading.Thread], list[Any]]:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


@pytest.mark.parametrize("limits", [Limits(waiting=3, per_client=9), Limits(waiting=9, per_client=3)])
def test_beyond_the_queue_clients_are_told_to_come_back(
    serve: Serve, jpeg: bytes, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, service = Stuck(monkeypatch), serve(limits=limits)
    threads, answers = in_background(lambda: service.post("/predict", jpeg), 3)
    for _ in range(2):
        stuck.begun.acquire(timeout=30)
    while "edgeclf_requests_waiting 3.0" not in service.get("/metrics").body.decode():
        time.sleep(0.01)
    for answer in (service.post("/predict", jpeg), service.post("/explain", jpeg), service.post_form("/predict", [])):
        assert (answer.status, answer.kind, answer.headers["retry-after"]) == (503, "busy", "2")
    assert service.get("/healthz").status == 200  # what takes no photo still answers
    stuck.go.set()
    for thread in threads:
        thread.join(60)
    assert [answer.status for answer in answers] == [200] * 3
    assert service.post("/predict", jpeg).status == 200
    nothing_is_left(service)


def test_photos_that_wait_take_bounded_memory(serve: Serve, jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, service = Stuck(monkeypatch), serve(limits=Limits(memory_bytes=3 * len(jpeg)))
    threads, answers = in_background(lambda: service.post("/predict", jpeg), 3)
    while f"edgeclf_photo_bytes {3.0 * len(jpeg)}" not in service.get("/metrics").body.decode():
        time.sleep(0.01)
    assert service.post("/predict", jpeg).status == 503
    assert service.post_form("/predict", [("a.jpg", jpeg)]).status == 503
    stuck.go.set()
    for thread in threads:
        thread.join(60)
    assert [answer.status for answer in answers] == [200] * 3
    nothing_is_left(service)


def test_a_long_form_is_read_only_as_fast_as_photos_are_classified(
    serve: Serve, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, service = Stuck(monkeypatch), serve(limits=Limits(photos=500))
    threads, answers = in_background(lambda: service.post_form("/predict", [("a.jpg", jpeg)] * 400), 1)
    stuck.begun.acquire(timeout=30)
    time.sleep(0.5)
    line = next(x for x in service.get("/metrics").body.decode().splitlines() if x.startswith("edgeclf_photo_bytes "))
    assert 0 < float(line.split()[1]) < 100 * len(jpeg)
    stuck.go.set()
    threads[0].join(60)
    assert [one["path"] for one in answers[0].value] == ["a.jpg"] * 400
    nothing_is_left(service)


def test_uploads_and_heads_that_stand_still_are_cut_off(serve: Serve, jpeg: bytes) -> None:
    service = serve(limits=Limits(idle_seconds=0.4, stop_seconds=5))
    starts = {
        "nothing": b"",
        "half a head": HEAD.encode(),
        "half a photo": HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(jpeg) + jpeg[:100],
        "half a form": HEAD.encode()
        + f"Content-Type: multipart/form-data; boundary={EDGE}\r\n".encode()
        + b"Content-Length: 90000\r\n\r\n"
        + form([("a.jpg", jpeg)])[:200],
    }
    for what, start in starts.items():
        with service.connect() as connection:
            connection.sendall(start)
            began = time.monotonic()
            answer = ended(connection)
            assert time.monotonic() - began < 8, what
            assert answer.startswith(b"HTTP/1.1 408") == what.endswith(("photo", "form")), (what, answer[:100])
    nothing_is_left(service)


def test_an_upload_of_a_byte_now_and_then_ends_too(serve: Serve, jpeg: bytes) -> None:
    service = serve(limits=Limits(idle_seconds=5, upload_seconds=0.6, stop_seconds=5))
    with service.connect() as connection:
        connection.sendall(HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(jpeg))
        connection.settimeout(0.1)
        began, answer = time.monotonic(), b""
        while not answer and time.monotonic() - began < 10:
            connection.sendall(b"x")
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")
    nothing_is_left(service)


def test_a_client_that_reads_no_answer_is_cut_off(serve: Serve) -> None:
    service = serve(limits=Limits(idle_seconds=0.5, stop_seconds=5))
    with service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /page/page.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.settimeout(1)

        def send_for_ever() -> None:
            end = time.monotonic() + 15
            while time.monotonic() < end:
                connection.sendall(request * 50)

        with pytest.raises((ConnectionError, TimeoutError)):
            send_for_ever()
    nothing_is_left(service)


def test_clients_that_go_away_leave_nothing(serve: Serve, jpeg: bytes) -> None:
    import os

    service = serve(limits=Limits(idle_seconds=5, stop_seconds=5))
    service.post("/predict", jpeg)
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    whole = HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(jpeg) + jpeg
    several = HEAD.encode() + f"Content-Type: multipart/form-data; boundary={EDGE}\r\n".encode()
    body = form([("a.jpg", jpeg)] * 4)
    several += b"Accept: application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for number in range(500):
        request = whole if number % 2 else several
        connection = service.connect()
        connection.sendall(request[: len(request) * number // 499])
        if number % 3 == 0:  # a reset instead of an orderly end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        time.sleep(0.002)  # else more are open at once than one address may have
    nothing_is_left(service)
    assert service.post("/predict", jpeg).status == 200
    if descriptors:
        for _ in range(100):
            if len(os.listdir("/proc/self/fd")) <= descriptors + 1:
                break
            time.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 1


def test_nothing_of_a_photo_is_written(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a temporary file of a large upload, which is what starlette's own forms do."""
    import tempfile

    for name in ("NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, lambda *_, **__: pytest.fail("a temporary file"))
    service = serve()
    large = draw(1, 2400, 1800)
    large.save(tmp_path / "large.bmp")
    data = (tmp_path / "large.bmp").read_bytes()
    assert len(data) > 4 * 2**20
    assert service.post("/predict", data).status == 200
    assert [one.get("error") for one in service.post_form("/predict", [("a.bmp", data)] * 2).value] == [None, None]


def test_answers_under_load_are_those_of_one_client(serve: Serve, make_model: Callable[..., Path]) -> None:
    model = make_model(int8=True)
    service, classifier = serve(model=model), Classifier(model)
    import io

    photos = []
    for seed in range(6):
        buffer = io.BytesIO()
        draw(seed).save(buffer, "PNG")
        photos.append(buffer.getvalue())
    expected = [[(one.label, round(one.probability, 6)) for one in classifier.predict(data).ranking] for data in photos]

    def ask() -> list[bool]:
        found = []
        for data, ranking in list(zip(photos, expected, strict=True)) * 4:
            answer = service.post("/predict", data).value["predictions"]
            found.append([(one["label"], one["probability"]) for one in answer] == ranking)
        return found

    threads, answers = in_background(ask, 8)
    for thread in threads:
        thread.join(60)
    assert json.dumps(answers) == json.dumps([[True] * 24] * 8)
