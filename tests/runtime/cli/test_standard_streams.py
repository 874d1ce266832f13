"""Standard input, output and error that are closed, full or unreadable; Ctrl-C during imports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import OLD_MODELS, put

MODEL = OLD_MODELS / "schema2.onnx"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
def test_standard_output_that_takes_no_more_is_one_line(tmp_path: Path) -> None:
    photo = str(put(tmp_path / "x.jpg"))
    for extra in ([], ["--json"]):
        command = [sys.executable, "-m", "edgeclf", "predict", photo, "-m", str(MODEL), *extra]
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 7
        assert done.stderr.startswith("edgeclf: standard output cannot be written (No space left on device); ")
        assert done.stderr.count("\n") == 1


def test_standard_input_that_cannot_be_read_is_one_line() -> None:
    command = [sys.executable, "-m", "edgeclf", "predict", "-", "-m", str(MODEL)]
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        done = subprocess.run(command, stdin=descriptor, capture_output=True, text=True, check=False)
    finally:
        os.close(descriptor)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("edgeclf: -: ")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_ends_imports_that_swallow_it() -> None:
    script = """
import time
from edgeclf.cli.signals import loading
with loading("what swallows"):
    print("begun", flush=True)
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=30) == (b"", b"")
        finally:
            process.kill()
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_standard_streams_may_be_closed(closed: str, tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.jpg")
    commands = {
        "info": [str(MODEL)],
        "predict": ["in", "-m", str(MODEL), "--out", "p.jsonl"],
        "watch": ["in", "-m", str(MODEL), "--out", "w.jsonl", "--once", "--settle", "0.1"],
    }
    for name, words in commands.items():
        line = f'exec "$0" -m edgeclf "$@" {closed}'
        done = subprocess.run(
            ["sh", "-c", line, sys.executable, name, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), (name, done.stderr)
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 1
    assert len((tmp_path / "w.jsonl").read_text().splitlines()) == 1
