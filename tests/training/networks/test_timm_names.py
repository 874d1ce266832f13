"""``timm:NAME``: what is taken from timm's configuration, and names that do not work."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from edgeclf.errors import BackendError, UsageError, WeightsError
from edgeclf_training.networks import build_network, get_architecture, register_architecture
from edgeclf_training.networks.hub_weights import LinkedWeights
from edgeclf_training.networks.timm_architecture import timm_architecture

timm = pytest.importorskip("timm", reason="the extra [timm] is not installed")


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """Nothing is remembered from, or for, other tests."""
    timm_architecture.cache_clear()
    yield
    timm_architecture.cache_clear()


def test_what_timm_knows_of_a_network_is_taken_from_it() -> None:
    spec = get_architecture("timm:convnext_atto.d2_in1k")
    assert spec.mean == pytest.approx((0.485 * 255, 0.456 * 255, 0.406 * 255))
    assert spec.image_size == 224
    assert spec.imagenet is not None
    assert spec.imagenet.licence == "apache-2.0"
    assert spec.imagenet.describe("anything") == "timm/convnext_atto.d2_in1k"
    assert get_architecture("timm:convnextv2_atto.fcmae_ft_in1k").imagenet.licence.startswith("cc-by-nc")  # type: ignore[union-attr]
    assert isinstance(get_architecture("timm:gcvit_tiny").imagenet, LinkedWeights)
    assert get_architecture("timm:ghostnet_050").imagenet is None
    with pytest.raises(WeightsError, match=r"timm:ghostnet_050 has no ImageNet weights.*--weights none"):
        build_network("timm:ghostnet_050", 2, weights="imagenet")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", r"no network ''; give one, such as timm:resnet18"),
        ("resnet", r"no network 'resnet'; did you mean timm:resnet18 or timm:resnet26"),
        ("ResNet18", r"did you mean timm:resnet18 or"),
        ("resnet18 ", r"did you mean timm:resnet18 or"),
        ("timm:resnet18", r"did you mean timm:resnet18 or"),
        ("swin", r"did you mean timm:swin_"),
        ("resnett18", r"did you mean timm:resnet18"),
        ("qqqqqq", r"no network 'qqqqqq'; see timm\.list_models\(\)"),
        ("hf-hub:timm/resnet18.a1_in1k", r"not an address; --weights FILE"),
        ("weights/resnet18", r"not an address; --weights FILE"),
        ("resnet18.nosuch", r"no weights 'nosuch' of resnet18; choose one of a1_in1k, "),
        ("resnet18.", r"no weights '' of resnet18; give timm:resnet18"),
        ("ghostnet_050.nosuch", r"no weights 'nosuch' of ghostnet_050; give timm:ghostnet_050"),
    ],
)
def test_wrong_names_are_one_line_with_what_to_do(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        get_architecture(f"timm:{name}")
    assert len(str(caught.value).splitlines()) == 1


def test_networks_that_do_not_fit_are_told_in_words() -> None:
    with pytest.raises(UsageError, match=r"test_vit cannot take photos of 161 x 161 pixels; give --image-size 160"):
        build_network("timm:test_vit", 2, image_size=161)
    with pytest.raises(UsageError, match=r"timm:efficientvim_m1 is built in a way that edgeclf cannot train"):
        build_network("timm:efficientvim_m1", 2)
    with pytest.raises(UsageError, match="cannot be the name of a network"):
        register_architecture("timm:mine", get_architecture("cnn4"))


def test_a_network_of_other_images_is_refused() -> None:
    from timm.models import generate_default_cfgs, register_model
    from timm.models.resnet import test_resnet

    def one_channel_net(pretrained: bool = False, **more: object) -> Any:
        return test_resnet(pretrained, in_chans=1, **more)

    one_channel_net.__module__ = test_resnet.__module__
    configs = generate_default_cfgs({"one_channel_net.grey": {"input_size": (1, 64, 64), "classifier": "fc"}})
    module = __import__(test_resnet.__module__, fromlist=["default_cfgs"])
    module.default_cfgs.update(configs)
    register_model(one_channel_net)
    with pytest.raises(UsageError, match="takes images of 1 channels, not RGB photos"):
        get_architecture("timm:one_channel_net")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeclf_training.networks.timm_architecture.find_spec", lambda _: None)
    with pytest.raises(BackendError, match=r'needs the package timm.*pip install "edgeclf\[timm\]"'):
        get_architecture("timm:resnet18.a2_in1k")


def test_weights_come_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    theirs = timm.create_model("test_resnet")
    home = tmp_path / "models--timm--test_resnet.r160_in1k"
    path = home / "snapshots" / "0123abcd" / "model.safetensors"
    path.parent.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0123abcd")
    save_file(theirs.state_dict(), path)
    network, loaded = build_network("timm:test_resnet.r160_in1k", 3, weights="imagenet")
    assert loaded is not None
    assert (loaded.source, loaded.licence) == ("timm/test_resnet.r160_in1k", "apache-2.0")
    assert torch.equal(next(iter(network.features.parameters())), next(iter(theirs.parameters())))
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=r"does not fit timm:test_convnext.*under timm's names"):
        build_network("timm:test_convnext", 3, weights=str(path))
