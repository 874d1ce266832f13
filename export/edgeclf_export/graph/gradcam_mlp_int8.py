"""Heat maps of an INT8 network with an MLP head: the same bits on every CPU and in every browser.

Sums of floats depend on the order of their terms, which kernels choose by the CPU. So every sum here adds whole numbers
that a double holds exactly, in any order: int8 weights times a table of 12 bits, then gradients of ``BITS`` bits times
uint8 activations. Between the sums each gradient is divided by its largest value and rounded, which is the same on
every machine that follows IEEE 754. The scales are multiplied at the end.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from edgeclf_export.graph.gradcam_nodes import CamNodes

BITS = 18  # a sum of 2 ** 16 products with tables of 12 bits, or with activations of 8 bits, stays below 2 ** 53
_TABLE_LIMIT = 2047  # whole numbers that float16 holds, in which the file stores them


def mlp_int8_maps(
    graph: CamNodes, linears: list[onnx.NodeProto], activation: str, tables: dict[str, NDArray[np.float32]]
) -> str:
    """Add the maps.

    Args:
        graph: with the head's last Linear and the activation quantized, and the output ``cam_class``.
        linears: the head's layers in forward order, two or more.
        activation: uint8 with its scale, dequantized, ``[N, channels, h, w]``.
        tables: what carries the gradient back from each hidden layer, the last layer's first: name -> ``[hidden,
            width of the layer below]``.

    Returns:
        The name of the maps, float32 ``[N, K, h * w]``, not negative.
    """
    rows, row_scales = graph.producer(linears[-1].input[1]).input[:2]  # symmetric: the zero point is 0
    gradient = _double(graph, graph.add("Gather", [rows, "cam_class"], axis=0))
    last = graph.constant("cam_last", np.array([2]))
    scale = _double(graph, graph.add("Unsqueeze", [graph.add("Gather", [row_scales, "cam_class"], axis=0), last]))
    for linear, (name, table) in zip(reversed(linears), tables.items(), strict=False):
        steps = np.abs(table).max(0).clip(np.finfo(np.float32).tiny) / _TABLE_LIMIT
        whole = graph.constant(name, np.round(table / steps).astype(np.float32))
        sums = graph.add("MatMul", [graph.masked(gradient, linear.input[0], TensorProto.DOUBLE), _double(graph, whole)])
        gradient = graph.add("Mul", [sums, graph.constant(f"{name}_steps", steps.astype(np.float64))])
        gradient, scale = _whole_numbers(graph, gradient, scale)
    quantized, step, zero_point = graph.producer(activation).input
    above_zero = graph.add("Sub", [_double(graph, quantized), _double(graph, zero_point)])
    flat = graph.add("Reshape", [above_zero, graph.constant("cam_flat", np.array([0, 0, -1]))])
    sums = graph.add("MatMul", [gradient, flat])
    maps = graph.add("Mul", [sums, graph.add("Mul", [scale, _double(graph, step)])])
    return graph.add("Relu", [graph.add("Cast", [maps], to=TensorProto.FLOAT)])


def _whole_numbers(graph: CamNodes, gradient: str, scale: str) -> tuple[str, str]:
    """Gradients ``[N, K, width]`` as whole numbers up to 2 ** BITS, and the scales ``[N, K, 1]`` they then have."""
    axis = graph.shared("cam_last_axis", np.array([-1]))
    largest = graph.add("ReduceMax", [graph.add("Abs", [gradient]), axis])
    not_zero = graph.add("Max", [largest, graph.shared("cam_tiny", np.array(np.finfo(np.float32).tiny, np.float64))])
    step = graph.add("Mul", [not_zero, graph.shared("cam_step", np.array(2.0**-BITS))])
    return graph.add("Round", [graph.add("Div", [gradient, step])]), graph.add("Mul", [scale, step])


def _double(graph: CamNodes, name: str) -> str:
    return graph.add("Cast", [name], to=TensorProto.DOUBLE)
