"""What the heat-map branch costs: each model file whole, against the same file cut down to its logits.

    python benchmarks/cam_cost.py [--networks NAME ...] [--classes N] [--seconds S] [--threads N]

Networks of random weights, FP32 and INT8, one photo at a time. The two sessions take turns, the first changing from
turn to turn; their threads do not spin, so that neither waits at the other's cost. Printed is the median of the ratios
of the turns with its 95 % interval. Exit code 1 if a median is beyond the 3 % that are allowed.
"""

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgeclf.model.file import read_model_file
from edgeclf.model.session import open_cpu_session, usable_threads
from edgeclf_training.networks import ARCHITECTURES
from making import random_model
from onnx.utils import Extractor

ALLOWED = 0.03
SIZE = 224


def logits_only(data: bytes) -> bytes:
    """The same graph without all that logits do not need."""
    return Extractor(onnx.load_from_string(data)).extract_model(["image"], ["logits"]).SerializeToString()


def take_turns(sessions: list[Any], seconds: float) -> list[tuple[float, float]]:
    """Seconds of an inference of both, turn by turn."""
    image = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    answers = [session.run(None, {"image": image})[0] for _ in range(3) for session in sessions]
    assert (answers[0] == answers[1]).all(), "the cut changed the logits"
    turns: list[tuple[float, float]] = []
    until = time.perf_counter() + seconds
    while len(turns) < 20 or time.perf_counter() < until:
        taken = [0.0, 0.0]
        for which in (0, 1) if len(turns) % 2 else (1, 0):
            started = time.perf_counter()
            sessions[which].run(None, {"image": image})
            taken[which] = time.perf_counter() - started
        turns.append((taken[0], taken[1]))
    return turns


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """Median and its 95 % interval, from the values' order alone."""
    ordered, reach = sorted(values), 0.98 * math.sqrt(len(values))
    low, high = len(values) / 2 - reach, len(values) / 2 + reach
    return statistics.median(ordered), ordered[max(0, int(low))], ordered[min(len(values) - 1, math.ceil(high))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=sorted(ARCHITECTURES), metavar="NAME")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each file")
    parser.add_argument("--threads", type=int, default=usable_threads())
    given = parser.parse_args()
    print(f"{'network':<20} {'':<5} {'maps':>5} {'whole ms':>9} {'cut ms':>9} {'heat maps cost':>15}  95 % interval")
    over = []
    for name in given.networks:
        for int8 in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                path = random_model(Path(folder, "model.onnx"), name, int8=int8, size=SIZE, classes=given.classes)
                data = path.read_bytes()
            sessions = [open_cpu_session(part, given.threads) for part in (data, logits_only(data))]
            turns = take_turns(sessions, given.seconds)
            whole, cut = (statistics.median(turn[which] * 1000 for turn in turns) for which in (0, 1))
            cost, low, high = (value - 1 for value in median_interval([a / b for a, b in turns]))
            kind = "int8" if int8 else "fp32"
            line = f"{name:<20} {kind:<5} {read_model_file(data).manifest.cam_classes:>5} {whole:>9.2f} {cut:>9.2f}"
            print(f"{line} {cost:>15.1%}  {low:.1%} to {high:.1%}", flush=True)
            over += [f"{name} {kind}"] if cost > ALLOWED else []
    print(f"Beyond {ALLOWED:.0%}: {', '.join(over) or 'none'}")
    raise SystemExit(bool(over))


if __name__ == "__main__":
    main()
