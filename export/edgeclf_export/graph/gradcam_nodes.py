"""Adds the nodes of the heat-map branch to a graph, and finds the head's weights whether they were quantized or not."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeclf_export.graph.to_onnx import LINEAR, NECK


class CamNodes:
    """Adds nodes to a graph, and finds weights whether they were quantized or not."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._producers = {output: node for node in graph.node for output in node.output}
        self.named = {node.name: node for node in graph.node}
        self._count = 0
        self._shared: set[str] = set()

    def necks(self) -> list[onnx.NodeProto]:
        """The convolutions between the average pool and the head, in forward order."""
        return self._numbered(NECK)

    def linears(self) -> list[onnx.NodeProto]:
        """The head's Linear layers in forward order."""
        return self._numbered(LINEAR)

    def _numbered(self, pattern: str) -> list[onnx.NodeProto]:
        found: list[onnx.NodeProto] = []
        while (name := pattern.format(len(found))) in self.named:
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

    def constant(self, name: str, values: NDArray[np.floating[Any]] | NDArray[np.int64]) -> str:
        """Add an initializer; returns its name."""
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def shared(self, name: str, values: NDArray[np.floating[Any]] | NDArray[np.int64]) -> str:
        """Add an initializer unless there is one of this name already; returns its name."""
        if name not in self._shared:
            self._shared.add(name)
            self.constant(name, values)
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

    def matrix(self, weights: str, width: int) -> str:
        """A weight tensor ``[out, width, 1, 1]`` as a float matrix ``[out, width]``; the file holds it once."""
        shape = self.constant(f"cam_matrix_{self._count}", np.array([-1, width]))
        if weights in self._constants:
            return self.add("Reshape", [weights, shape])
        quantized, scales = self._producers[weights].input[:2]  # symmetric: the zero point is 0
        floats = self.add("Cast", [self.add("Reshape", [quantized, shape])], to=TensorProto.FLOAT)
        column = self.constant(f"cam_column_{self._count}", np.array([1]))
        return self.add("Mul", [floats, self.add("Unsqueeze", [scales, column])])

    def values(self, weights: str) -> NDArray[np.float32]:
        """The values of weights ``[out, in]`` or of a bias ``[out]``, dequantized if they were quantized."""
        if weights in self._constants:
            return np.asarray(numpy_helper.to_array(self._constants[weights]), dtype=np.float32)
        quantized, scale = (numpy_helper.to_array(self._constants[n]) for n in self._producers[weights].input[:2])
        return np.asarray(quantized * scale.reshape(-1, *[1] * (quantized.ndim - 1)), dtype=np.float32)

    def masked(self, gradient: str, hidden: str, to: int = TensorProto.FLOAT) -> str:
        """Carry a gradient ``[N, K, hidden]``, of the type ``to``, back through a ReLU, whose output is ``hidden``."""
        zero = self.constant(f"cam_zero_{self._count}", np.zeros((), np.float32))
        positive = self.add("Cast", [self.add("Greater", [hidden, zero])], to=to)
        axis = self.constant(f"cam_axis_{self._count}", np.array([1]))
        return self.add("Mul", [gradient, self.add("Unsqueeze", [positive, axis])])
