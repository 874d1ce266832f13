"""What some networks have between the global average pool and the classifier: norms, 1x1 convolutions, activations.

ConvNeXt has a LayerNorm there, MobileNetV3 and V4 a convolution with its activation. A heat map at the last convolution
needs their derivative; ``edgeclf_export.graph.gradcam_neck`` writes it as forward operations, one rule for each kind of
layer that ``Neck`` may have.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
    "gelu": F.gelu,
    "silu": F.silu,
}
"""The activation functions that a neck may have."""


class ChannelNorm(nn.Module):
    """A layer norm over the channels of ``[N, C, 1, 1]`` (Ba et al. 2016, arXiv:1607.06450)."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = weight, bias, eps

    def forward(self, x: Tensor) -> Tensor:
        """float32 ``[N, C, 1, 1]`` -> the same shape."""
        return F.layer_norm(x.flatten(1), self.weight.shape, self.weight, self.bias, self.eps)[:, :, None, None]


class ScaleAndShift(nn.Module):
    """One factor and one summand for all values."""

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x * self.scale + self.shift


class NeckActivation(nn.Module):
    """One of ``ACTIVATIONS``, by its name."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return ACTIVATIONS[self.kind](x)


class Neck(nn.Module):
    """A global average pool, and what follows it before the classifier.

    Args:
        layers: of the types ``nn.Conv2d`` (1x1, one group), ``nn.BatchNorm2d``, ``ChannelNorm``, ``ScaleAndShift`` and
            ``NeckActivation``, in forward order.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, activation: Tensor) -> Tensor:
        """float32 ``[N, channels, height, width]`` -> ``[N, out channels, 1, 1]``."""
        pooled: Tensor = self.layers(activation.mean((2, 3), keepdim=True))
        return pooled
