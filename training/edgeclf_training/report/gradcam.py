"""Grad-CAM heat maps of the trained network, and how much of their evidence lies on padding and at the border."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from edgeclf.errors import PhotoError
from edgeclf.heatmaps.overlay import enlarge
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import fit, upright_with_size
from numpy.typing import NDArray

from edgeclf_training.dataset.samples import Sample
from edgeclf_training.networks import Network

BORDER_SHARE = 0.1  # of the photo's side in the input, on each side
MIN_EXCESS = 0.05  # a warning needs a share of the evidence that is larger than that of the area by more than this
_MIN_PHOTOS_FOR_WARNING = 10


def heat_maps(network: Network, image: NDArray[np.uint8], classes: Sequence[int] | None = None) -> NDArray[np.float32]:
    """Grad-CAM at the last convolution (Selvaraju et al. 2017, arXiv:1610.02391), the same as in the exported file.

    Args:
        network: in eval mode, on the CPU.
        image: network input ``[size, size, 3]``.
        classes: indices of the classes to explain; the predicted class if None.

    Returns:
        float32 ``[number of classes, h, w]``, >= 0, not scaled; in the order of ``classes``.
    """
    with torch.no_grad():
        activation = network.features(network.normalize(torch.from_numpy(image)[None]))
    activation.requires_grad_()
    logits, _ = network.head.trace(network.pool(activation))
    maps = []
    for index in [int(logits.argmax())] if classes is None else classes:
        (gradient,) = torch.autograd.grad(logits[0, index], activation, retain_graph=True)
        alpha = gradient.sum((2, 3), keepdim=True)
        maps.append(torch.relu((alpha * activation.detach()).sum(1))[0])
    return np.asarray(torch.stack(maps).numpy(), dtype=np.float32)


@dataclass(frozen=True)
class Share:
    """The share of the evidence in a part of the network input, compared with the share of its area.

    Attributes:
        photos: how many photos have such a part; the shares are means over them.
        energy: mean share of the heat map's sum that lies in the part, 0..1.
        area: mean share of the area, 0..1; a uniform map would have this share of the evidence.
        warning: energy minus area, minus two standard errors, is more than ``MIN_EXCESS``.
    """

    photos: int
    energy: float
    area: float
    warning: bool


@dataclass(frozen=True)
class Evidence:
    """Where the evidence for the predicted classes lies.

    Attributes:
        photos: how many photos were explained.
        without_map: how many of them have a map that is zero everywhere.
        padding: the part of the input that is padding; None if no photo was padded.
        border: of the photo inside the input, the outer ``BORDER_SHARE`` on each side; None if there is no map.
    """

    photos: int
    without_map: int
    padding: Share | None
    border: Share | None


def evidence(
    network: Network,
    samples: Sequence[Sample],
    contract: ImageContract,
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Compute the heat map of each photo's predicted class and measure where its evidence lies.

    Args:
        network: in eval mode, on the CPU.
        samples: the photos; those that can no longer be read are left out.
        contract: how photos become network input.
        progress: called with (photos done, photos in all).
    """
    padding: list[tuple[float, float]] = []
    border: list[tuple[float, float]] = []
    photos = without_map = 0
    for done, sample in enumerate(samples, 1):
        if progress:
            progress(done, len(samples))
        try:
            photo, full_size = upright_with_size(sample.path, contract)
        except PhotoError:
            continue
        image = fit(photo, contract)
        (cam,) = heat_maps(network, image)
        photos += 1
        if not cam.max() > 0:
            without_map += 1
            continue
        full_map = enlarge(cam, (contract.size, contract.size))
        left, top, right, bottom = contract.placement(*full_size).target
        on_photo = full_map[top:bottom, left:right]
        if on_photo.size < full_map.size:
            padding.append((1 - float(on_photo.sum() / full_map.sum()), 1 - on_photo.size / full_map.size))
        inner = on_photo[_inner(on_photo.shape[0]), _inner(on_photo.shape[1])]
        if on_photo.sum() > 0:
            border.append((1 - float(inner.sum() / on_photo.sum()), 1 - inner.size / on_photo.size))
    return Evidence(photos, without_map, _share(padding), _share(border))


def _inner(side: int) -> slice:
    border = max(1, round(side * BORDER_SHARE))
    return slice(border, side - border)


def _share(found: list[tuple[float, float]]) -> Share | None:
    if not found:
        return None
    energy, area = np.array(found).T
    excess = energy - area
    enough = len(found) >= _MIN_PHOTOS_FOR_WARNING
    low = float(excess.mean() - 2 * excess.std(ddof=1) / np.sqrt(len(found))) if enough else 0.0
    return Share(len(found), float(energy.mean()), float(area.mean()), low > MIN_EXCESS)
