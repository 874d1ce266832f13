"""What tells the six penguin species apart: their proportions and the colours of their parts."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]
"""Red, green, blue reflectance, each 0 to 1."""

BLACK: Colour = (0.055, 0.055, 0.065)
WHITE: Colour = (0.94, 0.94, 0.93)


@dataclass(frozen=True)
class Species:
    """One species: lengths are parts of the standing height, except those of the bill.

    Attributes:
        name: Folder name, for example ``king_penguin``.
        mark: The field mark a birdwatcher names the species by, in a few words.
        least_mark: How much of the mark a photo must show, in squared head radii.
        girth: Half the width of the belly.
        head_radius: Half the height of the head.
        hood_edge: Height on the breast at which the dark throat ends; above 1 there is none.
        bill_length: Length of the bill beyond the face, in head radii.
        bill_depth: Half the height of the bill at its base, in head radii.
        bill_droop: How far the tip hangs below the base's axis, in head radii.
        flipper_length: Shoulder to tip.
        tail_length: Rump to tip.
        back: Colour of back, nape and the outside of the flippers.
        hood: Colour of the dark parts of head and throat.
        upper_bill: Colour of the upper mandible.
        lower_bill: Colour of the lower mandible.
        feet: Colour of the feet.
        iris: Colour of the eye.
    """

    name: str
    mark: str
    least_mark: float
    girth: float
    head_radius: float
    hood_edge: float
    bill_length: float
    bill_depth: float
    bill_droop: float
    flipper_length: float
    tail_length: float
    back: Colour
    hood: Colour
    upper_bill: Colour
    lower_bill: Colour
    feet: Colour
    iris: Colour


ADELIE = Species(
    name="adelie_penguin",
    mark="white ring around the eye in an all-black head",
    least_mark=0.10,
    girth=0.178, head_radius=0.087, hood_edge=0.80,
    bill_length=0.62, bill_depth=0.27, bill_droop=0.10, flipper_length=0.38, tail_length=0.17,
    back=(0.075, 0.085, 0.11), hood=(0.05, 0.05, 0.06),
    upper_bill=(0.20, 0.10, 0.08), lower_bill=(0.30, 0.14, 0.10),
    feet=(0.80, 0.52, 0.46), iris=(0.03, 0.03, 0.03),
)  # fmt: skip

CHINSTRAP = Species(
    name="chinstrap_penguin",
    mark="thin black line under the chin",
    least_mark=0.09,
    girth=0.174, head_radius=0.087, hood_edge=1.5,
    bill_length=0.88, bill_depth=0.26, bill_droop=0.12, flipper_length=0.38, tail_length=0.16,
    back=(0.085, 0.095, 0.12), hood=BLACK,
    upper_bill=(0.07, 0.07, 0.075), lower_bill=(0.07, 0.07, 0.075),
    feet=(0.78, 0.50, 0.46), iris=(0.16, 0.07, 0.04),
)  # fmt: skip

EMPEROR = Species(
    name="emperor_penguin",
    mark="yellow-white neck patch that fades into the breast",
    least_mark=0.60,
    girth=0.196, head_radius=0.072, hood_edge=0.825,
    bill_length=1.25, bill_depth=0.20, bill_droop=0.30, flipper_length=0.36, tail_length=0.08,
    back=(0.17, 0.19, 0.23), hood=(0.045, 0.045, 0.055),
    upper_bill=(0.07, 0.07, 0.08), lower_bill=(0.72, 0.48, 0.62),
    feet=(0.10, 0.10, 0.11), iris=(0.06, 0.04, 0.03),
)  # fmt: skip

GENTOO = Species(
    name="gentoo_penguin",
    mark="white patch across the crown over the eyes",
    least_mark=0.22,
    girth=0.180, head_radius=0.086, hood_edge=0.79,
    bill_length=1.05, bill_depth=0.24, bill_droop=0.10, flipper_length=0.40, tail_length=0.20,
    back=(0.09, 0.095, 0.115), hood=(0.06, 0.06, 0.07),
    upper_bill=(0.78, 0.22, 0.07), lower_bill=(0.86, 0.25, 0.07),
    feet=(0.90, 0.42, 0.16), iris=(0.10, 0.05, 0.03),
)  # fmt: skip

KING = Species(
    name="king_penguin",
    mark="orange ear patch and bill stripe",
    least_mark=0.15,
    girth=0.152, head_radius=0.078, hood_edge=0.815,
    bill_length=1.70, bill_depth=0.20, bill_droop=0.36, flipper_length=0.38, tail_length=0.08,
    back=(0.47, 0.50, 0.55), hood=(0.05, 0.052, 0.05),
    upper_bill=(0.06, 0.06, 0.065), lower_bill=(0.95, 0.40, 0.10),
    feet=(0.11, 0.11, 0.12), iris=(0.08, 0.05, 0.03),
)  # fmt: skip

ROCKHOPPER = Species(
    name="rockhopper_penguin",
    mark="yellow brow plumes that stick out behind the red eye",
    least_mark=0.40,
    girth=0.205, head_radius=0.104, hood_edge=0.775,
    bill_length=0.78, bill_depth=0.31, bill_droop=0.16, flipper_length=0.40, tail_length=0.12,
    back=(0.10, 0.105, 0.125), hood=(0.055, 0.055, 0.06),
    upper_bill=(0.62, 0.22, 0.10), lower_bill=(0.66, 0.25, 0.12),
    feet=(0.86, 0.60, 0.58), iris=(0.62, 0.06, 0.04),
)  # fmt: skip

ALL_SPECIES: tuple[Species, ...] = (ADELIE, CHINSTRAP, EMPEROR, GENTOO, KING, ROCKHOPPER)

SPECIES: tuple[str, ...] = tuple(species.name for species in ALL_SPECIES)
"""The class names (folder names), in alphabetical order."""
