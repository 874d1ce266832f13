"""Post-training static INT8: uint8 activations, int8 weights per channel, the same answer on every CPU.

AVX2 machines without VNNI multiply uint8 by int8 in pairs and add each pair in a saturating 16-bit register
(``vpmaddubsw``), so full-range weights give other answers there. The usual cure, 7-bit weights, costs accuracy. Only
the sum of two *adjacent* products must fit, so each output channel is scaled by its worst adjacent pair instead. How
sums of activations are rounded to the same number on ARM: ``stable_add.py``.
"""

import logging
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgeclf.errors import ExportError
from edgeclf.model.session import import_onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from edgeclf_export.graph.to_onnx import drop_unused
from edgeclf_export.int8.activation_ranges import OPERATORS, Ranges
from edgeclf_export.int8.stable_add import QuantParams, quant_params, stable_sum, unstable_sums

LAYERS = ("Conv", "Gemm")
_MOVING = ("MaxPool", "Flatten", "Reshape", "Transpose")  # kept in their input's steps
_PASSING = ("Relu", "Clip", *_MOVING)  # what may lie between two layers
_ROUNDING = ("QuantizeLinear", "DequantizeLinear")


def quantize(model: onnx.ModelProto, ranges: Ranges, in_float: Collection[str] = ()) -> onnx.ModelProto:
    """Quantize a graph of ``to_onnx``.

    Args:
        model: float; not changed.
        ranges: of every activation, see ``edgeclf_export.int8.activation_ranges``.
        in_float: names of the layers (nodes of ``LAYERS``) whose weights and input stay in float.

    Returns:
        A QDQ graph with the same input and output. Logits leave it in float: their ranking is not rounded.

    Raises:
        BackendError: onnxruntime is not installed.
        ExportError: sums of two activations cannot be made to round alike on every CPU.
    """
    import_onnxruntime()
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """One black photo: onnxruntime insists on calibrating, but every range is given."""

        def __init__(self) -> None:
            shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
            self._photos = iter([{"image": np.zeros((1, *shape), np.uint8)}])

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            return next(self._photos, None)

    excluded = _with_passing(model.graph, in_float)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a pre-processing that torch's exporter has done already
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
            # From a model in memory it would make a file of its own, named by the network card's address.
            source.write_bytes(model.SerializeToString())
            quantization.quantize_static(
                source,
                target,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                nodes_to_exclude=sorted(excluded),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                extra_options={
                    "TensorQuantOverrides": {
                        **_pair_ranges(model.graph, in_float),
                        **_activation_steps(model.graph, ranges, excluded),
                    },
                    "OpTypesToExcludeOutputQuantization": ["Gemm"],
                },
            )
            quantized = onnx.load(target)
    finally:
        root.setLevel(level)
    _unround(quantized.graph, excluded)
    if unstable := unstable_sums(quantized.graph):
        raise ExportError(
            f"{', '.join(unstable)}: not rounded to the same number on every CPU",
            "please report this with the versions in use",
        )
    return quantized


def layer_names(graph: onnx.GraphProto) -> list[str]:
    """The layers that can be left in float, in forward order."""
    return [node.name for node in graph.node if node.op_type in LAYERS]


def _with_passing(graph: onnx.GraphProto, in_float: Collection[str]) -> set[str]:
    """Layers, and the activations and poolings before them: these would be folded into rounding otherwise."""
    producers = {output: node for node in graph.node for output in node.output}
    excluded: set[str] = set()
    for node in graph.node:
        if node.name in in_float:
            before: onnx.NodeProto | None = node
            while before is not None and (before is node or before.op_type in _PASSING):
                excluded.add(before.name)
                before = producers.get(before.input[0])
    return excluded


def _unround(graph: onnx.GraphProto, excluded: Collection[str]) -> None:
    """Let float nodes take what was there before it was rounded, and drop the rounding that has no consumer any more.

    onnxruntime's quantizer gives a rounded tensor to all its consumers, excluded ones too.
    """
    producers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.name in excluded:
            rounded = producers.get(node.input[0])
            if rounded is not None and rounded.op_type == "DequantizeLinear":
                node.input[0] = producers[rounded.input[0]].input[0]
    while True:
        used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        dead = [node for node in graph.node if node.op_type in _ROUNDING and not used.intersection(node.output)]
        for node in dead:
            graph.node.remove(node)
        if not dead:
            break
    drop_unused(graph)


def pair_safe_peak(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The value that becomes 127 in each output channel, so that no adjacent pair can saturate.

    A pair of the same sign may reach 128 together: 255 * 128 < 2^15. Pairs are (0, 1), (2, 3), ... of the filter
    flattened as (h, w, c) and as (c, h, w), the two orders in which kernels read it. A depthwise filter (one input
    channel) is multiplied by other kernels, in 32 bits, and keeps the full range.

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
            together = np.where(first * second > 0, np.abs(first + second), 0)
            peak = np.maximum(peak, together.max(1))
    return np.asarray(np.maximum(peak, np.finfo(np.float32).tiny), dtype=np.float32)


def rounded_weights(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ``quantize`` makes of weights: as for ``pair_safe_peak``, each the nearest of its channel's steps."""
    scale = (pair_safe_peak(weights) / 127).reshape(-1, *[1] * (weights.ndim - 1))
    return np.asarray(np.clip(np.rint(weights / scale), -127, 127) * scale, dtype=np.float32)


def _pair_ranges(graph: onnx.GraphProto, in_float: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ranges = {}
    for node in graph.node:
        if node.op_type in LAYERS and node.input[1] in constants and node.name not in in_float:
            peaks = pair_safe_peak(numpy_helper.to_array(constants[node.input[1]]))
            ranges[node.input[1]] = [
                {"axis": 0, "rmin": np.float32(-peak), "rmax": np.float32(peak), "symmetric": True} for peak in peaks
            ]
    return ranges


def _activation_steps(
    graph: onnx.GraphProto, ranges: Ranges, excluded: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Scale and zero point of every activation, as overrides."""
    consumers: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            consumers[name] = consumers.get(name, 0) + 1
    producers = {output: node for node in graph.node for output in node.output}
    steps = {name: quant_params(low, high) for name, (low, high) in ranges.items()}

    def kept_as(name: str) -> QuantParams | None:
        """onnxruntime keeps what an operator only moves in its input's steps."""
        while name in producers and producers[name].op_type in _MOVING:
            name = producers[name].input[0]
        return steps.get(name)

    # What an activation function will cut off anyway gets no steps of its own.
    folded = {
        node.input[0]: node.output[0]
        for node in graph.node
        if node.op_type in ("Relu", "Clip") and node.name not in excluded and consumers[node.input[0]] == 1
    }
    steps |= {before: steps[after] for before, after in folded.items() if after in steps}
    for node in graph.node:
        total, sides = node.output[0], [kept_as(name) for name in node.input]
        if node.op_type == "Add" and total in steps and sides[0] and sides[1]:
            steps[total] = stable_sum(sides[0], sides[1], steps[total])
            if total in folded:
                steps[folded[total]] = steps[total]
    return {
        name: [{"scale": np.array(one.scale), "zero_point": np.array(one.zero_point, np.uint8)}]
        for name, one in steps.items()
    }
