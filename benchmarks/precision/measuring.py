"""One network as FP32, FP16 and INT8 files: what they weigh, what they answer, how fast they are."""

import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from edgeclf import Classifier
from edgeclf.evaluation.compare import compare
from edgeclf.evaluation.metrics import paired_interval
from edgeclf.results import Prediction
from edgeclf_export.api.export_run import export_run
from edgeclf_export.verify.photos import NetworkInputs, class_indices
from edgeclf_export.verify.predictions import Predictions, network_predictions
from edgeclf_training.dataset.samples import choose_evenly
from edgeclf_training.run.run_folder import Run
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from making import random_model

Logits: TypeAlias = NDArray[np.float32]

TIMED_SIZE, TURNS = 224, 30
MAPS = 300  # photos whose heat maps are compared
PRECISIONS = ("fp32", "fp16", "int8")


def measure(name: str, run: Run, out: Path) -> dict[str, Any]:
    """A row of the table, as JSON can hold it."""
    samples = run.split.test
    labels = class_indices(samples, run.classes)
    row: dict[str, Any] = {"name": name, "size": run.contract.size, "photos": len(samples)}
    logits, files = {}, files_of(name, out)
    for precision, path in files.items():
        int8 = precision == "int8"
        exported = export_run(
            run, path, int8=int8, fp16=precision == "fp16", check_photos=1000 if int8 else 100, force=True
        )
        row[precision] = {"bytes": path.stat().st_size}
        if int8:
            row["int8"] |= {"tried": len(exported.tried), "calibration": exported.gate.calibration}
            row["int8"] |= {"passed": exported.gate.passed, "float_layers": exported.gate.float_layers}
        logits[precision] = logits_of(path, [str(sample.path) for sample in samples])
    row["trained"] = _as_trained(run, logits["fp32"])
    for precision in PRECISIONS:
        row[precision] |= _counts(logits["fp32"], logits[precision], labels, run.classes)
    chosen = [(str(sample.path), sample.path) for sample in choose_evenly(samples, MAPS, run.options.seed)]
    pair = (Classifier(files[precision], device="cpu") for precision in ("fp32", "int8"))
    row["int8"]["maps"] = asdict(compare(*pair, chosen).maps)
    return row


def _as_trained(run: Run, logits: Logits) -> dict[str, Any]:
    """Whether the FP32 file answers as torch does: photos with the same best class, the largest difference."""
    torch = network_predictions(run.network(), NetworkInputs(tuple(run.split.test), run.contract))
    file = Predictions("fp32", logits, 0)
    return {"agreeing": file.agreeing(torch), "difference": file.difference(torch)}


def files_of(name: str, out: Path) -> dict[str, Path]:
    """Where the files of a row lie."""
    return {precision: out / f"{name.replace(' ', '-')}-{precision}.onnx" for precision in PRECISIONS}


def logits_of(path: Path, photos: list[str]) -> Logits:
    """What a file answers, float32 ``[photos, classes]``."""
    rows = []
    for answer in Classifier(path, device="cpu", for_many=True).predict_many(photos, top_k=1, logits=True):
        assert isinstance(answer, Prediction)
        rows.append(answer.logits)
    return np.array(rows, np.float32)


def _counts(before: Logits, after: Logits, labels: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Any]:
    """Photos right, lost and gained, those with the same answer, and the class that lost most."""
    first, second = before.argmax(1) == labels, after.argmax(1) == labels
    lost, gained = first & ~second, second & ~first
    net = [int(lost[labels == i].sum()) - int(gained[labels == i].sum()) for i in range(len(classes))]
    drops = [n / max(1, int((labels == i).sum())) for i, n in enumerate(net)]
    worst = int(np.argmax(drops))
    same = before.argmax(1) == after.argmax(1)
    sure = np.exp(before - before.max(1, keepdims=True)).sum(1) <= 2  # softmax gives the best class half or more
    return {
        "correct": int(second.sum()),
        "lost": int(lost.sum()),
        "gained": int(gained.sum()),
        "interval": [100 * end for end in paired_interval(int(gained.sum()), int(lost.sum()), len(labels))],
        "agreeing": int(same.sum()),
        "sure": [int((same & sure).sum()), int(sure.sum())],
        "logit_error": float(np.sqrt(np.mean((after - before) ** 2, dtype=np.float64)) / before.std()),
        "worst": [classes[worst], 100 * drops[worst]] if drops[worst] > 0 else None,
    }


def time_row(name: str, run: Run, out: Path) -> dict[str, list[float]]:
    """Median milliseconds of an FP32 and an INT8 inference: the row's own files, and at 224 px with random weights."""
    paths = [files_of(name, out)[precision] for precision in ("fp32", "int8")]
    return {"own": _take_turns(paths), "at_224": _at_224(run, out)}


def _at_224(run: Run, out: Path) -> list[float]:
    options = run.options
    paths = [
        random_model(
            out / f"timed-{int8}.onnx",
            options.arch,
            int8=int8,
            size=TIMED_SIZE,
            classes=len(run.classes),
            head=options.head or "linear",
        )
        for int8 in (False, True)
    ]
    times = _take_turns(paths)
    for path in paths:
        path.unlink()
    return times


def _take_turns(paths: list[Path]) -> list[float]:
    models = [Classifier(path, device="cpu") for path in paths]
    side = models[0].manifest.contract.size
    photo = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    times: list[list[float]] = [[] for _ in models]
    for turn in range(TURNS + 2):
        for index in range(len(models))[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            models[index].infer(photo)
            if turn > 1:
                times[index].append(1000 * (time.perf_counter() - started))
    return [statistics.median(one) for one in times]
