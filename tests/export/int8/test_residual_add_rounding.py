"""Sums of two 8-bit activations: what this CPU computes is one of the known results, and all CPUs round alike."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgeclf.errors import ExportError
from edgeclf_export.graph.to_onnx import to_onnx
from edgeclf_export.int8 import residual_add_rounding as rounding
from edgeclf_export.int8.activation_ranges import minmax, observe
from edgeclf_export.int8.quantize import layer_names, quantize
from edgeclf_export.int8.residual_add_rounding import (
    QuantParams,
    is_stable,
    quant_params,
    stabilise_sums,
    stable_sum_params,
    unstable_sums,
)
from edgeclf_training.networks import Head, Network
from onnx import TensorProto, helper, numpy_helper
from torch import nn


def chosen_at_random(seed: int) -> tuple[QuantParams, QuantParams, QuantParams]:
    rng = np.random.default_rng(seed)
    first, second = (QuantParams(np.float32(rng.uniform(0.01, 0.1)), int(rng.integers(0, 256))) for _ in range(2))
    return first, second, QuantParams(np.float32(rng.uniform(0.05, 0.15)), int(rng.integers(0, 256)))


def graph_of(first: QuantParams, second: QuantParams, total: QuantParams) -> onnx.GraphProto:
    """All sums, as a quantizer writes them: dequantized, added, quantized."""
    constants, nodes = [], []
    for name, params in (("a", first), ("b", second), ("c", total)):
        constants.append(numpy_helper.from_array(np.array(params.scale), f"{name}_scale"))
        constants.append(numpy_helper.from_array(np.array(params.zero_point, np.uint8), f"{name}_zero"))
    nodes = [
        helper.make_node("DequantizeLinear", ["a", "a_scale", "a_zero"], ["a_float"]),
        helper.make_node("DequantizeLinear", ["b", "b_scale", "b_zero"], ["b_float"]),
        helper.make_node("Add", ["a_float", "b_float"], ["sum"], "the_sum"),
        helper.make_node("QuantizeLinear", ["sum", "c_scale", "c_zero"], ["c"]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 256, 16, 16]) for name in "ab"]
    outputs = [helper.make_tensor_value_info("c", TensorProto.UINT8, [1, 256, 16, 16])]
    return helper.make_graph(nodes, "sums", inputs, outputs, constants)


def computed_here(*params: QuantParams) -> np.ndarray:
    model = helper.make_model(graph_of(*params), opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    a, b = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
    inputs = {"a": a.reshape(1, 256, 16, 16), "b": b.reshape(1, 256, 16, 16)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0]).ravel()


@pytest.mark.parametrize("seed", range(24))
def test_what_this_cpu_computes_is_one_of_the_kernels(seed: int) -> None:
    chosen = chosen_at_random(seed)
    by_kernel = list(rounding._sums_by_kernel(*chosen))
    assert any(np.array_equal(computed_here(*chosen), sums) for sums in by_kernel)
    first, second, total = chosen
    wider = stable_sum_params(*chosen)
    assert 1 <= wider.scale / total.scale < 1.02
    assert wider.zero_point == total.zero_point
    exact = (rounding._FIRST - first.zero_point) * np.float64(first.scale) + (
        rounding._SECOND - second.zero_point
    ) * np.float64(second.scale)
    expected = np.clip(np.rint(exact / np.float64(wider.scale) + wider.zero_point), 0, 255)
    assert np.array_equal(computed_here(first, second, wider), expected)


def test_some_scales_round_differently_on_some_cpus() -> None:
    """Without them the other tests could not fail."""
    found = [seed for seed in range(24) if not is_stable(*chosen_at_random(seed))]
    assert 3 <= len(found) <= 21
    different = [
        seed
        for seed in found
        if len({sums.tobytes() for sums in rounding._sums_by_kernel(*chosen_at_random(seed))}) > 1
    ]
    assert different


def test_a_graph_with_unstable_sums_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = next(params for params in map(chosen_at_random, range(24)) if not is_stable(*params))
    assert unstable_sums(graph_of(*bad)) == ["the_sum"]
    assert unstable_sums(graph_of(bad[0], bad[1], stable_sum_params(*bad))) == []
    graph = graph_of(*bad)
    stabilise_sums(graph)
    assert unstable_sums(graph) == []
    assert [one.name for one, was in zip(graph.initializer, graph_of(*bad).initializer, strict=True) if one != was] == [
        "c_scale"
    ]
    monkeypatch.setattr(rounding, "_MAX_TRIES", 1)
    with pytest.raises(ExportError, match="alike on every CPU"):
        stable_sum_params(*bad)


def test_any_layer_of_a_residual_network_can_return_to_float(
    float_graph: Callable[[str, str], onnx.ModelProto],
) -> None:
    whole = float_graph("resnet18", "linear")
    (end,) = [node.output[0] for node in whole.graph.node if node.name == layer_names(whole.graph)[9]]
    model = onnx.utils.Extractor(whole).extract_model(["image"], [end])  # what follows is ten times as large
    assert len([node for node in model.graph.node if node.op_type == "Add"]) == 3
    rng = np.random.default_rng(0)
    ranges = minmax(observe(model, [rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(2)]))
    for layer in layer_names(model.graph)[:9]:  # some of them take a sum
        mixed = quantize(model, ranges, [layer])
        assert not unstable_sums(mixed.graph)


class _MixedChannels(nn.Module):
    """x + what a matrix product over the channels makes of it: its result stays in float, then moves."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.linear(x.permute(0, 2, 3, 1))
        return x + mixed.permute(0, 3, 1, 2)


