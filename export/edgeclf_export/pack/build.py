"""Trained network -> the bytes of one sealed model file."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
import torch
from edgeclf.images.contract import ImageContract
from edgeclf.model.file import MANIFEST_KEY, seal
from edgeclf.model.manifest import SCHEMA_VERSION, Manifest, Provenance
from edgeclf_training.networks import Network
from numpy.typing import NDArray

from edgeclf_export.graph.compact import compact
from edgeclf_export.graph.fp16_weights import store_in_half
from edgeclf_export.graph.gradcam import CAM_TABLE, affordable_maps, attach_cam
from edgeclf_export.graph.to_onnx import IR_VERSION, MIN_ONNXRUNTIME, OPSET, strip, to_onnx
from edgeclf_export.int8.activation_ranges import minmax, observe
from edgeclf_export.int8.equalize import correct_bias, cross_layer_equalize
from edgeclf_export.int8.quantize import quantize

UNTRAINED = Provenance("1970-01-01T00:00:00+00:00")  # of networks nobody trained


def export_network(
    network: Network,
    manifest: Manifest,
    calibration: Iterable[NDArray[np.uint8]] | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    fp16: bool = False,
) -> bytes:
    """Build a model file; nothing is compared with anything, see ``edgeclf_export.api.export_run`` for that.

    Args:
        network: in eval mode, on the CPU.
        manifest: as the caller knows it; precision, heat maps, opset, IR version, lowest onnxruntime and the exporting
            packages' versions are filled in here.
        calibration: photos as the network takes them, uint8 ``[size, size, 3]``: makes the file INT8; floats if None.
        progress: called with the number of calibration photos done.
        fp16: keep float weights in 16 bits; not together with ``calibration``.

    Returns:
        The file's bytes: input ``image``; outputs ``logits``, ``cam``, ``cam_class``; manifest; seal. The same network,
        manifest and photos give the same bytes on the same machine.

    Raises:
        BackendError: ``calibration`` is given and onnxruntime is not installed.
        ExportError: sums of two activations cannot be made to round to the same number on every CPU.
    """
    model = to_onnx(network, manifest.contract.size)
    if calibration is None:
        return pack(model, network, manifest, "fp16" if fp16 else "fp32")
    model, seen = cross_layer_equalize(model, observe(model, calibration, progress))
    return pack(quantize(correct_bias(model, seen), minmax(seen)), network, manifest, "int8")


def pack(model: onnx.ModelProto, network: Network, manifest: Manifest, precision: str) -> bytes:
    """Complete a graph of ``to_onnx`` or ``quantize``: heat maps, manifest, seal.

    Args:
        model: not changed.
        network: what it was made from.
        manifest: as for ``export_network``.
        precision: "fp32", "fp16" (stores the weights so), "int8" or "mixed".
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    activation = _activation_shape(network, manifest.contract.size)
    maps = affordable_maps(network, manifest.contract.size, activation)
    attach_cam(whole, maps, activation)
    if precision != "fp32":
        # The heat maps' own table would otherwise be as large as an INT8 head, or larger.
        store_in_half(whole.graph, None if precision == "fp16" else CAM_TABLE)
    if precision in ("int8", "mixed"):
        compact(whole.graph)
    strip(whole)
    del whole.graph.value_info[:]
    # The quantizer lists its own domains, used or not.
    used = {node.domain for node in whole.graph.node}
    for entry in [entry for entry in whole.opset_import if entry.domain not in used]:
        whole.opset_import.remove(entry)
    whole.ir_version = IR_VERSION
    onnx.checker.check_model(whole)
    finished = replace(
        manifest,
        precision=precision,
        cam_classes=maps,
        opset=OPSET,
        ir_version=IR_VERSION,
        min_onnxruntime=MIN_ONNXRUNTIME,
        provenance=replace(
            manifest.provenance,
            versions={**manifest.provenance.versions, **{name: version(name) for name in ("onnx", "onnxscript")}},
        ),
    )
    return _sealed(whole, finished)


def manifest_of(data: bytes) -> Manifest:
    """The manifest inside a finished model file."""
    metadata = {entry.key: entry.value for entry in onnx.load_model_from_string(data).metadata_props}
    return Manifest.from_json(metadata[MANIFEST_KEY], "the file")


def with_manifest(data: bytes, manifest: Manifest) -> bytes:
    """A finished model file with another manifest, sealed anew; the same arguments give the same bytes."""
    model = onnx.load_model_from_string(data)
    return _sealed(model, manifest)


def _sealed(model: onnx.ModelProto, manifest: Manifest) -> bytes:
    del model.metadata_props[:]  # an earlier manifest, and the seal, which is the last entry
    entry = model.metadata_props.add()
    entry.key, entry.value = MANIFEST_KEY, manifest.to_json()
    return seal(model.SerializeToString(deterministic=True))


def draft_manifest(
    classes: tuple[str, ...],
    contract: ImageContract,
    architecture: str,
    head: str = "linear",
    provenance: Provenance = UNTRAINED,
    **known: Any,
) -> Manifest:
    """A manifest with what ``export_network`` fills in left at placeholders; ``known``: any other of its fields."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        classes=classes,
        contract=contract,
        contract_sha256=contract.digest(),
        architecture=architecture,
        head=head,
        provenance=provenance,
        precision="",
        cam_classes=0,
        opset=0,
        ir_version=0,
        min_onnxruntime="",
        **known,
    )


def _activation_shape(network: Network, size: int) -> tuple[int, int, int]:
    with torch.inference_mode():
        _, activation, _ = network.trace(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    _, channels, height, width = activation.shape
    return channels, height, width
