"""Kill a worker, a node and the command at random moments: afterwards every photo must be answered exactly once.

    python benchmarks/cluster/kills.py PHOTOS WORK MODEL [--times 10] [--kinds worker node driver] [--seed 0]

A cluster of two nodes, with one CPU each, runs as processes on this machine. WORK is a new folder.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeclf.cluster import session

_random = random.Random()  # noqa: S311

DRIVER = """
import sys
from edgeclf.cluster import predict_into
out, photos, model, address, batch = sys.argv[1:]
print(predict_into(out, photos, model, address=address, batch=int(batch), resume=True), flush=True)
"""
PATIENCE = 600  # seconds for a run


def actors() -> list[int]:
    """Processes of actors that predict."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cmdline").read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def check(out: Path, wanted: list[str]) -> str:
    """Whether each photo has one record, as a line and as a row."""
    from pyarrow import parquet

    lines = [json.loads(line)["path"] for path in out.glob("jsonl/*.jsonl") for line in path.open()]
    rows = [path for file in out.glob("parquet/*.parquet") for path in parquet.read_table(file)["path"].to_pylist()]
    missing = len(set(wanted) - set(lines))
    twice = sum(count > 1 for count in Counter(lines).values())
    same = sorted(lines) == sorted(rows)
    return f"{len(lines)} lines, {missing} missing, {twice} twice, rows {'the same' if same else 'DIFFERENT'}"


def blocks(out: Path) -> int:
    """Finished blocks."""
    return len(list(out.glob("parquet/*.parquet")))


class Killer(threading.Thread):
    """Kills once, a random time after the first finished block."""

    def __init__(self, out: Path, most: float, kill: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._out, self._most, self._kill = out, most, kill
        self.at = -1

    def run(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not blocks(self._out) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(_random.uniform(0, self._most))
        self.at = blocks(self._out)
        self._kill()


def main() -> None:
    """Run all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("model")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--kinds", nargs="+", default=["worker", "node", "driver"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0, help="latest kill after the first block")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    _random.seed(arguments.seed)
    arguments.work.mkdir()
    wanted = sorted(map(str, arguments.photos.rglob("*.jpg")))
    session._stay_on_this_machine()
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    session.connect(cluster.address)
    from edgeclf.cluster import predict_into

    for kind in arguments.kinds:
        for number in range(arguments.times):
            out = arguments.work / f"{kind}-{number}"
            began = time.monotonic()
            if kind == "driver":
                command = [sys.executable, "-c", DRIVER, str(out), str(arguments.photos), arguments.model]
                command += [cluster.address, str(arguments.batch)]
                with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
                    killer = Killer(out, arguments.seconds, lambda run=run: run.send_signal(signal.SIGKILL))
                    killer.start()
                    killer.join()
                left = blocks(out)
                done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
                told = f"resumed from {left} blocks" if done.returncode == 0 else done.stderr[-400:]
            else:
                if kind == "worker":
                    kill = lambda: os.kill(_random.choice(actors()), signal.SIGKILL)  # noqa: E731
                else:
                    kill = lambda: cluster.remove_node(node, allow_graceful=False)  # noqa: B023, E731
                killer = Killer(out, arguments.seconds, kill)
                killer.start()
                told = str(predict_into(out, arguments.photos, arguments.model, batch=arguments.batch))
                killer.join()
                if kind == "node":
                    node = cluster.add_node(num_cpus=1)
            seconds = time.monotonic() - began
            print(
                f"{kind} {number}: killed at {killer.at} blocks, {seconds:.0f} s; {check(out, wanted)}; {told}",
                flush=True,
            )
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
