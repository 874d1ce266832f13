"""One network as FP32, FP16 and INT8 files: what they weigh, what they answer, how fast they are."""

import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from edgeclf import Classifier
from edgeclf.comparing import Comparison, compare
from edgeclf.contract import ImageContract
from edgeclf.manifest import SCHEMA_VERSION, Provenance
from edgeclf_export.exporting import export_run
from edgeclf_export.packing import draft_manifest, export_network
from edgeclf_training.networks import build_network
from edgeclf_training.runs import Run

TIMED_SIZE, TURNS = 224, 30
PRECISIONS = ("fp32", "fp16", "int8")


def measure(name: str, run: Run, out: Path) -> dict[str, Any]:
    """A row of the table, as JSON can hold it."""
    files = {precision: out / f"{name.replace(' ', '-')}-{precision}.onnx" for precision in PRECISIONS}
    samples = run.split.test
    row: dict[str, Any] = {"name": name, "size": run.contract.size, "photos": len(samples)}
    for precision, path in files.items():
        exported = export_run(
            run, path, int8=precision == "int8", fp16=precision == "fp16", check_photos=len(samples), force=True
        )
        row[precision] = {
            "bytes": path.stat().st_size,
            "trained_correct": exported.rows[0].correct,
            "correct": exported.rows[-1].correct,
            "tried": len(exported.tried),
            "gate": asdict(exported.gate),
        }
    first = Classifier(files["fp32"], device="cpu", spin=False)
    photos = [(str(sample.path), sample.path) for sample in samples]
    for precision in PRECISIONS[1:]:
        second = Classifier(files[precision], device="cpu", spin=False)
        row[precision] |= _told(compare(first, second, photos))
    row["timed"] = time_untrained(run, out)
    return row


def _told(comparison: Comparison) -> dict[str, Any]:
    counts, milliseconds = comparison.counts, comparison.milliseconds
    assert counts is not None
    assert milliseconds is not None
    return {
        "lost": counts.first_only,
        "gained": counts.second_only,
        "interval": [100 * end for end in counts.interval],
        "agreeing": comparison.agreeing,
        "milliseconds": milliseconds,
        "maps": asdict(comparison.maps),
    }


def time_untrained(run: Run, out: Path) -> list[float]:
    """Median milliseconds of FP32 and INT8 at 224 px, taking turns: the same network with random weights."""
    options = run.options
    contract = ImageContract(TIMED_SIZE)
    network, _ = build_network(
        options.arch, len(run.classes), head=options.head or "linear", weights="none", image_size=TIMED_SIZE
    )
    manifest = draft_manifest(
        schema_version=SCHEMA_VERSION,
        classes=run.classes,
        contract=contract,
        contract_sha256=contract.digest(),
        architecture=options.arch,
        head=options.head or "linear",
        provenance=Provenance("2026-01-01T00:00:00+00:00"),
    )
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (TIMED_SIZE, TIMED_SIZE, 3), dtype=np.uint8) for _ in range(4)]
    models = []
    for calibration in (None, photos):
        path = out / "timed.onnx"
        path.write_bytes(export_network(network.eval(), manifest, calibration))
        models.append(Classifier(path, device="cpu", spin=False))
        path.unlink()
    times: list[list[float]] = [[], []]
    for turn in range(TURNS + 2):
        for index in (0, 1) if turn % 2 else (1, 0):
            started = time.perf_counter()
            models[index].infer(photos[0])
            if turn > 1:
                times[index].append(1000 * (time.perf_counter() - started))
    return [statistics.median(one) for one in times]
