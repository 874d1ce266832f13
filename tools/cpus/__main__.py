"""``make test-cpus``: does every CPU give the same answer? This machine's, and emulated ones.

    python tools/cpus [--place haswell] [--model resnet50] [--photos 3]

Drawn photos are decoded and answered by the runtime package on each CPU, and by old versions of onnxruntime. Decoded
pixels must be equal, the logits of INT8 files the same bits, others within what the self-test allows their precision; a
file's own self-test must pass, the command line must say the same and draw the same heat map. Files with plain 8-bit
and with 7-bit weights are shown for comparison. Networks have random weights, but for EfficientNet-Lite0. Exit code 1
if anything differs that must not; a place that cannot be had here is skipped with the reason. Nothing is said about
speed: emulation is slow.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgeclf.classifier import DEFAULT_MODEL
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf.model.file import read_model_file
from edgeclf_export.api.export_network import export_network, network_model
from edgeclf_export.pack.build import draft_manifest, seal_model
from edgeclf_export.verify.golden import TOLERANCES, golden_photos
from edgeclf_samples import write_sample_data
from edgeclf_training.networks import build_network

sys.path.insert(0, str(Path(__file__).parent))

from asking import ask, compare, explain
from emulation import HERE, PLACES, Place, UnavailableError, prepare
from weight_rules import weights_by

OVERLAY_TOLERANCE = 2  # of 255: a heat map is computed in float
NETWORKS = ("efficientnet_lite0", "resnet50", "vgg16")
SMALL = ("squeezenet1_1", "mobilenet_v2", "mobilenet_v3_large", "cnn4", "cnn4 mlp")  # with a self-test in the file
SMALL_SIZE = 64


@dataclass(frozen=True)
class Case:
    """A model file, how many photos it is asked about, and how far logits may differ, relative to the largest."""

    name: str
    path: Path
    photos: int
    allowed: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--place", action="append", choices=PLACES, help="only this one; may be repeated")
    parser.add_argument("--model", action="append", choices=(*NETWORKS, *SMALL))
    parser.add_argument("--photos", type=int, default=3, help="for each model; VGG16 takes at most 2")
    given = parser.parse_args()
    broken = compared = 0
    with tempfile.TemporaryDirectory() as folder:
        write_sample_data(Path(folder, "drawn"), per_class=max(8, given.photos), size=300, seed=5)
        drawn = sorted(Path(folder, "drawn").rglob("*.jpg"))
        drawn = [photo for turn in range(8) for photo in drawn[turn::8]]  # one of each species, then the next ones
        names = given.model or (*NETWORKS, *SMALL)
        cases = list(make_cases(Path(folder), drawn, [name for name in names if name in NETWORKS], given.photos))
        cases += make_small(Path(folder), drawn, [name for name in names if name in SMALL])
        here = {case.name: ask(HERE, case.path, drawn[: case.photos]) for case in cases}
        for name in given.place or PLACES:
            try:
                place = prepare(name)
            except UnavailableError as reason:
                print(f"{name}: skipped, {reason}")
                continue
            for case in cases:
                there = ask(place, case.path, drawn[: case.photos])
                difference = compare(here[case.name], there)
                fine = difference.same_pixels and difference.logits <= case.allowed and not there.failures
                broken, compared = broken + (not fine), compared + 1
                note = "" if fine else "  <-- NOT ALLOWED" + "".join(f"\n    {line}" for line in there.failures)
                print(f"{name:<15} onnxruntime {there.onnxruntime:<8} {case.name:<46} {difference}{note}", flush=True)
            same, said = same_command(place, drawn[0], Path(folder))
            broken, compared = broken + (not same), compared + 1
            print(f"{name:<15} {said}{'' if same else '  <-- NOT ALLOWED'}", flush=True)
    print(f"{broken} of {compared} comparisons differ that must not" if compared else "nothing was compared")
    return int(broken > 0)


def same_command(place: Place, photo: Path, folder: Path) -> tuple[bool, str]:
    """Whether ``edgeclf predict --cam`` with the default model says and draws the same there, and how to tell it."""
    here, there = (explain(one, DEFAULT_MODEL, photo, folder / f"{one.name}.png") for one in (HERE, place))
    apart = int(np.abs(here.pop("pixels") - there.pop("pixels")).max())
    said = "says the same" if here == there else f"SAYS {there}, not {here}"
    return (
        here == there and apart <= OVERLAY_TOLERANCE,
        f"edgeclf predict --cam: {said}, overlays differ by {apart}/255",
    )


def make_cases(folder: Path, drawn: list[Path], networks: Sequence[str], photos: int) -> Iterator[Case]:
    """Exports the networks, calibrated on drawn photos; the default model is taken as it ships."""
    contract = ImageContract(size=224)
    pixels = [network_input(photo, contract) for photo in drawn[:32]]
    for name in networks:
        few = min(photos, 2) if name == "vgg16" else photos
        real = name == "efficientnet_lite0"  # its ImageNet weights are available everywhere
        network, _ = build_network(name, 1000, weights="imagenet" if real else "none", keep_classifier=real)
        manifest = draft_manifest(tuple(f"class {i}" for i in range(1000)), contract, name)
        network.eval()

        def case(kind: str, allowed: float, data: bytes, few: int = few, name: str = name, real: bool = real) -> Case:
            path = folder / f"{name}-{kind.replace(' ', '-')}.onnx"
            path.write_bytes(data)
            return Case(f"{name} ({'ImageNet' if real else 'random'} weights), {kind}", path, few, allowed)

        if real:
            yield Case("the default model, INT8", DEFAULT_MODEL, few, 0)
            yield case("FP32", TOLERANCES["fp32"], export_network(network, manifest))
        yield case("INT8", 0, export_network(network, manifest, pixels))
        if name != "vgg16":
            with weights_by("plain 8-bit"):
                yield case("plain 8-bit", math.inf, export_network(network, manifest, pixels))
        if real:
            with weights_by("7-bit"):
                yield case("7-bit", math.inf, export_network(network, manifest, pixels))


def make_small(folder: Path, drawn: list[Path], networks: Sequence[str]) -> Iterator[Case]:
    """Exports networks with golden photos, cnn4 in every precision."""
    contract = ImageContract(size=SMALL_SIZE)
    pixels = [network_input(photo, contract) for photo in drawn[:32]]
    labels = ("one", "two", "three", "four")
    golden = [(photo, labels[number % 4]) for number, photo in enumerate(drawn)]
    for name in networks:
        architecture, _, head = name.partition(" ")
        head = head or "linear"
        network, _ = build_network(architecture, len(labels), head=head, weights="none", image_size=SMALL_SIZE)
        manifest = draft_manifest(labels, contract, architecture, head)
        network.eval()
        for precision in ("fp32", "fp16", "int8") if architecture == "cnn4" else ("int8",):
            calibration = pixels if precision == "int8" else None
            path = folder / f"{name.replace(' ', '-')}-{precision}.onnx"
            model = network_model(network, manifest, calibration, fp16=precision == "fp16")
            path.write_bytes(seal_model(model.with_manifest(golden=golden_photos(model, golden))))
            selftest = read_model_file(path).manifest.golden
            assert selftest is not None
            yield Case(f"{name} (random weights), {precision.upper()}", path, 2, selftest.tolerance)


if __name__ == "__main__":
    sys.exit(main())
