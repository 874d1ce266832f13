"""The structure of every edgeclf network: normalise -> features -> pool -> head."""

import itertools
from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """The classifier: from the pooled activation to logits.

    ``hidden == ()`` is the *linear* head: global average pool, one Linear. Otherwise it is the *MLP* head: flatten,
    (Linear, ReLU) for each hidden width, Linear. The export writes the heat map's gradient as
    forward operations of these layers, so the head must not contain other layers.

    Args:
        channels: channels of the pooled activation.
        cells: spatial positions of the pooled activation (height x width); only the MLP head depends on it.
        hidden: widths of the hidden layers.
        classes: number of logits.
        dropout: probability of dropping an input of the last Linear in training.
    """

    def __init__(self, channels: int, cells: int, hidden: tuple[int, ...], classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        widths = [channels * cells if hidden else channels, *hidden, classes]
        self.widths = (*hidden, classes)
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.dropout = nn.Dropout(dropout)

    def trace(self, pooled: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits ``[N, C]`` and the hidden pre-activations (one ``[N, width]`` each; none for a linear head)."""
        x = pooled.flatten(1) if len(self.linears) > 1 else pooled.mean((2, 3))
        hidden = []
        for linear in self.linears[:-1]:
            hidden.append(linear(x))
            x = torch.relu(hidden[-1])
        return self.linears[-1](self.dropout(x)), hidden

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled features float32 ``[N, channels, *cells]`` -> logits float32 ``[N, C]``."""
        return self.trace(pooled)[0]


class WithoutPositions(nn.Module):
    """The end of features that are pooled already, ``[N, channels, 1, 1]``: there is nothing to draw a heat map on."""


class Network(nn.Module):
    """An image classifier; its input is the output of the runtime's preprocessing.

    ``features`` is a sequence of named stages. Its output, the activation of the last convolution, is the tensor from
    which heat maps are computed. ``pool`` is what lies between features and head: VGG16's pool5, a ``Neck``, or an
    identity. Weights in it are trained with the last stage.

    Args:
        stages: (name, module) in forward order. With a ``WithoutPositions`` in the last one, there are no heat maps.
        pool: module between features and head, or None.
        head: the classifier.
        mean, std: normalisation of the 0..255 input, three values each, RGB.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stages: Iterable[tuple[str, nn.Module]],
        pool: nn.Module | None,
        head: Head,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(OrderedDict(stages))
        self.pool = pool if pool is not None else nn.Identity()
        self.head = head
        # mean and std belong to the architecture: they are set here and never loaded from a state dict.
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages in forward order: the values of ``--unfreeze``."""
        return tuple(name for name, _ in self.features.named_children())

    @property
    def has_heat_maps(self) -> bool:
        """Whether its features have positions, so that heat maps can be drawn on them."""
        return not any(isinstance(module, WithoutPositions) for module in self.features.modules())

    def normalize(self, image: Tensor) -> Tensor:
        """uint8 ``[N, H, W, 3]`` RGB -> normalised float32 ``[N, 3, H, W]``."""
        return ((image.float() - self.mean) / self.std).permute(0, 3, 1, 2)

    def trace(self, image: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Logits ``[N, C]``, activation ``[N, K, h, w]`` of the last convolution, the head's hidden pre-activations."""
        activation = self.features(self.normalize(image))
        logits, hidden = self.head.trace(self.pool(activation))
        return logits, activation, hidden

    def forward(self, image: Tensor) -> Tensor:
        """uint8 ``[N, H, W, 3]`` RGB photos -> logits float32 ``[N, C]``."""
        return self.trace(image)[0]


def freeze(network: Network, unfreeze_from: str | None) -> None:
    """Make the head and the stages from ``unfreeze_from`` on trainable, and freeze all earlier stages.

    Args:
        network: changed in place.
        unfreeze_from: name of the first trainable stage; ``"all"``: all stages are trainable; None: no stage is.

    Raises:
        ValueError: the network has no stage of that name.
    """
    if unfreeze_from not in (None, "all", *network.stages):
        raise ValueError(f"no stage {unfreeze_from!r}; this network has {', '.join(network.stages)}")
    trainable = unfreeze_from == "all"
    for name, stage in network.features.named_children():
        trainable = trainable or name == unfreeze_from
        stage.requires_grad_(trainable)
    network.pool.requires_grad_(trainable)


def train_mode(network: Network, *, keep_statistics: bool = False) -> None:
    """Put the trainable part in training mode; frozen stages stay in eval mode.

    Args:
        network: changed in place.
        keep_statistics: leave every batch norm in eval mode, so that it keeps its pretrained statistics. A few dozen
            steps are too few for new running averages: training would use the statistics of each batch, inference
            the inaccurate averages.
    """
    network.train()
    for stage in (*network.features.children(), network.pool):
        if not any(p.requires_grad for p in stage.parameters()):
            stage.eval()
    if keep_statistics:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
