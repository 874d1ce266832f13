"""Measures inference alone: with few and many threads, single photos and batches, and beside a busy process."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.model.file import ModelFile
from edgeclf.model.session import open_session

BATCHES = (1, 2, 4, 8)
# Computes until it is killed; ends by itself if nobody does.
_BUSY = "import time; until = time.monotonic() + 120\nwhile time.monotonic() < until: pass"


@dataclass(frozen=True)
class SweepPoint:
    """``photos_per_second`` of inference alone, with this number of threads and of photos in a batch.

    Attributes:
        busy_neighbours: how many other processes computed all the time meanwhile.
    """

    threads: int
    batch: int
    photos_per_second: float
    busy_neighbours: int = 0


def sweep_threads(file: ModelFile, max_threads: int, seconds: float) -> Iterator[SweepPoint]:
    """Measure numbers of threads: growing batches, and single photos beside a busy process, as on shared machines.

    Args:
        file: the model.
        max_threads: the most threads; also 1, 2, 4, ... below it.
        seconds: approximate total time; exceeded on slow machines, for each point takes at least two inferences.
    """
    side = file.manifest.contract.size
    images = np.random.default_rng(0).integers(0, 256, (max(BATCHES), side, side, 3), dtype=np.uint8)
    counts = sorted(
        {max_threads, *(2**n for n in range(max_threads.bit_length()) if 2**n <= max_threads)}, reverse=True
    )
    share = seconds / len(counts)
    for threads in counts:  # one session at a time: a large network several times would not fit a small board
        session, _ = open_session(file, "cpu", threads)
        until = time.perf_counter() + 0.7 * share
        for batch in BATCHES:
            begun = time.perf_counter()
            session.run(["logits"], {"image": images[:batch]})
            if batch > 1 and time.perf_counter() + 2 * (time.perf_counter() - begun) > until:
                break  # larger batches take even longer
            yield SweepPoint(threads, batch, _rate(session, images[:batch], 0.7 * share / len(BATCHES)))
        with subprocess.Popen([sys.executable, "-S", "-c", _BUSY], stdin=subprocess.DEVNULL) as neighbour:
            try:
                yield SweepPoint(threads, 1, _rate(session, images[:1], 0.3 * share), busy_neighbours=1)
            finally:
                neighbour.kill()


def _rate(session: Any, images: NDArray[np.uint8], seconds: float) -> float:
    """Photos per second in batches of all ``images``: from the median of at least two inferences."""
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while len(taken) < 2 or time.perf_counter() < until:
        started = time.perf_counter()
        session.run(["logits"], {"image": images})
        taken.append(time.perf_counter() - started)
    return round(len(images) / median(taken), 2)
