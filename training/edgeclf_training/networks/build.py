"""Builds a network by name: skeleton, weights, stages, pool and head."""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from edgeclf.errors import EdgeclfError, UsageError
from torch import nn

from edgeclf_training.networks.architectures import Stages
from edgeclf_training.networks.network import Head, Network
from edgeclf_training.networks.registry import get_architecture, in_one_line
from edgeclf_training.networks.weights import Loaded, State, load_backbone


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
        UsageError: unknown name or head, an image too small for the network, or a network that its own code
            cannot build.
        WeightsError: the weights are not available or do not fit.
    """
    spec = get_architecture(name)
    with _blaming(name):
        skeleton = spec.skeleton()
    loaded = load_backbone(skeleton, name, spec.imagenet, weights, spec.classifier, spec.adapt_state)
    with _blaming(name):
        classifier = _own_classifier(skeleton, spec.classifier) if keep_classifier else None
        stages, pool = spec.cut(skeleton)
        channels, cells = _pooled_shape(stages, pool, name, image_size or spec.image_size, spec.image_size)
        hidden = spec.mlp_hidden if (head or spec.default_head) == "mlp" else ()
        mean, std = (spec.mean, spec.std) if normalize == "weights" else ((0.0,) * 3, (255.0,) * 3)
        network = Network(stages, pool, Head(channels, cells, hidden, classes, dropout), mean, std)
    if classifier is not None:
        network.head.linears[0].load_state_dict(classifier)
    return network, loaded


def _own_classifier(skeleton: nn.Module, prefix: str | tuple[str, ...]) -> State:
    """Weight and bias of the skeleton's classifier. Whatever it consists of, a batch norm or two heads, is one Linear.

    Raises:
        ValueError: it is no linear map.
    """
    parts = [skeleton.get_submodule(name.rstrip(".")) for name in ((prefix,) if isinstance(prefix, str) else prefix)]
    width = next(m.in_features for part in parts for m in part.modules() if isinstance(m, nn.Linear))

    def classify(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([part.eval()(x) for part in parts]).mean(0)

    with torch.no_grad():
        bias = classify(torch.zeros(1, width))[0]
        weight = (classify(torch.eye(width)) - bias).T
        probe = torch.randn(4, width, generator=torch.Generator().manual_seed(0))
        if not torch.allclose(classify(probe), probe @ weight.T + bias, rtol=1e-3, atol=1e-4):
            raise ValueError("its classifier is not linear")
    return {"weight": weight, "bias": bias}


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """Give what an architecture's own code raises, in one line that names the architecture."""
    try:
        yield
    except EdgeclfError:
        raise
    except Exception as error:  # third-party code may raise anything
        what = f"the network {name!r} cannot be built ({in_one_line(error)})"
        raise UsageError(what, "report it to its authors; --debug shows where") from error


def _pooled_shape(stages: Stages, pool: nn.Module | None, name: str, size: int, default_size: int) -> tuple[int, int]:
    """Channels and number of positions of the pooled activation, from a forward pass of one black photo."""
    modules = nn.Sequential(*(stage for _, stage in stages), pool or nn.Identity())
    was_training = modules.training
    modules.eval()

    def shape(side: int) -> tuple[int, int]:
        with torch.no_grad():
            pooled = modules(torch.zeros(1, 3, side, side))
        if not isinstance(pooled, torch.Tensor) or pooled.ndim != 4:
            found = tuple(getattr(pooled, "shape", ()))
            what = f"the stages of {name} end in {found}, not in [N, channels, height, width]"
            raise UsageError(what, "leave the classifier out of them: edgeclf adds its own")
        return pooled.shape[1], pooled.shape[2] * pooled.shape[3]

    def fits(side: int) -> bool:
        try:
            return shape(side)[1] > 0
        except (RuntimeError, AssertionError):  # too small for the strides of the network, or it takes one size only
            return False

    if not fits(size):
        shape(default_size)  # raises if the stages do not fit together at all
        larger = range(min(size, default_size), default_size + 1)
        least = larger[bisect_left(larger, True, key=fits)]
        bounds = f"{least} or more" if size < least < default_size else str(default_size)
        raise UsageError(f"{name} cannot take photos of {size} x {size} pixels", f"give --image-size {bounds}")
    channels, cells = shape(size)
    modules.train(was_training)
    return channels, cells
