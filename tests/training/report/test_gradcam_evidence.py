"""Where the evidence lies: heat maps against those of the exported file, networks that look at padding and border."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgeclf.classifier import Classifier
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf.model.manifest import Provenance
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.dataset.samples import Sample, Split
from edgeclf_training.evaluation.predictions import predict
from edgeclf_training.networks import Head, Network
from edgeclf_training.report import write_report
from edgeclf_training.report.gradcam import evidence, heat_maps
from edgeclf_training.run.run_folder import Run
from helpers import SIZE, draw
from PIL import Image
from torch import nn


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_heat_maps_are_those_of_the_exported_file(make_model: Callable[..., Path], head: str) -> None:
    _same_maps(_tiny(head), Classifier(make_model(resize="pad", head=head)), [draw(i) for i in range(4)])


def _tiny(head: str) -> Network:
    """The network of ``make_model``."""
    torch.manual_seed(7)
    stages = [
        ("one", nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())),
        ("two", nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())),
    ]
    return Network(
        stages, None, Head(16, (SIZE // 4) ** 2, (12,) if head == "mlp" else (), 3), (127.0,) * 3, (64.0,) * 3
    ).eval()


def _same_maps(network: Network, classifier: Classifier, photos: list[Any]) -> None:
    seen = 0
    for photo in photos:
        why = classifier.explain(photo)
        (cam,) = heat_maps(network, network_input(photo, classifier.manifest.contract))
        assert cam.shape == why.cam.shape
        seen += bool(cam.max() > 0)
        np.testing.assert_allclose(cam / max(cam.max(), 1e-9), why.cam / max(why.cam.max(), 1e-9), atol=1e-4)
    assert seen, "only dead maps would prove nothing"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Twelve wide photos and twelve tall ones, bright everywhere; the tall ones are red."""
    folder = tmp_path_factory.mktemp("shapes")
    samples = []
    for number in range(24):
        wide = number % 2 == 0
        image = draw(number, *((96, 48) if wide else (48, 96)), hue=(180, 180, 180) if wide else (250, 60, 60))
        path = folder / f"{number}.png"
        image.save(path)
        samples.append(Sample(path, "wide" if wide else "tall", path.stat().st_size))
    return samples


def _colour_network(weights: list[list[float]], bias: list[float], head: list[list[float]]) -> Network:
    """One 1x1 convolution on the normalised colours, then a linear head."""
    convolution = nn.Conv2d(3, len(weights), 1)
    convolution.weight.data = torch.tensor(weights)[:, :, None, None]
    convolution.bias.data = torch.tensor(bias)
    last = Head(len(weights), 1, (), len(head))
    last.linears[0].weight.data = torch.tensor(head)
    last.linears[0].bias.data.zero_()
    return Network([("one", nn.Sequential(convolution, nn.ReLU()))], None, last, (0.0,) * 3, (255.0,) * 3).eval()


def test_a_network_that_decides_by_its_padding_is_warned_of(shapes: list[Sample], tmp_path: Path) -> None:
    black = _colour_network([[-9.0, -9.0, -9.0]], [1.0], [[1.0], [0.5]])
    contract = ImageContract(32, "pad")
    # It does decide by it: without padding there is no evidence left.
    image = network_input(shapes[0].path, contract)
    with torch.inference_mode():
        assert black(torch.from_numpy(image)[None]).max() > 0.3
        assert black(torch.from_numpy(np.maximum(image, 60))[None]).max() == 0
    found = evidence(black, shapes, contract)
    assert found.padding is not None
    assert found.padding.warning
    assert found.padding.energy > 0.95
    assert found.padding.area == pytest.approx(0.5)

    predictions = predict(black, shapes, ("tall", "wide"), contract, "validation")
    split = Split(("tall", "wide"), (), tuple(shapes), (), "a random fifth")
    provenance = Provenance("2026-01-01T00:00:00+00:00")
    run = Run(tmp_path, (tmp_path,), TrainOptions(), ("tall", "wide"), contract, split, (), provenance)
    assert write_report(run, black, [predictions])["evidence"]["padding"]["warning"]
    assert "uses the padding" in (tmp_path / "report.html").read_text("utf-8")


def test_a_network_that_looks_at_the_photo_is_not(shapes: list[Sample]) -> None:
    colour = _colour_network([[1.0, -1.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.0], [[3.0, 0.0], [0.0, 1.0]])
    for resize in ("pad", "crop"):
        found = evidence(colour, shapes, ImageContract(32, resize))  # type: ignore[arg-type]
        assert found.photos == 24
        assert found.border is not None
        assert not found.border.warning
        assert (found.padding is None) == (resize == "crop")
        if found.padding:
            assert found.padding.energy < 0.1
            assert not found.padding.warning


def test_a_network_that_looks_at_the_border_is_warned_of(tmp_path: Path) -> None:
    samples = []
    for number in range(12):
        image = Image.new("RGB", (64, 64), (200, 30, 30))
        image.paste(draw(number, 56, 56, (20, 20, 200)), (4, 4))
        image.save(tmp_path / f"{number}.png")
        samples.append(Sample(tmp_path / f"{number}.png", "a", 1))
    red = _colour_network([[1.0, 0.0, -1.0]], [0.0], [[1.0], [0.0]])
    found = evidence(red, samples, ImageContract(64))
    assert found.border is not None
    assert found.border.warning
    assert found.border.energy > 0.8
    assert found.border.area == pytest.approx(1 - (52 / 64) ** 2)


def test_empty_maps_are_counted_not_averaged(shapes: list[Sample]) -> None:
    dead = _colour_network([[-1.0, -1.0, -1.0]], [0.0], [[1.0], [0.5]])
    found = evidence(dead, [*shapes, Sample(Path("gone.png"), "wide", 1)], ImageContract(32))
    assert (found.photos, found.without_map, found.border, found.padding) == (24, 24, None, None)
