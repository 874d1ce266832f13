"""Each switch of a recipe does what it says."""

from dataclasses import replace

import pytest
import torch
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.config.resolve import resolve
from edgeclf_training.fit.lightning_module import FineTuning, Phase
from edgeclf_training.fit.optimizer_and_schedule import (
    Mixer,
    class_weights,
    loss,
    make_optimizer,
    moving_average,
    parameter_groups,
    rate_factor,
)
from edgeclf_training.networks import Network, build_network, freeze

OPTIONS = resolve(TrainOptions(arch="resnet18", weights="none", image_size=32))


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return build_network("resnet18", 3, image_size=32)[0]


def rate_of(groups: list[dict[str, object]], parameter: torch.Tensor) -> tuple[object, object]:
    (group,) = [g for g in groups if any(p is parameter for p in g["params"])]  # type: ignore[attr-defined]
    return group["lr"], group["weight_decay"]


def test_earlier_stages_learn_slower_and_norms_are_not_decayed(network: Network) -> None:
    options = replace(OPTIONS, backbone_lr=1e-3, stage_decay=0.5, weight_decay=0.1)
    groups = parameter_groups(network, options, head_lr=7e-3)
    assert rate_of(groups, network.head.linears[0].weight) == (7e-3, 0.1)
    assert rate_of(groups, network.head.linears[0].bias) == (7e-3, 0.0)
    assert rate_of(groups, network.features.layer4[1].conv2.weight) == (1e-3, 0.1)
    assert rate_of(groups, network.features.layer3[1].conv2.weight) == (5e-4, 0.1)
    assert rate_of(groups, network.features.stem[0].weight) == (1e-3 / 16, 0.1)
    assert rate_of(groups, network.features.stem[1].weight) == (1e-3 / 16, 0.0)
    assert rate_of(parameter_groups(network, replace(options, decay_norms=True), 1.0), network.features.stem[1].weight)[
        1
    ]
    assert sum(len(g["params"]) for g in groups) == len(list(network.parameters()))  # type: ignore[arg-type]


def test_frozen_stages_are_in_no_group(network: Network) -> None:
    freeze(network, "layer4")
    chosen = {id(p) for g in parameter_groups(network, OPTIONS, 1e-3) for p in g["params"]}  # type: ignore[attr-defined]
    assert chosen == {id(p) for part in (network.features.layer4, network.head) for p in part.parameters()}


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("sgd", "SGD"), ("rmsprop", "RMSprop")])
def test_optimisers_learn(name: str, kind: str, network: Network) -> None:
    torch.manual_seed(0)
    rate = 1e-2 if name == "sgd" else 1e-3
    groups = parameter_groups(network, replace(OPTIONS, backbone_lr=rate), rate)
    optimizer = make_optimizer(groups, replace(OPTIONS, optimizer=name))
    assert type(optimizer).__name__ == kind
    photos, labels = torch.randint(0, 255, (6, 32, 32, 3), dtype=torch.uint8), torch.tensor([0, 1, 2, 0, 1, 2])
    network.train()
    network.head.dropout.p = 0.0
    before = float(loss(network(photos), labels, 0.0, None).detach())
    for _ in range(8):
        optimizer.zero_grad()
        loss(network(photos), labels, 0.0, None).backward()
        optimizer.step()
    assert float(loss(network(photos), labels, 0.0, None).detach()) < before


def test_the_rate_rises_then_falls_or_stays() -> None:
    cosine = [rate_factor(step, 100, "cosine", 0.1) for step in range(100)]
    assert cosine[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert max(cosine) == 1.0
    assert cosine[10:] == sorted(cosine[10:], reverse=True)
    assert cosine[-1] == pytest.approx(0.01, abs=0.01)
    assert {rate_factor(step, 100, "constant", 0.0) for step in range(100)} == {1.0}


def test_rare_classes_weigh_more_and_photos_one_on_average() -> None:
    weights = class_weights((400, 100, 100))
    assert weights[1] / weights[0] == pytest.approx(2)
    assert float((weights * torch.tensor([400.0, 100, 100])).sum()) == pytest.approx(600)
    assert class_weights((7, 7)).tolist() == pytest.approx([1, 1])


def test_mixed_batches_keep_their_shape_and_their_share_of_labels() -> None:
    images, labels = torch.randint(0, 255, (4, 8, 8, 3), dtype=torch.uint8), torch.tensor([0, 1, 2, 0])
    for options in (
        replace(OPTIONS, mixup=0.4, cutmix=0.0, mix_share=1.0),
        replace(OPTIONS, mixup=0.0, cutmix=1.0, mix_share=1.0),
    ):
        mixer = Mixer(options, 3)
        torch.manual_seed(1)
        mixed, soft = mixer(images, labels)
        assert mixed.shape == images.shape
        assert soft.sum(1).tolist() == pytest.approx([1] * 4)
        assert not torch.equal(mixed, images.float())
        assert float(mixed.max()) <= 255
        torch.manual_seed(1)
        assert torch.equal(mixer(images, labels)[0], mixed), "the seed alone decides"
    off = Mixer(replace(OPTIONS, mix_share=0.0), 3)
    assert off(images, labels)[0] is images
    half = Mixer(replace(OPTIONS, mix_share=0.5), 3)
    torch.manual_seed(0)
    share = sum(half(images, labels)[1].ndim == 2 for _ in range(200)) / 200
    assert 0.4 < share < 0.6


def test_the_moving_average_follows_at_once_then_smooths(network: Network) -> None:
    averaged = moving_average(network, 0.9)
    seen = []
    for step in range(300):
        with torch.no_grad():
            network.head.linears[0].bias.fill_(step)
            network.features.stem[1].num_batches_tracked.fill_(step)
        averaged.update_parameters(network)
        seen.append(float(averaged.module.head.linears[0].bias[0]))
    assert seen[3] > 1.5, "early on it must not hold on to where training began"
    assert 299 - seen[-1] == pytest.approx(9, abs=0.5), "in the end it lags decay / (1 - decay) steps behind"
    assert int(averaged.module.features.stem[1].num_batches_tracked) == 299
    assert not any(p.requires_grad for p in averaged.parameters())


def test_validation_asks_the_moving_average_where_there_is_one(network: Network) -> None:
    phase = Phase("fine-tune", 1, "all", 1e-3)
    with_average, without = (FineTuning(network, phase, replace(OPTIONS, ema=e), (1, 1, 1)) for e in (0.99, 0.0))
    assert without.validated is network
    assert with_average.validated is not network
    assert with_average.validated.stages == network.stages
