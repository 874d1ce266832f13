"""Would a cache of optimised graphs pay? Opening a model file as it is, and the same optimised before.

    python benchmarks/start_up.py [--pairs N]

The model in the package and a ResNet50 INT8 of random weights; each is opened in processes of their own, which take
turns, with one thread. Printed are medians of milliseconds of processor time, and of the share of a whole
`edgeclf predict`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from edgeclf.classifier import DEFAULT_MODEL
from edgeclf.model.session import import_onnxruntime, session_options, usable_threads
from making import photo_folder, random_model

OPEN = """
import sys, time
from edgeclf.model.session import import_onnxruntime, session_options
onnxruntime = import_onnxruntime()
options = session_options(threads=1)
if sys.argv[2] == "optimised":
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
began = time.process_time()
onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
print(time.process_time() - began)
"""

PREDICT = """
import sys, time
from edgeclf.cli.app import run
try:
    run()
except SystemExit:
    print("seconds", time.process_time())
"""


def asked(script: str, *words: str) -> float:
    """Seconds that a child process says it took."""
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print one JSON line per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    onnxruntime = import_onnxruntime()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (photo,) = photo_folder(folder / "photo", 1, 4000, 3000)
        for label, model in (
            ("default model", DEFAULT_MODEL),
            ("resnet50 int8", random_model(folder / "resnet50.onnx", "resnet50", int8=True)),
        ):
            options = session_options(usable_threads())
            options.optimized_model_filepath = str(folder / "optimised.onnx")
            onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            rounds = [
                (
                    asked(OPEN, str(model), "as it is"),
                    asked(OPEN, options.optimized_model_filepath, "optimised"),
                    asked(PREDICT, "predict", photo, "-m", str(model)),
                )
                for _ in range(pairs)
            ]
            saved = statistics.median((plain - optimised) / whole for plain, optimised, whole in rounds)
            plain, optimised, whole = (round(statistics.median(column) * 1000) for column in zip(*rounds, strict=True))
            times = {"open_ms": plain, "open_optimised_ms": optimised, "predict_ms": whole}
            print(json.dumps({"model": label, "pairs": pairs, **times, "share_saved": round(saved, 3)}), flush=True)


if __name__ == "__main__":
    main()
