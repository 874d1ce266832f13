"""Peak memory of `edgeclf predict`, in processes of their own, with and without --low-memory.

    python benchmarks/memory.py [--repeats N] [--photos N]

The model in the package and a ResNet50 INT8 of random weights; a bare import of what the runtime needs, one photo of 12
megapixels, and a folder of them. One JSON line each: the median of peak MiB as the kernel counts it, and of
wall seconds.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from edgeclf.classifier import DEFAULT_MODEL
from edgeclf.model.session import usable_threads
from making import photo_folder, random_model
from one_photo import once


def main() -> None:
    """Print one line per process measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--photos", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = photo_folder(folder / "photos", arguments.photos, 4000, 3000)
        models = {
            "default": DEFAULT_MODEL,
            "resnet50 int8": random_model(folder / "resnet50.onnx", "resnet50", int8=True),
        }
        python = sys.executable
        commands = {
            ("", "bare import", False): [python, "-c", "import numpy, onnxruntime, PIL.Image"],
            ("", "import edgeclf", False): [python, "-c", "from edgeclf import Classifier"],
        }
        for label, model in models.items():
            for what, photos in (("one photo", paths[0]), (f"{len(paths)} photos", str(folder / "photos"))):
                for low in (False, True):
                    options = ["-m", str(model), *(["--low-memory"] if low else [])]
                    commands[label, what, low] = [python, "-m", "edgeclf", "predict", photos, *options]
        measured = {key: [] for key in commands}
        for _ in range(arguments.repeats):
            for key, command in commands.items():
                measured[key].append(once(command))
        for (label, what, low), runs in measured.items():
            wall, peak = (statistics.median(values) for values in zip(*runs, strict=True))
            figures = {"model": label, "what": what, "low_memory": low, "threads": usable_threads()}
            print(json.dumps({**figures, "peak_mib": round(peak, 1), "wall_s": round(wall, 2)}))


if __name__ == "__main__":
    main()
