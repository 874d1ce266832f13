"""Post-training static INT8: uint8 activations, int8 weights per channel, the same logits on every CPU.

AVX2 machines without VNNI multiply uint8 by int8 in pairs and add each pair in a saturating 16-bit register
(``vpmaddubsw``), so weights of the full range give wrong results there. The usual remedy, 7-bit weights, costs
accuracy. Only the sum of two *adjacent* products must fit, so each output channel is scaled by its worst adjacent pair
instead. How the sums of residual connections are rounded: ``residual_add_rounding.py``.
"""

import logging
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgeclf.errors import ExportError
from edgeclf.model.session import import_onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from edgeclf_export.graph.normalisation import exact_input_range
from edgeclf_export.graph.to_onnx import drop_unused
from edgeclf_export.int8.activation_ranges import OPERATORS, Ranges
from edgeclf_export.int8.residual_add_rounding import quant_params, stabilise_sums, unstable_sums

LAYERS = ("Conv", "Gemm")
_BETWEEN_LAYERS = ("Relu", "Clip", "MaxPool", "Flatten", "Reshape", "Transpose")
_ROUNDING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(eq=False)
class _BlackPhoto:
    """Calibration data for onnxruntime, which needs a photo even though every range is already known."""

    shape: tuple[int, ...]
    done: bool = False

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The photo as input of a session; None from the second call on."""
        if self.done:
            return None
        self.done = True
        return {"image": np.zeros((1, *self.shape), np.uint8)}


def quantize(model: onnx.ModelProto, ranges: Ranges, in_float: Collection[str] = ()) -> onnx.ModelProto:
    """Quantize a graph of ``to_onnx``.

    Args:
        model: float; not changed.
        ranges: of every activation, see ``edgeclf_export.int8.activation_ranges``. The photo's own range is not taken
            from here where all its values can be held exactly.
        in_float: names of the layers (nodes of ``LAYERS``) whose weights and input stay in float.

    Returns:
        A QDQ graph with the same input and output. Its logits are float, so that rounding never changes their order.

    Raises:
        BackendError: onnxruntime is not installed.
        ExportError: sums of two activations cannot be made to round to the same number on every CPU.
    """
    import_onnxruntime()
    from onnxruntime import quantization

    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:])
    excluded = _excluded(model.graph, in_float)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preparation that torch's exporter has done already
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
            # Given a model in memory, it would write a file of its own, with the network card's address in its name.
            source.write_bytes(model.SerializeToString())
            quantization.quantize_static(
                source,
                target,
                _BlackPhoto(shape),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                nodes_to_exclude=sorted(excluded),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                extra_options={
                    "TensorQuantOverrides": {
                        **_weight_params(model.graph, in_float),
                        **_activation_params(model.graph, {**ranges, **exact_input_range(model.graph)}, excluded),
                    },
                    "OpTypesToExcludeOutputQuantization": ["Gemm"],
                },
            )
            quantized = onnx.load(target)
    finally:
        root.setLevel(level)
    _restore_float_inputs(quantized.graph, excluded)
    stabilise_sums(quantized.graph)
    if unstable := unstable_sums(quantized.graph):  # a scale that two sums share was widened for one of them
        raise ExportError(
            f"{', '.join(unstable)}: not rounded to the same number on every CPU",
            "please report this with the versions in use",
        )
    return quantized


def layer_names(graph: onnx.GraphProto) -> list[str]:
    """The layers that can be left in float, in forward order."""
    return [node.name for node in graph.node if node.op_type in LAYERS]


def _excluded(graph: onnx.GraphProto, in_float: Collection[str]) -> set[str]:
    """Names of float layers, of activation functions and poolings before them, which quantization would absorb, and of
    sums among floats: with a constant, as the bias of a matrix product is, or with no layer beside them, as in
    attention and its residual stream. Two roundings more for each, and nothing gained.
    """
    producers = {output: node for node in graph.node for output in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    constants = {tensor.name for tensor in graph.initializer}
    excluded: set[str] = set()
    for node in graph.node:
        if node.op_type == "Add" and (
            constants.intersection(node.input) or not _beside_layer(node, producers, consumers)
        ):
            excluded.add(node.name)
        if node.name in in_float:
            before: onnx.NodeProto | None = node
            while before is not None and (before is node or before.op_type in _BETWEEN_LAYERS):
                excluded.add(before.name)
                before = producers.get(before.input[0])
    return excluded


def _beside_layer(
    total: onnx.NodeProto, producers: Mapping[str, onnx.NodeProto], consumers: Mapping[str, list[onnx.NodeProto]]
) -> bool:
    """Whether a summand comes from a layer, or the sum goes to one, with nothing between that computes in float."""
    for name in total.input:
        before = producers.get(name)
        while before is not None and before.op_type in _BETWEEN_LAYERS:
            before = producers.get(before.input[0])
        if before is not None and before.op_type in LAYERS:
            return True
    after = [*consumers.get(total.output[0], [])]
    while after:
        node = after.pop()
        if node.op_type in LAYERS:
            return True
        if node.op_type in (*_BETWEEN_LAYERS, "GlobalAveragePool"):
            after += consumers.get(node.output[0], [])
    return False


def _restore_float_inputs(graph: onnx.GraphProto, excluded: Collection[str]) -> None:
    """Give float nodes the float tensor as input, and remove the rounding nodes that nothing uses any more.

    onnxruntime's quantizer gives a quantized tensor to all its consumers, excluded ones too.
    """
    producers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        for place, name in enumerate(node.input if node.name in excluded else ()):
            before = producers.get(name)
            rounding = producers.get(before.input[0]) if before and before.op_type == "DequantizeLinear" else None
            if rounding is not None:  # else a weight
                node.input[place] = rounding.input[0]
    while True:
        used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        unused = [node for node in graph.node if node.op_type in _ROUNDING and not used.intersection(node.output)]
        for node in unused:
            graph.node.remove(node)
        if not unused:
            break
    drop_unused(graph)


def pair_safe_peak(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The value that becomes 127 in each output channel, chosen so that no adjacent pair can saturate.

    Two weights of the same sign may add up to 128: 255 * 128 < 2^15. Pairs are (0, 1), (2, 3), ... of the filter
    flattened as (h, w, c) and as (c, h, w), the two orders in which kernels read it. Depthwise filters (one input
    channel) have other kernels, which multiply in 32 bits, and keep the full range.

    Args:
        weights: ``[out, in]`` or ``[out, in, h, w]``.

    Returns:
        float32 ``[out]``, > 0.
    """
    peak = np.abs(weights.reshape(len(weights), -1)).max(1)
    if weights.ndim == 2 or weights.shape[1] > 1:
        orders = [weights] if weights.ndim == 2 else [weights, weights.transpose(0, 2, 3, 1)]
        for order in orders:
            flat = order.reshape(len(weights), -1)
            even = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2)))
            first, second = even[:, 0::2], even[:, 1::2]
            pair_sum = np.where(first * second > 0, np.abs(first + second), 0)
            peak = np.maximum(peak, pair_sum.max(1))
    return np.asarray(np.maximum(peak, np.finfo(np.float32).tiny), dtype=np.float32)


