"""Translates what a timm network calls between its average pool and its classifier into a ``Neck``."""

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn

from edgeclf_training.networks.neck import ACTIVATIONS, ChannelNorm, Neck, NeckActivation, ScaleAndShift
from edgeclf_training.networks.traced_calls import Call

_PROBE = torch.linspace(-8, 8, 257)  # where activation functions are compared
_NORMS = (nn.LayerNorm, nn.BatchNorm2d, nn.BatchNorm1d)


def neck_of(net: nn.Module, calls: Sequence[Call], features: Tensor) -> Neck | None:
    """A candidate, to be proved by its caller: the layers of these calls after an average over the positions.

    Args:
        net: the whole network.
        calls: of all its modules in its head, in order, without its classifier.
        features: ``[N, channels, height, width]``.

    Returns:
        The neck in eval mode; None if a module is of no kind that a heat map's derivative is known for.
    """
    layers: list[nn.Module] = []
    single = set(_leaves(net.children(), {call.module for call in calls}))
    for call in calls:
        if call.module not in single:
            continue
        found = _translated(call.module)
        if found is None:
            return None
        layers += found
    width = features.shape[1]
    for layer in layers:  # a head that convolves or flattens positions does not fit behind an average
        if isinstance(layer, nn.Conv2d):
            if layer.in_channels != width:
                return None
            width = layer.out_channels
        elif isinstance(layer, (ChannelNorm, nn.BatchNorm2d)) and len(layer.weight) != width:
            return None
    return Neck(layers).eval()


def _leaves(modules: Iterable[nn.Module], called: Set[nn.Module]) -> Iterator[nn.Module]:
    """The called modules that are translated as one: those without children, norms, and pools."""
    for module in modules:
        childless = not any(True for _ in module.children())
        if module in called and (childless or isinstance(module, _NORMS) or _is_pool(module)):
            yield module
        else:
            yield from _leaves(module.children(), called)


def _is_pool(module: nn.Module) -> bool:
    """Whether a module turns constant positions into their value, and has no weights: then it may be an average."""
    if any(True for _ in module.parameters()):
        return False
    channels_first = torch.arange(1.0, 4.0)[None, :, None, None].expand(1, 3, 2, 2)
    pooled = [_values(module, constant) for constant in (channels_first, channels_first.permute(0, 2, 3, 1))]
    return any(values is not None and values.flatten().tolist() == [1.0, 2.0, 3.0] for values in pooled)


def _values(module: nn.Module, x: Tensor) -> Tensor | None:
    """What a module makes of a tensor; None if it does not take it."""
    try:
        values = module(x)
    except Exception:  # any module may be asked, and may raise anything
        return None
    return values if isinstance(values, Tensor) else None


def _translated(module: nn.Module) -> list[nn.Module] | None:
    """Layers of a ``Neck`` that compute the same, with the same parameters; None if there are none."""
    if isinstance(module, nn.Conv2d):
        plain = module.groups == 1 and set(module.stride) == {1} and set(module.kernel_size) == {1}
        plain = plain and set(module.padding) == {0}
        return [module] if plain else None
    if isinstance(module, nn.Linear):
        conv = nn.Conv2d(module.in_features, module.out_features, 1, bias=module.bias is not None)
        conv.weight.data.copy_(module.weight.data[:, :, None, None])
        if conv.bias is not None:
            conv.bias.data.copy_(module.bias.data)
        return [conv]
    if isinstance(module, nn.LayerNorm):
        affine = module.elementwise_affine and module.bias is not None and len(module.normalized_shape) == 1
        return [ChannelNorm(module.weight, module.bias, module.eps)] if affine else None
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return _batch_norm(module)
    if _is_pool(module) or isinstance(module, (nn.Dropout, nn.Identity, nn.Flatten)):
        return []
    return _elementwise(module)


def _batch_norm(norm: Any) -> list[nn.Module] | None:
    """A batch norm, and the activation function that some of timm's norms contain."""
    if norm.weight is None or norm.running_mean is None:
        return None
    plain = nn.BatchNorm2d(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    plain.weight, plain.bias = norm.weight, norm.bias
    plain.load_state_dict(norm.state_dict(), strict=False)
    layers: list[nn.Module] = [plain]
    for child in norm.children():
        found = _elementwise(child)
        if found is None:
            return None
        layers += found
    return layers


def _elementwise(module: nn.Module) -> list[nn.Module] | None:
    """An activation function or a factor and a summand, recognised by its values."""
    values = _values(module, _PROBE[None, :, None, None].clone())
    if values is None or values.numel() != len(_PROBE):
        return None
    values = values.flatten()
    if not any(True for _ in module.parameters()):  # with weights, it does something else after training
        if torch.allclose(values, _PROBE, atol=1e-6):
            return []
        for kind, function in ACTIVATIONS.items():
            if torch.allclose(values, function(_PROBE), atol=1e-6):
                return [NeckActivation(kind)]
    middle = len(_PROBE) // 2
    shift = float(values[middle])
    scale = float(values[-1] - values[middle]) / float(_PROBE[-1])
    if torch.allclose(values, _PROBE * scale + shift, atol=1e-5):
        return [ScaleAndShift(scale, shift)]
    return None
