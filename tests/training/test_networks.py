"""Architectures, freezing by stage, and where first weights come from."""

import hashlib
import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from edgeclf.errors import UsageError, WeightsError
from edgeclf_training.networks import ARCHITECTURES, build_network, freeze, read_state, train_mode
from edgeclf_training.networks import _weights as weights_module

STAGES = {
    "efficientnet_lite0": ("stem", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7", "top"),
    "resnet50": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "vgg16": ("block1", "block2", "block3", "block4", "block5"),
    "cnn4": ("conv1", "conv2", "conv3", "conv4"),
}


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
    assert activation.min() >= 0, "features end in the last convolution's ReLU"
    assert len(hidden) == (head == "mlp")


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_the_parts_add_up_to_torchvisions_network(name: str) -> None:
    reference = getattr(torchvision.models, name)().eval()
    network, _ = build_network(name, 3, image_size=64)
    state = {k: v for k, v in reference.state_dict().items() if not k.startswith(ARCHITECTURES[name].classifier)}
    assert len(network.features.state_dict()) == len(state)
    network.features.load_state_dict(dict(zip(network.features.state_dict(), state.values(), strict=True)))
    network.eval()
    photos = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    x = network.normalize(photos)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(x, ((photos / 255 - mean) / std).permute(0, 3, 1, 2), atol=1e-5)
    with torch.inference_mode():
        whole = reference.features(x) if name == "vgg16" else None
        if whole is None:
            whole = reference.maxpool(reference.relu(reference.bn1(reference.conv1(x))))
            for layer in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
                whole = layer(whole)
        assert torch.allclose(network.pool(network.features(x)), whole, atol=1e-4)


def test_imagenet_weights_of_lite0_load_with_their_classifier() -> None:
    """Whether they name things rightly is tested on the default model, which is made from them."""
    network, loaded = build_network("efficientnet_lite0", 1000, weights="imagenet", keep_classifier=True)
    assert loaded is not None
    assert loaded.licence == "Apache-2.0"
    photos = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both, one = network.eval()(photos), network(photos[:1])
    assert torch.allclose(both[0], one[0], atol=1e-4)
    assert both.std() > 0.5, "trained weights are sure of something"


def test_freezing_leaves_the_named_stage_and_what_follows() -> None:
    network, _ = build_network("resnet50", 2, image_size=64)
    freeze(network, "layer4")
    train_mode(network)
    trainable = {name.split(".")[1] for name, p in network.features.named_parameters(prefix="f") if p.requires_grad}
    assert trainable == {"layer4"}
    assert all(p.requires_grad for p in network.head.parameters())
    assert not network.features.layer3.training, "frozen batch norm must not drift"
    assert network.features.layer4.training
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


@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_file_in_torchvisions_format_is_taken_over(name: str, head: str, tmp_path: Path) -> None:
    reference = getattr(torchvision.models, name)()
    state = {k: v for k, v in reference.state_dict().items() if not k.startswith("classifier.")}
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    network, loaded = build_network(name, 3, head=head, image_size=64, weights=str(path))
    assert loaded is not None
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    first = next(iter(state.values()))
    assert torch.equal(next(network.features.parameters()), first)


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
