"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-excite and with ReLU6, made for INT8 inference.

Tan and Le 2019 (arXiv:1905.11946); the lite variant is the one published with TensorFlow. Its ImageNet weights
expect TensorFlow's "SAME" padding, which is asymmetric in convolutions with a stride above 1.
"""

from torch import Tensor, nn
from torch.nn import functional as F

# kernel, stride, expansion, output channels, repeats
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class _SameConv2d(nn.Conv2d):
    """A bias-free convolution padded so that the output has ceil(input / stride) positions."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = (self._total_padding(size, i) for i, size in enumerate(x.shape[-2:]))
        if height or width:
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        y: Tensor = super().forward(x)
        return y

    def _total_padding(self, size: int, axis: int) -> int:
        stride = self.stride[axis]
        return max((-(-size // stride) - 1) * stride + self.kernel_size[axis] - size, 0)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Block(nn.Module):
    """Inverted residual: expand, depthwise, project."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = channels_in * expansion
        self.expands = expansion != 1
        if self.expands:
            self.expand_conv = _SameConv2d(channels_in, middle, 1)
            self.bn0 = _norm(middle)
        self.depthwise_conv = _SameConv2d(middle, middle, kernel, stride, groups=middle)
        self.bn1 = _norm(middle)
        self.project_conv = _SameConv2d(middle, channels_out, 1)
        self.bn2 = _norm(channels_out)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        out: Tensor = x + y if self.residual else y
        return out


class EfficientNetLite0(nn.Module):
    """The published network with the checkpoint's tensor names, without their leading underscores.

    It has no ``forward``: edgeclf splits it into stages.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _SameConv2d(3, 32, 3, 2)
        self.bn0 = _norm(32)
        blocks: list[nn.Module] = []
        channels = 32
        for kernel, stride, expansion, out, repeats in _STAGES:
            for repeat in range(repeats):
                blocks.append(_Block(channels, out, kernel, stride if repeat == 0 else 1, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.conv_head = _SameConv2d(320, 1280, 1)
        self.bn1 = _norm(1280)
        self.fc = nn.Linear(1280, 1000)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """(name, module) in forward order: the stem, the seven stages, the last 1x1 convolution."""
        cut: list[tuple[str, nn.Module]] = [("stem", nn.Sequential(self.conv_stem, self.bn0, nn.ReLU6()))]
        start = 0
        for number, (*_, repeats) in enumerate(_STAGES, 1):
            cut.append((f"stage{number}", nn.Sequential(*self.blocks[start : start + repeats])))
            start += repeats
        cut.append(("top", nn.Sequential(self.conv_head, self.bn1, nn.ReLU6())))
        return cut
