"""How much each layer suffers from INT8: the error of the logits when it alone is quantized."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from edgeclf.model.session import open_cpu_session
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeclf_export.int8.activation_ranges import ActivationStats, Ranges
from edgeclf_export.int8.equalize import correct_bias
from edgeclf_export.int8.quantize import layer_names, rounded_weights
from edgeclf_export.int8.stable_add import quant_params

Photos = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True)
class LayerSensitivity:
    """A layer, by its node's name, and the root mean square error of the logits when only it is quantized."""

    layer: str
    error: float


def logit_error(model: onnx.ModelProto, others: Sequence[onnx.ModelProto], photos: Photos) -> list[float]:
    """RMSE of each other graph's logits against those of ``model``; arguments as for ``measure_sensitivity``."""
    reference = _logits(model, photos)
    return [rmse(_logits(other, photos), reference) for other in others]


def measure_sensitivity(
    model: onnx.ModelProto,
    seen: Mapping[str, ActivationStats],
    ranges: Ranges,
    photos: Photos,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[LayerSensitivity, ...]:
    """Quantize each layer alone, its weights and its input, and compare the logits with the float network's.

    Args:
        model: a float graph of ``to_onnx`` or ``cross_layer_equalize``; not changed.
        seen: what its activations do.
        ranges: of its activations.
        photos: as the network takes them, uint8 ``[size, size, 3]``.
        progress: called with (layers done, all layers).

    Returns:
        The most sensitive layer first; of equals the earliest layer.
    """
    names = layer_names(model.graph)
    reference = _logits(model, photos)
    found = []
    for done, name in enumerate(names, 1):
        corrected = correct_bias(model, seen, in_float=set(names) - {name})
        found.append(LayerSensitivity(name, rmse(_logits(_one_rounded(corrected, name, ranges), photos), reference)))
        if progress:
            progress(done, len(names))
    return tuple(sorted(found, key=lambda one: -one.error))


def _one_rounded(model: onnx.ModelProto, name: str, ranges: Ranges) -> onnx.ModelProto:
    """``model``, changed in place."""
    graph = model.graph
    position, node = next((i, n) for i, n in enumerate(graph.node) if n.name == name)
    for tensor in graph.initializer:
        if tensor.name == node.input[1]:
            tensor.CopyFrom(numpy_helper.from_array(rounded_weights(numpy_helper.to_array(tensor)), tensor.name))
    found = quant_params(*ranges[node.input[0]])
    graph.initializer.append(numpy_helper.from_array(np.array(found.scale), "harm_scale"))
    graph.initializer.append(numpy_helper.from_array(np.array(found.zero_point, np.uint8), "harm_zero"))
    source = node.input[0]
    node.input[0] = "harm_input"
    steps = ["harm_scale", "harm_zero"]
    graph.node.insert(position, helper.make_node("DequantizeLinear", ["harm_steps", *steps], ["harm_input"]))
    graph.node.insert(position, helper.make_node("QuantizeLinear", [source, *steps], ["harm_steps"]))
    return model


def rmse(logits: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Root of the mean squared difference of two arrays of one shape."""
    return float(np.sqrt(np.mean(np.square(logits - reference, dtype=np.float64))))


def _logits(model: onnx.ModelProto, photos: Photos) -> NDArray[np.float32]:
    session = open_cpu_session(model.SerializeToString())
    return np.concatenate([session.run(["logits"], {"image": photo[None]})[0] for photo in photos])
