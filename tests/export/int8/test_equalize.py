"""What is done to a network before it is rounded: the same function, and closer to it once rounded."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgeclf_export.graph.to_onnx import drop_unused
from edgeclf_export.int8.activation_ranges import ActivationStats, minmax, observe
from edgeclf_export.int8.equalize import correct_bias, cross_layer_equalize
from edgeclf_export.int8.layer_sensitivity import logit_error, measure_sensitivity
from edgeclf_export.int8.quantize import layer_names, quantize, rounded_weights
from edgeclf_training.networks import Network, build_network
from helpers import CLASSES, draw
from onnx import numpy_helper

Graph = Callable[..., onnx.ModelProto]

SIZE = 96  # that of `float_graph`
PHOTOS = [np.asarray(draw(i, SIZE, SIZE)) for i in range(12)]


@pytest.fixture(scope="module")
def cnn4(traced: Callable[[Network, int], onnx.ModelProto]) -> Graph:
    """The smallest network with random biases, changed by a function if one is given."""

    def graph(change: Callable[[torch.nn.Module], None] = lambda network: None) -> onnx.ModelProto:
        torch.manual_seed(0)
        network, _ = build_network("cnn4", len(CLASSES), head="linear", image_size=SIZE)
        for key, values in network.named_parameters():
            if key.endswith("bias") or values.ndim == 2:  # a head's are zero
                torch.nn.init.normal_(values, std=0.1)
        change(network)
        return traced(network.eval(), SIZE)

    return graph


@pytest.fixture(scope="module")
def uneven(float_graph: Callable[[str, str], onnx.ModelProto]) -> onnx.ModelProto:
    """As training may leave it: some channels are tiny, and the depthwise filter that takes them is large.

    Batch normalization is folded already: a channel's filter and bias are scaled together.
    """
    model, rng = float_graph("mobilenet_v2", "linear"), np.random.default_rng(0)
    tensors, changed = constants(model), dict[str, np.ndarray]()
    makers = {node.output[0]: node for node in model.graph.node}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    for node in layers:
        count = len(tensors[node.input[1]])
        bias = f"{node.name}_bias"  # a network fresh from its makers may share one of zeros among layers
        node.input[2:] = [bias]
        changed[bias] = rng.normal(0, 0.1, count).astype(np.float32)
        changed[node.input[1]] = tensors[node.input[1]].copy()
    changed[layers[-1].input[1]] = rng.normal(0, 0.1, tensors[layers[-1].input[1]].shape).astype(np.float32)
    for node in layers:
        if any(a.name == "group" and a.i > 1 for a in node.attribute):
            changed[node.input[1]][::2] *= 50
            before = makers[node.input[0]]
            while before.op_type != "Conv":  # its activation
                before = makers[before.input[0]]
            for name in before.input[1:]:
                changed[name][::2] *= 0.02
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name in changed]:
        model.graph.initializer.remove(tensor)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in changed.items())
    drop_unused(model.graph)
    return model


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_equalized_channels_compute_the_same_and_use_their_range(uneven: onnx.ModelProto) -> None:
    before = uneven.SerializeToString()
    stats = observe(uneven, PHOTOS)
    model, after = cross_layer_equalize(uneven, stats)
    assert uneven.SerializeToString() == before
    others = [np.asarray(draw(i, SIZE, SIZE)) for i in range(20, 28)]
    logits = onnxruntime.InferenceSession(before).run(["logits"], {"image": np.stack(others)})[0]
    assert logit_error(uneven, [model], others)[0] < 1e-4 * np.abs(logits).max()
    measured = observe(model, PHOTOS)
    scaled = [name for name in stats if not np.array_equal(stats[name].high, after[name].high)]
    assert len(scaled) == 2 * 17, "the output of each expansion, and of its ReLU6"
    for name in scaled:
        np.testing.assert_allclose(measured[name].high, after[name].high, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(measured[name].mean, after[name].mean, rtol=1e-3, atol=1e-4)
        alive = stats[name].high > 0
        assert (
            after[name].high[alive] >= 0.999 * np.minimum(stats[name].high.max() / 2, stats[name].high[alive])
        ).all()
        assert after[name].high.max() == pytest.approx(stats[name].high.max())


def test_equalized_depthwise_layers_are_less_sensitive(uneven: onnx.ModelProto) -> None:
    stats = observe(uneven, PHOTOS)
    model, after = cross_layer_equalize(uneven, stats)
    depthwise = {node.name for node in uneven.graph.node if any(a.name == "group" and a.i > 1 for a in node.attribute)}
    before_after = [
        max(harm.error for harm in measure_sensitivity(graph, of, minmax(of), PHOTOS[:4]) if harm.layer in depthwise)
        for graph, of in ((uneven, stats), (model, after))
    ]
    assert before_after[1] < 0.5 * before_after[0]


def test_statistics_of_photos_are_those_of_each_photo_together(cnn4: Graph) -> None:
    model = cnn4()
    together, each = observe(model, PHOTOS[:5]), [observe(model, [photo]) for photo in PHOTOS[:5]]
    for name, stats in together.items():
        np.testing.assert_allclose(stats.mean, np.mean([one[name].mean for one in each], axis=0), rtol=1e-9, atol=1e-12)
        assert (stats.low == np.min([one[name].low for one in each], axis=0)).all()
        assert (stats.high == np.max([one[name].high for one in each], axis=0)).all()


def test_networks_without_depthwise_filters_are_left_alone(cnn4: Graph) -> None:
    model = cnn4()
    stats = observe(model, PHOTOS[:3])
    scaled, after = cross_layer_equalize(model, stats)
    assert scaled.SerializeToString() == model.SerializeToString()
    assert after == stats


@pytest.mark.parametrize("name", ["cnn4", "mobilenet_v2"])
def test_a_corrected_layer_gives_the_right_mean(name: str, uneven: onnx.ModelProto, cnn4: Graph) -> None:
    """Of 1 x 1 filters and Gemms, which know no border: exactly. Nothing but biases changes."""
    model = uneven if name == "mobilenet_v2" else cnn4()
    stats = observe(model, PHOTOS)
    corrected = correct_bias(model, stats)
    tensors, changed = constants(model), constants(corrected)
    pointwise = 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            (twin,) = [other for other in corrected.graph.node if other.name == node.name]
            weights, bias, after = tensors[node.input[1]], tensors[node.input[2]], changed[twin.input[2]]
            assert np.array_equal(weights, changed[twin.input[1]])
            assert not np.array_equal(bias, after)
            flat = weights.reshape(len(weights), -1)
            if flat.shape[1] == len(stats[node.input[0]].mean) == weights.shape[1]:
                wrong = rounded_weights(weights).reshape(flat.shape) @ stats[node.input[0]].mean + after
                right = flat @ stats[node.input[0]].mean + bias
                np.testing.assert_allclose(wrong, right, rtol=1e-4, atol=1e-5)
                pointwise += 1
    assert pointwise


def test_layers_in_float_keep_their_bias(cnn4: Graph) -> None:
    model = cnn4()
    stats = observe(model, PHOTOS[:3])
    names = layer_names(model.graph)
    assert correct_bias(model, stats, names).SerializeToString() == model.SerializeToString()
    one = correct_bias(model, stats, names[1:])
    assert len(set(constants(one)) - set(constants(model))) == 1


def test_correcting_biases_brings_logits_closer(cnn4: Graph) -> None:
    """Weights all a little below a step, so that rounding adds to every sum."""

    def lean(network: torch.nn.Module) -> None:
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                with torch.no_grad():
                    step = module.weight.abs().amax((1, 2, 3), keepdim=True) / 60
                    module.weight.copy_((module.weight / step).round() * step - 0.3 * step)

    model = cnn4(lean)
    stats = observe(model, PHOTOS)
    errors = logit_error(
        model, [quantize(model, minmax(stats)), quantize(correct_bias(model, stats), minmax(stats))], PHOTOS
    )
    assert errors[1] < 0.8 * errors[0]


def test_layers_that_share_a_bias_get_each_their_own(cnn4: Graph) -> None:
    def alike(network: torch.nn.Module) -> None:
        biases = [m.bias for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.out_channels == 128]
        assert len(biases) == 2
        with torch.no_grad():
            biases[1].copy_(biases[0])

    model = cnn4(alike)
    layers = [node for node in model.graph.node if node.op_type == "Conv"][-2:]
    layers[1].input[2] = layers[0].input[2]  # as an optimizer may leave them
    stats = observe(model, PHOTOS[:3])
    corrected, tensors = correct_bias(model, stats), constants(model)
    for before in layers:
        (after,) = [node for node in corrected.graph.node if node.name == before.name]
        error = rounded_weights(tensors[before.input[1]]) - tensors[before.input[1]]
        added = error.sum((2, 3)) @ stats[before.input[0]].mean
        moved = tensors[before.input[2]] - constants(corrected)[after.input[2]]
        np.testing.assert_allclose(moved, added, rtol=1e-3, atol=1e-6)


def test_a_bias_that_was_left_out_is_added(cnn4: Graph) -> None:
    def without(network: torch.nn.Module) -> None:
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.zeros_(module.bias)

    model = cnn4(without)
    layers = [node for node in model.graph.node if node.op_type == "Conv"]
    assert all(len(node.input) == 2 for node in layers)
    stats = observe(model, PHOTOS[:3])
    corrected = correct_bias(model, stats)
    assert all(len(node.input) == 3 for node in corrected.graph.node if node.op_type == "Conv")
    onnx.checker.check_model(corrected)
    assert 0 < logit_error(model, [corrected], PHOTOS)[0] < 0.1
    quantize(corrected, minmax(stats))


def test_a_layer_between_two_depthwise_filters_is_scaled_by_both() -> None:
    rng = np.random.default_rng(0)
    weights = {"w0": (4, 3, 1, 1), "w1": (4, 1, 3, 3), "w2": (4, 1, 3, 3)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in weights.items()}
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w0"], ["a0"], "c0"),
        onnx.helper.make_node("Relu", ["a0"], ["b0"], "r0"),
        onnx.helper.make_node("Conv", ["b0", "w1"], ["a1"], "c1", group=4),
        onnx.helper.make_node("Relu", ["a1"], ["b1"], "r1"),
        onnx.helper.make_node("Conv", ["b1", "w2"], ["y"], "c2", group=4),
    ]
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "chain",
        [onnx.helper.make_tensor_value_info("x", floats, [1, 3, 8, 8])],
        [onnx.helper.make_tensor_value_info("y", floats, [1, 4, 4, 4])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    peaks = np.array([1, 0.1, 0.01, 0.5])
    stats = {name: ActivationStats(-peaks, peaks, peaks / 2) for name in ("a0", "b0", "a1", "b1")}
    scaled, _ = cross_layer_equalize(model, stats)
    names = [tensor.name for tensor in scaled.graph.initializer]
    assert len(names) == len(set(names)) == 3
    x = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for m in (model, scaled)
    )
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
