"""The heat-map branch: Grad-CAM at the last convolution, written as forward operations.

For class c the map is ReLU(sum_k alpha_k A_k) with A the last convolution's activation and alpha_k the gradient of the
logit with respect to channel k, summed over the pooled positions (Selvaraju et al. 2017, arXiv:1610.02391). Pooling
passes each position's gradient on to exactly one position, or evenly to all, so none needs to be differentiated.

* linear head: alpha is the row of its weight matrix (Zhou et al. 2016, arXiv:1512.04150);
* MLP head: the gradient is carried back through ``W^T (1[x > 0] * g)`` layer by layer; ``gradcam_mlp_int8``;
* norms, convolutions and activations between the average pool and the head (ConvNeXt, MobileNetV3): ``gradcam_neck``.

A file without heat maps has the two outputs as well, of 0 maps: every version of edgeclf opens it.

The branch is attached after quantization and reads the very weights the head uses, INT8 ones included.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from edgeclf.errors import ExportError
from edgeclf_training.networks import Network
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgeclf_export.graph.gradcam_mlp_int8 import mlp_int8_maps
from edgeclf_export.graph.gradcam_neck import Convolution, NeckStep, carry_back, neck_cost, neck_forward, neck_steps
from edgeclf_export.graph.gradcam_nodes import CamNodes
from edgeclf_export.graph.to_onnx import AFTER_ACTIVATION, multiply_adds

COST_SHARE = 0.01  # of the network's multiply-adds
CAM_TABLE = "cam_back_"  # name prefix of the weight tables that carry an MLP head's gradient back


@dataclass(frozen=True)
class CamSize:
    """The heat maps of a network: ``maps`` best-ranked classes, ``height`` x ``width`` positions each.

    Attributes:
        maps: K, the number of classes whose maps are computed; 0: none.
        channels: of the last convolution's activation.
        height: of the activation, and so of a map.
        width: of the activation, and so of a map.
        neck: what lies between the average pool and the head, in forward order.
    """

    maps: int
    channels: int
    height: int
    width: int
    neck: tuple[NeckStep, ...] = ()


def cam_size(network: Network, size: int, cam: bool = True) -> CamSize:
    """How many classes' maps cost at most ``COST_SHARE`` of the network (at least 1, at most all), and their shape.

    Args:
        network: in eval mode, on the CPU.
        size: input height and width, pixels.
        cam: false: no maps.

    Raises:
        ExportError: maps are wanted, and the network has none.
    """
    if cam and not network.has_heat_maps:
        what = "this network has no heat maps: its features are pooled in a way of its own, as in networks of tokens"
        raise ExportError(what, "export it without them: --no-cam")
    with torch.inference_mode():
        _, activation, _ = network.trace(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    _, channels, height, width = activation.shape
    if not cam:
        return CamSize(0, channels, height, width)
    neck = neck_steps(network.pool)
    *hidden, classes = network.head.widths
    below = next((step.out for step in reversed(neck) if isinstance(step, Convolution)), channels)
    back = sum(a * b for a, b in itertools.pairwise([below, *hidden]))
    per_class = channels * height * width + back + neck_cost(neck)
    maps = max(1, min(classes, int(COST_SHARE * multiply_adds(network, size)) // per_class))
    return CamSize(maps, channels, height, width, neck)


def attach_cam(model: onnx.ModelProto, cam: CamSize) -> None:
    """Add the outputs ``cam`` float32 ``[N, K, h, w]`` and ``cam_class`` int64 ``[N, K]`` to a graph of ``to_onnx``.

    Args:
        model: float or quantized; changed in place.
        cam: of the network that ``model`` was made from.
    """
    batch = model.graph.output[0].type.tensor_type.shape.dim[0].dim_param
    shape_of_maps = [batch, cam.maps, cam.height, cam.width]
    outputs = (("cam", TensorProto.FLOAT, shape_of_maps), ("cam_class", TensorProto.INT64, [batch, cam.maps]))
    _add_maps(CamNodes(model.graph), cam)
    model.graph.output.extend(helper.make_tensor_value_info(*output) for output in outputs)


def _add_maps(graph: CamNodes, cam: CamSize) -> None:
    if cam.maps == 0:
        _no_maps(graph, cam)
        return
    linears = graph.linears()
    activation, weights = graph.named[AFTER_ACTIVATION].input[0], linears[-1].input[1]
    all_classes = cam.maps == len(graph.values(weights))
    linear_head = len(linears) == 1 and not cam.neck
    int8 = not cam.neck and graph.is_quantized(activation) and graph.is_quantized(weights)

    graph.add("TopK", ["logits", graph.constant("cam_k", np.array([cam.maps]))], ["cam_score", "cam_class"])
    if int8 and not linear_head:
        _reshape_to_output(graph, mlp_int8_maps(graph, linears, activation, _backward_tables(graph, linears, cam)), cam)
    elif int8 and all_classes:
        _all_int8_maps(graph, weights, activation)
    elif linear_head and all_classes and not graph.is_quantized(weights):
        _all_float_maps(graph, weights, activation)
    elif int8:
        _reshape_to_output(graph, _best_int8_maps(graph, weights, activation, cam), cam)
    else:
        gradient = graph.rows(weights, "cam_class")
        tables = _backward_tables(graph, linears, cam)
        for linear, (name, table) in zip(reversed(linears), tables.items(), strict=False):
            gradient = graph.add("MatMul", [graph.masked(gradient, linear.input[0]), graph.constant(name, table)])
        if cam.neck:
            gradient = carry_back(graph, gradient, neck_forward(graph, activation, cam.neck))
        shape = graph.constant("cam_flat", np.array([0, cam.channels, cam.height * cam.width]))
        flat = graph.add("Reshape", [activation, shape])
        _reshape_to_output(graph, graph.add("Relu", [graph.add("MatMul", [gradient, flat])]), cam)


def _no_maps(graph: CamNodes, cam: CamSize) -> None:
    """Outputs of 0 maps: an empty slice of the logits. Browsers insist on the shapes that the file declares."""
    none, axis = graph.constant("cam_none", np.array([0])), graph.constant("cam_axis", np.array([1]))
    empty = graph.add("Slice", ["logits", none, none, axis])
    _reshape_to_output(graph, empty, cam)
    graph.add("Cast", [empty], ["cam_class"], to=TensorProto.INT64)


def _reshape_to_output(graph: CamNodes, flat_maps: str, cam: CamSize) -> None:
    shape = graph.constant("cam_shape", np.array([0, cam.maps, cam.height, cam.width]))
    graph.add("Reshape", [flat_maps, shape], ["cam"])


def _all_float_maps(graph: CamNodes, weights: str, activation: str) -> None:
    """The maps of a linear head for all classes at once, best first: a 1 x 1 convolution with the head's own weights.

    onnxruntime stores activations in blocks of channels, which convolutions read directly. A matrix product would need
    another layout, and changing the layout costs as much as the product itself.
    """
    kernel = graph.add("Reshape", [weights, graph.constant("cam_kernel", np.array([0, -1, 1, 1]))])
    graph.best_first(graph.add("Relu", [graph.add("Conv", [activation, kernel])]))


def _all_int8_maps(graph: CamNodes, weights: str, activation: str) -> None:
    """As ``_best_int8_maps``, for all classes: onnxruntime rearranges the weights once, while it loads the file."""
    quantized, scale, zero_point = graph.producer(activation).input
    channels_last = graph.add("Transpose", [quantized], perm=[0, 2, 3, 1])
    rows, row_scales = graph.producer(weights).input[:2]
    by_class = graph.add("MatMulInteger", [channels_last, graph.add("Transpose", [rows], perm=[1, 0]), zero_point])
    factor = graph.constant("cam_scale", np.asarray(graph.tensor(row_scales) * graph.tensor(scale), np.float32))
    maps = graph.add("Relu", [graph.add("Mul", [graph.add("Cast", [by_class], to=TensorProto.FLOAT), factor])])
    graph.best_first(graph.add("Transpose", [maps], perm=[0, 3, 1, 2]))


def _best_int8_maps(graph: CamNodes, weights: str, activation: str, cam: CamSize) -> str:
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


def _backward_tables(graph: CamNodes, linears: list[onnx.NodeProto], cam: CamSize) -> dict[str, NDArray[np.float32]]:
    """What carries the gradient from each hidden layer to the layer below it, the last hidden layer's first.

    Below the first layer are the pooled positions, over which alpha sums. So its weights are summed here, once; not
    with a neck, which gives one position.
    """
    tables = {}
    for number in range(len(linears) - 1, 0, -1):
        weights = graph.values(linears[number - 1].input[1])
        if number == 1 and not cam.neck:
            weights = weights.reshape(weights.shape[0], cam.channels, -1).sum(2)
        tables[f"{CAM_TABLE}{number}"] = weights.astype(np.float32)
    return tables
