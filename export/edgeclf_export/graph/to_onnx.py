"""A torch network becomes a float ONNX graph; later passes find the nodes of its head by name."""

import contextlib
import warnings
from collections.abc import Iterator

import onnx
import torch
from edgeclf_training.networks import Network
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

OPSET = 18
IR_VERSION = 8  # the lowest for opset 18: devices have old versions of onnxruntime
MIN_ONNXRUNTIME = "1.16.3"  # the oldest version that was tested

# Node names that survive quantization: the node after the last convolution's activation, the convolutions between the
# average pool and the head (``edgeclf_training.networks.neck``), and the head's Linear layers.
AFTER_ACTIVATION = "after_activation"
NECK = "neck_conv_{}"
LINEAR = "head_linear_{}"


class _Traced(nn.Module):
    """The network with the last convolution's activation as a second output."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, activation, _ = self.network.trace(image)
        return logits, activation


def to_onnx(network: Network, size: int) -> onnx.ModelProto:
    """Export a network; batch normalization is folded into convolutions, and only the batch dimension is dynamic.

    Args:
        network: on the CPU, in eval mode.
        size: height and width of the input, pixels.

    Returns:
        Input ``image`` uint8 ``[N, size, size, 3]``, output ``logits`` float32 ``[N, C]``.
    """
    # In memory the channels come first. With another layout, adaptive pooling would be exported as a gather.
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8).permute(0, 2, 3, 1)
    with warnings.catch_warnings(), _out_of_place(network):
        warnings.simplefilter("ignore")  # about deprecations in the exporter itself
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
    _name_head_nodes(model.graph, network)
    _pool_globally(model.graph)
    strip(model)
    return model


@contextlib.contextmanager
def _out_of_place(network: nn.Module) -> Iterator[None]:
    """No activation overwrites its input: the exporter takes about a third longer over those that do."""
    changed = [module for module in network.modules() if getattr(module, "inplace", False) is True]
    try:
        for module in changed:
            module.inplace = False  # type: ignore[assignment]
        yield
    finally:
        for module in changed:
            module.inplace = True  # type: ignore[assignment]


def strip(model: onnx.ModelProto) -> None:
    """Remove what differs between builds or describes the machine: torch writes paths of source files into nodes."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    model.producer_name, model.producer_version = "edgeclf", ""
    model.graph.name = "edgeclf"
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the constants that no node uses."""
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def multiply_adds(network: Network, size: int) -> int:
    """Multiply-adds of one forward pass of one photo."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    return int(counter.get_total_flops()) // 2


def _name_head_nodes(graph: onnx.GraphProto, network: Network) -> None:
    """Name the nodes to which the heat-map branch is attached."""
    consumers = [node for node in graph.node if "activation" in node.input]
    linears = [node for node in graph.node if node.op_type == "Gemm"][-len(network.head.linears) :]
    assert len(consumers) == 1, "one node uses the last convolution's activation"
    assert [node.output[0] for node in linears][-1:] == ["logits"], "the head ends in a Linear"
    consumers[0].name = AFTER_ACTIVATION
    after = list(graph.node)[list(graph.node).index(consumers[0]) :]
    for number, node in enumerate(node for node in after if node.op_type == "Conv"):
        node.name = NECK.format(number)
    for number, node in enumerate(linears):
        node.name = LINEAR.format(number)


def _pool_globally(graph: onnx.GraphProto) -> None:
    """Replace means over positions by GlobalAveragePool, which onnxruntime computes in integers after quantization."""
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
