"""Fewer bytes, the same answers, and still computed in integers."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgeclf.model.session import session_options, usable_threads
from edgeclf_export.api.export_network import export_network
from edgeclf_export.graph.compact import compact
from edgeclf_export.pack import build
from edgeclf_training.networks import build_network
from helpers import CLASSES, draw, manifest_for

SIDE = 64


@pytest.fixture(scope="module", params=["linear", "mlp"])
def both(request: pytest.FixtureRequest) -> tuple[bytes, bytes]:
    """A network's INT8 file as the quantizer leaves it, and compacted."""
    torch.manual_seed(0)
    network, _ = build_network("cnn4", len(CLASSES), head=request.param, image_size=SIDE)
    photos = [np.asarray(draw(i, SIDE, SIDE)) for i in range(4)]
    with patch.object(build, "compact", lambda graph: None):
        plain = export_network(network.eval(), manifest_for(SIDE, CLASSES), photos)
    return plain, export_network(network, manifest_for(SIDE, CLASSES), photos)


def operators(data: bytes, folder: Path) -> list[str]:
    """What onnxruntime makes of a file."""
    options = session_options(usable_threads())
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return sorted(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


def answers(data: bytes) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    photos = np.stack([np.asarray(draw(i, SIDE, SIDE)) for i in range(10, 14)])
    found: list[np.ndarray] = session.run(["logits", "cam", "cam_class"], {"image": photos})
    return found


def test_smaller_with_the_same_bits_and_the_same_kernels(both: tuple[bytes, bytes], tmp_path: Path) -> None:
    plain, small = both
    channels = sum(
        tensor.dims[0] for tensor in onnx.load_model_from_string(small).graph.initializer if len(tensor.dims) > 1
    )
    assert len(plain) - len(small) > 8 * channels / 2, "scales and zero points of biases are gone"
    for before, after in zip(answers(plain), answers(small), strict=True):
        np.testing.assert_array_equal(before, after)
    assert operators(plain, tmp_path) == operators(small, tmp_path)
    assert "QLinearConv" in operators(small, tmp_path)


def test_layers_inputs_and_outputs_keep_their_names(both: tuple[bytes, bytes]) -> None:
    plain, small = (onnx.load_model_from_string(data).graph for data in both)
    for kind in ("Conv", "Gemm"):
        assert [n.name for n in small.node if n.op_type == kind] == [n.name for n in plain.node if n.op_type == kind]
    assert [v.name for v in (*small.input, *small.output)] == ["image", "logits", "cam", "cam_class"]


def test_compacting_twice_changes_nothing(both: tuple[bytes, bytes]) -> None:
    model = onnx.load_model_from_string(both[1])
    before = model.SerializeToString(deterministic=True)
    compact(model.graph)
    assert model.SerializeToString(deterministic=True) == before
