"""The INT8 rounding of residual sums: scales for which every CPU rounds the sum of two activations to the same number.

onnxruntime adds two 8-bit activations (QLinearAdd) in float32 on x86 and in fixed point on ARM. Close to a tie (x.5)
the two may round to different numbers: one or two of the 65,536 possible sums of a residual connection, which a photo
may or may not contain. So few sums can all be tried when a file is made: the scale of the sum is widened, by a fraction
of a percent, until no such sum is left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from edgeclf.errors import ExportError
from numpy.typing import NDArray
from onnx import numpy_helper

# Distance from a tie, in units of the sum's scale: room for a compiler that adds the floats in yet another order.
_TIE_MARGIN = 3e-5
_MAX_TRIES, _WIDENING = 800, 1 / 4096  # each try widens the scale by this share of it

_Float32: TypeAlias = NDArray[np.float32] | np.float32

# All pairs of two uint8 values, int64 [65536] each.
_FIRST, _SECOND = (side.ravel() for side in np.meshgrid(np.arange(256), np.arange(256), indexing="ij"))


@dataclass(frozen=True)
class QuantParams:
    """How uint8 represents an activation: value = (number - zero_point) * scale."""

    scale: np.float32
    zero_point: int


def quant_params(low: float, high: float) -> QuantParams:
    """The scale and zero point for a range, which is first extended to include 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    if scale < np.finfo(np.float32).tiny:
        return QuantParams(np.float32(1), 0)
    return QuantParams(np.float32(scale), int(np.rint(-low / scale)))


def stable_sum_params(first: QuantParams, second: QuantParams, total: QuantParams) -> QuantParams:
    """Parameters of a sum, a little wider than ``total``, for which all CPUs round every sum to the same number.

    Args:
        first: parameters of one summand.
        second: parameters of the other one.
        total: parameters of the sum, from its range.


    Raises:
        ExportError: none were found.
    """
    for number in range(_MAX_TRIES):
        wider = QuantParams(np.float32(total.scale * (1 + number * _WIDENING)), total.zero_point)
        if is_stable(first, second, wider):
            return wider
    raise ExportError(
        f"no scale near {total.scale} rounds the sums of {first} and {second} alike on every CPU",
        "export without --int8, and please report this",
    )


def is_stable(first: QuantParams, second: QuantParams, total: QuantParams) -> bool:
    """Whether all 65,536 sums are the same in fixed point, and in float32 with and without fused multiply-add."""
    ratios = first.scale / total.scale, second.scale / total.scale
    exact = (
        total.zero_point
        + (_FIRST - first.zero_point) * np.float64(ratios[0])
        + (_SECOND - second.zero_point) * np.float64(ratios[1])
    )
    not_clipped = exact[(exact > -1) & (exact < 256)]
    if np.abs(not_clipped - np.floor(not_clipped) - 0.5).min(initial=1) < _TIE_MARGIN:
        return False
    expected = _to_uint8(exact)
    return all(np.array_equal(sums, expected) for sums in _sums_by_kernel(first, second, total))


