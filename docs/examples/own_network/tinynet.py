"""A small residual network for edgeclf."""

from edgeclf_training import Architecture
from torch import Tensor, nn


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Residual(nn.Module):
    """Two convolutions and a shortcut around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_convolution(channels, channels), _convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """float32 ``[N, channels, H, W]`` -> the same shape."""
        return x + self.branch(x)


class TinyNet(nn.Module):
    """Three stages and a classifier, as its authors would train it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, 16, stride=2)
        self.middle = nn.Sequential(_convolution(16, 32, stride=2), Residual(32))
        self.top = nn.Sequential(_convolution(32, 64, stride=2), Residual(64))
        self.classifier = nn.Linear(64, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """float32 ``[N, 3, H, W]`` -> logits float32 ``[N, 1000]``."""
        return self.classifier(self.top(self.middle(self.stem(x))).mean((2, 3)))


def _stages(net: nn.Module) -> tuple[list[tuple[str, nn.Module]], None]:
    """What ``--unfreeze`` can name, in forward order; no further pool before edgeclf's own head."""
    return [(name, net.get_submodule(name)) for name in ("stem", "middle", "top")], None


TINYNET = Architecture(TinyNet, _stages, classifier="classifier.", image_size=64)
