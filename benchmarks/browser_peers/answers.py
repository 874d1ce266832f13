"""What the peers said, beside what their own Python says of the same photos."""

import base64
import io
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from edgeclf import Classifier
from edgeclf.field.record import Record
from peer_photos import PeerPhotos


@dataclass
class Compared:
    """How many photos have the same.

    Attributes:
        photos: how many.
        pixels, logits: with the same bits; None where the page does not give them.
        answers: with the same first class.
        largest: difference of a logit, relative to the photo's largest.
    """

    photos: int
    pixels: int | None
    logits: int | None
    answers: int
    largest: float


def compare_edgeclf(found: list[dict[str, Any]], photos: PeerPhotos) -> dict[str, Any]:
    """Beside `edgeclf predict`: whole records, whose probabilities have all their digits."""
    classifier = Classifier(device="cpu")
    same, answers = 0, 0
    for answer, photo in zip(found, photos.small, strict=True):
        record = Record.of("photo.jpg", classifier.predict(photo), "wasm").to_dict()
        same += answer["predictions"] == json.loads(json.dumps(record["predictions"]))
        answers += answer["predictions"][0]["label"] == record["predictions"][0]["label"]
    return asdict(Compared(len(found), None, same, answers, 0.0 if same == len(found) else float("nan")))


def compare_transformers(
    found: list[dict[str, str]], photos: PeerPhotos, site: Path, packages: Path, peer: str
) -> dict[str, Any]:
    """Beside transformers in Python with the same files, its processor of the same name, and onnxruntime."""
    given = io.BytesIO()
    np.savez(given, *[np.frombuffer(photo, np.uint8) for photo in photos.small])
    file = "model_quantized.onnx" if peer.endswith("8-bit") else "model.onnx"
    command = [sys.executable, Path(__file__).with_name("in_python.py"), site / "models" / "lite0", file]
    environment = {**os.environ, "PYTHONPATH": f"{packages / 'python'}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(command, input=given.getvalue(), env=environment, capture_output=True, check=True)
    expected = np.load(io.BytesIO(done.stdout))
    counts = Compared(len(found), 0, 0, 0, 0.0)
    for number, answer in enumerate(found):
        pixels, logits = (np.frombuffer(base64.b64decode(answer[name]), np.float32) for name in ("pixels", "logits"))
        wanted = expected["logits"][number]
        counts.pixels += bool(np.array_equal(pixels, expected["pixels"][number].ravel()))  # type: ignore[operator]
        counts.logits += bool(np.array_equal(logits, wanted))  # type: ignore[operator]
        counts.answers += int(logits.argmax()) == int(wanted.argmax())
        counts.largest = max(counts.largest, float(np.abs(logits - wanted).max() / np.abs(wanted).max()))
    return asdict(counts)
