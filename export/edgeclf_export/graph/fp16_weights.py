"""Weights stored in 16 bits: half the size, and the same float32 arithmetic on every device.

CPUs have few float16 kernels, and onnxruntime's own conversion would put casts around most operators. So only the
storage changes: each weight is followed by one Cast to float32, which onnxruntime computes once, when it loads the
file.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def store_fp16_weights(graph: onnx.GraphProto, prefix: str | None = None) -> None:
    """Store float32 matrices and filters as float16.

    Vectors (biases, normalization) are small and stay float32. So does a tensor that 16 bits cannot hold: one with a
    value beyond 65504, or with values so small that a thousandth of the largest one would be lost.

    Args:
        graph: changed in place; every node keeps its input names.
        prefix: only tensors whose names begin with it; all tensors if None.
    """
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2 or not tensor.name.startswith(prefix or ""):
            continue
        values = numpy_helper.to_array(tensor)
        largest = np.abs(values).max(initial=0.0)
        if not np.finfo(np.float16).tiny <= largest <= np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