def test_sums_of_what_a_matrix_product_made(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [layer for _ in range(5) for layer in (_MixedChannels(), nn.Conv2d(8, 8, 1))]
    model = model_of(nn.Conv2d(3, 8, 4, 4), *layers)
    rng = np.random.default_rng(0)
    ranges = minmax(observe(model, [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(2)]))
    assert unstable_sums(quantize(model, ranges).graph) == []
    monkeypatch.setattr("edgeclf_export.int8.quantize.stabilise_sums", lambda graph: None)
    with pytest.raises(ExportError, match="same number on every CPU"):
        quantize(model, ranges)


def test_sums_among_floats_are_left_alone() -> None:
    """The first sum takes a convolution's result, the last one feeds the head: the one between gains nothing."""
    model = model_of(nn.Conv2d(3, 8, 4, 4), *(_MixedChannels() for _ in range(4)))
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    quantized = quantize(model, minmax(observe(model, [photo]))).graph
    sums = [node for node in quantized.node if node.op_type == "Add" and not _has_constant(node, quantized)]
    rounded = {name for node in quantized.node if node.op_type == "QuantizeLinear" for name in node.input[:1]}
    assert [node.output[0] in rounded for node in sums] == [
        True,
        False,
        True,
        True,
    ]  # the third is a summand of the last


def model_of(*layers: nn.Module) -> onnx.ModelProto:
    torch.manual_seed(0)
    stages = [(f"part{number}", layer) for number, layer in enumerate(layers)]
    return to_onnx(Network(stages, None, Head(8, 64, (), 3), (127.0,) * 3, (64.0,) * 3).eval(), 32)


def _has_constant(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    return not {tensor.name for tensor in graph.initializer}.isdisjoint(node.input)


def test_a_tie_is_unstable() -> None:
    """Halves are rounded to even on x86, away from zero on ARM."""
    half = QuantParams(np.float32(0.5), 0)
    assert not is_stable(half, half, QuantParams(np.float32(1), 0))
    assert is_stable(half, half, replace(half, scale=np.float32(0.5)))


def test_the_zero_point_is_the_nearest_integer() -> None:
    params = quant_params(-0.9, 1.6)  # zero lies at 91.8 of 255
    assert params.zero_point == 92
    assert params.scale == np.float32(2.5 / 255)


def test_sums_close_to_a_tie_are_unstable_though_all_known_kernels_agree() -> None:
    """Room for a compiler that adds the floats in yet another order."""
    nothing, one = QuantParams(np.float32(1e-30), 0), QuantParams(np.float32(1), 0)
    near, far = (QuantParams(np.float32(scale), 0) for scale in (0.50001, 0.5001))
    kernels = [sums.tolist() for sums in rounding._sums_by_kernel(near, nothing, one)]
    assert kernels[0] == kernels[1] == kernels[2]
    assert not is_stable(near, nothing, one)
    assert is_stable(far, nothing, one)


def test_arm_rounds_halves_away_from_zero() -> None:
    half, nothing = QuantParams(np.float32(0.5), 128), QuantParams(np.float32(1e-30), 0)
    *_, neon = rounding._sums_by_kernel(half, nothing, QuantParams(np.float32(1), 10))
    first = neon.reshape(256, 256)[:, 0]
    assert first[[125, 127, 129, 131]].tolist() == [10 - 2, 10 - 1, 10 + 1, 10 + 2]  # -1.5, -0.5, 0.5, 1.5


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.5, 3.0), (-4.0, -1.0), (0.0, 0.0)])
def test_parameters_hold_the_range_and_zero(low: float, high: float) -> None:
    params = quant_params(low, high)
    assert 0 <= params.zero_point <= 255
    ends = [float(params.scale) * (end - params.zero_point) for end in (0, 255)]
    if low != high:
        assert ends == pytest.approx([min(low, 0), max(high, 0)], abs=float(params.scale) / 2 + 1e-6)
