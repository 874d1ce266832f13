"""What is done to a float network so that rounding it costs less; both from Nagel et al. 2019, arXiv:1906.04721.

Channels are brought to a common size where a depthwise filter takes them, and each layer's bias takes back what the
rounding of its weights adds on average. Root mean square error of the logits over their deviation, 800 photos, before
-> with the biases -> with both: MobileNetV2 0.093 -> 0.079 -> 0.061, EfficientNet-Lite0 0.076 -> 0.055 -> 0.055,
SqueezeNet 1.1 0.051 -> 0.040, the small CNN 0.014 -> 0.012, ResNet50 0.052 -> 0.052.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from edgeclf_export.graph.to_onnx import drop_unused
from edgeclf_export.int8.activation_ranges import ActivationStats
from edgeclf_export.int8.quantize import LAYERS, rounded_weights

# Scaled channels reach at most so much of the largest one's range: an activation function that cuts off (ReLU6) then
# still passes values twice as large as any seen.
_REACH = 0.5
_MOST_SCALE = 64.0


def cross_layer_equalize(
    model: onnx.ModelProto, seen: Mapping[str, ActivationStats]
) -> tuple[onnx.ModelProto, dict[str, ActivationStats]]:
    """Scale up the small channels between a convolution and the depthwise one that follows it.

    One range holds an activation, and in it small channels have few steps. Both layers' weights are rounded channel by
    channel, so that a factor in the first and its inverse in the second cost nothing.

    Args:
        model: a float graph of ``to_onnx``; not changed.
        seen: what calibration photos did to its activations.

    Returns:
        The same function of any photo that stays within twice the values seen, and what its activations do.
    """
    scaled = onnx.ModelProto()
    scaled.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in scaled.graph.initializer}
    after = dict(seen)
    for first, function, second in _before_depthwise(scaled.graph, tensors):
        peak = seen[function.output[0]].high
        room = _REACH * peak.max()
        scale = np.clip(room / np.maximum(peak, room / _MOST_SCALE), 1, None) if room > 0 else np.ones_like(peak)
        scale[peak <= 0] = 1  # a dead channel
        for layer, factor, count in ((first, scale, len(first.input)), (second, 1 / scale, 2)):
            for place in range(1, count):
                values = numpy_helper.to_array(tensors[layer.input[place]])
                values = values * factor.reshape(-1, *[1] * (values.ndim - 1)).astype(np.float32)
                own = f"{layer.name}_equalised_{place}"  # where layers shared one
                if own not in tensors:
                    tensors[own] = scaled.graph.initializer.add()
                tensors[own].CopyFrom(numpy_helper.from_array(values, own))
                layer.input[place] = own
        for name in (first.output[0], function.output[0]):
            after[name] = ActivationStats(seen[name].low * scale, seen[name].high * scale, seen[name].mean * scale)
    drop_unused(scaled.graph)
    return scaled, after


def correct_bias(
    model: onnx.ModelProto, seen: Mapping[str, ActivationStats], in_float: Collection[str] = ()
) -> onnx.ModelProto:
    """Take from each bias what rounding the weights will add on average over the calibration photos.

    At borders, where zeros are taken, that is a little too much.

    Args:
        model: a float graph, of ``to_onnx`` or ``cross_layer_equalize``; not changed.
        seen: what its activations do.
        in_float: names of the layers whose weights will not be rounded.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in corrected.graph.initializer}
    for node in corrected.graph.node:
        if node.op_type not in LAYERS or node.name in in_float:
            continue
        weights = numpy_helper.to_array(tensors[node.input[1]])
        error = (rounded_weights(weights) - weights).astype(np.float64)
        error = error.reshape(*weights.shape[:2], -1).sum(2)  # [out, in of one group]
        mean = seen[node.input[0]].mean
        groups = len(mean) // weights.shape[1]
        added = np.einsum("goi,gi->go", error.reshape(groups, -1, weights.shape[1]), mean.reshape(groups, -1))
        given = numpy_helper.to_array(tensors[node.input[2]]) if len(node.input) == 3 else 0  # left out if all zeros
        bias = numpy_helper.from_array((given - added.ravel()).astype(np.float32), f"{node.name}_bias")
        del node.input[2:]
        node.input.append(bias.name)  # of its own, where layers shared one
        corrected.graph.initializer.append(bias)
    drop_unused(corrected.graph)
    return corrected


def _before_depthwise(
    graph: onnx.GraphProto, tensors: Mapping[str, onnx.TensorProto]
) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto, onnx.NodeProto]]:
    """Convolution, ReLU or ReLU6, depthwise convolution: each the only consumer of the one before."""
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def only_consumer(node: onnx.NodeProto, *kinds: str) -> onnx.NodeProto | None:
        found = consumers.get(node.output[0], [])
        return found[0] if len(found) == 1 and found[0].op_type in kinds else None

    for first in graph.node:
        function = only_consumer(first, "Relu", "Clip") if first.op_type == "Conv" else None
        second = function and only_consumer(function, "Conv")
        if function and second and _from_zero(function, tensors) and _is_depthwise(second, tensors):
            yield first, function, second


def _from_zero(function: onnx.NodeProto, tensors: Mapping[str, onnx.TensorProto]) -> bool:
    if function.op_type == "Relu":
        return True
    return bool(numpy_helper.to_array(tensors[function.input[1]]).item() == 0)


def _is_depthwise(layer: onnx.NodeProto, tensors: Mapping[str, onnx.TensorProto]) -> bool:
    groups = next((a.i for a in layer.attribute if a.name == "group"), 1)
    return groups > 1 and tuple(tensors[layer.input[1]].dims[:2]) == (groups, 1)
