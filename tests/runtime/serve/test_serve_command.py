"""``edgeclf serve``: what it prints, refuses, and how it ends."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers import draw

Run = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def serving(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``edgeclf serve`` in a child, and the address that it printed."""
    command = [sys.executable, "-m", "edgeclf", "serve", "--port", "0", *map(str, arguments)]
    variables = {**os.environ, **environment}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables) as child:
        try:
            assert child.stderr is not None
            line = child.stderr.readline()
            found = re.search(r"http://\S+", line)
            assert found, line + child.stderr.read()
            yield child, found[0]
        finally:
            if child.poll() is None:
                child.kill()


def port_of(address: str) -> int:
    found = re.search(r":(\d+)/", address)
    assert found
    return int(found[1])


def ask(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text.startswith((b"{", b"[")) else text


def wait_ready(port: int) -> None:
    for _ in range(300):
        try:
            if ask(port, "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("not ready")


def rest(child: subprocess.Popen[str]) -> str:
    assert child.stderr is not None
    return child.stderr.read()


def test_sigterm_answers_what_is_in_work_and_ends_with_0(model: Path, tmp_path: Path) -> None:
    draw(1, 3000, 2000).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    with serving("-m", model) as (child, address):
        port = port_of(address)
        wait_ready(port)
        answers: list[Any] = []
        clients = [threading.Thread(target=lambda: answers.append(ask(port, "/predict", data))) for _ in range(6)]
        for client in clients:
            client.start()
        while "edgeclf_requests_waiting 6.0" not in ask(port, "/metrics")[1].decode() and len(answers) < 3:
            time.sleep(0.001)
        child.send_signal(signal.SIGTERM)
        for client in clients:
            client.join(60)
        assert child.wait(60) == 0
        assert [status for status, _ in answers] == [200] * 6
        assert "Traceback" not in rest(child)


def test_ctrl_c_ends_with_130_and_twice_at_once(model: Path) -> None:
    with serving("-m", model) as (child, address):
        wait_ready(port_of(address))
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
        assert rest(child) == "Ctrl-C ends it\n"
    with serving("-m", model) as (child, address), socket.create_connection(("127.0.0.1", port_of(address))) as idle:
        wait_ready(port_of(address))
        idle.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")  # never ends
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert child.poll() is None  # it waits for the upload
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 130


def test_beyond_this_machine_a_token_is_made_and_asked_for(model: Path) -> None:
    with serving("-m", model, "--host", "0.0.0.0") as (_, address):
        found = re.search(r"/\?token=([\w-]{24})$", address)
        assert found, address
        port = port_of(address)
        assert ask(port, "/model")[0] == 401
        assert ask(port, "/model", Authorization=f"Bearer {found[1]}")[0] == 200
    with serving("-m", model, "--host", "0.0.0.0", "--no-token") as (child, address):
        assert "token" not in address
        assert ask(port_of(address), "/model")[0] == 200
        child.terminate()
        assert "everybody in this network may use it" in rest(child)
    for arguments, environment in (((), {"EDGECLF_TOKEN": "from-environment"}), (("--token", "from-environment"), {})):
        with serving("-m", model, *arguments, **environment) as (_, address):
            assert address.endswith("/")  # a secret of the user's own does not belong in a log
            assert ask(port_of(address), "/model")[0] == 401
            assert ask(port_of(address), "/model", Authorization="Bearer from-environment")[0] == 200


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--token", "short"), 2, "too short"),
        (("--token", "long-enough", "--no-token"), 2, "contradicts"),
        (("--keep-unsure",), 2, "--review"),
        (("--keep-unsure", "--review", "x", "--read-only"), 2, "--read-only"),
        (("--allow-host", "https://lab.example"), 2, "is not a name"),
        (("--allow-host", "lab.example:443"), 2, "is not a name"),
        (("--review", __file__), 2, "is not a folder"),
        (("--cors", "lab.example"), 2, "not the address of a site"),
        (("--host", "no.such.host.invalid"), 2, "cannot listen"),
        (("--host", "203.0.113.9"), 2, "cannot listen"),
        (("-m", "missing.onnx"), 3, "no such model file"),
        (("--threshold", "2"), 2, "threshold"),
    ],
)
def test_what_cannot_be_served_is_one_line(edgeclf: Run, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = edgeclf("serve", "--port", 0, *arguments, EDGECLF_TOKEN="")
    assert done.returncode == code
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(edgeclf: Run, model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = edgeclf("serve", "-m", model, "--port", port)
    assert done.returncode == 2
    assert done.stderr == (
        f"edgeclf: cannot listen on 127.0.0.1, port {port} (Address already in use); choose another --port or --host\n"
    )


def test_without_the_extra_the_pip_line_is_printed(edgeclf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeclf.cli import extras

    real = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "uvicorn" else real(name))
    done = edgeclf("serve")
    assert (done.returncode, done.stderr) == (
        4,
        'edgeclf: this command needs uvicorn; pip install "edgeclf[serve]"\n',
    )


def test_nothing_else_loads_the_packages_of_the_service() -> None:
    code = """
import sys, edgeclf.cli.app, edgeclf.cli.predict, edgeclf.cli.watch, edgeclf.cli.serve, edgeclf.classifier
print([name for name in ("starlette", "uvicorn", "anyio", "segno", "prometheus_client") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_unsure_photos_are_kept_only_if_asked(model: Path, tmp_path: Path, photo: Path) -> None:
    data = photo.read_bytes()
    for name, keep, kept in (("without", [], []), ("with", ["--keep-unsure"], [data])):
        folder = tmp_path / name
        folder.mkdir()
        with serving("-m", model, "--review", folder, "--threshold", 1, *keep) as (child, address):
            status, record = ask(port_of(address), "/predict?name=../../evil/../a.jpg", data)
            assert (status, record["unknown"]) == (200, True)
            assert ask(port_of(address), "/predict?threshold=0&name=sure.jpg", data)[1]["unknown"] is False
            status, page = ask(port_of(address), "/sort/photos")
            assert [one["name"] for one in page["photos"]] == ["a.jpg"] * len(kept)
            child.terminate()
            child.wait(30)
        photos = [path for path in folder.rglob("*.jpg") if path.is_file()]
        assert [path.read_bytes() for path in photos] == kept
        assert all(path.parent.parent == folder / "_unsorted" for path in photos)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.jpg", "with", "without"]


def test_a_photo_that_cannot_be_kept_is_answered_and_the_console_says_why(
    model: Path, tmp_path: Path, photo: Path
) -> None:
    (tmp_path / "_unsorted").write_text("a file where the trays should be")
    with serving("-m", model, "--review", tmp_path, "--threshold", 1, "--keep-unsure") as (child, address):
        status, record = ask(port_of(address), "/predict", photo.read_bytes())
        assert (status, record["unknown"]) == (200, True)
        child.terminate()
        said = rest(child)
        assert child.wait(30) == 0
    assert "--review" in said
    assert "cannot be written" in said
    assert "Traceback" not in said


def test_uploads_that_stand_still_do_not_keep_the_service_from_ending(model: Path) -> None:
    """Who still waits then is told so; no traceback."""
    with serving("-m", model) as (child, address):
        port = port_of(address)
        wait_ready(port)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\nhalf")
            time.sleep(0.3)
            began = time.monotonic()
            child.terminate()
            answer = slow.recv(1000)
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 2" in answer
        assert child.wait(30) == 0
        assert time.monotonic() - began < 12
        assert "Traceback" not in rest(child)
