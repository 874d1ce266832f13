"""Takes a timm network apart: named stages, the pool, and what follows the pool. Every cut is proved by numbers.

timm's networks share three methods, ``forward_features``, ``forward_head(pre_logits=True)`` and ``get_classifier``, and
the table ``feature_info`` of the layers at which the resolution changes. Nothing is concluded from names of networks or
of layers: a photo of noise passes through the network, hooks see which module's output is the next one's input, and
the parts put together again must give the network's own numbers.
"""

from collections import OrderedDict
from collections.abc import Set
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch
from edgeclf.errors import UsageError
from torch import Tensor, nn

from edgeclf_training.networks.neck import Neck
from edgeclf_training.networks.network import WithoutPositions
from edgeclf_training.networks.timm_neck import neck_of
from edgeclf_training.networks.traced_calls import Call, equal, pieces, traced_calls

Stages = list[tuple[str, nn.Module]]


class _Trunk(nn.Module):
    """Features of a network in one piece: what its own code does between its modules is done by its own code."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, cast(Any, self.net).forward_features(x))


class _ChannelsFirst(nn.Module):
    """``[N, height, width, channels]`` -> ``[N, channels, height, width]``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


class _PooledByItself(WithoutPositions):
    """Features as the network makes them -> ``[N, channels, 1, 1]``, by its own pool: of tokens, by attention, ..."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, cast(Any, self.net).forward_head(x, pre_logits=True))[:, :, None, None]


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the network makes of a photo of noise."""

    photo: Tensor
    features: Tensor
    pooled: Tensor
    feature_calls: tuple[Call, ...]
    head_calls: tuple[Call, ...]


def cut_timm(net: nn.Module) -> tuple[Stages, nn.Module | None]:
    """Named stages in forward order, and the pool with what follows it before the classifier (None: a mean alone).

    Args:
        net: as ``timm.create_model`` makes it; its modules become parts of the result.

    Returns:
        Stages "stage1", "stage2", ...: each ends where ``feature_info`` says so; "top" is what follows the last of
        them. If no average of the features explains what the classifier reads, as in networks of tokens, the last stage
        is ``WithoutPositions``: such networks have no heat maps.

    Raises:
        UsageError: it has no features from which its classifier's input follows.
    """
    was_training = net.training
    net.eval()
    with torch.no_grad():
        seen = _see(net)
        neck, channels_last = _neck(net, seen)
        stages = _stages(net, seen)
        if neck is not None:
            if channels_last:
                stages = _appended(stages, _ChannelsFirst())
            pool = neck if len(neck.layers) else None
        else:
            stages, pool = _pooled_by_itself(stages, net, seen), None
        proved = _run(stages, seen.photo)
        proved = pool(proved) if pool is not None else proved.mean((2, 3), keepdim=True)
        if not equal(proved.flatten(1), seen.pooled):
            raise _unfit(net, "its parts put together do not give its own features")
    for part in (*(stage for _, stage in stages), *([pool] if pool else [])):
        part.train(was_training)
    return stages, pool


def _see(net: nn.Module) -> _Seen:
    timm_net = cast(Any, net)
    size = timm_net.pretrained_cfg["input_size"]
    photo = torch.randn(1, *size, generator=torch.Generator().manual_seed(0))
    with traced_calls(pieces(net)) as calls:
        features = timm_net.forward_features(photo)
    if not isinstance(features, Tensor):
        raise _unfit(net, "its features are not one tensor")
    with traced_calls((name, module) for name, module in net.named_modules() if name) as head_calls:
        pooled = timm_net.forward_head(features, pre_logits=True)
    if not isinstance(pooled, Tensor) or pooled.ndim != 2:
        raise _unfit(net, "what its classifier reads is not one vector for each photo")
    return _Seen(photo, features, pooled, tuple(calls), tuple(head_calls))


def _unfit(net: nn.Module, why: str) -> UsageError:
    name = cast(Any, net).pretrained_cfg["architecture"]
    return UsageError(f"timm:{name} is built in a way that edgeclf cannot train: {why}", "choose another network")


