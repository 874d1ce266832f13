"""The results of a classifier: rankings of classes, made from logits, and heat maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.errors import ExplainError
from edgeclf.images.contract import ImageContract
from edgeclf.images.photo_facts import PhotoFacts
from edgeclf.images.placement import Placement

DISPLAY_SIDE = 1600  # pixels, longest side of the photo in an explanation
_MAX_UNSORTED_CLASSES = 10  # longest ranking that is found without sorting


def ranked(
    scores: NDArray[np.float32],
    temperature: float,
    labels: Sequence[str],
    display_names: Mapping[str, str],
    top_k: int,
) -> "tuple[RankedLabel, ...]":
    """Rank the classes of one photo: softmax of the logits, divided by the temperature.

    Args:
        scores: logits, float32 ``[classes]``, finite.
        temperature: logits are divided by it before the softmax, > 0.
        labels: class names in index order.
        display_names: class name -> name for people.
        top_k: how many classes to return, at least 1; all if there are fewer.

    Returns:
        The best classes, best first, equal ones in index order.
    """
    order = best_first(scores, top_k)
    shares = np.subtract(scores, scores[order[0]], dtype=np.float64)
    shares /= temperature
    np.exp(shares, out=shares)
    total = float(np.add.reduce(shares))
    return tuple(RankedLabel(labels[i], i, float(shares[i]) / total, display_names.get(labels[i])) for i in order)


def best_first(values: NDArray[np.float32], count: int) -> list[int]:
    """Indices of the largest values, largest first, equal ones in index order on every machine.

    A short ranking is found without sorting: to sort 1000 classes takes 0.17 ms, for an inference empties the caches.
    """
    if count <= _MAX_UNSORTED_CLASSES:
        rest, found = values.copy(), []
        for _ in range(min(count, len(rest))):
            found.append(int(rest.argmax()))
            rest[found[-1]] = -np.inf
        if len(set(found)) == len(found):  # False if some values are infinite
            return found
    return [int(index) for index in np.argsort(-values, kind="stable")[:count]]


def explanation_of(
    wanted: int | None,
    all_classes: "Prediction",
    top_k: int,
    cams: NDArray[np.float32],
    cam_class: NDArray[np.int64],
    display: Image.Image,
    photo_size: tuple[int, int],
    contract: ImageContract,
) -> "Explanation":
    """Choose the heat map of one class from those that the network computed.

    Args:
        wanted: index of the class; None for the best-ranked one.
        all_classes: the prediction, with a ranking of all classes.
        top_k: how many classes the prediction in the explanation ranks.
        cams: heat maps, float32 ``[maps, h, w]``.
        cam_class: indices of their classes, int64 ``[maps]``, best-ranked first.
        display, photo_size, contract: ``photo``, ``photo_size`` and ``contract`` of the explanation.

    Raises:
        ExplainError: there is no map of this class.
    """
    explained = [int(index) for index in cam_class]
    if wanted is None:
        wanted = explained[0] if explained else all_classes.best.index
    prediction = replace(all_classes, ranking=all_classes.ranking[:top_k])
    label = next(entry for entry in all_classes.ranking if entry.index == wanted)
    if not explained:
        what = f"no heat map for {label.label}: the model was exported without heat maps"
        raise ExplainError(what, "export it again without --no-cam; networks of tokens have no heat maps", prediction)
    if wanted not in explained:
        known = f"the model computes heat maps of the {len(explained)} best-ranked classes only"
        raise ExplainError(f"no heat map for {label.label}: {known}", "choose a class that ranks higher", prediction)
    return Explanation(prediction, label, cams[explained.index(wanted)], display, photo_size, contract)


@dataclass(frozen=True)
class RankedLabel:
    """One class of a ranking.

    Attributes:
        label: the class name: the name of the training folder.
        index: position among the logits.
        probability: softmax of the logits divided by the model's temperature (1 without calibration), 0..1.
        display_name: the name to show to people, None if the model has none.
    """

    label: str
    index: int
    probability: float
    display_name: str | None = None

    @property
    def name(self) -> str:
        """The display name, or the label if there is none."""
        return self.display_name or self.label


@dataclass(frozen=True)
class Prediction:
    """The prediction for one photo.

    Attributes:
        ranking: the top k classes, best first.
        unknown: the best probability is below the threshold, so the best class is likely to be wrong.
        logits: float32 ``[classes]``, only if requested.
        facts: when, where and with which camera the photo was taken; only if requested, and None for pixels.
    """

    ranking: tuple[RankedLabel, ...]
    unknown: bool = False
    logits: NDArray[np.float32] | None = field(default=None, compare=False)
    facts: PhotoFacts | None = field(default=None, compare=False)

    @property
    def best(self) -> RankedLabel:
        """The best-ranked class."""
        return self.ranking[0]


@dataclass(frozen=True, eq=False)
class Features:
    """What the network knows about a photo before its head ranks the classes.

    Attributes:
        vector: what the head reads, float32 ``[K]``: for most networks the mean of each channel over all positions.
        prediction: the prediction for the photo.
    """

    vector: NDArray[np.float32]
    prediction: Prediction


@dataclass(frozen=True, eq=False)
class Explanation:
    """The heat map of one class: where in a photo the network found evidence for it.

    The map is Grad-CAM at the last convolution (Selvaraju et al. 2017, arXiv:1610.02391), computed inside the model
    file's own graph.

    Attributes:
        prediction: the prediction for the photo.
        label: the class that the map explains.
        cam: the map on the last convolution's grid, float32 ``[h, w]``, >= 0, not scaled.
        photo: the upright photo, RGB, reduced to at most ``DISPLAY_SIDE`` pixels on its longer side.
        photo_size: width and height of the upright photo in full, pixels.
        contract: how the photo was made into network input.
    """

    prediction: Prediction
    label: RankedLabel
    cam: NDArray[np.float32]
    photo: Image.Image
    photo_size: tuple[int, int]
    contract: ImageContract

    @property
    def placement(self) -> Placement:
        """Where the photo, in its full size, lies on the network input."""
        return self.contract.placement(*self.photo_size)

    @cached_property
    def input_map(self) -> NDArray[np.float32]:
        """The map in network space: float32 ``[size, size]``, scaled to 0..1 (all zero if the map is)."""
        from edgeclf.heatmaps import overlay  # imported only if something is drawn

        return overlay.enlarge(self.cam, (self.contract.size, self.contract.size))

    @cached_property
    def photo_map(self) -> NDArray[np.float32]:
        """The map on the upright photo in full: float32 ``[height, width]``, 0..1, 0 where the network saw nothing."""
        from edgeclf.heatmaps import overlay

        return overlay.map_on_photo(self.cam, self.placement)

    @property
    def padding_share(self) -> float:
        """Share of the map's energy that lies on padding, 0..1: evidence that is not in the photo."""
        total = float(self.input_map.sum())
        left, top, right, bottom = self.placement.target
        inside = float(self.input_map[top:bottom, left:right].sum())
        return 1 - inside / total if total > 0 else 0.0

    def overlay(self, *, strength: float = 0.55, caption: bool = True) -> Image.Image:
        """The photo with the heat map on it, RGB; saved as JPEG it carries a mark (``edgeclf.images.heatmap_mark``).

        Parts that were cropped away are dimmed and separated by a frame; padding is drawn around the photo, hatched.

        Args:
            strength: opacity of the highest value, 0..1.
            caption: write the explained class and its probability below the photo.

        Returns:
            An RGB image.
        """
        from edgeclf.heatmaps import overlay
        from edgeclf.images.heatmap_mark import marked

        answer = f"{self.label.name}  {self.label.probability:.1%}"
        text = f"unknown ({answer})" if self.prediction.unknown else answer
        place = self.contract.placement(*self.photo.size)
        return marked(overlay.draw(self.photo, self.cam, place, strength, text if caption else None))
