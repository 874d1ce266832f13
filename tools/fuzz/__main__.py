"""Damaged and hostile inputs by the thousand, for the image door and for the model file's reader.

    python tools/fuzz [--door 15000] [--model 5000] [--seed 1] [--save FOLDER]

Every input must end in an answer or in the documented error, within 5 seconds and 1 GiB, without a word on stderr.
Inputs depend on the seed and their number alone. They run in child processes, so that a crash is a finding; findings
are printed and saved. The last line is one JSON object. Exit code 1 if there was a finding.
"""

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from targets import TARGETS, Target

SECONDS, MEBIBYTES = 5, 1024
BATCH = 1000  # inputs of one child


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--door", type=int, default=15_000, metavar="N", help="inputs for the image door")
    parser.add_argument("--model", type=int, default=5_000, metavar="N", help="inputs for the model file's reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, default=Path("fuzz-findings"), help="where failing inputs go")
    parser.add_argument("--child", nargs=3, metavar=("TARGET", "FIRST", "COUNT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, first, count = given.child
        return _child(name, TARGETS[name](), given.seed, int(first), int(count))
    failed, report = False, {"seed": given.seed}
    for name in TARGETS:
        result = _fuzz(name, given.seed, getattr(given, name), given.save)
        failed = failed or bool(result["findings"])
        report[name] = result
    print(json.dumps(report))
    return int(failed)


def _fuzz(name: str, seed: int, count: int, folder: Path) -> dict[str, Any]:
    """Run a target's inputs, a child for each batch; go on behind an input that ended its child."""
    started, came_of, findings = time.monotonic(), Counter[str](), []
    slowest, peak, first = {"seconds": 0.0}, 0.0, 0
    while first < count:
        batch = min(BATCH, count - first)
        with tempfile.TemporaryFile("w+") as noise:
            command = [sys.executable, __file__, "--seed", str(seed), "--child", name, str(first), str(batch)]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=noise, text=True)
            noise.seek(0)
            words = noise.read()[-1000:]
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        at = first
        for line in lines:
            at = line.get("at", at)
            if "finding" in line:
                findings.append(_save(name, seed, line["at"], line["finding"], folder))
            came_of.update(line.get("came_of", {}))
            slowest = max(slowest, line.get("slowest", slowest), key=lambda one: one["seconds"])
            peak = max(peak, line.get("peak_mebibytes", 0))
        first += batch
        if done.returncode:
            why = f"ended by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
            findings.append(_save(name, seed, at, f"{why} {words}", folder))
            first = at + 1
    return {
        "inputs": count,
        "came_of": dict(came_of.most_common()),
        "findings": findings,
        "slowest": slowest,
        "peak_mebibytes": peak,
        "seconds": round(time.monotonic() - started, 1),
    }


def _save(name: str, seed: int, at: int, what: str, folder: Path) -> dict[str, Any]:
    data = TARGETS[name]().make(np.random.default_rng([seed, at]))
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"{name}-{digest[:16]}"
    path.write_bytes(data)
    finding = {"target": name, "seed": seed, "input": at, "sha256": digest, "file": str(path), "what": what}
    print(f"FINDING {json.dumps(finding)}", flush=True)
    return finding


def _child(name: str, target: Target, seed: int, first: int, count: int) -> int:
    """Run inputs; says on stdout which one is next, so that the parent knows which one ended it."""
    warnings.filterwarnings("ignore", module="PIL")  # as the command line does
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a hang in C code cannot be interrupted, but ended
    resource.setrlimit(resource.RLIMIT_AS, (4 * MEBIBYTES * 2**20, 4 * MEBIBYTES * 2**20))
    came_of, slowest, quiet, used = Counter[str](), {"seconds": 0.0}, os.fstat(2).st_size, _peak()
    for at in range(first, first + count):
        data = target.make(np.random.default_rng([seed, at]))
        os.write(1, f'{{"at": {at}}}\n'.encode())
        finding, started = "", time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            came_of[target.run(data)] += 1
        except Exception:
            finding = traceback.format_exc()[-1500:]
        signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.perf_counter() - started
        slowest = max(slowest, {"seconds": round(seconds, 3), "input": at, "bytes": len(data)}, key=_seconds)
        if (written := os.fstat(2).st_size) > quiet:
            finding = finding or f"wrote to stderr: {os.pread(2, 500, quiet).decode(errors='replace')}"
            quiet = written
        if (peak := _peak()) > max(used, MEBIBYTES):
            finding, used = finding or f"took {peak:.0f} MiB", peak
        if finding:
            os.write(1, json.dumps({"at": at, "finding": finding}).encode() + b"\n")
    report = {"came_of": came_of, "slowest": {"target": name, **slowest}, "peak_mebibytes": round(_peak())}
    os.write(1, json.dumps(report).encode() + b"\n")
    return 0


def _seconds(one: dict[str, Any]) -> float:
    return float(one["seconds"])


def _peak() -> float:
    """MiB of memory this process has held at most."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    sys.exit(main())
