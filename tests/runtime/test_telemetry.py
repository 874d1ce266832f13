"""Telemetry is off: no connection, no file in the home folder, no message about it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import OLD_MODELS

Start = Callable[..., subprocess.CompletedProcess[str]]
RUNTIME = "from edgeclf.__main__ import main; main()"
TRAINING = """
import sys
from pathlib import Path
from edgeclf.cli.app import run
photos, out, model = sys.argv[1:]
for line in (
    ["data", "check", photos],
    ["train", photos, "--arch", "cnn4", "--image-size", "64", "--epochs", "1", "--workers", "1", "--out", out],
    ["report", out],
    ["export", out, "-o", model, "--int8", "--max-drop", "100", "--max-class-drop", "100"],
):
    sys.argv[1:] = line
    try:
        run()
    except SystemExit as end:
        assert end.code in (0, 1), (line, end.code)
"""
CALLS = "trace=socket,connect,sendto,sendmsg,sendmmsg,openat"


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Runs Python with its own home folder, without environment variables of CI, under strace if it is installed."""
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    tracer: list[str] = []
    if (strace := shutil.which("strace")) is not None:
        tracer = [strace, "-f", "--seccomp-bpf", "-qq", "-e", CALLS, "-o", str(trace)]
        if subprocess.run([*tracer, "true"], capture_output=True).returncode:  # not allowed to, in some containers
            tracer = []

    def run(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {"PATH", "PYTHONPATH", "OMP_NUM_THREADS"}
        given = {name: value for name, value in os.environ.items() if name in kept}
        done = subprocess.run(
            [*tracer, sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**given, "HOME": str(home), "TMPDIR": str(tmp_path), **environment},
            timeout=300,
        )
        if tracer:
            lines = trace.read_text("utf-8", "replace").splitlines()
            assert [line for line in lines if re.search(r"AF_INET|resolv\.conf|machine-id|onnxruntime\.db", line)] == []
        return done

    return run


def left_in(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "PHOTO"],
        ["predict", "PHOTO", "--cam", "why.png"],
        ["watch", "PHOTOS", "-m", "MODEL", "--once", "--settle", "0", "--out", "answers.csv"],
        ["evaluate", "MODEL", "PHOTOS"],
        ["compare", "MODEL", "MODEL", "PHOTOS"],
        ["info", "MODEL"],
        ["doctor", "MODEL"],
        ["devices"],
        ["bench", "MODEL", "--seconds", "1"],
    ],
    ids=lambda words: words[0] + words[2:3].count("--cam") * " --cam",
)
def test_commands_leave_and_send_nothing(
    start: Start,
    arguments: list[str],
    class_folders: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = OLD_MODELS / "schema3.onnx"
    places = {"PHOTO": photo, "PHOTOS": class_folders, "MODEL": model}
    done = start(RUNTIME, *(places.get(word, word) for word in arguments))
    assert done.returncode == 0, done.stderr
    assert "onnxruntime:" not in done.stderr
    assert left_in(tmp_path / "home") == []


@pytest.mark.parametrize("given", ["", "0", "false"])
def test_the_library_sets_one_switch_in_its_host_whatever_it_was(start: Start, given: str, tmp_path: Path) -> None:
    code = """
import os
before = dict(os.environ)
from edgeclf import Classifier
assert dict(os.environ) == before
Classifier()
changed = {name: os.environ.get(name) for name in {*before, *os.environ} if os.environ.get(name) != before.get(name)}
print(changed)
"""
    done = start(code, ORT_DISABLE_TELEMETRY=given)
    assert (done.stdout, done.stderr) == ("{'ORT_DISABLE_TELEMETRY': '1'}\n", "")
    assert left_in(tmp_path / "home") == []


def test_no_word_without_a_home_that_can_be_written(start: Start, photo: Path) -> None:
    done = start(RUNTIME, "predict", photo, HOME="/proc/nowhere")
    assert (done.returncode, done.stderr) == (0, "")


def test_training_and_export_leave_and_send_nothing(start: Start, class_folders: Path, tmp_path: Path) -> None:
    given = class_folders, tmp_path / "run", tmp_path / "model.onnx"
    done = start(TRAINING, *given, XDG_CONFIG_HOME="/proc/nowhere")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.onnx").exists()
    assert "matplotlib" not in done.stderr.lower()
    left = left_in(tmp_path / "home")
    assert [path for path in left if not path.startswith((".cache/edgeclf/", ".cache/matplotlib/"))] == []
