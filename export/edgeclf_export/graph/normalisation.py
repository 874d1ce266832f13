"""The input normalisation ``(image - mean) / std``, written so that it costs next to nothing; the results are the same.

onnxruntime broadcasts three values along the innermost axis slowly: with EfficientNet-Lite0 in INT8 the two nodes took
a fifth of the whole time. There are two faster ways:

* mean and std are the same for all channels: INT8 can hold every normalised value exactly, so the photo itself *is* the
  quantized tensor, and no float is computed at all;
* else scalars, or rows of ``width * 3`` values, on which onnxruntime's vector loops work.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgeclf_export.graph.to_onnx import drop_unused

_LEVELS = np.arange(256, dtype=np.float32)  # the values of a photo


@dataclass(frozen=True, eq=False)
class _Normalisation:
    """The first three nodes of a graph, and their constants, float32 ``[3]``."""

    cast: onnx.NodeProto
    subtract: onnx.NodeProto
    divide: onnx.NodeProto
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @property
    def uniform(self) -> bool:
        """Whether all channels have the same mean and the same std."""
        return len({*self.mean.tolist()}) == len({*self.std.tolist()}) == 1


def exact_input_range(graph: onnx.GraphProto) -> dict[str, tuple[float, float]]:
    """The range with which INT8 holds every normalised value exactly: its 256 values are those of the photo.

    Args:
        graph: float, of ``to_onnx``.

    Returns:
        Lowest and highest value of the normalised photo's tensors, by name. Empty if the channels differ, or if the
        mean is not a whole number from 0 to 255: INT8 can then only approximate the values.
    """
    found = _find(graph)
    if found is None or not found.uniform or found.mean[0] not in _LEVELS:
        return {}
    mean, std = float(found.mean[0]), float(found.std[0])
    names = [found.divide.output[0]]
    if transpose := _only_consumer(graph, names[0], "Transpose"):
        names.append(transpose.output[0])
    return dict.fromkeys(names, (-mean / std, (255 - mean) / std))


def speed_up_normalisation(graph: onnx.GraphProto) -> None:
    """Rewrite the first nodes of a graph; what they compute stays the same, bit for bit.

    Args:
        graph: of ``to_onnx`` or ``quantize``; changed in place. One that does not begin with a normalisation is left
            as it is.
    """
    found = _find(graph)
    if found is None:
        return
    transpose = _only_consumer(graph, found.divide.output[0], "Transpose")
    rounding = _only_consumer(graph, (transpose or found.divide).output[0], "QuantizeLinear")
    if rounding is not None and _gives_back_the_photo(graph, found, rounding):
        photo = found.cast.input[0]
        if transpose is not None:
            transpose.input[0], photo = photo, transpose.output[0]
        for node in graph.node:
            node.input[:] = [photo if name == rounding.output[0] else name for name in node.input]
        for node in (found.cast, found.subtract, found.divide, rounding):
            graph.node.remove(node)
    else:
        _use_long_vectors(graph, found)
    drop_unused(graph)


def _find(graph: onnx.GraphProto) -> _Normalisation | None:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    cast = _only_consumer(graph, graph.input[0].name, "Cast")
    subtract = _only_consumer(graph, cast.output[0], "Sub") if cast else None
    divide = _only_consumer(graph, subtract.output[0], "Div") if subtract else None
    if cast is None or subtract is None or divide is None:
        return None
    mean, std = (constants.get(node.input[1]) for node in (subtract, divide))
    if mean is None or std is None:
        return None
    first, second = (np.asarray(numpy_helper.to_array(values), np.float32).reshape(-1) for values in (mean, std))
    return _Normalisation(cast, subtract, divide, first, second)


def _gives_back_the_photo(graph: onnx.GraphProto, found: _Normalisation, rounding: onnx.NodeProto) -> bool:
    """Whether quantizing the normalised photo gives the photo's own values, computed in float32 as onnxruntime does."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    scale, zero_point = (constants[name] for name in rounding.input[1:3])
    normalised = (_LEVELS[:, None] - found.mean) / found.std
    levels = np.clip(np.rint(normalised / scale) + zero_point, 0, 255)
    return zero_point.dtype == np.uint8 and bool((levels == _LEVELS[:, None]).all())


def _use_long_vectors(graph: onnx.GraphProto, found: _Normalisation) -> None:
    height, width, channels = (dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim[1:])
    repeats = numpy_helper.from_array(np.array([width]), f"{found.subtract.input[0]}_width")
    for node, values in ((found.subtract, found.mean), (found.divide, found.std)):
        constant = values[:1].reshape(()) if found.uniform else values
        node.input[1] = by = f"{node.output[0]}_by"
        graph.initializer.append(numpy_helper.from_array(constant, by))
        if not found.uniform:  # repeated while onnxruntime loads the file, which stays small
            node.input[1] = f"{by}_row"
            graph.node.insert(0, helper.make_node("Tile", [by, repeats.name], [node.input[1]]))
    if found.uniform:
        return
    graph.initializer.append(repeats)
    pixels, normalised = found.cast.output[0], found.divide.output[0]
    to_rows = _reshape(graph, pixels, f"{pixels}_rows", (0, height, width * channels))
    to_pixels = _reshape(graph, f"{normalised}_rows", normalised, (0, height, width, channels))
    found.subtract.input[0], found.divide.output[0] = to_rows.output[0], to_pixels.input[0]
    nodes = list(graph.node)
    graph.node.insert(nodes.index(found.divide) + 1, to_pixels)
    graph.node.insert(nodes.index(found.subtract), to_rows)


def _reshape(graph: onnx.GraphProto, source: str, target: str, shape: tuple[int, ...]) -> onnx.NodeProto:
    graph.initializer.append(numpy_helper.from_array(np.array(shape), f"{target}_shape"))
    return helper.make_node("Reshape", [source, f"{target}_shape"], [target])


def _only_consumer(graph: onnx.GraphProto, name: str, kind: str) -> onnx.NodeProto | None:
    """The node that uses a tensor, if it is the only one and has this operator type."""
    consumers = [node for node in graph.node if name in node.input]
    return consumers[0] if len(consumers) == 1 and consumers[0].op_type == kind else None
