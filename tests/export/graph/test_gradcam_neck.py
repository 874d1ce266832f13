"""The derivative of what lies between the average pool and the head: every rule against autograd."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from edgeclf import Classifier, ExplainError
from edgeclf.errors import ExportError
from edgeclf.model.file import read_model_file
from edgeclf_export.api.export_network import export_network
from edgeclf_export.graph.gradcam import cam_size
from edgeclf_training.networks import Head, Network
from edgeclf_training.networks.neck import ACTIVATIONS, ChannelNorm, Neck, NeckActivation, ScaleAndShift
from edgeclf_training.networks.network import WithoutPositions
from edgeclf_training.report.gradcam import heat_maps
from helpers import draw, manifest_for
from torch import nn

CLASSES = ("a", "b", "c")
SIZE = 32
TOLERANCE = 1e-4  # of the largest value of a map


def network_with(neck: list[nn.Module], width: int, hidden: tuple[int, ...] = ()) -> Network:
    """One convolution, the neck, a head; weights are as large as trained ones."""
    features = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU())
    head = Head(width, 1, hidden, len(CLASSES))
    network = Network([("conv", features)], Neck(neck), head, (127.0,) * 3, (64.0,) * 3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    return network.eval()


def norm(width: int) -> ChannelNorm:
    weight, bias = torch.rand(width) + 0.5, torch.randn(width)
    return ChannelNorm(nn.Parameter(weight), nn.Parameter(bias), 1e-6)


def every_rule() -> list[nn.Module]:
    """All activations at work on both sides of their bends, both norms, with and without a convolution before them."""
    layers: list[nn.Module] = [nn.BatchNorm2d(8), norm(8)]
    for kind in ACTIVATIONS:
        conv = nn.Conv2d(8, 8, 1, bias=kind != "silu")
        conv.weight.data.mul_(3)
        layers += [conv, NeckActivation(kind), norm(8)]
    return [*layers, nn.Conv2d(8, 6, 1, bias=False), nn.BatchNorm2d(6), ScaleAndShift(2.5, 0.4)]


def photos() -> np.ndarray:
    return np.stack([np.asarray(draw(i, 100, 100).resize((SIZE, SIZE))) for i in range(6)])


def worst_difference(network: Network, data: bytes) -> tuple[float, int]:
    """The largest difference from autograd's maps, relative to each map's peak, and how many maps are not zero."""
    _, cams, classes = Classifier(data)._session.run(None, {"image": photos()})
    worst, alive = 0.0, 0
    for photo, cam, explained in zip(photos(), cams, classes, strict=True):
        maps = heat_maps(network, photo, [int(index) for index in explained])
        for ours, theirs in zip(cam, maps, strict=True):
            peak = float(theirs.max())
            alive += peak > 0
            worst = max(worst, float(np.abs(ours - theirs).max()) / peak if peak > 0 else float(ours.max()))
    return worst, alive


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_maps_equal_autograd(hidden: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeclf_export.graph.gradcam.COST_SHARE", 1e9)  # maps of all classes
    torch.manual_seed(0)
    network = network_with(every_rule(), 6, hidden)
    worst, alive = worst_difference(network, export_network(network, manifest_for(SIZE, CLASSES)))
    assert alive >= 8, "a comparison of dead maps proves nothing"
    assert worst <= TOLERANCE


def test_a_wrong_derivative_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the layer norm's own derivative the maps differ: the comparison above can fail."""
    torch.manual_seed(0)
    network = network_with([norm(8), nn.Conv2d(8, 6, 1), NeckActivation("gelu")], 6)
    monkeypatch.setattr(
        "edgeclf_export.graph.gradcam.carry_back", lambda graph, gradient, done: straight(graph, gradient)
    )
    worst, _ = worst_difference(network, export_network(network, manifest_for(SIZE, CLASSES)))
    assert worst > 100 * TOLERANCE


def straight(graph: object, gradient: str) -> str:
    return graph.add("MatMul", [gradient, graph.matrix(graph.necks()[0].input[1], 8)])  # type: ignore[attr-defined,no-any-return]


def test_int8_files_hold_the_necks_weights_once_and_stay_close(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = network_with([nn.Conv2d(8, 64, 1), NeckActivation("hardswish"), nn.Conv2d(64, 6, 1)], 6)
    data = export_network(network, manifest_for(SIZE, CLASSES), photos())
    model = onnx.load_model_from_string(data)
    large = [t for t in model.graph.initializer if np.prod(t.dims) in (8 * 64, 64 * 6)]
    assert [t.data_type for t in large] == [onnx.TensorProto.INT8] * 2
    worst, alive = worst_difference(network, data)
    assert alive >= 4
    assert worst < 0.25


def test_a_file_without_maps_predicts_and_says_why_there_is_none() -> None:
    torch.manual_seed(0)
    network = network_with([], 8)
    with_maps = export_network(network, manifest_for(SIZE, CLASSES))
    without = export_network(network, manifest_for(SIZE, CLASSES), cam=False)
    assert read_model_file(without).manifest.cam_classes == 0
    onnx.checker.check_model(onnx.load_model_from_string(without), full_check=True)  # browsers check shapes, too
    classifier = Classifier(without)
    outputs = {output.name for output in classifier._session.get_outputs()}
    assert outputs == {"logits", "cam", "cam_class"}, "what every version of edgeclf checks for"
    photo = photos()[0]
    assert classifier.predict(photo).ranking == Classifier(with_maps).predict(photo).ranking
    scores, cams, classes = classifier.infer(photo)
    assert (scores.shape, cams.shape[0], classes.shape) == ((3,), 0, (0,))
    with pytest.raises(ExplainError, match=r"exported without heat maps.*--no-cam"):
        classifier.explain(photo)
    (error,) = classifier.explain_many([photo], lambda explanation: explanation)
    assert isinstance(error, ExplainError)
    assert error.prediction is not None


def test_networks_of_tokens_are_refused_with_maps() -> None:
    class Tokens(WithoutPositions):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3), keepdim=True)

    head = Head(4, 1, (), len(CLASSES))
    network = Network([("conv", nn.Sequential(nn.Conv2d(3, 4, 3), Tokens()))], None, head, (0.0,) * 3, (255.0,) * 3)
    with pytest.raises(ExportError, match=r"has no heat maps.*--no-cam"):
        cam_size(network.eval(), SIZE)
    assert cam_size(network, SIZE, cam=False).maps == 0
