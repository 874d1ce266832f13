"""How sensitive each layer is to INT8: the error of the logits when only this layer is quantized."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from edgeclf.events import Listener, log, progress
from edgeclf.model.session import open_cpu_session
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeclf_export.int8.activation_ranges import ActivationStats, Ranges
from edgeclf_export.int8.equalize import correct_bias
from edgeclf_export.int8.quantize import layer_names, rounded_weights
from edgeclf_export.int8.residual_add_rounding import quant_params

Photos = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True)
class LayerSensitivity:
    """A layer, by its node's name, and the root mean square error of the logits when only it is quantized."""

    layer: str
    error: float


def logit_error(model: onnx.ModelProto, others: Sequence[onnx.ModelProto], photos: Photos) -> list[float]:
    """The RMSE of each other graph's logits from those of ``model``; arguments as for ``measure_sensitivity``."""
    reference = _logits(model, photos)
    return [rmse(_logits(other, photos), reference) for other in others]


def measure_sensitivity(
    model: onnx.ModelProto,
    stats: Mapping[str, ActivationStats],
    ranges: Ranges,
    photos: Photos,
    on_event: Listener = log,
) -> tuple[LayerSensitivity, ...]:
    """Quantize each layer alone, its weights and its input, and compare the logits with the float network's.

    Args:
        model: a float graph of ``to_onnx`` or ``cross_layer_equalize``; not changed.
        stats: of its activations.
        ranges: of its activations.
        photos: as the network takes them, uint8 ``[size, size, 3]``.
        on_event: gets ``Progress``.

    Returns:
        The most sensitive layer first; of equals the earliest layer.
    """
    names = layer_names(model.graph)
    reference = _logits(model, photos)
    found = []
    with progress(on_event, "measuring the sensitivity of each layer") as update:
        for done, name in enumerate(names, 1):
            corrected = correct_bias(model, stats, in_float=set(names) - {name})
            _quantize_one(corrected, name, ranges)
            found.append(LayerSensitivity(name, rmse(_logits(corrected, photos), reference)))
            update(done, len(names))
    return tuple(sorted(found, key=lambda one: -one.error))


def _quantize_one(model: onnx.ModelProto, name: str, ranges: Ranges) -> None:
    """Quantize the weights and the input of one layer; ``model`` is changed in place."""
    graph = model.graph
    position, node = next((i, n) for i, n in enumerate(graph.node) if n.name == name)
    for tensor in graph.initializer:
        if tensor.name == node.input[1]:
            tensor.CopyFrom(numpy_helper.from_array(rounded_weights(numpy_helper.to_array(tensor)), tensor.name))
    params = quant_params(*ranges[node.input[0]])
    scale, zero_point, quantized, dequantized = (f"only_{part}" for part in ("scale", "zero", "quantized", "input"))
    graph.initializer.append(numpy_helper.from_array(np.array(params.scale), scale))
    graph.initializer.append(numpy_helper.from_array(np.array(params.zero_point, np.uint8), zero_point))
    rounding = [
        helper.make_node("QuantizeLinear", [node.input[0], scale, zero_point], [quantized]),
        helper.make_node("DequantizeLinear", [quantized, scale, zero_point], [dequantized]),
    ]
    node.input[0] = dequantized
    for step in reversed(rounding):
        graph.node.insert(position, step)


def rmse(logits: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Root of the mean squared difference of two arrays of one shape."""
    return float(np.sqrt(np.mean(np.square(logits - reference, dtype=np.float64))))


def _logits(model: onnx.ModelProto, photos: Photos) -> NDArray[np.float32]:
    session = open_cpu_session(model.SerializeToString())
    return np.concatenate([session.run(["logits"], {"image": photo[None]})[0] for photo in photos])
