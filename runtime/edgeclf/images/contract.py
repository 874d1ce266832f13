"""The preprocessing contract: how a photo becomes network input. Every model file holds it, and its hash."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from edgeclf.errors import ModelError
from edgeclf.images.placement import Placement, place

Resize = Literal["crop", "pad", "squash"]
# Version of the rules in edgeclf.images.preprocess. It is raised whenever a photo would get other pixels. A model file
# keeps the version that it was trained with.
PREPROCESSING_VERSION = 2


@dataclass(frozen=True)
class ImageContract:
    """How a photo becomes network input.

    Attributes:
        size: height and width of the network input, pixels.
        resize: "crop" takes the centre square, "pad" letterboxes in black, "squash" ignores the aspect ratio.
        crop_fraction: side of the centre square as a share of the photo's short side, 0 < f <= 1 ("crop" only).
        draft_margin: a JPEG may decode at a reduced scale at which it is at least this many times larger than needed.
        filter: resampling filter; only antialiased bilinear exists.
        door: the preprocessing version, 1 or 2; they differ in 16-bit grey (``edgeclf.images.deep_grey``). The name is
            that of the key in model files.
    """

    size: int
    resize: Resize = "crop"
    crop_fraction: float = 1.0
    draft_margin: float = 2.0
    filter: str = "bilinear-antialias"
    door: int = PREPROCESSING_VERSION

    def __post_init__(self) -> None:
        for valid, what in (
            (isinstance(self.size, int) and 8 <= self.size <= 4096, f"size {self.size!r} is not within 8..4096"),
            (self.resize in get_args(Resize), f"resize {self.resize!r} is not one of {', '.join(get_args(Resize))}"),
            (0 < self.crop_fraction <= 1, f"crop_fraction {self.crop_fraction!r} is not within 0..1"),
            (1 <= self.draft_margin <= 64, f"draft_margin {self.draft_margin!r} is not within 1..64"),
            (self.filter == "bilinear-antialias", f"filter {self.filter!r} is not known"),
            (
                self.door in range(1, PREPROCESSING_VERSION + 1),
                f"preprocessing version {self.door!r} is not known",
            ),
        ):
            if not valid:
                raise ModelError(f"image contract: {what}", "upgrade edgeclf, or export the model again")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``ImageContract(**values)`` is the inverse."""
        return asdict(self)

    def digest(self) -> str:
        """SHA-256 (hex) over the canonical JSON of all fields."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def placement(self, width: int, height: int) -> Placement:
        """Where an upright photo of this width and height lies on the network input."""
        return place(width, height, self.size, self.resize, self.crop_fraction)
