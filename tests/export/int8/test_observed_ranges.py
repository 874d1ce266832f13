"""The activation ranges that are measured on photos."""

import numpy as np
import onnx
from edgeclf_export.int8.activation_ranges import minmax, observe
from onnx import TensorProto, helper, numpy_helper


def test_all_windows_of_a_photo_are_seen() -> None:
    """Swin cuts the activation into windows along the first axis: here its four rows."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["pixels", "shape"], ["windows"]),
            helper.make_node("Relu", ["windows"], ["logits"]),
        ],
        "windows",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 4, 4, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [4, 4, 3])],
        [numpy_helper.from_array(np.array([4, 4, 3]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    photo = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    stats = observe(model, [photo, photo])
    assert minmax(stats) == dict.fromkeys(("pixels", "windows", "logits"), (0.0, 47.0))
    assert stats["windows"].mean.tolist() == photo.mean((0, 2)).tolist()
    assert stats["windows"].high.tolist() == photo.max((0, 2)).tolist()
