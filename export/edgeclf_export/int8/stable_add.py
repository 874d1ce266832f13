"""Sums of two 8-bit activations that every CPU rounds to the same number.

onnxruntime sums them (QLinearAdd) in float32 on x86 and in fixed point on ARM. Close to a tie the two round apart: one
or two of the 65,536 possible sums of a residual connection, which a photo may or may not contain. So few can all be
tried when a file is made, and the sum's own scale widened, by a fraction of a percent, until none is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from edgeclf.errors import ExportError
from numpy.typing import NDArray
from onnx import numpy_helper

# Distance from a tie, in steps: room for a compiler that orders the float sums in yet another way.
_MARGIN = 3e-5
_TRIES, _WIDER = 800, 1 / 4096

_Singles: TypeAlias = NDArray[np.float32] | np.float32

_A, _B = (side.ravel() for side in np.meshgrid(np.arange(256), np.arange(256), indexing="ij"))


@dataclass(frozen=True)
class QuantParams:
    """How an activation is kept in uint8: the size of a step, and the number that means 0."""

    scale: np.float32
    zero_point: int


def quant_params(low: float, high: float) -> QuantParams:
    """The 256 steps that hold a range, which is made to include 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    if scale < np.finfo(np.float32).tiny:
        return QuantParams(np.float32(1), 0)
    return QuantParams(np.float32(scale), int(np.rint(-low / scale)))


def stable_sum(first: QuantParams, second: QuantParams, total: QuantParams) -> QuantParams:
    """QuantParams a little wider than ``total``, in which no CPU rounds any sum of ``first`` and ``second`` otherwise.

    Raises:
        ExportError: none were found.
    """
    for turn in range(_TRIES):
        wider = QuantParams(np.float32(total.scale * (1 + turn * _WIDER)), total.zero_point)
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
        + (_A - first.zero_point) * np.float64(ratios[0])
        + (_B - second.zero_point) * np.float64(ratios[1])
    )
    kept = exact[(exact > -1) & (exact < 256)]
    if np.abs(kept - np.floor(kept) - 0.5).min(initial=1) < _MARGIN:
        return False
    expected = _stored(exact)
    return all(np.array_equal(way, expected) for way in _ways(first, second, total))


def unstable_sums(graph: onnx.GraphProto) -> list[str]:
    """Names of the Add nodes of a QDQ graph whose sums some CPU rounds otherwise.

    Only those that onnxruntime computes on steps: a sum that a layer in float takes as well is computed in float.
    """
    producers = {output: node for node in graph.node for output in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    tensors = {tensor.name: tensor for tensor in graph.initializer}

    def steps(node: onnx.NodeProto) -> QuantParams:
        scale, zero = (numpy_helper.to_array(tensors[name]).item() for name in node.input[1:3])
        return QuantParams(np.float32(scale), zero)

    found = []
    for node in graph.node:
        if node.op_type != "Add":
            continue
        before = [producers[name] for name in node.input if name in producers]
        around = [*before, *consumers.get(node.output[0], [])]
        kinds = [other.op_type for other in around]
        on_steps = kinds == ["DequantizeLinear", "DequantizeLinear", "QuantizeLinear"]
        if on_steps and not is_stable(*map(steps, around)):
            found.append(node.name)
    return found


def _ways(first: QuantParams, second: QuantParams, total: QuantParams) -> Iterator[NDArray[np.uint8]]:
    """What kernels make of all sums, uint8 ``[65536]``: read from onnxruntime's sources, and tried on the CPUs."""
    single = np.float32
    left, right = first.scale / total.scale, second.scale / total.scale
    a, b = _A.astype(single), _B.astype(single)
    zeros = [single(steps.zero_point) for steps in (first, second, total)]
    # SSE2: products and sums rounded one by one.
    yield _stored((zeros[2] - (left * zeros[0] + right * zeros[1]) + a * left) + b * right)
    # AVX2 and AVX-512: fused, which float64 does as well before it is rounded.
    offset = zeros[2] - _fused(left, zeros[0], right * zeros[1])
    yield _stored(_fused(a, left, _fused(b, right, offset)))
    # NEON: the ratios as integers of 22 bits, halves away from zero.
    shift = 21 - int(np.floor(np.log2(np.float64(max(left, right)))))
    factors = [int(np.rint(np.float64(ratio) * 2.0**shift)) for ratio in (left, right)]
    sums = (_A - first.zero_point) * factors[0] + (_B - second.zero_point) * factors[1]
    sums -= sums < 0
    yield _stored((sums + (1 << (shift - 1)) >> shift) + total.zero_point)


def _fused(a: _Singles, b: np.float32, c: _Singles) -> NDArray[np.float32]:
    return np.asarray(np.multiply(a, b, dtype=np.float64) + c, dtype=np.float32)


def _stored(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
