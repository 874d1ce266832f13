"""Measures the speed of a model file on this machine: each step, all steps, a new process, threads and batches.

Two models take turns, so that a machine that slows down affects both.
"""

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, TypeVar

import numpy as np

from edgeclf.classifier import Classifier
from edgeclf.device.thread_sweep import SweepPoint, sweep_threads
from edgeclf.errors import BackendError, UsageError
from edgeclf.images.preprocess import Photo, fit, network_input, upright_rgb
from edgeclf.model.file import ModelFile, read_model_file
from edgeclf.model.session import CPU, usable_threads

# The measured steps for each photo. Every inference computes the heat maps: they are part of the graph.
STEPS = {
    "decode": "photo file -> upright RGB",
    "preprocess": "resize -> network input",
    "inference": "network input -> logits and heat maps",
    "end to end": "photo file -> ranked classes",
    "explain": "photo file -> ranked classes, heat map drawn on the photo",
}
_MIN_MEASUREMENTS = 3  # even if the time is over
T = TypeVar("T")

# Runs a command and prints its exit code, wall time in seconds and peak memory in MiB, as JSON. This is a small process
# of its own because the peak memory of a child process includes that of its parent.
MEASURED_CHILD = """
import json, subprocess, sys, time
started = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - started
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
except ImportError:
    peak = None
print(json.dumps([code, seconds, peak]))
"""


@dataclass(frozen=True)
class Photos:
    """A named group of photos that are measured in turn; at least one."""

    name: str
    photos: tuple[Photo, ...]


