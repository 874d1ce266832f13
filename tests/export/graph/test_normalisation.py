"""The input normalisation is rewritten so that it costs next to nothing, and gives the same bits."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import pytest
from edgeclf.model.session import open_cpu_session
from edgeclf_export.graph.normalisation import exact_input_range, speed_up_normalisation
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE = 96  # of the networks of ``untrained``


def photos(count: int = 3) -> NDArray[np.uint8]:
    batch = np.random.default_rng(5).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    batch[0, :1, :1], batch[1, :1, :1] = 0, 255
    return batch


def normalising(mean: tuple[float, ...], std: tuple[float, ...]) -> onnx.ModelProto:
    """A graph that normalises and puts the channels first, as the exporter of torch writes it."""
    constants = [
        numpy_helper.from_array(np.array(values, np.float32), name) for name, values in (("mean", mean), ("std", std))
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
        helper.make_node("Transpose", ["normalised"], ["logits"], perm=[0, 3, 1, 2]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
    graph = helper.make_graph(nodes, "normalising", [image], [logits], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def outputs(model: onnx.ModelProto | bytes, batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return list(open_cpu_session(data, 1).run(None, {"image": batch}))


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
        ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
        ((127.0, 127.0, 127.0), (128.0, 128.0, 129.0)),
    ],
)
def test_a_rewritten_normalisation_gives_the_same_bits(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    model = normalising(mean, std)
    before = outputs(model, photos())
    names = [node.op_type for node in model.graph.node]
    speed_up_normalisation(model.graph)
    onnx.checker.check_model(model)
    assert np.array_equal(before[0], outputs(model, photos())[0])
    uniform = len({*mean}) == len({*std}) == 1
    repeated = [numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer if "_width" in tensor.name]
    assert repeated == ([] if uniform else [[SIZE]])
    assert [node.op_type for node in model.graph.node if node.op_type not in ("Reshape", "Tile")] == names
    assert max(numpy_helper.to_array(tensor).size for tensor in model.graph.initializer) <= 4, "the file stays small"


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        ((127.0,) * 3, (128.0,) * 3, (-127 / 128, 1.0)),
        ((0.0,) * 3, (255.0,) * 3, (0.0, 1.0)),
        ((127.5,) * 3, (127.5,) * 3, None),
        ((-1.0,) * 3, (128.0,) * 3, None),
        ((127.0, 127.0, 126.0), (128.0,) * 3, None),
        ((127.0,) * 3, (128.0, 128.0, 129.0), None),
    ],
)
def test_the_exact_range_is_that_of_the_photo(
    mean: tuple[float, ...], std: tuple[float, ...], expected: tuple[float, float] | None
) -> None:
    model = normalising(mean, std)
    assert exact_input_range(model.graph) == ({"normalised": expected, "logits": expected} if expected else {})


def test_another_graph_is_left_as_it_is() -> None:
    model = normalising((0.0,) * 3, (1.0,) * 3)
    model.graph.output.append(helper.make_tensor_value_info("centred", TensorProto.FLOAT, None))
    model.graph.node.append(helper.make_node("Relu", ["centred"], ["used_twice"]))
    before = model.SerializeToString(deterministic=True)
    speed_up_normalisation(model.graph)
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "cnn4"])
def test_where_channels_are_normalised_alike_int8_reads_the_photo_itself(
    architecture: str, export_untrained: Callable[..., bytes]
) -> None:
    """Calibration photos without black and white too: the range of the input is known, and need not be measured."""
    grey = photos() // 2 + 60
    with patch("edgeclf_export.pack.build.speed_up_normalisation"):
        before = export_untrained(architecture, "linear", calibration=list(grey))
    after = export_untrained(architecture, "linear", calibration=list(grey))
    kinds = [{node.op_type for node in onnx.load_model_from_string(data).graph.node} for data in (before, after)]
    assert [{"Sub", "Div"} <= one for one in kinds] == [True, False]
    assert len(after) < len(before)
    for one, other in zip(outputs(before, photos(64)), outputs(after, photos(64)), strict=True):
        assert np.array_equal(one, other)


def test_rows_in_a_whole_network_give_the_same_bits(
    export_untrained: Callable[..., bytes], exported_untrained: Callable[[str, str], Path]
) -> None:
    with patch("edgeclf_export.pack.build.speed_up_normalisation"):
        before = export_untrained("resnet18", "linear")
    after = exported_untrained("resnet18", "linear").read_bytes()
    assert "Tile" in {node.op_type for node in onnx.load_model_from_string(after).graph.node}
    assert len(after) - len(before) < 1000
    for one, other in zip(outputs(before, photos()), outputs(after, photos()), strict=True):
        assert np.array_equal(one, other)
