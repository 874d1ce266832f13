"""Draws one bird: its parts as solids in a relief, painted, lit and scaled down for smooth edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeclf_samples.lighting import Light, shade
from edgeclf_samples.limbs import (
    FlatLayer,
    Painter,
    flat_layer,
    paint_crest,
    paint_feet,
    paint_flippers,
    paint_tail,
)
from edgeclf_samples.plumage import Paint, bill_paint, body_paint, head_paint
from edgeclf_samples.postures import Pose, Skeleton, flipper_outline
from edgeclf_samples.relief import Floats, Relief, Surface
from edgeclf_samples.species import ROCKHOPPER, Species
from edgeclf_samples.textures import clouds

BODY, HEAD, UPPER_BILL, LOWER_BILL = 1, 2, 3, 4  # solids are added, and so come back, in this order


@dataclass(frozen=True)
class BirdDrawing:
    """A bird on its own, for a picture of height x width pixels.

    Attributes:
        colour: float32 (height, width, 3), 0 and above, already multiplied by `cover`.
        cover: float32 (height, width), 0 where the background shows to 1 where the bird does.
        mark: float32 (height, width), how much of a pixel is the species' field mark, 0 to 1.
    """

    colour: Floats
    cover: Floats
    mark: Floats


def draw_bird(
    species: Species,
    pose: Pose,
    skeleton: Skeleton,
    light: Light,
    shape: tuple[int, int],
    scale: float,
    origin: tuple[float, float],
    rng: np.random.Generator,
    supersample: int = 2,
) -> BirdDrawing:
    """Draw a bird, as far as it is inside the picture.

    Args:
        species: Whose shape and plumage.
        pose: Its posture.
        skeleton: What `build_skeleton` made of both.
        light: The photo's light.
        shape: Height and width of the picture in pixels.
        scale: The bird's standing height in pixels.
        origin: Column and row of the picture at which the bird's feet (world 0, 0) are.
        rng: Irregularities of the plumage come from here.
        supersample: Pixels drawn per pixel of the picture, along each side, before scaling down.
    """
    top, bottom, left, right = _reach(species, pose, skeleton, shape, scale, origin)
    height, width = bottom - top, right - left
    colour = np.zeros((*shape, 3), np.float32)
    cover, mark = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    if height <= 0 or width <= 0:
        return BirdDrawing(colour, cover, mark)
    fine_origin = ((origin[0] - left) * supersample, (origin[1] - top) * supersample)
    painter = Painter(species, pose, skeleton, light, scale * supersample, fine_origin)
    fine_shape = (height * supersample, width * supersample)
    under, over = flat_layer(fine_shape), flat_layer(fine_shape)
    paint_tail(painter, under, over)
    paint_feet(painter, under)
    paint_flippers(painter, under, over)
    if species is ROCKHOPPER:
        paint_crest(painter, under, over, rng)
    relief = Relief(*fine_shape, painter.scale, fine_origin)
    _model(painter, relief)
    surface = relief.surface()
    paint = _paint_surface(species, surface, rng)
    fine, fine_cover = np.zeros((*fine_shape, 3), np.float32), np.zeros(fine_shape, np.float32)
    fine_mark = np.zeros(fine_shape, np.float32)
    _lay(under, fine, fine_cover, fine_mark)
    where = (surface.rows, surface.columns)
    fine[where], fine_cover[where] = shade(paint.colour, surface.normal, light), 1
    fine_mark[where] = paint.mark
    _lay(over, fine, fine_cover, fine_mark)
    window = (slice(top, bottom), slice(left, right))
    colour[window] = _reduced(fine, supersample)
    cover[window] = _reduced(fine_cover, supersample)
    mark[window] = _reduced(fine_mark, supersample)
    return BirdDrawing(colour, cover, mark)


def _reach(
    species: Species, pose: Pose, skeleton: Skeleton, shape: tuple[int, int], scale: float, origin: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Rows and columns (top, bottom, left, right) that hold the whole bird, cut to the picture."""
    sides = [flipper_outline(species, pose, skeleton, left)[0] for left in (True, False)]
    head, bill = 1.9 * species.head_radius, (1.5 + species.bill_length) * species.head_radius
    girth = 1.15 * species.girth * pose.plumpness
    tail = [-species.tail_length - 0.5 * girth, 0.0, 0.0]
    waist = [[girth * ahead, girth * aside, up] for ahead in (-1.2, 1.2) for aside in (-1, 1) for up in (0.1, 0.4)]
    trunk = np.array([tail, [0.0, 0.0, 0.0], *waist])
    places = np.concatenate([*sides, trunk @ skeleton.trunk.T])
    round_places = np.array([skeleton.head, skeleton.head + bill * skeleton.head_axes[:, 0]])
    low = np.minimum(places.min(axis=0), round_places.min(axis=0) - head)
    high = np.maximum(places.max(axis=0), round_places.max(axis=0) + head)
    top, bottom = origin[1] - high[1] * scale, origin[1] - (low[1] - 0.06) * scale
    left, right = origin[0] + low[0] * scale, origin[0] + high[0] * scale
    return max(0, int(top)), min(shape[0], int(bottom) + 1), max(0, int(left)), min(shape[1], int(right) + 1)


