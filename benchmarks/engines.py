"""An inference of each network: as exported plainly, as edgeclf exports it, and the same file in OpenVINO.

    python benchmarks/engines.py [--networks NAME ...] [--threads N ...] [--seconds S] [--keep FOLDER]

Networks of random weights, FP32 and INT8, heat maps included, one photo at a time. The engines take turns, and the
first one changes from turn to turn. "plain" is the same network with the normalisation as torch writes it. Printed are
medians in milliseconds, and medians of the turns' ratios with their 95 % intervals; then the share of the time that
onnxruntime spends outside convolutions and matrix products, plain and ours. Needs the extra [openvino] for its column.
--keep keeps the networks, and uses those that are there already.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from cam_cost import median_interval
from edgeclf.model.file import read_model_file
from edgeclf.model.openvino_session import open_openvino_session, openvino_installed
from edgeclf.model.session import import_onnxruntime, open_cpu_session, session_options
from edgeclf_training.networks import ARCHITECTURES
from making import random_model

SIZE = 224
PRODUCTS = ("Conv", "QLinearConv", "ConvInteger", "Gemm", "QGemm", "FusedGemm", "FusedConv", "MatMul", "MatMulInteger")
PROFILED_RUNS = 20


def made(folder: Path, name: str, kind: str, which: str) -> Path:
    """The file of a network, made if it is not there."""
    path = folder / f"{name}-{kind}-{which}.onnx"
    if not path.exists():
        plain = patch("edgeclf_export.pack.build.speed_up_normalisation")
        with plain if which == "plain" else nullcontext():
            random_model(path, name, int8=kind == "int8", size=SIZE)
    return path


def take_turns(sessions: dict[str, Any], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of an inference in each session, turn by turn."""
    image = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    answers = {name: session.run(None, {"image": image}) for name, session in sessions.items()}
    for plain, ours in zip(answers["plain"], answers["ours"], strict=True):
        assert (plain == ours).all(), "the export changed the logits or the maps"
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    order, until = list(sessions), time.perf_counter() + seconds
    while len(taken[order[0]]) < 15 or time.perf_counter() < until:
        for name in order:
            started = time.perf_counter()
            sessions[name].run(None, {"image": image})
            taken[name].append((time.perf_counter() - started) * 1000)
        order.append(order.pop(0))
    return taken


def outside_products(path: Path, folder: Path) -> float:
    """Share of the time of an inference on one thread that is not convolutions and matrix products, 0..1."""
    options = session_options(1)
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    session = import_onnxruntime().InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    for _ in range(PROFILED_RUNS):
        session.run(None, {"image": image})
    events = json.loads(Path(session.end_profiling()).read_text())
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    return 1 - sum(spent[kind] for kind in PRODUCTS) / spent.total()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=sorted(ARCHITECTURES), metavar="NAME")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each line")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    engines = ("plain", "ours", *(("openvino",) if openvino_installed() else ()))
    print(f"{'network':<20} {'':<5} threads " + " ".join(f"{name + ' ms':>11}" for name in engines), end="  ")
    print("ours / plain           ours / openvino        outside products")
    ratios: dict[tuple[str, int, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in given.networks:
            for kind in ("fp32", "int8"):
                files = {which: made(folder, name, kind, which) for which in ("plain", "ours")}
                shares = [outside_products(path, Path(scratch)) for path in files.values()]
                for threads in given.threads:
                    sessions = {which: open_cpu_session(str(path), threads) for which, path in files.items()}
                    if "openvino" in engines:
                        sessions["openvino"] = open_openvino_session(read_model_file(str(files["ours"])), threads)
                    taken = take_turns(sessions, given.seconds)
                    line = f"{name:<20} {kind:<5} {threads:>7} "
                    line += " ".join(f"{statistics.median(taken[engine]):>11.2f}" for engine in engines) + "  "
                    for other in ("plain", *engines[2:]):
                        pairs = [a / b for a, b in zip(taken["ours"], taken[other], strict=True)]
                        ratio, low, high = median_interval(pairs)
                        ratios.setdefault((kind, threads, other), []).append(ratio)
                        line += f"{ratio:.3f} ({low:.3f}..{high:.3f})   "
                    print(line + f"{shares[0]:.1%} -> {shares[1]:.1%}", flush=True)
    for (kind, threads, other), values in ratios.items():
        mean = math.exp(statistics.fmean(map(math.log, values)))
        print(f"geometric mean, {kind}, {threads} thread(s): {mean:.3f} of {other}")


if __name__ == "__main__":
    main()
