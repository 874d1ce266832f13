"""Trained network -> the bytes of one sealed model file."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import onnx
import torch
from edgeclf.manifest import Manifest
from edgeclf.modelfile import MANIFEST_KEY, seal
from edgeclf_training.networks import Network
from numpy.typing import NDArray

from edgeclf_export.cam import affordable_maps, attach_cam
from edgeclf_export.graph import IR_VERSION, MIN_ONNXRUNTIME, OPSET, strip, to_onnx
from edgeclf_export.quantize import quantize


def export_network(
    network: Network,
    manifest: Manifest,
    calibration: Iterable[NDArray[np.uint8]] | None = None,
    progress: Callable[[int], None] | None = None,
) -> bytes:
    """Build a model file.

    Args:
        network: in eval mode, on the CPU.
        manifest: as the caller knows it; precision, heat maps, opset, IR version, lowest onnxruntime and the exporting
            packages' versions are filled in here.
        calibration: photos as the network takes them, uint8 ``[size, size, 3]``: makes the file INT8; FP32 if None.
        progress: called with the number of calibration photos done.

    Returns:
        The file's bytes: input ``image``; outputs ``logits``, ``cam``, ``cam_class``; manifest; seal. The same network,
        manifest and photos give the same bytes on the same machine.
    """
    size = manifest.contract.size
    model = to_onnx(network, size)
    if calibration is not None:
        model = quantize(model, calibration, progress)
    activation = _activation_shape(network, size)
    maps = affordable_maps(network, size, activation)
    attach_cam(model, maps, activation)
    strip(model)
    del model.graph.value_info[:]
    # The quantizer lists its own domains, used or not.
    used = {node.domain for node in model.graph.node}
    for entry in [entry for entry in model.opset_import if entry.domain not in used]:
        model.opset_import.remove(entry)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    finished = replace(
        manifest,
        precision="fp32" if calibration is None else "int8",
        cam_classes=maps,
        opset=OPSET,
        ir_version=IR_VERSION,
        min_onnxruntime=MIN_ONNXRUNTIME,
        provenance=replace(
            manifest.provenance,
            versions={**manifest.provenance.versions, **{name: version(name) for name in ("onnx", "onnxscript")}},
        ),
    )
    entry = model.metadata_props.add()
    entry.key, entry.value = MANIFEST_KEY, finished.to_json()
    return seal(model.SerializeToString(deterministic=True))


def draft_manifest(**known: object) -> Manifest:
    """A manifest with what ``export_network`` fills in left at placeholders."""
    return Manifest(precision="", cam_classes=0, opset=0, ir_version=0, min_onnxruntime="", **known)  # type: ignore[arg-type]


def _activation_shape(network: Network, size: int) -> tuple[int, int, int]:
    with torch.inference_mode():
        _, activation, _ = network.trace(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    _, channels, height, width = activation.shape
    return channels, height, width
