"""The birds' colours as functions of a place on the bird: where the field marks are drawn.

Every function takes places as float32 (n,) arrays and returns `Paint`. Places on the head are in head radii from its
middle: forward, left, up. Places on the body are the angle around it from the breast, in radians, and the height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeclf_samples.relief import Floats
from edgeclf_samples.species import (
    ADELIE,
    CHINSTRAP,
    EMPEROR,
    GENTOO,
    KING,
    ROCKHOPPER,
    WHITE,
    Colour,
    Species,
)

KING_ORANGE: Colour = (0.98, 0.50, 0.05)
EMPEROR_YELLOW: Colour = (0.98, 0.80, 0.36)
PALE_YELLOW: Colour = (0.98, 0.91, 0.62)
CREST_YELLOW: Colour = (0.96, 0.82, 0.14)
EYE_PLACE = (0.50, 0.26)


@dataclass(frozen=True)
class Paint:
    """Colours of n places.

    Attributes:
        colour: float32 (n, 3), reflectance 0 to 1.
        mark: float32 (n,), how much of the colour belongs to the species' field mark, 0 to 1.
    """

    colour: Floats
    mark: Floats


def smooth_step(low: float, high: float, values: Floats) -> Floats:
    """0 up to `low`, 1 from `high` on, smooth between; `low` above `high` falls instead of rising."""
    t = np.clip((values - low) / (high - low), 0, 1)
    eased: Floats = t * t * (3 - 2 * t)
    return eased


def body_paint(species: Species, angle: Floats, height: Floats, ragged: Floats, dirt: float) -> Paint:
    """Colours of body and neck.

    Args:
        species: Whose plumage.
        angle: 0 on the breast to pi on the back.
        height: 0 at the feet to 1 at the crown.
        ragged: About -1 to 1, irregularity of the edges between colours.
        dirt: 0 for a clean belly to 1 for a muddy one.
    """
    colour = _filled(species.back, len(angle))
    mark = np.zeros_like(angle)
    large = species in (KING, EMPEROR)
    narrowing = 0.35 if species is CHINSTRAP else 0.72
    shoulder = 1.52 - narrowing * smooth_step(0.60, 0.80, height) + 0.25 * smooth_step(0.2, 0.04, height)
    if large:
        shoulder = shoulder + 0.12
    edge = shoulder + 0.05 * ragged
    if large:
        border = smooth_step(0.02, 0.08, angle - edge) * smooth_step(0.42, 0.30, angle - edge)
        _blend(colour, border * smooth_step(0.22, 0.40, height) * 0.9, species.hood)
    belly = smooth_step(0.05, -0.05, angle - edge)
    _blend(colour, belly, WHITE)
    _blend(colour, belly * dirt * smooth_step(0.55, 0.15, height + 0.08 * ragged) * 0.6, (0.50, 0.40, 0.28))
    if species is KING:
        _blend(colour, belly * smooth_step(0.55, 0.75, height) * 0.75, (0.99, 0.86, 0.42))
        _blend(colour, belly * smooth_step(0.68, 0.80, height + 0.01 * ragged) * 0.95, KING_ORANGE)
    elif species is EMPEROR:
        _blend(colour, belly * smooth_step(0.58, 0.80, height) * 0.85, PALE_YELLOW)
        patch = smooth_step(0.74, 0.80, height) * smooth_step(0.40, 0.65, angle)
        patch = patch * smooth_step(0.15, -0.1, angle - 1.35 - 0.05 * ragged)
        _blend(colour, patch, PALE_YELLOW)
        _blend(colour, patch * smooth_step(0.76, 0.88, height) * 0.9, EMPEROR_YELLOW)
        mark = patch
    bib = species.hood_edge + 0.035 * np.sin(angle) + 0.008 * ragged
    throat = smooth_step(-0.006, 0.010, height - bib)
    if large:
        throat = throat * smooth_step(0.85, 0.6, angle)
    _blend(colour, throat, species.hood)
    if species is EMPEROR:
        mark = mark * (1 - throat)
    return Paint(colour, mark)


def head_paint(species: Species, forward: Floats, left: Floats, up: Floats, ragged: Floats) -> Paint:
    """Colours of the head without bill and plumes; `ragged` as in `body_paint`."""
    colour = _filled(species.hood, len(forward))
    mark = np.zeros_like(forward)
    side = np.abs(left)
    eye = np.hypot(forward - EYE_PLACE[0], up - EYE_PLACE[1])
    off_middle = smooth_step(0.25, 0.40, side)
    if species is ADELIE:
        mark = smooth_step(0.10, 0.14, eye) * smooth_step(0.27, 0.22, eye) * off_middle
        _blend(colour, mark, WHITE)
    elif species is CHINSTRAP:
        mark = _chinstrap_face(colour, forward, up, ragged)
    elif species is GENTOO:
        mark = _gentoo_bonnet(colour, forward, side, up, ragged)
        ring = smooth_step(0.11, 0.14, eye) * smooth_step(0.22, 0.17, eye) * off_middle
        _blend(colour, ring * 0.8, WHITE)
    elif species is KING:
        mark = _king_ear_patch(forward, side, up, ragged)
        _blend(colour, smooth_step(-0.45, -0.75, up + 0.35 * forward) * smooth_step(-0.1, -0.4, forward), species.back)
        _blend(colour, mark, KING_ORANGE)
        _blend(colour, mark * smooth_step(-0.1, -0.8, up) * 0.5, EMPEROR_YELLOW)
    elif species is EMPEROR:
        _blend(colour, smooth_step(-0.35, -0.7, up + 0.3 * forward) * smooth_step(-0.2, -0.5, forward), species.back)
        mark = _emperor_neck_patch(forward, side, up, ragged)
        _blend(colour, mark, PALE_YELLOW)
        _blend(colour, mark * smooth_step(-0.9, -0.1, up) * 0.8, EMPEROR_YELLOW)
    elif species is ROCKHOPPER:
        brow = smooth_step(0.095, 0.05, np.abs(up - 0.52 - 0.05 * forward + 0.02 * ragged))
        mark = brow * off_middle * smooth_step(1.25, 1.05, forward) * smooth_step(-0.5, -0.3, forward)
        _blend(colour, mark, CREST_YELLOW)
    _blend(colour, smooth_step(0.14, 0.10, eye) * off_middle, species.iris)
    _blend(colour, smooth_step(0.08, 0.05, eye) * off_middle, (0.02, 0.02, 0.02))
    glint = np.hypot(forward - EYE_PLACE[0] - 0.05, up - EYE_PLACE[1] - 0.06)
    _blend(colour, smooth_step(0.05, 0.02, glint) * off_middle * 0.8, WHITE)
    return Paint(colour, mark)


def bill_paint(species: Species, along: Floats, side: Floats, lower: bool) -> Paint:
    """Colours of one mandible.

    Args:
        species: Whose bill.
        along: 0 at the base to 1 at the tip.
        side: Distance from the bill's middle plane, in head radii.
        lower: Whether it is the lower mandible.
    """
    colour = _filled(species.lower_bill if lower else species.upper_bill, len(along))
    mark = np.zeros_like(along)
    if species in (KING, EMPEROR) and lower:
        stripe = smooth_step(0.02, 0.08, along) * smooth_step(0.86, 0.74, along)
        _blend(colour, 1 - stripe, species.upper_bill)
        if species is KING:
            mark = stripe
    elif species is ADELIE:
        _blend(colour, smooth_step(0.55, 0.30, along), species.hood)
    elif species is GENTOO:
        _blend(colour, smooth_step(0.72, 1.0, along) * 0.8, (0.12, 0.07, 0.06))
        if not lower:
            _blend(colour, smooth_step(0.09, 0.02, np.abs(side)) * 0.8, (0.10, 0.06, 0.06))
    return Paint(colour, mark)


def _filled(colour: Colour, count: int) -> Floats:
    return np.tile(np.array(colour, np.float32), (count, 1))


def _blend(colour: Floats, weight: Floats, towards: Colour) -> None:
    colour += weight[:, None] * (np.array(towards, np.float32) - colour)


def _chinstrap_face(colour: Floats, forward: Floats, up: Floats, ragged: Floats) -> Floats:
    """Paint white face and throat, leaving the cap and the line under the chin black; returns the line."""
    below_cap = smooth_step(0.03, -0.03, up - 0.46 - 0.10 * forward + 0.02 * ragged)
    before_nape = smooth_step(-0.62, -0.54, forward - 0.12 * up + 0.02 * ragged)
    face = below_cap * before_nape
    distance = np.abs(0.56 * forward + 0.83 * up + 0.155)
    line = smooth_step(0.085, 0.045, distance) * face
    _blend(colour, face * (1 - line), WHITE)
    return line


def _gentoo_bonnet(colour: Floats, forward: Floats, side: Floats, up: Floats, ragged: Floats) -> Floats:
    """Paint the patch that runs from eye to eye over the crown, and the flecks behind it; returns the patch."""
    half_width = 0.14 + 0.26 * smooth_step(0.15, 0.65, side)
    patch = smooth_step(0.06, -0.06, np.abs(forward - 0.16 + 0.06 * ragged) - half_width)
    patch = patch * smooth_step(0.24, 0.34, up + 0.25 * (forward - 0.16))
    _blend(colour, patch, WHITE)
    flecks = smooth_step(0.72, 0.9, ragged) * smooth_step(0.9, 0.5, np.abs(forward)) * smooth_step(-0.2, 0.2, up)
    _blend(colour, flecks * 0.7, WHITE)
    return patch


def _king_ear_patch(forward: Floats, side: Floats, up: Floats, ragged: Floats) -> Floats:
    """A comma: round behind the eye, its tail running down and forward to the throat."""
    along = np.clip((0.44 - up) / 1.35, 0, 1)
    half_width = 0.29 * np.sqrt(np.clip(1 - along, 0, 1)) * smooth_step(-0.02, 0.12, along) + 0.02
    middle = -0.34 + 0.40 * along * along
    inside = smooth_step(0.04, -0.04, np.abs(forward - middle + 0.02 * ragged) - half_width)
    return inside * smooth_step(0.52, 0.44, up) * smooth_step(-0.98, -0.90, up) * smooth_step(0.2, 0.35, side)


def _emperor_neck_patch(forward: Floats, side: Floats, up: Floats, ragged: Floats) -> Floats:
    """A patch that starts behind the ear and widens downwards without an end."""
    along = np.clip((0.30 - up) / 1.6, 0, 1)
    half_width = 0.24 + 0.36 * along
    inside = smooth_step(0.06, -0.06, np.abs(forward + 0.38 - 0.35 * along + 0.03 * ragged) - half_width)
    return inside * smooth_step(0.34, 0.20, up) * smooth_step(0.2, 0.4, side)
