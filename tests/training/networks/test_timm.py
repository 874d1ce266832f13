"""Networks of timm: cut into parts that give its own numbers, frozen stage by stage, trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from edgeclf_training import load_run
from edgeclf_training.networks import build_network, freeze, train_mode
from edgeclf_training.networks.neck import Neck
from edgeclf_training.networks.network import Network
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


def test_weights_under_the_authors_names_are_renamed_by_timms_rules(tmp_path: Path) -> None:
    """A network of Facebook's ConvNeXt names its layers otherwise; timm knows them."""
    state = scrambled(timm.create_model("test_convnext")).state_dict()
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
    network, _ = build_network("timm:test_convnext", 3, weights=str(tmp_path / "facebook.pth"))
    assert torch.equal(network.pool.layers[0].weight, state["head.norm.weight"])  # type: ignore[union-attr,index]


def test_tokens_train_without_maps_only_if_that_is_asked_for(
    edgeclf: Callable[..., Any], class_folders: Path, tmp_path: Path
) -> None:
    photos, run = class_folders, tmp_path / "run"
    flags = ("--arch", "timm:test_vit", "--weights", "none", "--epochs", "1", "--image-size", "32")
    flags = (*flags, "--workers", "0", "--augment", "none")
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
    assert finished.provenance.versions["timm"] == timm.__version__
