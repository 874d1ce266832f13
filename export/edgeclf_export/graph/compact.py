"""A quantized graph in fewer bytes; not one answer changes.

What onnxruntime's quantizer writes is larger than it must be: for each bias a scale that others determine and a zero
point of zeros, for each layer's weights one more vector of zeros, and long names. EfficientNet-Lite0 of 6 classes loses
a sixteenth of its bytes. Layers and weights keep theirs: the gate's report and people look for them.
"""

import itertools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeclf_export.graph.to_onnx import drop_unused


def compact(graph: onnx.GraphProto) -> None:
    """Drop, share and rename; ``graph`` is changed in place, its inputs and outputs keep their names."""
    _drop_bias_zero_points(graph)
    _compute_bias_scales(graph)
    _share_equal_tensors(graph)
    _shorten_names(graph)


def _drop_bias_zero_points(graph: onnx.GraphProto) -> None:
    """The zero point of int32 is always 0, and may be left out."""
    biases = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.INT32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in biases:
            del node.input[2:]
    drop_unused(graph)


def _compute_bias_scales(graph: onnx.GraphProto) -> None:
    """A bias's scale is its input's times its weights': one product, which onnxruntime computes while it loads."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    for node in list(graph.node):
        inputs = [producers.get(name) for name in node.input]
        if node.op_type not in ("Conv", "Gemm") or len(inputs) != 3:
            continue
        scales = [n.input[1] for n in inputs if n is not None and n.op_type == "DequantizeLinear"]
        if len(scales) != 3 or not all(name in constants for name in scales):  # a layer left in float
            continue
        source, weights, bias = (numpy_helper.to_array(constants[name]) for name in scales)
        if np.array_equal(source * weights, bias):
            product = f"{node.input[2]}_scale"
            rounding = inputs[2]
            assert rounding is not None
            graph.node.insert(list(graph.node).index(rounding), helper.make_node("Mul", scales[:2], [product]))
            rounding.input[1] = product
    drop_unused(graph)


def _share_equal_tensors(graph: onnx.GraphProto) -> None:
    """One tensor for all that are equal, such as the zero points of all layers of one width."""
    first: dict[bytes, str] = {}
    shared = {}
    for tensor in graph.initializer:
        nameless = TensorProto()
        nameless.CopyFrom(tensor)
        nameless.ClearField("name")
        shared[tensor.name] = first.setdefault(nameless.SerializeToString(deterministic=True), tensor.name)
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = shared.get(name, name)
    drop_unused(graph)


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Numbers instead of names, but for inputs, outputs, layers, and weights and biases."""
    weights = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    weights |= {name for node in graph.node if node.op_type in ("Conv", "Gemm") for name in node.input[1:]}
    weights &= {tensor.name for tensor in graph.initializer}
    short = {"": "", **{name: name.removeprefix("network.").removesuffix("_quantized") for name in weights}}
    short |= {value.name: value.name for value in (*graph.input, *graph.output)}
    numbers = itertools.count()
    for name in [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]:
        if name not in short:
            short[name] = f"t{next(numbers)}"
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    for node in graph.node:
        node.input[:] = [short[name] for name in node.input]
        node.output[:] = [short[name] for name in node.output]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.ClearField("name")
