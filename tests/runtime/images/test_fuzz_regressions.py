"""A short part of ``python tools/fuzz``, and what longer runs of it found."""

import io
import json
import logging
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edgeclf.errors import ModelError, PhotoError
from edgeclf.images.preprocess import upright_rgb
from edgeclf.model.file import read_model_file
from edgeclf.model.manifest import Manifest
from helpers import OLD_MODELS, ROOT
from PIL import Image

FUZZ = ROOT / "tools" / "fuzz"
MODEL = OLD_MODELS / "schema2.onnx"


def fuzz(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FUZZ), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(sys.platform == "win32", reason="the fuzzer bounds its children as only Unix can")
def test_a_thousand_inputs(tmp_path: Path) -> None:
    done = fuzz("--door", 800, "--model", 200, "--seed", 3, "--save", tmp_path / "found")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["door"]["inputs"], report["model"]["inputs"]) == (800, 200)
    assert sum(report["door"]["came_of"].values()) == 800
    assert report["door"]["came_of"].keys() >= {"answered", "damaged", "not-an-image"}
    assert report["model"]["came_of"].keys() >= {"answered", "NotAModelError", "ModelDamagedError"}
    assert not (tmp_path / "found").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the fuzzer bounds its children as only Unix can")
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("ctypes.string_at(0)", "ended by signal 11"),
        ("raise ZeroDivisionError('on purpose')", "ZeroDivisionError: on purpose"),
        ("print('noise', file=sys.stderr, flush=True)", "wrote to stderr: noise"),
        ("import signal; signal.raise_signal(signal.SIGALRM)", "ended by signal 14"),
    ],
)
def test_the_fuzzer_sees_failures(body: str, says: str, tmp_path: Path) -> None:
    """Else the test above could not fail: a copy of it whose third input goes wrong."""
    copy = tmp_path / "fuzz"
    copy.mkdir()
    for name in ("__main__.py", "mutations.py"):
        (copy / name).write_text((FUZZ / name).read_text())
    (copy / "targets.py").write_text(
        "import ctypes, sys\n"
        "from dataclasses import dataclass\n"
        "from typing import Any\n"
        "@dataclass\n"
        "class Target:\n    make: Any\n    run: Any\n"
        "def run(data):\n"
        f"    if data == b'2':\n        {body}\n"
        "    return 'answered'\n"
        "count = iter(range(99))\n"
        "def make(rng): return str(next(count)).encode()\n"
        "TARGETS = {'door': lambda: Target(make, run), 'model': lambda: Target(make, run)}\n"
    )
    command = [sys.executable, str(copy), "--door", "4", "--model", "0", "--save", str(tmp_path / "found")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    (finding,) = json.loads(done.stdout.splitlines()[-1])["door"]["findings"]
    assert (done.returncode, finding["input"]) == (1, 2)
    assert says in finding["what"]
    assert Path(finding["file"]).is_file()


@pytest.mark.parametrize("values", [[-3e38, 0, 3e38], [0, 1e-44, 2e-44]])
def test_floats_whose_range_float32_cannot_hold(values: list[float]) -> None:
    """Found: an overflow, a RuntimeWarning on stderr, and pixels of NaN."""
    image = Image.fromarray(np.array([values], np.float32))
    assert np.asarray(upright_rgb(image))[0, :, 0].tolist() == [0, 128, 255]


def test_what_pillow_logs_of_a_tiff_stays_off_stderr() -> None:
    """Found: "More samples per pixel than can be decoded", by Python's handler of last resort."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "TIFF")
    whole = buffer.getvalue()
    samples = struct.pack("<HHI", 277, 3, 1)
    content = whole.replace(samples + b"\3\0", samples + b"\0\2")
    assert content != whole
    code = "import sys; from edgeclf.images.preprocess import upright_rgb; upright_rgb(sys.stdin.buffer.read())"
    done = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Traceback")  # nothing before it
    with pytest.raises(PhotoError):
        upright_rgb(content)
    assert logging.getLogger("PIL").handlers


def test_refusals_do_not_quote_whole_files() -> None:
    """Found: a message of 5,000 characters."""
    text = read_model_file(MODEL).manifest.to_json()
    for changed in (text.replace('"crop"', f'"{"x" * 5000}"'), text[:-1] + f',"{"y" * 5000}":1}}'):
        assert changed != text
        with pytest.raises(ModelError) as caught:
            Manifest.from_json(changed, "model.onnx")
        assert len(str(caught.value)) < 500
