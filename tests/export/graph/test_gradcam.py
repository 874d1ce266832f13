"""The heat map in the file is Grad-CAM at the last convolution, as the grad-cam package computes it with autograd."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from edgeclf import Classifier
from edgeclf_export.api.export_network import export_network
from edgeclf_export.graph.gradcam import cam_size
from edgeclf_training.networks import ARCHITECTURES, Network, build_network
from helpers import draw, manifest_for, with_linear_heads
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

CLASSES = ("a", "b", "c", "d")


class LastStage(torch.nn.Module):
    """What grad-cam differentiates: only what follows the target layer matters to it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network.head(self.network.pool(self.network.features[-1](x)))


def scaled(cam: np.ndarray) -> np.ndarray:
    return (cam - cam.min()) / (cam.max() - cam.min())


CASES = [
    *with_linear_heads(ARCHITECTURES),
    pytest.param("vgg16", "mlp", marks=pytest.mark.campaign),  # with a pool before the head
    ("cnn4", "mlp"),  # without
    pytest.param("squeezenet1_1", "mlp", marks=pytest.mark.campaign),
]


@pytest.mark.parametrize(("name", "head"), CASES)
def test_cam_equals_the_grad_cam_package(
    name: str,
    head: str,
    untrained: Callable[[str, str], Network],
    export_untrained: Callable[..., bytes],
    exported_untrained: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, network = 96, untrained(name, head)
    if head == "linear":
        path = exported_untrained(name, head)
    else:  # maps of all classes, though a wide head makes them dear
        monkeypatch.setattr("edgeclf_export.graph.gradcam.COST_SHARE", 1e9)
        path = tmp_path / "model.onnx"
        path.write_bytes(export_untrained(name, head))
    classifier = Classifier(path)
    last = network.features[-1]
    photos = np.stack([np.asarray(draw(i, 200, 200).resize((size, size))) for i in range(3)])
    _, cams, cam_class = classifier._session.run(None, {"image": photos})
    alive = 0
    with GradCAM(model=LastStage(network), target_layers=[last]) as reference:
        for number in range(3):
            with torch.no_grad():
                x = network.features[:-1](network.normalize(torch.from_numpy(photos[number : number + 1])))
            assert sorted(cam_class[number]) == list(range(len(CLASSES))), "every class has its map"
            for rank, index in enumerate(cam_class[number]):
                activation_map = reference_map(reference, x, int(index))
                ours = cams[number, rank]
                assert ours.min() >= 0
                if activation_map.max() == activation_map.min():
                    assert ours.max() == ours.min() == 0
                    continue
                alive += 1
                assert np.abs(scaled(ours) - scaled(activation_map)).max() <= 1e-4
    assert alive >= 3, "a comparison of dead maps proves nothing"


def reference_map(reference: GradCAM, x: torch.Tensor, index: int) -> np.ndarray:
    """The package's own weighted sum at the layer's resolution (its __call__ also resizes, by another filter)."""
    reference.outputs = reference.activations_and_grads(x)
    loss = ClassifierOutputTarget(index)(reference.outputs[0])
    reference.model.zero_grad()
    loss.backward(retain_graph=True)
    activations = reference.activations_and_grads.activations[0].cpu().data.numpy()
    gradients = reference.activations_and_grads.gradients[0].cpu().data.numpy()
    cam = reference.get_cam_image(x, reference.target_layers[0], [], activations, gradients)
    return np.maximum(cam[0], 0)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_int8_maps_stay_close_and_read_the_int8_weights(head: str, tmp_path: Path) -> None:
    import onnx

    torch.manual_seed(5)
    network, _ = build_network("cnn4", len(CLASSES), head=head, image_size=96)
    network.eval()
    photos = np.stack([np.asarray(draw(i, 200, 200).resize((96, 96))) for i in range(12)])
    float_path, int8_path = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    float_path.write_bytes(export_network(network, manifest_for(96, CLASSES)))
    int8_path.write_bytes(export_network(network, manifest_for(96, CLASSES), photos))
    maps = []
    for path in (float_path, int8_path):
        _, cams, classes = Classifier(path)._session.run(None, {"image": photos})
        order = np.argsort(classes, axis=1)
        maps.append(np.take_along_axis(cams, order[..., None, None], 1))
    correlations = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in zip(maps[0].reshape(-1, *maps[0].shape[2:]), maps[1].reshape(-1, *maps[1].shape[2:]), strict=True)
        if a.std() > 0 and b.std() > 0
    ]
    assert len(correlations) >= 12
    assert np.median(correlations) >= 0.95
    nodes = onnx.load(int8_path).graph.node
    assert ("MatMulInteger" in {n.op_type for n in nodes}) == (head == "linear"), "summed in integers"
    taken = {n.input[0] for n in nodes if n.name.startswith("cam_")}
    types = {t.name: t.data_type for t in onnx.load(int8_path).graph.initializer}
    assert onnx.TensorProto.INT8 in {types[name] for name in taken if name in types}


def test_int8_maps_of_an_mlp_head_add_whole_numbers_only(tmp_path: Path) -> None:
    """Then the order of the terms, in which CPUs and browsers differ, cannot change a bit."""
    import onnx
    import onnxruntime

    torch.manual_seed(5)
    network, _ = build_network("cnn4", len(CLASSES), head="mlp", image_size=96)
    photos = np.stack([np.asarray(draw(i, 200, 200).resize((96, 96))) for i in range(8)])
    model = onnx.load_from_string(export_network(network.eval(), manifest_for(96, CLASSES), photos))
    sums = [node for node in model.graph.node if node.name.startswith("cam_") and node.op_type == "MatMul"]
    assert len(sums) == 2, "back to the activation, and the maps"
    for name in {name for node in sums for name in node.input}:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = dict(zip((o.name for o in session.get_outputs()), session.run(None, {"image": photos}), strict=True))
    assert found["cam"].std() > 0
    for node in sums:
        left, right = (found[name] for name in node.input)
        assert left.dtype == np.float64
        assert (left == np.round(left)).all()
        assert (right == np.round(right)).all()
        assert (np.abs(left) @ np.abs(right)).max() < 2**53
    assert np.abs(left).max() == 2**18, "fine steps"


@pytest.mark.parametrize("int8", [False, True])
def test_maps_of_a_few_best_classes_are_those_of_all(
    int8: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are computed in another way, because weights are then picked photo by photo."""
    torch.manual_seed(5)
    network, _ = build_network("cnn4", len(CLASSES), image_size=96)
    network.eval()
    photos = np.stack([np.asarray(draw(i, 200, 200).resize((96, 96))) for i in range(6)])
    answers = []
    for number in (2, len(CLASSES)):
        size = replace(cam_size(network, 96), maps=number)
        monkeypatch.setattr("edgeclf_export.api.export_network.cam_size", lambda *_, size=size: size)
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(export_network(network, manifest_for(96, CLASSES), photos if int8 else None))
        answers.append(Classifier(path)._session.run(None, {"image": photos}))
    (_, few, few_classes), (_, every, classes) = answers
    assert few.shape == (6, 2, *every.shape[2:])
    assert (few_classes == classes[:, :2]).all()
    assert every.std() > 0
    if int8:
        assert (few == every[:, :2]).all()
    else:
        np.testing.assert_allclose(few, every[:, :2], rtol=1e-4, atol=1e-5 * every.max())
