"""The networks of the comparison: each architecture as INT8, FP32 and FP16, quantized on real photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf_export.api.export_network import export_network
from edgeclf_export.pack.build import draft_manifest
from edgeclf_training.networks import ARCHITECTURES, build_network

PRECISIONS = ("int8", "fp32", "fp16")
CLASSES = 10
CALIBRATION_PHOTOS = 48
# Published weights where there are some; the others are random.
WEIGHTS = {"squeezenet1_1": "squeezenet1_1.pth", "mobilenet_v2": "mobilenet_v2-features-bnfolded.pth"}
# Smaller inputs than by default, where 500 photos would take too long.
SMALL_INPUT = {
    **{"mobilenet_v2": 128, "mobilenet_v3_large": 128, "squeezenet1_1": 128},
    **{"efficientnet_lite1": 128, "efficientnet_lite2": 128},
    **{"resnet18": 96, "resnet50": 96, "vgg16": 64},
}


def make_networks(folder: Path, name: str, weights: Path, photos: Sequence[Path]) -> dict[str, Path]:
    """The three files of an architecture, made if they are not there.

    Args:
        folder: where they are kept.
        name: of the architecture.
        weights: the folder that may hold published weights.
        photos: real ones: for the statistics of batch norms, and for the ranges of INT8.

    Returns:
        precision -> file.
    """
    files = {precision: folder / f"{name}-{precision}.onnx" for precision in PRECISIONS}
    if all(file.exists() for file in files.values()):
        return files
    torch.manual_seed(0)
    architecture = ARCHITECTURES[name]
    size = SMALL_INPUT.get(name, architecture.image_size)
    known = weights / WEIGHTS.get(name, "-")
    start = str(known) if known.exists() else "imagenet" if name.startswith("efficientnet_lite") else "none"
    network, _ = build_network(name, CLASSES, image_size=size, weights=start)
    contract = ImageContract(size, crop_fraction=0.875)
    inputs = [network_input(photo, contract) for photo in photos[:CALIBRATION_PHOTOS]]
    if start == "none":
        _measure_batch_norms(network, inputs)
    head = architecture.default_head
    manifest = draft_manifest(tuple(f"class{i}" for i in range(CLASSES)), contract, name, head)
    for precision, file in files.items():
        calibration = inputs if precision == "int8" else None
        file.write_bytes(export_network(network.eval(), manifest, calibration, fp16=precision == "fp16"))
    return files


def _measure_batch_norms(network: torch.nn.Module, inputs: Sequence[np.ndarray[Any, Any]]) -> None:
    """Give a random network the activations of a trained one: neither vanishing nor growing from layer to layer."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain average
    network.train()
    with torch.no_grad():
        network(torch.from_numpy(np.stack(inputs)))