def rounded_weights(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights after quantization and dequantization, float32, of the same shape as ``weights``."""
    scale = (pair_safe_peak(weights) / 127).reshape(-1, *[1] * (weights.ndim - 1))
    return np.asarray(np.clip(np.rint(weights / scale), -127, 127) * scale, dtype=np.float32)


def _weight_params(graph: onnx.GraphProto, in_float: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Ranges of every output channel of the weights, as overrides of onnxruntime's own."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ranges = {}
    for node in graph.node:
        if node.op_type in LAYERS and node.input[1] in constants and node.name not in in_float:
            peaks = pair_safe_peak(numpy_helper.to_array(constants[node.input[1]]))
            ranges[node.input[1]] = [
                {"axis": 0, "rmin": np.float32(-peak), "rmax": np.float32(peak), "symmetric": True} for peak in peaks
            ]
    return ranges


def _activation_params(
    graph: onnx.GraphProto, ranges: Ranges, excluded: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Scale and zero point of every activation, as overrides of onnxruntime's own."""
    consumers: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            consumers[name] = consumers.get(name, 0) + 1
    params = {name: quant_params(low, high) for name, (low, high) in ranges.items()}
    # The input of an activation function gets the function's own parameters: what it cuts off needs no range.
    folded = {
        node.input[0]: node.output[0]
        for node in graph.node
        if node.op_type in ("Relu", "Clip") and node.name not in excluded and consumers[node.input[0]] == 1
    }
    params |= {before: params[after] for before, after in folded.items() if after in params}
    return {
        name: [{"scale": np.array(one.scale), "zero_point": np.array(one.zero_point, np.uint8)}]
        for name, one in params.items()
    }
