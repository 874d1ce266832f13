"""A network becomes one model file, without a run and without any comparison."""

from collections.abc import Iterable

import numpy as np
from edgeclf.events import Listener, log
from edgeclf.model.manifest import Manifest
from edgeclf_training.networks import Network
from numpy.typing import NDArray

from edgeclf_export.graph.gradcam import cam_size
from edgeclf_export.graph.to_onnx import to_onnx
from edgeclf_export.int8.activation_ranges import minmax, observe
from edgeclf_export.int8.equalize import correct_bias, cross_layer_equalize
from edgeclf_export.int8.quantize import quantize
from edgeclf_export.pack.build import BuiltModel, build_model, seal_model


def export_network(
    network: Network,
    manifest: Manifest,
    calibration: Iterable[NDArray[np.uint8]] | None = None,
    *,
    fp16: bool = False,
    cam: bool = True,
    on_event: Listener = log,
) -> bytes:
    """Build a model file; nothing is compared with anything, ``export_run`` does that.

    Args:
        network: in eval mode, on the CPU.
        manifest: as the caller knows it, see ``draft_manifest``; what depends on the file is filled in.
        calibration: photos as the network takes them, uint8 ``[size, size, 3]``: makes the file INT8; floats if None.
        fp16: keep float weights in 16 bits; not together with ``calibration``.
        cam: with heat maps; networks of tokens have none.
        on_event: gets ``Progress`` while activations are observed.

    Returns:
        The file's bytes: input ``image``; outputs ``logits``, ``cam``, ``cam_class``; manifest; seal. The same network,
        manifest and photos give the same bytes on the same machine.

    Raises:
        BackendError: ``calibration`` is given and onnxruntime is not installed.
        ExportError: sums of two activations cannot be made to round to the same number on every CPU; or heat maps are
            wanted, and the network has none.
    """
    return seal_model(network_model(network, manifest, calibration, fp16=fp16, cam=cam, on_event=on_event))


def network_model(
    network: Network,
    manifest: Manifest,
    calibration: Iterable[NDArray[np.uint8]] | None = None,
    *,
    fp16: bool = False,
    cam: bool = True,
    on_event: Listener = log,
) -> BuiltModel:
    """As ``export_network``, with the same arguments, but not sealed yet: golden photos can be added."""
    maps = cam_size(network, manifest.contract.size, cam)
    model = to_onnx(network, manifest.contract.size)
    if calibration is None:
        return build_model(model, maps, manifest, "fp16" if fp16 else "fp32")
    model, stats = cross_layer_equalize(model, observe(model, calibration, on_event))
    return build_model(quantize(correct_bias(model, stats), minmax(stats)), maps, manifest, "int8")
