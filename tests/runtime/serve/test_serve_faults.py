"""Hostile clients: raw bytes that are no HTTP or nearly so. No 500, no traceback, nothing left behind."""

import os
import random
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import draw
from serving import EDGE, form

START = ["-m", "edgeclf", "serve", "--port", "0", "--max-photo", "1"]


ODD = (b"\r\n", b"\0", b"\xff\xfe", b"%00", b"%", b"A" * 20_000, b": ", b"[]{}", b"\n\n", b"../", b"-1")


class Child:
    """``edgeclf serve`` in a process of its own."""

    def __init__(self, model: Path, errors: Path) -> None:
        self.errors = errors
        with open(errors, "w") as file:
            self.process = subprocess.Popen([sys.executable, *START, "-m", str(model)], stderr=file)
        for _ in range(300):
            if found := re.search(r":(\d+)/", errors.read_text()):
                self.port = int(found[1])
                return
            time.sleep(0.05)
        raise AssertionError(errors.read_text())

    def send(self, data: bytes, *, seconds: float = 10, read: bool = True, abort: bool = False) -> bytes:
        """Send bytes over a connection of their own; the answer, if there is one soon."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            try:
                connection.sendall(data)
                if abort:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return b""
                connection.settimeout(seconds)
                return connection.recv(65536) if read else b""
            except (ConnectionError, TimeoutError):
                return b""

    def resident_kib(self) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def requests(jpeg: bytes) -> list[bytes]:
    """Requests that are right, to be damaged."""
    body = form([("a.jpg", jpeg), ("b.jpg", jpeg[:300])])
    host = b"Host: localhost\r\n"
    return [
        b"POST /predict?top_k=3&name=a.jpg HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (host, len(jpeg), jpeg),
        b"POST /explain?class=king&format=json HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (host, len(jpeg), jpeg),
        b"POST /predict HTTP/1.1\r\n%bAccept: application/x-ndjson\r\n" % host
        + f"Content-Type: multipart/form-data; boundary={EDGE}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body,
        b"POST /predict HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (host, len(jpeg), jpeg),
        b"GET /model?x=%%41 HTTP/1.1\r\n%bCookie: edgeclf_token=a; b=c\r\nOrigin: http://localhost\r\n\r\n" % host,
        b"POST /login HTTP/1.1\r\n%bContent-Length: 11\r\n\r\ntoken=%%ff%%00" % host,
        b"GET /page/../serve/app.py HTTP/1.1\r\n%b\r\n" % host,
        b"GET /v2/models/%%2e%%2e HTTP/1.0\r\n%b\r\n" % host,
    ]


def damaged(request: bytes, chance: random.Random) -> bytes:
    """A request with a few changes, most of them in its head."""
    data = bytearray(request)
    for _ in range(chance.randint(0, 4)):
        at = min(int(chance.expovariate(1 / 60)), len(data) - 1)
        kind = chance.randrange(5)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + chance.randint(1, 30)]
        elif kind == 2:
            data[at:at] = chance.choice(
                [b"\r\n", b"\0", b"\xff\xfe", b"%00", b"%", b"A" * 20_000, b": ", b"[]{}", b"\n\n"]
            )
        elif kind == 3:
            data[at:at] = data[:at]
        else:
            del data[chance.randrange(len(data)) :]
        if not data:
            return b"\r\n"
    return bytes(data)


def attack(model: Path, folder: Path, count: int, seed: int) -> None:
    draw(1, 96, 72).save(folder / "a.jpg")
    jpeg = (folder / "a.jpg").read_bytes()
    good, chance = requests(jpeg), random.Random(seed)
    child = Child(model, folder / "errors.txt")
    statuses: dict[bytes, int] = {}
    try:
        for request in good:
            assert child.send(request)[9:12] in (b"200", b"303", b"404", b"400"), request[:60]
        pool = ThreadPoolExecutor(8)  # damaged requests often lack their end: most of the time is waiting
        tries = [(damaged(chance.choice(good), chance), chance.random() < 0.2) for _ in range(count)]

        def send(one: tuple[bytes, bool]) -> bytes:
            return child.send(one[0], seconds=0.4, abort=one[1])

        memory = descriptors = 0
        for part in (tries[: count // 5], tries[count // 5 :]):
            for (request, _), answer in zip(part, pool.map(send, part), strict=True):
                statuses[answer[9:12]] = statuses.get(answer[9:12], 0) + 1
                assert answer[9:12] != b"500", (seed, request[:300], answer[-300:])
            memory, descriptors = memory or child.resident_kib(), descriptors or child.descriptors()
        pool.shutdown()
        assert child.send(good[0]).startswith(b"HTTP/1.1 200")
        time.sleep(0.5)
        assert child.descriptors() <= descriptors + 8
        assert child.resident_kib() <= memory * 1.1 + 8192
        assert child.process.poll() is None
        assert {b"200", b"400", b"404", b"422", b""} <= set(statuses), statuses
    finally:
        child.process.terminate()
        child.process.wait(60)
    lines = (folder / "errors.txt").read_text().splitlines()
    assert len(lines) == 2, lines[:20]  # where it serves, and how to end it


def test_damaged_requests(model: Path, tmp_path: Path) -> None:
    attack(model, tmp_path, 400, seed=1)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(2, 6))
def test_ten_thousand_damaged_requests(model: Path, tmp_path: Path, seed: int) -> None:
    attack(model, tmp_path, 2500, seed)
