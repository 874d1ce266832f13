"""Builds a network by name: skeleton, weights, stages, pool and head."""

from bisect import bisect_left

import torch
from edgeclf.errors import UsageError
from torch import nn

from edgeclf_training.networks.architectures import Stages
from edgeclf_training.networks.network import Head, Network
from edgeclf_training.networks.registry import get_architecture
from edgeclf_training.networks.weights import Loaded, load_backbone


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
        name: one of ``architecture_names()``.
        classes: number of classes, at least 1.
        head: "linear" or "mlp"; the architecture's own default if None.
        image_size: input height and width in pixels; the architecture's own default if None.
        weights: "imagenet", "none", or a file with a state dict in the published (torchvision's) names.
        normalize: "weights" scales the input as the published weights expect it, "unit" to 0..1.
        dropout: probability of dropping an input of the last layer in training.
        keep_classifier: also load the linear classifier of the weight file, which must have ``classes`` outputs.

    Returns:
        The network (in training mode, nothing frozen) and what was loaded, None for ``weights="none"``.

    Raises:
        UsageError: unknown name or head, an image too small for the network, or a network whose parts do not fit
            together.
        WeightsError: the weights are not available or do not fit.
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
    """Channels and number of positions of the pooled activation, from a forward pass of one black photo."""
    modules = nn.Sequential(*(stage for _, stage in stages), pool or nn.Identity())
    was_training = modules.training
    modules.eval()

    def pooled_shape(side: int) -> tuple[int, int]:
        try:
            with torch.no_grad():
                pooled = modules(torch.zeros(1, 3, side, side))
        except RuntimeError:  # the photo is too small for the strides of the network
            return 0, 0
        if not isinstance(pooled, torch.Tensor) or pooled.ndim != 4:
            shape = tuple(getattr(pooled, "shape", ()))
            what = f"the stages of {name} end in {shape}, not in [N, channels, height, width]"
            raise UsageError(what, "leave the classifier out of them: edgeclf adds its own")
        return pooled.shape[1], pooled.shape[2] * pooled.shape[3]

    channels, cells = pooled_shape(size)
    if not cells:
        larger = range(size, get_architecture(name).image_size + 1)  # the default size is large enough
        least = larger[bisect_left(larger, True, key=lambda side: bool(pooled_shape(side)[1]))]
        what = f"{name} cannot take photos of {size} x {size} pixels"
        raise UsageError(what, f"give --image-size {least} or more")
    modules.train(was_training)
    return channels, cells
