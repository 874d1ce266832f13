"""torch network -> float ONNX graph, its head's nodes findable by name after any later pass."""

import warnings

import onnx
import torch
from edgeclf_training.networks import Network
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

OPSET = 18
IR_VERSION = 8  # opset 18's own; devices have old onnxruntimes
MIN_ONNXRUNTIME = "1.16.3"  # the oldest it was tried with

# Node names that survive quantization: what takes the last convolution's activation, and the head's Linear layers.
AFTER_ACTIVATION = "after_activation"
LINEAR = "head_linear_{}"


class _Traced(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, activation, _ = self.network.trace(image)
        return logits, activation


def to_onnx(network: Network, size: int) -> onnx.ModelProto:
    """Trace a network in eval mode; batch norm is folded, only the batch dimension is dynamic.

    Args:
        network: on the CPU, in eval mode.
        size: height and width of the input, pixels.

    Returns:
        Input ``image`` uint8 ``[N, size, size, 3]``, output ``logits`` float32 ``[N, C]``.
    """
    # Contiguous once channels come first: for any other layout adaptive pooling is traced as a gather by strides.
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8).permute(0, 2, 3, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, nothing a user could act on
        program = torch.onnx.export(
            _Traced(network),
            (example,),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits", "activation"],
            dynamic_shapes={"image": {0: torch.export.Dim("N")}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.ir_version = IR_VERSION
    del model.graph.output[1]
    _mark(model.graph)
    _pool_globally(model.graph)
    strip(model)
    return model


def strip(model: onnx.ModelProto) -> None:
    """Take out what changes from build to build or tells about the machine: torch writes source paths into nodes."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    model.producer_name, model.producer_version = "edgeclf", ""
    model.graph.name = "edgeclf"
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the constants that no node takes."""
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def multiply_adds(network: Network, size: int) -> int:
    """Multiply-adds of one forward pass of one photo."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    return int(counter.get_total_flops()) // 2


def _mark(graph: onnx.GraphProto) -> None:
    """Name the nodes that the heat-map branch is attached to."""
    consumers = [node for node in graph.node if "activation" in node.input]
    linears = [node for node in graph.node if node.op_type == "Gemm"]
    assert len(consumers) == 1, "one node takes the last convolution's activation"
    assert [node.output[0] for node in linears][-1:] == ["logits"], "the head ends in a Linear"
    consumers[0].name = AFTER_ACTIVATION
    for number, node in enumerate(linears):
        node.name = LINEAR.format(number)


def _pool_globally(graph: onnx.GraphProto) -> None:
    """Write means over positions as GlobalAveragePool, which onnxruntime computes in integers once quantized."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "ReduceMean"]:
        if sorted(numpy_helper.to_array(constants[node.input[1]]).tolist()) not in ([2, 3], [-2, -1]):
            continue
        source, mean, name = node.input[0], node.output[0], node.name
        pooled = mean
        if any(attribute.name == "keepdims" and not attribute.i for attribute in node.attribute):
            pooled = f"{mean}_pooled"
            flatten = helper.make_node("Flatten", [pooled], [mean], f"{mean}_flat")
            graph.node.insert(list(graph.node).index(node) + 1, flatten)
        node.CopyFrom(helper.make_node("GlobalAveragePool", [source], [pooled], name))
    drop_unused(graph)
