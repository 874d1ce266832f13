"""One photo from the shell: `edgeclf predict` against a hand-written onnxruntime + Pillow script, in paired runs.

    python benchmarks/one_photo.py [--pairs N] [--photo FILE]

Measures whole processes (wall time, peak memory) with the model in the package and with a ResNet50 INT8 of random
weights, on a drawn 12-megapixel photo with a camera's noise, and on one of nothing but noise, whose file is larger:
edgeclf reads a file whole before it decodes. The bare script decodes at reduced scale, crops, resizes, runs the file
and prints the five best: no check of the file, no EXIF, no heat map asked for. Both have onnxruntime's telemetry off.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from edgeclf.device.benchmark import MEASURED_CHILD
from making import photo_folder, random_model
from PIL import Image

BARE = """
import os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np
import onnxruntime
from PIL import Image

model, photo = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = {threads}
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
image = Image.open(photo)
image.draft("RGB", (512, 512))
image = image.convert("RGB")
width, height = image.size
side = min(width, height) * 0.875
box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
pixels = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR, box=box))
(logits,) = session.run(["logits"], {{"image": pixels[None]}})
shares = np.exp(logits[0] - logits[0].max())
shares /= shares.sum()
for index in np.argsort(-shares)[:5]:
    print(index, shares[index])
"""


def once(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak MiB of one run."""
    # Both may cache their bytecode, as anything installed does.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    probe = [sys.executable, "-S", "-c", MEASURED_CHILD, *command]
    done = subprocess.run(probe, capture_output=True, text=True, check=True, env=environment)
    code, seconds, peak = json.loads(done.stdout)
    if code:
        raise SystemExit(f"exit code {code}: {' '.join(command)}\n{done.stderr}")
    return seconds, peak


def paired(ours: list[str], theirs: list[str], name: str, pairs: int) -> dict[str, float]:
    """Medians of wall seconds and peak MiB of two commands that take turns, and of the ratios, ours to theirs."""
    once(ours), once(theirs)  # warm the page cache
    runs = [(once(ours), once(theirs)) for _ in range(pairs)]
    figures: dict[str, float] = {"pairs": pairs}
    for index, what, digits in ((0, "wall_s", 3), (1, "peak_mib", 1)):
        figures[what] = round(statistics.median(a[index] for a, _ in runs), digits)
        figures[f"{name}_{what}"] = round(statistics.median(b[index] for _, b in runs), digits)
        figures[f"{what}_ratio"] = round(statistics.median(a[index] / b[index] for a, b in runs), 3)
    return figures


def main() -> None:
    """Print one line per model."""
    from edgeclf.classifier import DEFAULT_MODEL
    from edgeclf.model.session import usable_threads

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--photo", type=Path, help="default: both drawn ones")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = [arguments.photo]
        if arguments.photo is None:
            photos = [Path(photo_folder(folder / "camera", 1, 4000, 3000)[0]), folder / "noise.jpg"]
            Image.effect_noise((4000, 3000), 60).convert("RGB").save(photos[1], quality=90)
        bare = folder / "bare.py"
        bare.write_text(BARE.format(threads=usable_threads()))
        for label, model in (
            ("default model", DEFAULT_MODEL),
            ("resnet50 int8", random_model(folder / "resnet50.onnx", "resnet50", int8=True)),
        ):
            for photo in photos:
                ours = [str(Path(sys.executable).with_name("edgeclf")), "predict", str(photo), "-m", str(model)]
                theirs = [sys.executable, str(bare), str(model), str(photo)]
                what = {"model": label, "photo_mb": round(photo.stat().st_size / 1e6, 1)}
                print(json.dumps({**what, **paired(ours, theirs, "bare", arguments.pairs)}), flush=True)


if __name__ == "__main__":
    main()