def stabilise_sums(graph: onnx.GraphProto) -> None:
    """Widen the scales of sums in a QDQ graph until ``unstable_sums`` finds none.

    It reads what the quantizer wrote, rather than foretelling it: whether a reshaped activation keeps the scale of its
    source depends on what else takes both.

    Args:
        graph: changed in place. The nodes that move a sum's values share its scale, and so does what they move to.

    Raises:
        ExportError: no scale was found for a sum.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for _, around in _integer_sums(graph):  # in forward order: a sum may be a summand of later ones
        first, second, total = (_params_of(node, tensors) for node in around)
        stable = stable_sum_params(first, second, total)
        if stable != total:
            scale = around[2].input[1]
            tensors[scale].CopyFrom(numpy_helper.from_array(np.array(stable.scale), scale))
    _round_biases_again(graph, tensors)


def _round_biases_again(graph: onnx.GraphProto, tensors: Mapping[str, onnx.TensorProto]) -> None:
    """Give each bias the scale of its layer's input times that of its weights, of which kernels add it up."""
    producers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        inputs = [producers.get(name) for name in node.input]
        if node.op_type not in ("Conv", "Gemm") or len(inputs) != 3:
            continue
        names = [before.input[:2] for before in inputs if before is not None and before.op_type == "DequantizeLinear"]
        if len(names) != 3:  # a layer left in float
            continue
        source, weights, scale = (numpy_helper.to_array(tensors[scale]) for _, scale in names)
        bias_name, scale_name = names[2]
        if not np.array_equal(source * weights, scale):
            bias = numpy_helper.to_array(tensors[bias_name]) * (scale.astype(np.float64) / (source * weights))
            tensors[bias_name].CopyFrom(numpy_helper.from_array(np.rint(bias).astype(np.int32), bias_name))
            tensors[scale_name].CopyFrom(numpy_helper.from_array(np.asarray(source * weights), scale_name))


def unstable_sums(graph: onnx.GraphProto) -> list[str]:
    """Names of the Add nodes of a QDQ graph whose sums are not rounded to the same number on all CPUs.

    Only nodes that onnxruntime computes in integers count. A sum that a float layer takes as well is computed in float.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    return [
        node.name
        for node, around in _integer_sums(graph)
        if not is_stable(*(_params_of(other, tensors) for other in around))
    ]


def _integer_sums(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, list[onnx.NodeProto]]]:
    """Each Add that is computed in integers, with the nodes that dequantize its summands and quantize its sum."""
    producers = {output: node for node in graph.node for output in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    for node in graph.node:
        if node.op_type != "Add":
            continue
        before = [producers[name] for name in node.input if name in producers]
        around = [*before, *consumers.get(node.output[0], [])]
        if [other.op_type for other in around] == ["DequantizeLinear", "DequantizeLinear", "QuantizeLinear"]:
            yield node, around


def _params_of(node: onnx.NodeProto, tensors: Mapping[str, onnx.TensorProto]) -> QuantParams:
    """Of a QuantizeLinear or DequantizeLinear node."""
    scale, zero_point = (numpy_helper.to_array(tensors[name]).item() for name in node.input[1:3])
    return QuantParams(np.float32(scale), zero_point)


def _sums_by_kernel(first: QuantParams, second: QuantParams, total: QuantParams) -> Iterator[NDArray[np.uint8]]:
    """All sums as each kernel computes them, uint8 ``[65536]``: from onnxruntime's sources, and tried on the CPUs."""
    single = np.float32
    left, right = first.scale / total.scale, second.scale / total.scale
    a, b = _FIRST.astype(single), _SECOND.astype(single)
    zeros = [single(params.zero_point) for params in (first, second, total)]
    # SSE2: each product and each sum is rounded.
    yield _to_uint8((zeros[2] - (left * zeros[0] + right * zeros[1]) + a * left) + b * right)
    # AVX2 and AVX-512: fused multiply-add, which float64 computes exactly before it is rounded.
    offset = zeros[2] - _fused(left, zeros[0], right * zeros[1])
    yield _to_uint8(_fused(a, left, _fused(b, right, offset)))
    # NEON: the ratios as integers of 22 bits, halves are rounded away from zero.
    shift = 21 - int(np.floor(np.log2(np.float64(max(left, right)))))
    factors = [int(np.rint(np.float64(ratio) * 2.0**shift)) for ratio in (left, right)]
    sums = (_FIRST - first.zero_point) * factors[0] + (_SECOND - second.zero_point) * factors[1]
    sums -= sums < 0
    yield _to_uint8((sums + (1 << (shift - 1)) >> shift) + total.zero_point)


def _fused(a: _Float32, b: np.float32, c: _Float32) -> NDArray[np.float32]:
    """``a * b + c``, rounded once."""
    return np.asarray(np.multiply(a, b, dtype=np.float64) + c, dtype=np.float32)


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
