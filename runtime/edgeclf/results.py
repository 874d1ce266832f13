"""What a classifier answers: frozen dataclasses."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.images.contract import ImageContract
from edgeclf.images.placement import Placement

DISPLAY_SIDE = 1600


@dataclass(frozen=True)
class RankedLabel:
    """One class of a ranking.

    Attributes:
        label: the class name, as the training folder was called.
        index: position among the logits.
        probability: softmax of the logits divided by the model's temperature (1 without calibration), 0..1.
        display_name: the name for people, None if the model has none.
    """

    label: str
    index: int
    probability: float
    display_name: str | None = None

    @property
    def name(self) -> str:
        """What to show people."""
        return self.display_name or self.label


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo.

    Attributes:
        ranking: the top k classes, best first.
        unknown: the best probability is below the threshold: better not taken for an answer.
        logits: float32 ``[classes]``, only if asked for.
    """

    ranking: tuple[RankedLabel, ...]
    unknown: bool = False
    logits: NDArray[np.float32] | None = field(default=None, compare=False)

    @property
    def best(self) -> RankedLabel:
        """The best-ranked class."""
        return self.ranking[0]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where in a photo the network found the evidence for one class.

    The map is Grad-CAM at the last convolution (Selvaraju et al. 2017, arXiv:1610.02391), computed inside the model
    file's own graph.

    Attributes:
        prediction: the answer for the photo.
        label: the class that is explained.
        cam: the map on the last convolution's grid, float32 ``[h, w]``, >= 0, not scaled.
        photo: the upright photo, RGB, reduced to at most ``DISPLAY_SIDE`` pixels on its longer side.
        photo_size: width and height of the upright photo in full, pixels.
        contract: how the photo became network input.
    """

    prediction: Prediction
    label: RankedLabel
    cam: NDArray[np.float32]
    photo: Image.Image
    photo_size: tuple[int, int]
    contract: ImageContract

    @property
    def placement(self) -> Placement:
        """How the photo in full lies on the network input."""
        return self.contract.placement(*self.photo_size)

    @cached_property
    def input_map(self) -> NDArray[np.float32]:
        """The map in network space: float32 ``[size, size]``, scaled to 0..1 (all zero if the map is)."""
        from edgeclf.heatmaps import overlay  # drawing is imported by those who draw

        return overlay.enlarge(self.cam, (self.contract.size, self.contract.size))

    @cached_property
    def photo_map(self) -> NDArray[np.float32]:
        """The map on the upright photo in full: float32 ``[height, width]``, 0..1, 0 where nothing was seen."""
        from edgeclf.heatmaps import overlay

        return overlay.map_on_photo(self.cam, self.placement)

    @property
    def padding_share(self) -> float:
        """Share of the map's energy that lies on padding, 0..1: evidence the network cannot have found in the photo."""
        total = float(self.input_map.sum())
        left, top, right, bottom = self.placement.target
        inside = float(self.input_map[top:bottom, left:right].sum())
        return 1 - inside / total if total > 0 else 0.0

    def overlay(self, *, strength: float = 0.55, caption: bool = True) -> Image.Image:
        """The photo with the heat map on it, RGB; saved as JPEG it carries a mark (``edgeclf.images.overlay_mark``).

        What the network never saw (cropped away) is dimmed and framed off; padding that it saw is drawn around the
        photo, hatched.

        Args:
            strength: opacity of the hottest place, 0..1.
            caption: write the explained class and its probability below.
        """
        from edgeclf.heatmaps import overlay
        from edgeclf.images.overlay_mark import marked

        said = f"{self.label.name}  {self.label.probability:.1%}"
        text = f"unknown ({said})" if self.prediction.unknown else said
        place = self.contract.placement(*self.photo.size)
        return marked(overlay.draw(self.photo, self.cam, place, strength, text if caption else None))
