"""EfficientNet-Lite: EfficientNet without squeeze-excite and with ReLU6, made for INT8 inference.

Tan and Le 2019 (arXiv:1905.11946); the lite variants are those published with TensorFlow. Their ImageNet weights
expect TensorFlow's "SAME" padding, which is asymmetric in convolutions with a stride above 1.
"""

import math

from torch import Tensor, nn
from torch.nn import functional as F

# Lite0's stages: kernel, stride, expansion, output channels, repeats
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM_CHANNELS, _TOP_CHANNELS = 32, 1280  # of every lite variant: only the stages between them are scaled


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


class EfficientNetLite(nn.Module):
    """The published network with the checkpoint's tensor names, without their leading underscores.

    It has no ``forward``: edgeclf splits it into stages.

    Args:
        width: factor of the stages' channels; 1.0 for Lite0 and Lite1, 1.1 for Lite2.
        depth: factor of the stages' repeats, except those of the first and the last; 1.0, 1.1, 1.2.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.conv_stem = _SameConv2d(3, _STEM_CHANNELS, 3, 2)
        self.bn0 = _norm(_STEM_CHANNELS)
        blocks: list[nn.Module] = []
        channels = _STEM_CHANNELS
        self.repeats: list[int] = []
        for number, (kernel, stride, expansion, out, repeats) in enumerate(_STAGES):
            scaled = repeats if number in (0, len(_STAGES) - 1) else math.ceil(repeats * depth)
            for repeat in range(scaled):
                blocks.append(
                    _Block(channels, _multiple_of_8(out * width), kernel, stride if repeat == 0 else 1, expansion)
                )
                channels = _multiple_of_8(out * width)
            self.repeats.append(scaled)
        self.blocks = nn.ModuleList(blocks)
        self.conv_head = _SameConv2d(channels, _TOP_CHANNELS, 1)
        self.bn1 = _norm(_TOP_CHANNELS)
        self.fc = nn.Linear(_TOP_CHANNELS, 1000)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """(name, module) in forward order: the stem, the seven stages, the last 1x1 convolution."""
        cut: list[tuple[str, nn.Module]] = [("stem", nn.Sequential(self.conv_stem, self.bn0, nn.ReLU6()))]
        start = 0
        for number, repeats in enumerate(self.repeats, 1):
            cut.append((f"stage{number}", nn.Sequential(*self.blocks[start : start + repeats])))
            start += repeats
        cut.append(("top", nn.Sequential(self.conv_head, self.bn1, nn.ReLU6())))
        return cut


def _multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth below, as the paper's code rounds scaled widths."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