def _neck(net: nn.Module, seen: _Seen) -> tuple[Neck | None, bool]:
    """The proved neck, and whether the features have their channels last; no neck if nothing can be proved."""
    if seen.features.ndim == 4:
        for channels_last in (False, True):
            features = seen.features.permute(0, 3, 1, 2) if channels_last else seen.features
            neck = neck_of(net, seen.head_calls, features)
            if neck is not None and equal(neck.eval()(features).flatten(1), seen.pooled):
                return neck, channels_last
    return None, False


def _stages(net: nn.Module, seen: _Seen) -> Stages:
    """The longest chain of modules that ends in the features, cut at the ends that ``feature_info`` names."""
    chain: list[Call] = []
    wanted = seen.features
    for call in reversed(seen.feature_calls):
        if call.output is not wanted or call.input is None:
            break
        chain.insert(0, call)
        wanted = call.input
    parts: list[tuple[str, nn.Module]] = [(call.name, call.module) for call in chain]
    if wanted is not seen.photo:  # the network's own code does something before the chain, such as adding positions
        kept = {call.name for call in seen.feature_calls} - {call.name for call in chain}
        parts = [("", _trunk(net, kept)), *parts]
    named = _cut_at(parts, [info["module"] for info in getattr(net, "feature_info", [])])
    if not equal(_run(named, seen.photo), seen.features):  # a module has a side effect, or does more when chained
        named = [("stage1", _trunk(net, {call.name for call in seen.feature_calls}))]
    return named


def _cut_at(parts: list[tuple[str, nn.Module]], ends: list[str]) -> Stages:
    groups: list[list[tuple[str, nn.Module]]] = [[]]
    last_of = {max((i for i, (name, _) in enumerate(parts) if _within(name, end)), default=None) for end in ends}
    for number, part in enumerate(parts):
        groups[-1].append(part)
        if number in last_of:
            groups.append([])
    named: Stages = []
    for number, group in enumerate(groups, 1):
        stage = nn.Sequential(OrderedDict((name.replace(".", "_") or "trunk", module) for name, module in group))
        trainable = any(True for _ in stage.parameters())
        if named and not trainable:  # an activation, or nothing
            named = _appended(named, *stage)
        else:
            named.append(("top" if number == len(groups) and len(groups) > 1 else f"stage{len(named) + 1}", stage))
    return named


def _within(name: str, end: str) -> bool:
    """Whether a module is one that ``feature_info`` names, or a part of it, or holds it."""
    return bool(name) and (name == end or name.startswith(f"{end}.") or end.startswith(f"{name}."))


def _appended(stages: Stages, *modules: nn.Module) -> Stages:
    name, last = stages[-1]
    return [*stages[:-1], (name, nn.Sequential(last, *modules))] if modules else stages


def _trunk(net: nn.Module, kept: Set[str]) -> nn.Module:
    """The network's own code, with only these of its pieces: other parts own the others."""
    trunk = deepcopy(net)
    for name, module in list(pieces(trunk)):
        if name in kept:
            trunk.set_submodule(name, net.get_submodule(name))
        elif any(True for _ in module.parameters()):
            trunk.set_submodule(name, nn.Identity())
    return _Trunk(trunk)


def _pooled_by_itself(stages: Stages, net: nn.Module, seen: _Seen) -> Stages:
    """The stages, and the network's own pool: in a stage of its own if it has weights."""
    head = deepcopy(net)
    called = {call.name for call in seen.head_calls}
    for name, module in list(head.named_modules()):
        if not name or name in called or any(one.startswith(f"{name}.") for one in called):
            continue
        if any(True for _ in module.parameters()):
            head.set_submodule(name, nn.Identity())
    for name, own in list(head.named_parameters(recurse=False)):  # embeddings of positions and the like
        del head._parameters[name]
        if not _still(head, seen):
            head._parameters[name] = own
    pool = _PooledByItself(head)
    if any(True for _ in pool.parameters()):
        return [*stages, ("pool", pool)]
    return _appended(stages, pool)


def _still(head: nn.Module, seen: _Seen) -> bool:
    """Whether a head gives the same without something."""
    try:
        return equal(cast(Any, head).forward_head(seen.features, pre_logits=True), seen.pooled)
    except (AttributeError, TypeError, RuntimeError):
        return False


def _run(stages: Stages, x: Tensor) -> Tensor:
    for _, stage in stages:
        x = stage(x)
    return x
