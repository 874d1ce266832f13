"""Running experiments once each, several at a time."""

import dataclasses
import hashlib
import json
import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from edgeclf_training.config.options import MACHINE
from experiments import Experiment


def run_all(experiments: list[Experiment], out: Path, processes: int) -> list[dict[str, object]]:
    """Run what has not been run before, several at a time on one thread each; returns all results."""
    out.mkdir(parents=True, exist_ok=True)
    log = out / "results.jsonl"
    known = {}
    if log.exists():
        known = {r["key"]: r for r in map(json.loads, log.read_text().splitlines())}
    missing = {key(e): e for e in experiments if key(e) not in known}
    started = time.perf_counter()
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["edgeclf_training.fit.train"])
    with ProcessPoolExecutor(processes, server) as pool, log.open("a") as file:
        futures = {pool.submit(run_one, e, out / "last" / k, processes): k for k, e in missing.items()}
        for done, future in _until_interrupted(as_completed(futures)):
            result = {"key": futures[future], **future.result()}
            known[futures[future]] = result
            file.write(json.dumps(result) + "\n")
            file.flush()
            minutes = (time.perf_counter() - started) / 60
            told = f"{result['table']} / {result['row']}, seed {result['seed']}"
            share = f"{result['correct']} of {result['photos']} ({result['correct'] / result['photos']:.1%})"
            print(f"{done}/{len(missing)} ({minutes:.0f} min) {told}: {share}", file=sys.stderr, flush=True)
    found = [(e, known[key(e)]) for e in experiments if key(e) in known]
    return [{**result, "table": e.table, "row": e.row, "note": e.note} for e, result in found]


def _until_interrupted(finished: Iterator[Future[Any]]) -> Iterator[tuple[int, Future[Any]]]:
    """Ctrl-C is no failure: there are tables of what is done, and the rest goes on next time."""
    try:
        yield from enumerate(finished, 1)
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.kill()


def key(experiment: Experiment) -> str:
    """Names a run by what it computes, not by which table shows it; a change of the training code is not seen."""
    from edgeclf_training.config.resolve import resolve

    resolved = resolve(experiment.options)
    resolved = dataclasses.replace(resolved, weights=Path(str(resolved.weights)).name)  # wherever the file lies
    computed = {name: value for name, value in dataclasses.asdict(resolved).items() if name not in MACHINE}
    said = json.dumps([str(experiment.data), computed, experiment.max_per_class])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def run_one(experiment: Experiment, folder: Path, processes: int) -> dict[str, object]:
    """Train and count, in a process of its own."""
    import torch
    from edgeclf_training.fit.train import train

    if processes > 1:
        torch.set_num_threads(1)
    shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    options = dataclasses.replace(experiment.options, max_per_class=experiment.max_per_class)
    run = train([experiment.data], folder, options, report=False)
    shutil.rmtree(folder)
    metrics = run.metrics[-1]
    return {
        "table": experiment.table,
        "row": experiment.row,
        "seed": experiment.options.seed,
        "split": metrics.split,
        "correct": metrics.correct,
        "photos": metrics.photos,
        "seconds": round(time.perf_counter() - started, 1),
    }
