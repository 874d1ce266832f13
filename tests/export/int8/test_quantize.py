"""INT8 weights that no CPU saturates on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgeclf import Classifier
from edgeclf_export.int8.quantize import pair_safe_peak
from edgeclf_training.networks import ARCHITECTURES
from helpers import draw, with_linear_heads
from onnx import numpy_helper

INT16 = np.iinfo(np.int16)


def pairs(weights: np.ndarray) -> list[np.ndarray]:
    """Adjacent pairs, in both orders in which kernels read a filter: each int32 [out, pairs, 2]."""
    orders = [weights] if weights.ndim == 2 else [weights, weights.transpose(0, 2, 3, 1)]
    flat = [order.reshape(len(weights), -1).astype(np.int32) for order in orders]
    return [np.pad(f, ((0, 0), (0, f.shape[1] % 2))).reshape(len(f), -1, 2) for f in flat]


def saturates(weights: np.ndarray) -> bool:
    """Whether any uint8 activations can push the 16-bit sum of a pair over the edge (vpmaddubsw)."""
    for pair in pairs(weights):
        high = (255 * np.maximum(pair, 0)).sum(2).max()
        low = (255 * np.minimum(pair, 0)).sum(2).min()
        if high > INT16.max or low < INT16.min:
            return True
    return False


@pytest.mark.parametrize("shape", [(32, 9), (16, 128), (8, 3, 3, 3), (16, 32, 1, 1), (12, 7, 5, 5)])
def test_no_pair_can_saturate(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 50.0):
        weights = (rng.standard_t(3, shape) * scale).astype(np.float32)
        peak = pair_safe_peak(weights).reshape(-1, *[1] * (len(shape) - 1))
        quantized = np.clip(np.rint(weights / (peak / 127)), -127, 127)
        assert not saturates(quantized)
        plain = np.abs(weights.reshape(len(weights), -1)).max(1).reshape(peak.shape)
        assert (peak >= plain).all()
        assert (peak <= 2 * plain + 1e-6).all(), "never coarser than 7 bits"


def test_plain_8_bit_weights_would_saturate() -> None:
    """The counter-example: what the rule is there for."""
    weights = np.full((1, 4), 1.0, np.float32)
    assert saturates(np.rint(weights * 127))
    assert pair_safe_peak(weights)[0] == pytest.approx(2.0)


def test_opposite_signs_and_depthwise_filters_keep_the_full_range() -> None:
    assert pair_safe_peak(np.array([[1.0, -1.0, 0.5, -0.25]], np.float32))[0] == 1.0
    assert pair_safe_peak(np.ones((4, 1, 3, 3), np.float32)).tolist() == [1.0] * 4


def test_a_filter_of_zeros_has_a_scale() -> None:
    assert (pair_safe_peak(np.zeros((2, 3, 3, 3), np.float32)) > 0).all()


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_every_weight_in_an_int8_file_is_pair_safe(head: str, make_model: Callable[..., Path]) -> None:
    graph = onnx.load(make_model(head=head, int8=True)).graph
    weights = [
        numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1
    ]
    assert len(weights) >= 3
    for weight in weights:
        assert np.abs(weight).max() > 40, "the range is used"
        assert not saturates(weight)


def test_logits_leave_an_int8_file_in_float(make_model: Callable[..., Path]) -> None:
    graph = onnx.load(make_model(int8=True)).graph
    (last,) = [n for n in graph.node if "logits" in n.output]
    assert last.op_type == "Gemm"
    consumers = [n.op_type for n in graph.node if "logits" in n.input]
    assert consumers == ["TopK"]


@pytest.mark.parametrize(("name", "head"), with_linear_heads(ARCHITECTURES))
def test_every_architecture_quantizes_and_the_runtime_answers(
    name: str, head: str, export_untrained: Callable[..., bytes], tmp_path: Path
) -> None:
    size = 96
    photos = np.stack([np.asarray(draw(i, size, size)) for i in range(8)])
    path = tmp_path / "int8.onnx"
    path.write_bytes(export_untrained(name, head, calibration=photos))

    graph = onnx.load(path).graph
    producers = {output: node.op_type for node in graph.node for output in node.output}
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    producers_of = {output: node for node in graph.node for output in node.output}
    quantized = {node.input[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    multiplied = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    assert multiplied
    dequantized = {node.output[0]: constants.get(node.input[0]) for node in quantized.values()}
    for node in multiplied:
        assert [producers[name] for name in node.input[:2]] == ["DequantizeLinear"] * 2
        weight = dequantized[node.input[1]]
        assert weight is not None
        assert weight.dtype == np.int8
        if len(node.input) == 3:
            scale = producers_of[node.input[2]].input[1]
            assert producers.get(scale) == "Mul", "of the input's and the weights' scales, so it is their product"
        depthwise = weight.ndim == 4 and weight.shape[1] == 1
        assert depthwise or not saturates(weight)

    classifier = Classifier(path)
    answer = classifier.predict(draw(1, size, size))
    assert answer.best.label in classifier.manifest.classes
    assert classifier.explain(draw(1, size, size)).overlay().width == size
