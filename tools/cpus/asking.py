"""Asking a model file on some CPU, and comparing two CPUs' answers."""

import base64
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from emulation import Place
from numpy.typing import NDArray
from PIL import Image

_RUNTIME = Path(__file__).parents[2] / "runtime"
_ANSWER = Path(__file__).with_name("answer.py")
_AT_ONCE = 200  # photos on one command line


@dataclass(frozen=True, eq=False)
class Answered:
    """What one CPU answered.

    Attributes:
        onnxruntime: its version.
        pixels: SHA-256 of what the network was given, one per photo.
        logits: float32 ``[photos, classes]``.
        failures: of the file's self-test, if it has one.
    """

    onnxruntime: str
    pixels: tuple[str, ...]
    logits: NDArray[np.float32]
    failures: tuple[str, ...]


def ask(place: Place, model: Path, photos: Sequence[Path]) -> Answered:
    """Decode and answer photos in a child process, by the runtime package alone.

    Raises:
        SystemExit: the child failed; with the end of what it said.
    """
    version, pixels, rows, failures = "", [], [], ()
    for start in range(0, len(photos), _AT_ONCE):
        found = json.loads(run_python(place, str(_ANSWER), str(model), *map(str, photos[start : start + _AT_ONCE])))
        version, failures = found["onnxruntime"], tuple(found["failures"])
        for row in found["photos"]:
            pixels.append(row["pixels"])
            rows.append(np.frombuffer(base64.b64decode(row["logits"]), "<f4"))
    return Answered(version, tuple(pixels), np.stack(rows), failures)


def explain(place: Place, model: Path, photo: Path, overlay: Path) -> dict[str, Any]:
    """What ``edgeclf predict PHOTO --cam OVERLAY.png --json`` prints, less what names the overlay; errors as ``ask``'s.

    The overlay itself is there under "pixels", uint8 ``[H, W, 3]``.
    """
    words = ("predict", str(photo), "-m", str(model), "--cam", str(overlay), "--json", "--device", "cpu")
    said: dict[str, Any] = json.loads(run_python(place, "-m", "edgeclf", *words))
    del said["cam"]
    with Image.open(overlay) as image:
        return {**said, "pixels": np.asarray(image.convert("RGB")).astype(np.int16)}


def run_python(place: Place, *words: str) -> str:
    """What Python says there, with the runtime package; errors as ``ask``'s."""
    path = os.pathsep.join([str(_RUNTIME), *filter(None, [place.environment.get("PYTHONPATH")])])
    done = subprocess.run(
        [*place.python, *words],
        env={**os.environ, **place.environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:3])} on {place.name}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


@dataclass(frozen=True)
class Difference:
    """How two places' answers differ.

    Attributes:
        same_pixels: the networks were given the same.
        logits: largest difference of logits relative to the largest of the photo; 0 means the same bits.
        answers: photos with another best-ranked class.
        photos: all of them.
    """

    same_pixels: bool
    logits: float
    answers: int
    photos: int

    def __str__(self) -> str:
        pixels = "pixels equal" if self.same_pixels else "PIXELS DIFFER"
        logits = "logits the same bits" if self.logits == 0 else f"logits differ by {self.logits:.1e} of the largest"
        return f"{pixels}, {logits}, {self.photos - self.answers} of {self.photos} answers equal"


def compare(here: Answered, there: Answered) -> Difference:
    """Photo by photo, in order."""
    apart = np.abs(here.logits - there.logits).max(1) / np.maximum(np.abs(here.logits).max(1), np.float32(1e-30))
    answers = int((here.logits.argmax(1) != there.logits.argmax(1)).sum())
    return Difference(here.pixels == there.pixels, float(apart.max()), answers, len(here.pixels))
