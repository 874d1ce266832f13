"""Networks of timm: cut into parts that give its own numbers, and weights from the hub's cache or a file."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from edgeclf.errors import BackendError, UsageError, WeightsError
from edgeclf_training import load_run
from edgeclf_training.networks import build_network, freeze, get_architecture, register_architecture, train_mode
from edgeclf_training.networks.neck import Neck
from edgeclf_training.networks.network import Network
from edgeclf_training.networks.timm_architecture import timm_architecture
from torch import nn

timm = pytest.importorskip("timm", reason="the extra [timm] is not installed")

# One small network of each kind: what lies between the average pool and the classifier, and the stages.
NECKS = {
    "test_resnet": [],
    "test_efficientnet": [],
    "test_byobnet": [],
    "test_convnext": ["ChannelNorm"],
    "test_mambaout": ["ChannelNorm", "Conv2d", "NeckActivation"],
    "mobilenetv3_small_050": ["Conv2d", "NeckActivation"],
}
TOKENS = ("test_vit", "test_vit2")  # the classifier reads one token; or an average that attention weights


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may reach a hub, nor find what the user has cached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    timm_architecture.cache_clear()
    yield
    timm_architecture.cache_clear()


def scrambled(net: nn.Module) -> nn.Module:
    """Norms as trained ones: as created, most of them do nothing, and none could be told from another."""
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        for name in ("weight", "running_var"):
            tensor = getattr(module, name, None)
            if isinstance(tensor, torch.Tensor) and tensor.ndim == 1:
                tensor.data.uniform_(0.5, 1.5, generator=generator)
        for name in ("bias", "running_mean"):
            tensor = getattr(module, name, None)
            if isinstance(tensor, torch.Tensor):
                tensor.data.normal_(0, 0.1, generator=generator)
    return net.eval()


def whole(name: str, tmp_path: Path) -> tuple[Any, Network]:
    """timm's own network, and edgeclf's with the same weights from a file."""
    theirs = scrambled(timm.create_model(name))
    path = tmp_path / "weights.pth"
    torch.save(theirs.state_dict(), path)
    ours, loaded = build_network(f"timm:{name}", theirs.num_classes, weights=str(path), keep_classifier=True)
    assert loaded is not None
    return theirs, ours.eval()


@pytest.mark.parametrize("name", [*NECKS, *TOKENS])
def test_the_parts_give_timms_own_logits(name: str, tmp_path: Path) -> None:
    theirs, ours = whole(name, tmp_path)
    size = theirs.pretrained_cfg["input_size"][1]
    photos = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8)
    mean, std = (torch.tensor(theirs.pretrained_cfg[key]) for key in ("mean", "std"))
    with torch.inference_mode():
        expected = theirs(((photos / 255 - mean) / std).permute(0, 3, 1, 2))
        logits = ours(photos)
    assert expected.std() > 1e-3
    assert torch.allclose(logits, expected, atol=1e-4 * float(expected.abs().max()))
    assert ours.has_heat_maps == (name in NECKS)
    if name in NECKS:
        layers = ours.pool.layers if isinstance(ours.pool, Neck) else []
        assert [type(layer).__name__ for layer in layers] == NECKS[name]
    assert len(ours.stages) > 3
    owned = [id(p) for p in ours.parameters()]
    assert len(owned) == len(set(owned)), "no weight is in two parts"


@pytest.mark.parametrize("name", ["test_convnext", "test_vit"])
def test_stages_freeze_one_after_another_and_the_neck_with_the_last(name: str) -> None:
    network, _ = build_network(f"timm:{name}", 2)
    for number, first in enumerate(network.stages):
        freeze(network, first)
        train_mode(network)
        for stage, module in network.features.named_children():
            assert all(p.requires_grad == (stage in network.stages[number:]) for p in module.parameters())
    assert all(p.requires_grad for p in network.pool.parameters())
    freeze(network, None)
    train_mode(network)
    assert not any(p.requires_grad for p in (*network.features.parameters(), *network.pool.parameters()))
    assert not network.pool.training
    assert all(p.requires_grad for p in network.head.parameters())


def test_what_timm_knows_of_a_network_is_taken_from_it() -> None:
    spec = get_architecture("timm:convnext_atto.d2_in1k")
    assert spec.mean == pytest.approx((0.485 * 255, 0.456 * 255, 0.406 * 255))
    assert spec.image_size == 224
    assert spec.imagenet is not None
    assert spec.imagenet.licence == "apache-2.0"
    assert spec.imagenet.describe("anything") == "timm/convnext_atto.d2_in1k"
    assert get_architecture("timm:convnextv2_atto.fcmae_ft_in1k").imagenet.licence.startswith("cc-by-nc")  # type: ignore[union-attr]


def test_wrong_names_are_one_line_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"no network 'resnet1888'.*did you mean timm:resnet1"):
        get_architecture("timm:resnet1888")
    with pytest.raises(UsageError, match=r"no weights 'nosuch' of resnet18.*choose one of .*a1_in1k"):
        get_architecture("timm:resnet18.nosuch")
    with pytest.raises(UsageError, match="cannot be the name of a network"):
        register_architecture("timm:mine", get_architecture("cnn4"))
    with pytest.raises(UsageError, match=r"vit_tiny.* cannot take photos of 96 x 96.*--image-size 224"):
        build_network("timm:vit_tiny_patch16_224", 3, image_size=96)
    monkeypatch.setattr("edgeclf_training.networks.timm_architecture.find_spec", lambda _: None)
    with pytest.raises(BackendError, match=r'needs the package timm.*pip install "edgeclf\[timm\]"'):
        get_architecture("timm:resnet18.a2_in1k")


def cached(repository: str, state: dict[str, torch.Tensor], hub: Path, file: str) -> Path:
    """Put a file into a cache of huggingface_hub, as a download would."""
    from safetensors.torch import save_file

    home = hub / f"models--{repository.replace('/', '--')}"
    path = home / "snapshots" / "0123abcd" / file
    path.parent.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0123abcd")
    save_file(state, path) if file.endswith("safetensors") else torch.save(state, path)
    return path


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_weights_come_from_the_hubs_cache(file: str, tmp_path: Path) -> None:
    theirs = scrambled(timm.create_model("test_resnet"))
    path = cached("timm/test_resnet.r160_in1k", theirs.state_dict(), tmp_path / "hub", file)
    network, loaded = build_network("timm:test_resnet.r160_in1k", 3, weights="imagenet")
    assert loaded is not None
    assert (loaded.source, loaded.licence) == ("timm/test_resnet.r160_in1k", "apache-2.0")
    first = next(iter(network.features.parameters()))
    assert torch.equal(first, next(iter(theirs.parameters())))
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_that_are_not_there_are_one_line_with_the_address(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        build_network("timm:test_resnet.r160_in1k", 3, weights="imagenet")
    message = str(caught.value)
    assert "https://huggingface.co/timm/test_resnet.r160_in1k/resolve/main/model.safetensors" in message
    assert "--weights FILE" in message
    assert "\n" not in message
    assert len(message) < 500


def test_files_of_safetensors_load_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "mine.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    _, loaded = build_network("timm:test_resnet", 3, weights=str(path))
    assert loaded is not None
    assert (loaded.source, loaded.licence) == ("mine.safetensors", "unknown")
    with pytest.raises(WeightsError, match=r"does not fit timm:test_convnext.*under timm's names"):
        build_network("timm:test_convnext", 3, weights=str(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="is not a file of safetensors"):
        build_network("timm:test_resnet", 3, weights=str(path))


def test_weights_under_the_authors_names_are_renamed_by_timms_rules(tmp_path: Path) -> None:
    """A network of Facebook's ConvNeXt names its layers otherwise; timm knows them."""
    state = timm.create_model("convnext_atto").state_dict()
    theirs = {}
    for key, tensor in state.items():
        name = key.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace("head.fc.", "head.")
        for stage in range(4):
            name = name.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
            name = name.replace(f"stages.{stage}.blocks.", f"stages.{stage}.")
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        theirs[name] = tensor
    assert theirs.keys() != state.keys()
    torch.save(theirs, tmp_path / "facebook.pth")
    network, _ = build_network("timm:convnext_atto", 3, weights=str(tmp_path / "facebook.pth"))
    assert torch.equal(network.pool.layers[0].weight, state["head.norm.weight"])  # type: ignore[union-attr,index]


def test_tokens_train_without_maps_only_if_that_is_asked_for(
    edgeclf: Callable[..., Any], class_folders: Path, tmp_path: Path
) -> None:
    photos, run = class_folders, tmp_path / "run"
    flags = ("--arch", "timm:test_vit", "--weights", "none", "--epochs", "1", "--workers", "0", "--augment", "none")
    refused = edgeclf("train", photos, *flags, "--out", run)
    assert (refused.returncode, refused.stderr.splitlines()[-1].count("--no-cam")) == (2, 1)
    assert "has no heat maps" in refused.stderr
    assert not run.exists()
    done = edgeclf("train", photos, *flags, "--no-cam", "--out", run)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "run.json").read_text())["options"]["arch"] == "timm:test_vit"
    assert (
        "Without heat maps" in (run / "report.html").read_text() or "no mistakes" in (run / "report.html").read_text()
    )
    finished = load_run(run)
    assert not finished.network().has_heat_maps
    assert any("160 px, mean 127.5, 127.5, 127.5" in line for line in finished.provenance.weights)
