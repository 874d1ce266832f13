"""The heat-map branch: Grad-CAM at the last convolution, written as forward operations.

For class c the map is ReLU(sum_k alpha_k A_k) with A the last convolution's activation and alpha_k the gradient of the
logit with respect to channel k, summed over the pooled positions (Selvaraju et al. 2017, arXiv:1610.02391). Pooling
passes each position's gradient on to exactly one position, or evenly to all, so none needs to be differentiated.

* linear head: alpha is the row of its weight matrix (Zhou et al. 2016, arXiv:1512.04150);
* MLP head: the gradient is carried back through ``W^T (1[x > 0] * g)`` layer by layer, exactly.

The branch is attached after quantization and reads the very weights the head uses, INT8 ones included.
"""

import itertools
from typing import Any

import numpy as np
import onnx
from edgeclf_training.networks import Network
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeclf_export.graph.to_onnx import AFTER_ACTIVATION, LINEAR, multiply_adds

COST_SHARE = 0.01  # of the network's multiply-adds
CAM_TABLE = "cam_back_"  # what the names of the tables begin with that carry an MLP head's gradient back


def affordable_maps(network: Network, size: int, activation: tuple[int, int, int]) -> int:
    """How many classes' maps cost at most ``COST_SHARE`` of the network: at least 1, at most all.

    Args:
        network: the network.
        size: input height and width, pixels.
        activation: channels, height and width of the last convolution's activation.
    """
    channels, height, width = activation
    *hidden, classes = network.head.widths
    back = sum(a * b for a, b in itertools.pairwise([channels, *hidden]))
    per_class = channels * height * width + back
    return max(1, min(classes, int(COST_SHARE * multiply_adds(network, size)) // per_class))


def attach_cam(model: onnx.ModelProto, maps: int, activation: tuple[int, int, int]) -> None:
    """Add the outputs ``cam`` float32 ``[N, K, h, w]`` and ``cam_class`` int64 ``[N, K]`` to a graph of ``to_onnx``.

    Args:
        model: float or quantized; changed in place.
        maps: K, the number of best-ranked classes whose maps are computed.
        activation: channels, height and width of the last convolution's activation.
    """
    channels, height, width = activation
    graph = _Builder(model.graph)
    linears = graph.linears()
    taken, weights = graph.named[AFTER_ACTIVATION].input[0], linears[-1].input[1]
    every = maps == len(graph.values(weights))

    graph.add("TopK", ["logits", graph.constant("cam_k", np.array([maps]))], ["cam_score", "cam_class"])
    in_integers = len(linears) == 1 and graph.is_rounded(taken) and graph.is_rounded(weights)
    if in_integers and every:
        _all_integer_maps(graph, weights, taken)
    elif len(linears) == 1 and every and not graph.is_rounded(weights):
        _convolved_maps(graph, weights, taken)
    elif in_integers:
        _arranged(graph, _integer_maps(graph, weights, taken, (channels, height * width)), (maps, height, width))
    else:
        gradient = graph.rows(weights, "cam_class")
        for number in range(len(linears) - 1, 0, -1):
            gradient = graph.back(gradient, linears[number].input[0], _step_weights(graph, linears, number, channels))
        flat = graph.add("Reshape", [taken, graph.constant("cam_flat", np.array([0, channels, height * width]))])
        _arranged(graph, graph.add("Relu", [graph.add("MatMul", [gradient, flat])]), (maps, height, width))

    batch = model.graph.output[0].type.tensor_type.shape.dim[0].dim_param
    model.graph.output.append(helper.make_tensor_value_info("cam", TensorProto.FLOAT, [batch, maps, height, width]))
    model.graph.output.append(helper.make_tensor_value_info("cam_class", TensorProto.INT64, [batch, maps]))


def _arranged(graph: "_Builder", summed: str, shape: tuple[int, int, int]) -> None:
    graph.add("Reshape", [summed, graph.constant("cam_shape", np.array([0, *shape]))], ["cam"])


def _convolved_maps(graph: "_Builder", weights: str, taken: str) -> None:
    """The maps of a linear head for all classes at once, best first: a 1 x 1 convolution by the head's own weights.

    onnxruntime keeps activations in blocks of channels, which only convolutions take as they are: to move them for a
    matrix product costs as much as the product.
    """
    kernel = graph.add("Reshape", [weights, graph.constant("cam_kernel", np.array([0, -1, 1, 1]))])
    graph.best_first(graph.add("Relu", [graph.add("Conv", [taken, kernel])]))


def _all_integer_maps(graph: "_Builder", weights: str, taken: str) -> None:
    """As ``_integer_maps``, for all classes: onnxruntime arranges the weights while it loads."""
    steps, step, zero = graph.producer(taken).input
    last = graph.add("Transpose", [steps], perm=[0, 2, 3, 1])
    rows, scales = graph.producer(weights).input[:2]
    by_class = graph.add("MatMulInteger", [last, graph.add("Transpose", [rows], perm=[1, 0]), zero])
    scale = graph.constant("cam_scale", np.asarray(graph.tensor(scales) * graph.tensor(step), np.float32))
    maps = graph.add("Relu", [graph.add("Mul", [graph.add("Cast", [by_class], to=TensorProto.FLOAT), scale])])
    graph.best_first(graph.add("Transpose", [maps], perm=[0, 3, 1, 2]))


def _integer_maps(graph: "_Builder", weights: str, taken: str, shape: tuple[int, int]) -> str:
    """The maps of a linear head, summed in integers: uint8 activations by the head's own int8 weights.

    Channels come last from the start: so they lie in onnxruntime's own layout, and nothing is moved. Half the time of
    the same in float.
    """
    channels, positions = shape
    steps, step, zero = graph.producer(taken).input
    last = graph.add("Transpose", [steps], perm=[0, 2, 3, 1])
    left = graph.add("Reshape", [last, graph.constant("cam_flat", np.array([0, positions, channels]))])
    rows, scales = graph.producer(weights).input[:2]  # symmetric: the zero point is 0
    right = graph.add("Transpose", [graph.add("Gather", [rows, "cam_class"], axis=0)], perm=[0, 2, 1])
    sums = graph.add("Cast", [graph.add("MatMulInteger", [left, right, zero])], to=TensorProto.FLOAT)
    scale = graph.constant("cam_scale", np.asarray(graph.tensor(scales) * graph.tensor(step), np.float32))
    per_map = graph.add(
        "Unsqueeze", [graph.add("Gather", [scale, "cam_class"], axis=0), graph.constant("cam_middle", np.array([1]))]
    )
    return graph.add("Transpose", [graph.add("Relu", [graph.add("Mul", [sums, per_map])])], perm=[0, 2, 1])


def _step_weights(graph: "_Builder", linears: list[onnx.NodeProto], number: int, channels: int) -> str:
    """Weights that carry the gradient from a hidden layer to what is below it.

    Below the first layer lie the pooled positions, over which alpha sums: so do its weights, once, here.
    """
    weights = graph.values(linears[number - 1].input[1])
    if number == 1:
        weights = weights.reshape(weights.shape[0], channels, -1).sum(2)
    return graph.constant(f"{CAM_TABLE}{number}", weights.astype(np.float32))


class _Builder:
    """Adds nodes to a graph and finds what quantization made of weights."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._producers = {output: node for node in graph.node for output in node.output}
        self.named = {node.name: node for node in graph.node}
        self._count = 0

    def linears(self) -> list[onnx.NodeProto]:
        """The head's Linear layers in forward order."""
        found: list[onnx.NodeProto] = []
        while (name := LINEAR.format(len(found))) in self.named:
            found.append(self.named[name])
        return found

    def producer(self, name: str) -> onnx.NodeProto:
        """The node that gives a tensor."""
        node: onnx.NodeProto = self._producers[name]
        return node

    def is_rounded(self, name: str) -> bool:
        """Whether a tensor is what DequantizeLinear gives."""
        return name in self._producers and self._producers[name].op_type == "DequantizeLinear"

    def tensor(self, name: str) -> NDArray[Any]:
        """The values of an initializer."""
        return np.asarray(numpy_helper.to_array(self._constants[name]))

    def add(self, kind: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> str:
        """Append a node; returns the name of its first output."""
        self._count += 1
        name = f"cam_{self._count}_{kind.lower()}"
        outputs = outputs or [name]
        self._graph.node.append(helper.make_node(kind, inputs, outputs, name, **attributes))
        return outputs[0]

    def constant(self, name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """Add an initializer; returns its name."""
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def best_first(self, maps: str) -> None:
        """The output: maps of all classes ``[N, C, h, w]`` in the order of ``cam_class``."""
        ranks = self.add("Unsqueeze", ["cam_class", self.constant("cam_last", np.array([2]))])
        self.add("GatherND", [maps, ranks], ["cam"], batch_dims=1)

    def rows(self, weights: str, indices: str) -> str:
        """Rows of a weight matrix ``[C, in]`` as float: only the K rows asked for are ever dequantized."""
        if weights in self._constants:
            return self.add("Gather", [weights, indices], axis=0)
        quantized, scale = self._producers[weights].input[:2]  # symmetric: the zero point is 0
        floats = self.add("Cast", [self.add("Gather", [quantized, indices], axis=0)], to=TensorProto.FLOAT)
        per_row = self.add("Gather", [scale, indices], axis=0)
        return self.add("Mul", [floats, self.add("Unsqueeze", [per_row, self.constant("cam_last", np.array([2]))])])

    def values(self, weights: str) -> NDArray[np.float32]:
        """The values of a weight matrix ``[out, in]``, dequantized if need be."""
        if weights in self._constants:
            return np.asarray(numpy_helper.to_array(self._constants[weights]), dtype=np.float32)
        quantized, scale = (numpy_helper.to_array(self._constants[n]) for n in self._producers[weights].input[:2])
        return np.asarray(quantized * scale.reshape(-1, 1), dtype=np.float32)

    def back(self, gradient: str, hidden: str, weights: str) -> str:
        """Carry ``[N, K, hidden]`` back through a ReLU (whose output is ``hidden``) and a Linear."""
        zero = self.constant(f"cam_zero_{self._count}", np.zeros((), np.float32))
        alive = self.add("Cast", [self.add("Greater", [hidden, zero])], to=TensorProto.FLOAT)
        axis = self.constant(f"cam_axis_{self._count}", np.array([1]))
        masked = self.add("Mul", [gradient, self.add("Unsqueeze", [alive, axis])])
        return self.add("MatMul", [masked, weights])
