"""The heat-map branch: Grad-CAM at the last convolution, written as forward operations.

For class c the map is ReLU(sum_k alpha_k A_k) with A the last convolution's activation and alpha_k the gradient of the
logit with respect to channel k, summed over the pooled positions (Selvaraju et al. 2017, arXiv:1610.02391). Pooling
passes each position's gradient on to exactly one position, or evenly to all, so none needs to be differentiated.

* linear head: alpha is the row of its weight matrix (Zhou et al. 2016, arXiv:1512.04150);
* MLP head: the gradient is carried back through ``W^T (1[x > 0] * g)`` layer by layer, exactly.

The branch is attached after quantization and reads the very weights the head uses, INT8 ones included.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from edgeclf_training.networks import Network
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeclf_export.graph.to_onnx import AFTER_ACTIVATION, LINEAR, multiply_adds

COST_SHARE = 0.01  # of the network's multiply-adds
CAM_TABLE = "cam_back_"  # name prefix of the weight tables that carry an MLP head's gradient back


@dataclass(frozen=True)
class CamSize:
    """The heat maps of a network: ``maps`` best-ranked classes, ``height`` x ``width`` positions each.

    Attributes:
        maps: K, the number of classes whose maps are computed.
        channels: of the last convolution's activation.
        height: of the activation, and so of a map.
        width: of the activation, and so of a map.
    """

    maps: int
    channels: int
    height: int
    width: int


def cam_size(network: Network, size: int) -> CamSize:
    """How many classes' maps cost at most ``COST_SHARE`` of the network (at least 1, at most all), and their shape.

    Args:
        network: in eval mode, on the CPU.
        size: input height and width, pixels.
    """
    with torch.inference_mode():
        _, activation, _ = network.trace(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    _, channels, height, width = activation.shape
    *hidden, classes = network.head.widths
    carry_back = sum(a * b for a, b in itertools.pairwise([channels, *hidden]))
    per_class = channels * height * width + carry_back
    maps = max(1, min(classes, int(COST_SHARE * multiply_adds(network, size)) // per_class))
    return CamSize(maps, channels, height, width)


def attach_cam(model: onnx.ModelProto, cam: CamSize) -> None:
    """Add the outputs ``cam`` float32 ``[N, K, h, w]`` and ``cam_class`` int64 ``[N, K]`` to a graph of ``to_onnx``.

    Args:
        model: float or quantized; changed in place.
        cam: of the network that ``model`` was made from.
    """
    graph = _Builder(model.graph)
    linears = graph.linears()
    activation, weights = graph.named[AFTER_ACTIVATION].input[0], linears[-1].input[1]
    all_classes = cam.maps == len(graph.values(weights))
    linear_head = len(linears) == 1
    int8 = linear_head and graph.is_quantized(activation) and graph.is_quantized(weights)

    graph.add("TopK", ["logits", graph.constant("cam_k", np.array([cam.maps]))], ["cam_score", "cam_class"])
    if int8 and all_classes:
        _all_int8_maps(graph, weights, activation)
    elif linear_head and all_classes and not graph.is_quantized(weights):
        _all_float_maps(graph, weights, activation)
    elif int8:
        _reshape_to_output(graph, _best_int8_maps(graph, weights, activation, cam), cam)
    else:
        gradient = graph.rows(weights, "cam_class")
        for number in range(len(linears) - 1, 0, -1):
            below = _backward_weights(graph, linears, number, cam.channels)
            gradient = graph.back(gradient, linears[number].input[0], below)
        shape = graph.constant("cam_flat", np.array([0, cam.channels, cam.height * cam.width]))
        flat = graph.add("Reshape", [activation, shape])
        _reshape_to_output(graph, graph.add("Relu", [graph.add("MatMul", [gradient, flat])]), cam)

    batch = model.graph.output[0].type.tensor_type.shape.dim[0].dim_param
    shape_of_maps = [batch, cam.maps, cam.height, cam.width]
    model.graph.output.append(helper.make_tensor_value_info("cam", TensorProto.FLOAT, shape_of_maps))
    model.graph.output.append(helper.make_tensor_value_info("cam_class", TensorProto.INT64, [batch, cam.maps]))


def _reshape_to_output(graph: "_Builder", flat_maps: str, cam: CamSize) -> None:
    shape = graph.constant("cam_shape", np.array([0, cam.maps, cam.height, cam.width]))
    graph.add("Reshape", [flat_maps, shape], ["cam"])


def _all_float_maps(graph: "_Builder", weights: str, activation: str) -> None:
    """The maps of a linear head for all classes at once, best first: a 1 x 1 convolution with the head's own weights.

    onnxruntime stores activations in blocks of channels, which convolutions read directly. A matrix product would need
    another layout, and changing the layout costs as much as the product itself.
    """
    kernel = graph.add("Reshape", [weights, graph.constant("cam_kernel", np.array([0, -1, 1, 1]))])
    graph.best_first(graph.add("Relu", [graph.add("Conv", [activation, kernel])]))


def _all_int8_maps(graph: "_Builder", weights: str, activation: str) -> None:
    """As ``_best_int8_maps``, for all classes: onnxruntime rearranges the weights once, while it loads the file."""
    quantized, scale, zero_point = graph.producer(activation).input
    channels_last = graph.add("Transpose", [quantized], perm=[0, 2, 3, 1])
    rows, row_scales = graph.producer(weights).input[:2]
    by_class = graph.add("MatMulInteger", [channels_last, graph.add("Transpose", [rows], perm=[1, 0]), zero_point])
    factor = graph.constant("cam_scale", np.asarray(graph.tensor(row_scales) * graph.tensor(scale), np.float32))
    maps = graph.add("Relu", [graph.add("Mul", [graph.add("Cast", [by_class], to=TensorProto.FLOAT), factor])])
    graph.best_first(graph.add("Transpose", [maps], perm=[0, 3, 1, 2]))


def _best_int8_maps(graph: "_Builder", weights: str, activation: str, cam: CamSize) -> str:
    """The maps of a linear head, summed in integers: uint8 activations times the head's own int8 weights.

    Channels come last from the start, which is onnxruntime's own layout, so nothing has to be moved. It takes half the
    time of the same in float.
    """
    quantized, scale, zero_point = graph.producer(activation).input
    channels_last = graph.add("Transpose", [quantized], perm=[0, 2, 3, 1])
    shape = graph.constant("cam_flat", np.array([0, cam.height * cam.width, cam.channels]))
    left = graph.add("Reshape", [channels_last, shape])
    rows, row_scales = graph.producer(weights).input[:2]  # symmetric: the zero point is 0
    right = graph.add("Transpose", [graph.add("Gather", [rows, "cam_class"], axis=0)], perm=[0, 2, 1])
    sums = graph.add("Cast", [graph.add("MatMulInteger", [left, right, zero_point])], to=TensorProto.FLOAT)
    factor = graph.constant("cam_scale", np.asarray(graph.tensor(row_scales) * graph.tensor(scale), np.float32))
    per_map = graph.add(
        "Unsqueeze", [graph.add("Gather", [factor, "cam_class"], axis=0), graph.constant("cam_middle", np.array([1]))]
    )
    return graph.add("Transpose", [graph.add("Relu", [graph.add("Mul", [sums, per_map])])], perm=[0, 2, 1])


def _backward_weights(graph: "_Builder", linears: list[onnx.NodeProto], number: int, channels: int) -> str:
    """Weights that carry the gradient from hidden layer ``number`` to the layer below it.

    Below the first layer are the pooled positions, over which alpha sums. So its weights are summed here, once.
    """
    weights = graph.values(linears[number - 1].input[1])
    if number == 1:
        weights = weights.reshape(weights.shape[0], channels, -1).sum(2)
    return graph.constant(f"{CAM_TABLE}{number}", weights.astype(np.float32))


class _Builder:
    """Adds nodes to a graph, and finds weights whether they were quantized or not."""

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
        """The node whose output is this tensor."""
        node: onnx.NodeProto = self._producers[name]
        return node

    def is_quantized(self, name: str) -> bool:
        """Whether a tensor is the output of a DequantizeLinear node."""
        return name in self._producers and self._producers[name].op_type == "DequantizeLinear"

    def tensor(self, name: str) -> NDArray[Any]:
        """The values of an initializer."""
        return np.asarray(numpy_helper.to_array(self._constants[name]))

    def add(self, kind: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> str:
        """Append a node.

        Args:
            kind: operator type.
            inputs: names of its inputs.
            outputs: names of its outputs; one, made up, if None.
            attributes: of the node.

        Returns:
            The name of its first output.
        """
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
        """Make ``maps`` of all classes, ``[N, C, h, w]``, the output ``cam``, in the order of ``cam_class``."""
        ranks = self.add("Unsqueeze", ["cam_class", self.constant("cam_last", np.array([2]))])
        self.add("GatherND", [maps, ranks], ["cam"], batch_dims=1)

    def rows(self, weights: str, indices: str) -> str:
        """Rows of a weight matrix ``[C, in]`` as float; only the K rows that are needed are dequantized."""
        if weights in self._constants:
            return self.add("Gather", [weights, indices], axis=0)
        quantized, row_scales = self._producers[weights].input[:2]  # symmetric: the zero point is 0
        floats = self.add("Cast", [self.add("Gather", [quantized, indices], axis=0)], to=TensorProto.FLOAT)
        per_row = self.add("Gather", [row_scales, indices], axis=0)
        return self.add("Mul", [floats, self.add("Unsqueeze", [per_row, self.constant("cam_last", np.array([2]))])])

    def values(self, weights: str) -> NDArray[np.float32]:
        """The values of a weight matrix ``[out, in]``, dequantized if it was quantized."""
        if weights in self._constants:
            return np.asarray(numpy_helper.to_array(self._constants[weights]), dtype=np.float32)
        quantized, scale = (numpy_helper.to_array(self._constants[n]) for n in self._producers[weights].input[:2])
        return np.asarray(quantized * scale.reshape(-1, 1), dtype=np.float32)

    def back(self, gradient: str, hidden: str, weights: str) -> str:
        """Carry a gradient ``[N, K, hidden]`` back through a ReLU (whose output is ``hidden``) and a Linear layer."""
        zero = self.constant(f"cam_zero_{self._count}", np.zeros((), np.float32))
        positive = self.add("Cast", [self.add("Greater", [hidden, zero])], to=TensorProto.FLOAT)
        axis = self.constant(f"cam_axis_{self._count}", np.array([1]))
        masked = self.add("Mul", [gradient, self.add("Unsqueeze", [positive, axis])])
        return self.add("MatMul", [masked, weights])
