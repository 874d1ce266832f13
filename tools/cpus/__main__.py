"""``make test-cpus``: does every CPU give the same answer? This machine's, and emulated ones.

    python tools/cpus [--cpu haswell] [--model resnet50] [--photos 3]

Drawn photos are decoded and answered by the runtime package on each CPU. Decoded pixels must be equal, the logits of
INT8 files the same bits, those of FP32 files within 1e-4 of the largest. Files with plain 8-bit and with 7-bit weights
are shown for comparison. Exit code 1 if anything differs that must not; a CPU that cannot be emulated here is skipped
with the reason.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from edgeclf.classifier import DEFAULT_MODEL
from edgeclf.contract import ImageContract
from edgeclf.image import network_input
from edgeclf.manifest import SCHEMA_VERSION, Provenance
from edgeclf_export import quantize
from edgeclf_export.packing import draft_manifest, export_network
from edgeclf_training.networks import build_network
from edgeclf_training.sample_data import write_sample_data
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from emulation import CPUS, UnavailableError, command

RUNTIME = Path(__file__).parents[2] / "runtime"
FP32_TOLERANCE = 1e-4
NETWORKS = ("efficientnet_lite0", "resnet50", "vgg16")


@dataclass(frozen=True)
class Case:
    """A model file, how many photos it is asked about, and what must hold: "bits", "close" or "nothing"."""

    name: str
    path: Path
    photos: int
    must: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cpu", action="append", choices=CPUS, help="only this one; may be repeated")
    parser.add_argument("--model", action="append", choices=NETWORKS)
    parser.add_argument("--photos", type=int, default=3, help="for each model; VGG16 takes at most 2")
    given = parser.parse_args()
    broken = False
    with tempfile.TemporaryDirectory() as folder:
        write_sample_data(Path(folder, "drawn"), per_class=max(8, given.photos), size=300, seed=5)
        drawn = sorted(Path(folder, "drawn").rglob("*.jpg"))
        drawn = [photo for turn in range(8) for photo in drawn[turn::8]]  # one of each species, then the next ones
        cases = list(make_cases(Path(folder), drawn, given.model or NETWORKS, given.photos))
        here = {case.name: answers([sys.executable], {}, case, drawn) for case in cases}
        for cpu in given.cpu or CPUS:
            try:
                python, environment = command(cpu)
            except UnavailableError as reason:
                print(f"{cpu}: skipped, {reason}")
                continue
            for case in cases:
                there = answers(python, environment, case, drawn)
                verdict, fine = compare(here[case.name], there, case.must)
                broken = broken or not fine
                print(f"{cpu:<11} onnxruntime {there['onnxruntime']:<8} {case.name:<38} {verdict}", flush=True)
    print("something differs that must not" if broken else "every CPU gives the same answer")
    return int(broken)


def make_cases(folder: Path, drawn: list[Path], networks: Sequence[str], photos: int) -> Iterator[Case]:
    """Exports the networks, calibrated on drawn photos; the default model is taken as it ships."""
    for name in networks:
        few = min(photos, 2) if name == "vgg16" else photos
        real = name == "efficientnet_lite0"  # whose ImageNet weights are to be had everywhere
        network, _ = build_network(name, 1000, weights="imagenet" if real else "none", keep_classifier=real)
        weights = "ImageNet" if real else "random weights"
        contract = ImageContract(size=224)
        pixels = [network_input(photo, contract) for photo in drawn[:32]]
        manifest = draft_manifest(
            schema_version=SCHEMA_VERSION,
            classes=tuple(f"class {i}" for i in range(1000)),
            contract=contract,
            contract_sha256=contract.digest(),
            architecture=name,
            head="linear",
            provenance=Provenance("2026-01-01T00:00:00+00:00"),
        )

        def case(kind: str, must: str, data: bytes, few: int = few, name: str = name, weights: str = weights) -> Case:
            path = folder / f"{name}-{kind.replace(' ', '-')}.onnx"
            path.write_bytes(data)
            return Case(f"{name} ({weights}), {kind}", path, few, must)

        network.eval()
        if real:
            yield Case("the default model, INT8", DEFAULT_MODEL, few, "bits")
            yield case("FP32", "close", export_network(network, manifest))
        yield case("INT8", "bits", export_network(network, manifest, pixels))
        if name != "vgg16":
            with _weights_of(8):
                yield case("plain 8-bit weights", "nothing", export_network(network, manifest, pixels))
        if real:
            with _weights_of(7):
                yield case("7-bit weights", "bits", export_network(network, manifest, pixels))


@contextmanager
def _weights_of(bits: int) -> Iterator[None]:
    """Quantize with the whole range of int8, or half of it, in place of the pair rule."""

    def peak(weights: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.abs(weights.reshape(len(weights), -1)).max(1) * np.float32(1 if bits == 8 else 127 / 64)

    with patch.object(quantize, "pair_safe_peak", peak):
        yield


def answers(python: list[str], environment: dict[str, str], case: Case, photos: list[Path]) -> dict[str, Any]:
    """What ``answer.py`` prints on one CPU."""
    path = os.pathsep.join([str(RUNTIME), *filter(None, [environment.get("PYTHONPATH")])])
    done = subprocess.run(
        [*python, str(Path(__file__).with_name("answer.py")), str(case.path), *map(str, photos[: case.photos])],
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{case.name} on {python[0]}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(here: dict[str, Any], there: dict[str, Any], must: str) -> tuple[str, bool]:
    """In words, and whether what must hold does."""
    same, worst, ranked = True, 0.0, 0
    for photo, mine in here["photos"].items():
        other = there["photos"][photo]
        same = same and mine["pixels"] == other["pixels"]
        a, b = (np.frombuffer(base64.b64decode(row["logits"]), "<f4") for row in (mine, other))
        worst = max(worst, float(np.abs(a - b).max() / np.abs(a).max()))
        ranked += int(a.argmax() == b.argmax())
    pixels = "pixels equal" if same else "PIXELS DIFFER"
    logits = "logits the same bits" if worst == 0 else f"logits differ by {worst:.1e} of the largest"
    fine = same and {"bits": worst == 0, "close": worst <= FP32_TOLERANCE, "nothing": True}[must]
    agree = f"{ranked} of {len(here['photos'])} answers equal"
    return f"{pixels}, {logits}, {agree}{'' if fine else '  <-- NOT ALLOWED'}", fine


if __name__ == "__main__":
    sys.exit(main())