@dataclass(frozen=True)
class Times:
    """Time of one step: number of measurements, median and 95th percentile in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class PhotoBench:
    """Times of one model on one group of photos.

    Attributes:
        photos: name of the group.
        steps: times, by the names in ``STEPS``; without "explain" for a model without heat maps.
        photos_per_second: of ``Classifier.predict_many``.
    """

    photos: str
    steps: dict[str, Times]
    photos_per_second: float


@dataclass(frozen=True)
class ColdStart:
    """``edgeclf predict`` with one photo in a new process, with all files in the disk cache.

    Attributes:
        seconds: wall time, median.
        peak_mib: peak memory, MiB, median; None if the system does not report it.
    """

    seconds: float
    peak_mib: float | None


@dataclass(frozen=True)
class ModelBench:
    """All measurements of one model.

    Attributes:
        file: the model file.
        device: the execution provider in use.
        threads: threads of one inference, except in the sweep.
        cold_start: in a new process.
        photos: one per group, in the order given.
        sweep: by threads and batch size; empty on other devices than the CPU. Points for which there was no time are
            missing.
    """

    file: ModelFile
    device: str
    threads: int
    cold_start: ColdStart
    photos: tuple[PhotoBench, ...]
    sweep: tuple[SweepPoint, ...]


def drawn_photos() -> tuple[Photos, ...]:
    """Two JPEGs, 4000 and 500 pixels wide, with as much detail as real photos; drawn in memory."""
    from PIL import Image

    rng, drawn = np.random.default_rng(0), []
    for name, width, height in (("12 MP", 4000, 3000), ("500 px", 500, 375)):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        grain = Image.effect_noise((width, height), 24).convert("RGB")  # a smooth JPEG would decode too fast
        file = io.BytesIO()
        Image.blend(coarse.resize((width, height), Image.Resampling.BICUBIC), grain, 0.3).save(file, "JPEG", quality=90)
        drawn.append(Photos(name, (file.getvalue(),)))
    return tuple(drawn)


def bench(
    models: Sequence[str],
    photos: Sequence[Photos],
    *,
    device: str = "auto",
    against: str | None = None,
    threads: int | None = None,
    seconds: float = 20.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[ModelBench, ...]:
    """Measure one or two models on photos, or one model on two devices.

    Args:
        models: model files.
        photos: at least one group.
        device, threads: as for ``Classifier``.
        against: another device, for one model: the two take turns with the same number of threads.
        seconds: approximate total time: a fifth for new processes, half for the steps, the rest for the sweep. On slow
            machines it is exceeded, for everything except the sweep is measured at least three times.
        progress: called with the number of completed and of all parts.

    Returns:
        The measurements of each model, in the order given, or on each device.

    Raises:
        ModelError, BackendError, UsageError: as ``Classifier``.
        PhotoError: a photo cannot be read.
    """
    count = threads or usable_threads()
    devices = [device] * len(models)
    if against is not None:
        models, devices = [*models, *models], [device, against]
    classifiers = [Classifier(model, on, count) for model, on in zip(models, devices, strict=True)]
    if against is not None and classifiers[0].device == classifiers[1].device:
        raise UsageError(f"{device} and {against} are the same device", "see `edgeclf devices`")
    for group in photos:
        for photo in group.photos:
            network_input(
                photo, classifiers[0].manifest.contract
            )  # raises for unreadable photos before the long measurement
    done, total = 0, 2 * len(models) + len(photos)

    def next_one(value: T) -> T:
        nonlocal done
        done += 1
        progress(done, total)
        return value

    progress(0, total)
    share = seconds / len(models)
    starts = [
        next_one(_cold_start(model, photos[0].photos[0], on, count, share / 5))
        for model, on in zip(models, devices, strict=True)
    ]
    rows = [next_one(_measure(classifiers, group, seconds / 2 / len(photos))) for group in photos]
    files = [read_model_file(model) for model in models]
    providers = [classifier.device for classifier in classifiers]
    del classifiers  # frees their threads and memory
    sweeps = [
        next_one(tuple(sweep_threads(file, count, 0.3 * share)) if provider == CPU else ())
        for file, provider in zip(files, providers, strict=True)
    ]
    return tuple(
        ModelBench(file, provider, count, start, tuple(row[number] for row in rows), sweep)
        for number, (file, provider, start, sweep) in enumerate(zip(files, providers, starts, sweeps, strict=True))
    )


def _cold_start(model: str, photo: Photo, device: str, threads: int, seconds: float) -> ColdStart:
    piped = isinstance(photo, bytes)
    command = [sys.executable, "-m", "edgeclf", "predict", "-" if piped else str(photo), "-m", model]
    command += ["--device", device, "--threads", str(threads)]
    taken: list[tuple[float, float | None]] = []
    until = time.perf_counter() + seconds
    while len(taken) < _MIN_MEASUREMENTS or (time.perf_counter() < until and len(taken) < 25):
        child = [sys.executable, "-S", "-c", MEASURED_CHILD, *command]
        stdin: dict[str, Any] = {"input": photo} if piped else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(child, capture_output=True, check=False, **stdin)
        try:
            code, wall, peak = json.loads(done.stdout)
        except ValueError:
            code, wall, peak = done.returncode, 0.0, None
        if code:
            reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {code}"]
            raise BackendError(f"edgeclf predict fails in a new process ({reason[0]})", "run `edgeclf doctor`")
        taken.append((wall, peak))
    peaks = [peak for _, peak in taken if peak is not None]
    return ColdStart(round(median(wall for wall, _ in taken), 4), round(median(peaks), 1) if peaks else None)


def _measure(models: Sequence[Classifier], group: Photos, seconds: float) -> list[PhotoBench]:
    """Measure the steps, the models in turn, for four fifths of the time, then ``predict_many`` of each model."""
    taken: list[dict[str, list[float]]] = [{step: [] for step in _steps(model)} for model in models]
    for model in models:
        _once(model, group.photos[0])  # not measured: the first run allocates memory
    until, turn = time.perf_counter() + 0.8 * seconds, 0
    while turn < max(_MIN_MEASUREMENTS, len(group.photos)) or time.perf_counter() < until:
        for offset in range(len(models)):
            which = (turn + offset) % len(models)
            times = taken[which]
            for step, value in zip(times, _once(models[which], group.photos[turn % len(group.photos)]), strict=True):
                times[step].append(value)
        turn += 1
    rates = [_stream(model, group, 0.2 * seconds / len(models)) for model in models]
    return [
        PhotoBench(group.name, {step: _times(values) for step, values in steps.items()}, rate)
        for steps, rate in zip(taken, rates, strict=True)
    ]


def _steps(model: Classifier) -> list[str]:
    """Those of ``STEPS`` that a model can do."""
    return [step for step in STEPS if step != "explain" or model.manifest.cam_classes]


def _once(model: Classifier, photo: Photo) -> list[float]:
    """Run each of the model's steps once; their times in seconds."""
    contract = model.manifest.contract
    marks = [time.perf_counter()]
    upright = upright_rgb(photo, contract)
    marks.append(time.perf_counter())
    image = fit(upright, contract)
    marks.append(time.perf_counter())
    model.infer(image)
    marks.append(time.perf_counter())
    model.predict(photo)
    marks.append(time.perf_counter())
    if model.manifest.cam_classes:
        model.explain(photo).overlay()
        marks.append(time.perf_counter())
    return [after - before for before, after in pairwise(marks)]


def _times(seconds: Sequence[float]) -> Times:
    low, high = np.percentile(np.asarray(seconds) * 1000, (50, 95))
    return Times(len(seconds), round(float(low), 3), round(float(high), 3))


def _stream(model: Classifier, group: Photos, seconds: float) -> float:
    started = time.perf_counter()

    def endless() -> Iterator[Photo]:
        given = 0
        while given < _MIN_MEASUREMENTS or time.perf_counter() - started < seconds:
            yield group.photos[given % len(group.photos)]
            given += 1

    answered = sum(1 for _ in model.predict_many(endless()))
    return round(answered / (time.perf_counter() - started), 2)