def _lay(layer: FlatLayer, colour: Floats, cover: Floats, mark: Floats) -> None:
    """Put a flat layer over what is there."""
    rows, columns = np.nonzero(np.asarray(layer.cover))
    colour[rows, columns] = np.asarray(layer.colour)[rows, columns] / np.float32(255)
    cover[rows, columns] = 1
    mark[rows, columns] = np.asarray(layer.mark)[rows, columns] / np.float32(255)


def _reduced(fine: Floats, factor: int) -> Floats:
    """Average of each `factor` x `factor` pixels."""
    rows, columns = fine.shape[0] // factor, fine.shape[1] // factor
    total = np.zeros((rows, columns, *fine.shape[2:]), np.float32)
    for row in range(factor):
        for column in range(factor):
            total += fine[row::factor, column::factor]
    total /= factor * factor
    return total


def _model(painter: Painter, relief: Relief) -> None:
    """Put trunk, neck, head and bill into the relief."""
    species, skeleton, pose = painter.species, painter.skeleton, painter.pose
    radius, axes = species.head_radius, skeleton.head_axes
    relief.add_body(skeleton.profile, pose.yaw, skeleton.lean, BODY)
    _model_neck(painter, relief)
    local = (skeleton.head, axes.T / radius)
    for step in np.linspace(0, 1, painter.steps(radius, 7)):
        radii = (radius * (1.06 - 0.56 * step), radius * (0.90 - 0.50 * step), radius * (0.94 - 0.52 * step))
        relief.add_ellipsoid(painter.head_point(0.78 * step, 0.0, -0.13 * step), axes, radii, HEAD, local)
    _model_bill(painter, relief)


def _model_neck(painter: Painter, relief: Relief) -> None:
    """Bridge trunk and head by ellipsoids that turn, step by step, from the trunk's front to the face's."""
    skeleton, radius = painter.skeleton, painter.species.head_radius
    throat = painter.head_point(-0.26, 0.0, -0.30)
    up = (throat - skeleton.neck_base) / np.linalg.norm(throat - skeleton.neck_base)
    for step in np.linspace(0, 1, painter.steps(radius, 6)):
        centre = skeleton.neck_base + step * (throat - skeleton.neck_base)
        forward = (1 - step) * skeleton.trunk[:, 0] + step * skeleton.head_axes[:, 0]
        forward = forward - (forward @ up) * up
        forward /= np.linalg.norm(forward)
        left = np.cross(up, forward)
        girth = radius * (1.22 - 0.38 * step)
        height = 1 - (2.7 - 1.35 * step) * radius
        axes = np.stack([forward, left, up], axis=1)
        local = (centre - height * up, np.stack([left, forward, up]))
        relief.add_ellipsoid(centre, axes, (girth, girth, 1.3 * girth), BODY, local)


def _model_bill(painter: Painter, relief: Relief) -> None:
    species, axes = painter.species, painter.skeleton.head_axes
    radius, length, depth = species.head_radius, species.bill_length, species.bill_depth
    start = 1.12
    for part, reach, lift in ((UPPER_BILL, 1.0, 0.42), (LOWER_BILL, 0.92, -0.42)):
        steps = np.linspace(0, 1, painter.steps(length * radius, 7 + int(4 * length)))
        for step in steps:
            taper = float((1 - step) ** 0.7)
            half_height = depth * (0.52 * taper + 0.10)
            half_width = depth * (0.72 * taper + 0.10)
            place = (
                start + (length + 0.1) * reach * float(step),
                0.0,
                -0.12 + lift * depth * taper - species.bill_droop * float(step) ** 2,
            )
            half_length = 1.6 * (length + 0.1) / len(steps) * (0.4 + 0.6 * taper)
            centre = painter.head_point(*place)
            to_local = np.stack([axes[:, 0] / (length * reach), axes[:, 1], axes[:, 2]]) / radius
            origin = centre - axes[:, 0] * float(step) * length * reach * radius
            radii = (half_length * radius, half_width * radius, half_height * radius)
            relief.add_ellipsoid(centre, axes, radii, part, (origin, to_local))


def _paint_surface(species: Species, surface: Surface, rng: np.random.Generator) -> Paint:
    """Colours of everything in the relief, with feathers' irregularity."""
    count = len(surface.rows)
    colour, mark = np.empty((count, 3), np.float32), np.zeros(count, np.float32)
    tile = clouds(rng, (128, 128), (20, 20), 2)
    coarse = 1.6 * tile[surface.rows % 128, surface.columns % 128]
    ragged = np.clip(0.5 * coarse + 0.5 * rng.standard_normal(count, np.float32), -1, 1).astype(np.float32)
    dirt = float(rng.uniform(0, 1) ** 2)
    starts = np.searchsorted(surface.part, (BODY, HEAD, UPPER_BILL, LOWER_BILL, LOWER_BILL + 1))
    for part, start, stop in zip((BODY, HEAD, UPPER_BILL, LOWER_BILL), starts[:-1], starts[1:], strict=True):
        chosen = slice(start, stop)
        first, second, third = surface.local[chosen].T
        if part == BODY:
            paint = body_paint(species, np.arctan2(np.abs(first), second), third, ragged[chosen], dirt)
        elif part == HEAD:
            paint = head_paint(species, first, second, third, ragged[chosen])
        else:
            paint = bill_paint(species, first, second, part == LOWER_BILL)
        colour[chosen], mark[chosen] = paint.colour, paint.mark
    colour *= 1 + 0.035 * ragged[:, None]
    return Paint(colour, mark)
