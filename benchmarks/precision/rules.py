"""What each rule for INT8 weights costs in accuracy, and which of them an AVX2 machine without VNNI answers wrongly."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from edgeclf.images.preprocess import network_input
from edgeclf_export.api.export_network import export_network
from edgeclf_export.pack.build import draft_manifest
from edgeclf_export.verify.photos import NetworkInputs, class_indices
from edgeclf_export.verify.predictions import Predictions, network_predictions
from edgeclf_training.dataset.samples import choose_evenly
from edgeclf_training.run.run_folder import Run

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "cpus"))

from asking import ask, compare
from emulation import HERE, UnavailableError, prepare
from measuring import logits_of
from weight_rules import RULES, weights_by

NETWORKS = {"efficientnet_lite0": 160, "resnet50": 160, "vgg16 linear": 80}  # photos asked on the emulated CPU
CALIBRATION_PHOTOS = 256


def rows(name: str, run: Run) -> list[dict[str, Any]]:
    """One row per rule: counts on all test photos here, and on some of them on Haswell."""
    network, contract, samples = run.network(), run.contract, run.split.test
    labels = class_indices(samples, run.classes)
    reference = network_predictions(network, NetworkInputs(tuple(samples), contract))
    chosen = choose_evenly(run.split.train, CALIBRATION_PHOTOS, run.options.seed)
    pixels = [network_input(sample.path, contract) for sample in chosen]
    emulated = choose_evenly(samples, NETWORKS[name], run.options.seed)
    manifest = draft_manifest(run.classes, contract, run.options.arch, run.options.head or "linear", run.provenance)
    found = []
    for rule in RULES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "int8.onnx")
            with weights_by(rule):
                path.write_bytes(export_network(network, manifest, pixels))
            answers = Predictions("int8", logits_of(path, [str(sample.path) for sample in samples]), 0)
            row = {"name": name, "rule": rule, "photos": len(samples), **_counts(answers, reference, labels)}
            try:
                row |= _on_haswell(
                    path, run, [Path(sample.path) for sample in emulated], class_indices(emulated, run.classes)
                )
            except UnavailableError as reason:
                print(f"Haswell: left out, {reason}", file=sys.stderr)
        found.append(row)
    return found


def _counts(answers: Predictions, reference: Predictions, labels: np.ndarray[Any, Any]) -> dict[str, Any]:
    apart = np.sqrt(np.mean((answers.logits - reference.logits) ** 2, dtype=np.float64))
    return {
        "trained_correct": reference.correct(labels),
        "correct": answers.correct(labels),
        "agreeing": answers.agreeing(reference),
        "logit_error": float(apart / reference.logits.std()),
    }


def _on_haswell(path: Path, run: Run, photos: list[Path], labels: np.ndarray[Any, Any]) -> dict[str, Any]:
    here, there = ask(HERE, path, photos), ask(prepare("haswell"), path, photos)
    difference = compare(here, there)
    return {
        "emulated": len(photos),
        "here_correct": int((here.logits.argmax(1) == labels).sum()),
        "there_correct": int((there.logits.argmax(1) == labels).sum()),
        "changed": difference.answers,
        "logits": difference.logits,
        "pixels": difference.same_pixels,
    }
