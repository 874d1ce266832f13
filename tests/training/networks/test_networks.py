"""Architectures, freezing by stage, and where first weights come from."""

import hashlib
import pickle
import re
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from edgeclf.errors import UsageError, WeightsError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf_training.networks import ARCHITECTURES, build_network, freeze, read_state, train_mode
from edgeclf_training.networks import weights as weights_module
from edgeclf_training.networks.weights import TorchvisionWeights

_LITE_STAGES = ("stem", *(f"stage{number}" for number in range(1, 8)), "top")
STAGES = {
    **dict.fromkeys(("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"), _LITE_STAGES),
    "resnet50": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "resnet18": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "vgg16": ("block1", "block2", "block3", "block4", "block5"),
    "mobilenet_v2": ("stem", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7", "top"),
    "mobilenet_v3_large": ("stem", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "top"),
    "squeezenet1_1": ("stem", "stage1", "stage2", "stage3", "stage4"),
    "cnn4": ("conv1", "conv2", "conv3", "conv4"),
}
FROM_TORCHVISION = [name for name, spec in ARCHITECTURES.items() if isinstance(spec.imagenet, TorchvisionWeights)]


@pytest.mark.parametrize("name", list(ARCHITECTURES))
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_every_network_takes_photos_and_names_its_stages(name: str, head: str) -> None:
    network, loaded = build_network(name, 3, head=head, image_size=96)
    assert loaded is None
    assert network.stages == STAGES[name]
    photos = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        logits, activation, hidden = network.eval().trace(photos)
    assert logits.shape == (2, 3)
    assert activation.min() >= -0.375, "features end in the last convolution's activation (hard-swish goes lowest)"
    assert len(hidden) == (head == "mlp")


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_unfreezing_from_a_stage_trains_it_and_what_follows(name: str) -> None:
    network, _ = build_network(name, 2, image_size=96)
    for number, first in enumerate(network.stages):
        freeze(network, first)
        train_mode(network)
        for stage, module in network.features.named_children():
            trained = stage in network.stages[number:]
            parameters = list(module.parameters())
            assert parameters, "a stage without weights cannot be tuned"
            assert all(p.requires_grad == trained for p in parameters)
            assert module.training == trained, "frozen batch norm must not drift"
        assert all(p.requires_grad for p in network.head.parameters())


@pytest.mark.parametrize("name", FROM_TORCHVISION)
def test_a_file_under_torchvisions_names_gives_torchvisions_activation(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    reference = getattr(torchvision.models, name)().eval()
    for norm in (m for m in reference.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        for tensor in (norm.running_mean, norm.bias.data):  # as created, no tensor could be told from another
            tensor.normal_(std=0.1)
        for tensor in (norm.running_var, norm.weight.data):
            tensor.uniform_(0.5, 1.5)
    state = reference.state_dict()
    path = tmp_path / "weights.pth"
    torch.save({k: v for k, v in state.items() if not k.startswith("classifier.")}, path)
    network, loaded = build_network(name, 3, image_size=64, weights=str(path))
    assert loaded is not None
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    photos = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    x = network.eval().normalize(photos)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(x, ((photos / 255 - mean) / std).permute(0, 3, 1, 2), atol=1e-5)
    parts = [m for part, m in reference.named_children() if part not in ("avgpool", "fc", "classifier")]
    with torch.inference_mode():
        expected = torch.nn.Sequential(*parts)(x)
        activation = network.pool(network.features(x))
    assert expected.std() > 1e-3
    assert torch.allclose(activation, expected, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", FROM_TORCHVISION)
def test_torchvisions_weights_are_checked_by_the_hash_in_their_name(name: str) -> None:
    source = ARCHITECTURES[name].imagenet
    assert isinstance(source, TorchvisionWeights)
    entry = torchvision.models.get_weight(source.enum)
    assert re.fullmatch(r"[0-9a-f]{8}", weights_module._hash_prefix(Path(entry.url)))
    assert Path(entry.url).name.startswith(f"{name}-")


@pytest.mark.shared
@pytest.mark.parametrize("file", ["squeezenet1_1.pth", "mobilenet_v2-features-bnfolded.pth"])
def test_published_weights_load_from_a_file(file: str, shared: Path) -> None:
    path = shared / "weights" / file
    name = next(name for name in ARCHITECTURES if file.startswith(name))
    network, loaded = build_network(name, 3, weights=str(path))
    assert loaded is not None
    assert loaded.source == file
    state = torch.load(path, weights_only=True)
    ours = [t for key, t in network.features.state_dict().items() if "num_batches" not in key]
    theirs = [t for key, t in state.items() if key.startswith("features.") and "num_batches" not in key]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


# What tells one variant from another: parameters of the published tables, with 1000 classes.
LITE_PARAMETERS = {"efficientnet_lite0": 4_652_008, "efficientnet_lite1": 5_416_680, "efficientnet_lite2": 6_092_072}


@pytest.mark.parametrize("name", LITE_PARAMETERS)
def test_imagenet_weights_of_lite_load_with_their_classifier(name: str) -> None:
    """Whether Lite0's name things rightly is tested on the default model, which is made from them."""
    network, loaded = build_network(name, 1000, weights="imagenet", keep_classifier=True)
    assert loaded is not None
    assert loaded.licence == "Apache-2.0"
    assert sum(p.numel() for p in network.parameters()) == LITE_PARAMETERS[name]
    size = ARCHITECTURES[name].image_size
    photos = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both, one = network.eval()(photos), network(photos[:1])
    assert torch.allclose(both[0], one[0], atol=1e-4)
    assert both.std() > 0.5, "trained weights are sure of something"


@pytest.mark.shared
@pytest.mark.parametrize("name", LITE_PARAMETERS)
def test_imagenet_weights_of_lite_know_a_penguin(name: str, shared: Path) -> None:
    """A tensor in a wrong place, or another padding, would still be sure of something."""
    network, _ = build_network(name, 1000, weights="imagenet", keep_classifier=True)
    contract = ImageContract(ARCHITECTURES[name].image_size, "crop", 0.875)
    found = [shared / "data" / "penguins18" / f"{photo}.jpg" for photo in ("Adelie_Penguin", "Manchot_01")]
    photos = np.stack([network_input(path, contract) for path in found])
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(photos))
    king_penguin = 145  # the only penguin among ImageNet's classes
    assert logits.argmax(1).tolist() == [king_penguin] * 2


def test_pretrained_statistics_are_kept_and_everything_can_be_freed() -> None:
    network, _ = build_network("resnet50", 2, image_size=64)
    freeze(network, "layer4")
    train_mode(network, keep_statistics=True)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 53
    assert not any(m.training for m in norms)
    assert network.features.layer4.training
    assert network.head.training
    freeze(network, None)
    assert not any(p.requires_grad for p in network.features.parameters())
    freeze(network, "all")
    assert all(p.requires_grad for p in network.parameters())
    with pytest.raises(ValueError, match="layer9"):
        freeze(network, "layer9")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(torchvision.models.resnet18().state_dict(), path)
    with pytest.raises(WeightsError, match="does not fit resnet50"):
        build_network("resnet50", 3, weights=str(path))
    with pytest.raises(WeightsError, match="no such weight file"):
        build_network("resnet50", 3, weights=str(tmp_path / "none.pth"))
    with pytest.raises(WeightsError, match="cnn4 has no ImageNet weights"):
        build_network("cnn4", 3, weights="imagenet")


class _Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.marker,))  # type: ignore[return-value]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    path = tmp_path / "diverged.pt"
    torch.save({"good": torch.zeros(3), "layer.bias": torch.tensor([0.0, value]), "steps": torch.tensor(7)}, path)
    with pytest.raises(WeightsError, match=r"layer\.bias has values that are not finite"):
        read_state(path)


def test_a_malicious_pickle_is_refused_and_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "weights.pth"
    torch.save({"conv1.weight": _Attack(marker)}, path)
    with pytest.raises(WeightsError, match="not a plain PyTorch weight file"):
        read_state(path)
    path.write_bytes(pickle.dumps(_Attack(marker)))
    with pytest.raises(WeightsError):
        read_state(path)
    assert not marker.exists()


def test_imagenet_weights_offline_say_which_file_goes_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(WeightsError) as caught:
        build_network("resnet50", 3, weights="imagenet")
    message = str(caught.value)
    assert "resnet50-0676ba61.pth" in message
    assert str(tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth") in message
    assert "\n" not in message


def test_cached_imagenet_weights_are_checked_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth"
    cached.parent.mkdir(parents=True)
    torch.save(torchvision.models.resnet50().state_dict(), cached)
    with pytest.raises(WeightsError, match="is damaged"):
        build_network("resnet50", 3, weights="imagenet")
    digest = hashlib.sha256(cached.read_bytes()).hexdigest()
    monkeypatch.setattr(weights_module, "_hash_prefix", lambda _: digest[:8])
    _, loaded = build_network("resnet50", 3, weights="imagenet")
    assert loaded is not None
    assert loaded.sha256 == digest


def test_unknown_names_and_sizes_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="choose one of"):
        build_network("resnet51", 3)
    with pytest.raises(UsageError, match="cannot take photos of 16 x 16"):
        build_network("cnn4", 3, image_size=16)
