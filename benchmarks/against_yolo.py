"""One photo from the shell: `edgeclf predict` against `yolo classify predict` (ultralytics), in paired runs.

    python benchmarks/against_yolo.py --yolo VENV/bin/yolo [--pairs N] [--photo FILE] [--arch yolov8n-cls.yaml]

ultralytics lives in an environment of its own (`pip install ultralytics onnx onnxruntime`), never in ours. Its
classifier is built from its own yaml with random weights, for which nothing is downloaded, and exported to ONNX by its
own exporter; if that fails, the .pt file is what it predicts with, and the output says so. Ours is the network in the
package. Measured are whole processes, wall time and peak memory; both answer the same photo on the CPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from one_photo import paired
from PIL import Image

BUILD = """
import sys
from ultralytics import YOLO
network = YOLO(sys.argv[1], task="classify")
network.save(sys.argv[2])
"""
EXPORT = """
import sys
from ultralytics import YOLO
YOLO(sys.argv[1], task="classify").export(format="onnx", imgsz=224)
"""


def yolo_model(python: Path, arch: str, folder: Path) -> Path:
    """Their classifier, as ONNX if their exporter can do it offline."""
    weights = folder / "classifier.pt"
    subprocess.run([python, "-c", BUILD, arch, weights], check=True, capture_output=True, cwd=folder)
    done = subprocess.run([python, "-c", EXPORT, weights], capture_output=True, text=True, cwd=folder)
    exported = weights.with_suffix(".onnx")
    if exported.is_file():
        return exported
    print(f"their exporter fails, so the .pt is measured: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return weights


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yolo", type=Path, required=True, metavar="PATH", help="the yolo command")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--photo", type=Path, help="default: a drawn JPEG of 1600 x 1200 pixels")
    parser.add_argument("--arch", default="yolov8n-cls.yaml")
    given = parser.parse_args()
    yolo = given.yolo.absolute()
    os.environ["YOLO_OFFLINE"] = "true"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["YOLO_CONFIG_DIR"] = str(folder)  # their settings stay out of the home folder
        photo = given.photo.absolute() if given.photo else folder / "photo.jpg"
        if given.photo is None:
            Image.effect_noise((1600, 1200), 60).convert("RGB").save(photo, quality=90)
        model = yolo_model(yolo.with_name("python"), given.arch, folder)
        ours = [str(Path(sys.executable).with_name("edgeclf")), "predict", str(photo)]
        theirs = [str(yolo), "classify", "predict", f"model={model}", f"source={photo}", "imgsz=224", "device=cpu"]
        theirs += ["save=False", f"project={folder}"]
        figures = paired(ours, theirs, "yolo", given.pairs)
        faster = round(1 / figures["wall_s_ratio"], 1)
        what = f"{given.arch.removesuffix('.yaml')} {model.suffix}"
        print(json.dumps({"theirs": what, "times_faster": faster, **figures}))


if __name__ == "__main__":
    main()
