"""Heat maps from the trained network itself, and where their energy lies."""

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

BAND = 0.1  # of the input's side: what counts as border
CLEARLY = 0.05  # more evidence than area, by at least so much
_ENOUGH = 10  # photos, for a warning


def heat_maps(network: Network, image: NDArray[np.uint8], classes: Sequence[int] | None = None) -> NDArray[np.float32]:
    """Grad-CAM at the last convolution (Selvaraju et al. 2017, arXiv:1610.02391), as the exported file computes it.

    Args:
        network: in eval mode, on the CPU.
        image: network input ``[size, size, 3]``.
        classes: indices of the classes to explain; the best-ranked one if None.

    Returns:
        float32 ``[number of classes, h, w]``, >= 0, not scaled.
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
    """How much of the evidence lies in some part of the network input, and how much of the input that part is.

    Attributes:
        photos: photos it is averaged over: those that have such a part.
        energy: mean share of the heat map's energy in the part, 0..1.
        area: mean share of the area, which is what a map without any preference would give.
        warning: the energy exceeds the area by more than ``CLEARLY``, two standard errors allowed for.
    """

    photos: int
    energy: float
    area: float
    warning: bool


@dataclass(frozen=True)
class Evidence:
    """Where the evidence for the given answers lies.

    Attributes:
        photos: photos explained.
        without_map: those of them whose map is zero everywhere: nothing in them speaks for the class they were given.
        padding: on padding, of the whole input; None where no photo was padded.
        border: in the outer ``BAND`` on each side of what is photo, of what lies on the photo.
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
    """Explain the class that each photo is given and see where the map's energy lies.

    Photos that vanished since are left out.
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
        heat = enlarge(cam, (contract.size, contract.size))
        left, top, right, bottom = contract.placement(*full_size).target
        on_photo = heat[top:bottom, left:right]
        if on_photo.size < heat.size:
            padding.append((1 - float(on_photo.sum() / heat.sum()), 1 - on_photo.size / heat.size))
        inner = on_photo[_inner(on_photo.shape[0]), _inner(on_photo.shape[1])]
        if on_photo.sum() > 0:
            border.append((1 - float(inner.sum() / on_photo.sum()), 1 - inner.size / on_photo.size))
    return Evidence(photos, without_map, _share(padding), _share(border))


def _inner(side: int) -> slice:
    band = max(1, round(side * BAND))
    return slice(band, side - band)


def _share(found: list[tuple[float, float]]) -> Share | None:
    if not found:
        return None
    energy, area = np.array(found).T
    excess = energy - area
    sure = len(found) >= _ENOUGH
    low = float(excess.mean() - 2 * excess.std(ddof=1) / np.sqrt(len(found))) if sure else 0.0
    return Share(len(found), float(energy.mean()), float(area.mean()), low > CLEARLY)
