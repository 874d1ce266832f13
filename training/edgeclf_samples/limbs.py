"""The flat parts of a bird: tail, feet, flippers and plumes, painted as polygons under or over the solid ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from edgeclf_samples.lighting import Light, shade
from edgeclf_samples.plumage import CREST_YELLOW
from edgeclf_samples.postures import Pose, Skeleton, flipper_outline
from edgeclf_samples.relief import Vector
from edgeclf_samples.species import Colour, Species
from edgeclf_samples.textures import bytes_of

FLIPPER_RIM: Colour = (0.86, 0.86, 0.86)
FLIPPER_LINING: Colour = (0.72, 0.70, 0.68)
CROWN_BLACK: Colour = (0.05, 0.05, 0.05)
FROM_ABOVE: Vector = np.array([0.0, 0.6, 0.8])


@dataclass(frozen=True)
class FlatLayer:
    """A layer of flat shapes, all three images of one size.

    Attributes:
        colour: Lit colours, RGB.
        cover: 255 where a shape is, else 0.
        mark: 255 where the shape on top belongs to the field mark, else 0.
    """

    colour: Image.Image
    cover: Image.Image
    mark: Image.Image

    def polygon(self, points: Vector, colour: Vector, mark: bool = False) -> None:
        """Paint a polygon with corners `points`, float64 (n, 2), column and row, over what is there."""
        corners = [(float(x), float(y)) for x, y in points]
        ImageDraw.Draw(self.colour).polygon(corners, bytes_of(colour))
        ImageDraw.Draw(self.cover).polygon(corners, 255)
        ImageDraw.Draw(self.mark).polygon(corners, 255 if mark else 0)


@dataclass(frozen=True)
class Painter:
    """What all parts of one bird share while it is drawn.

    Attributes:
        species: Whose shape and plumage.
        pose: Its posture.
        skeleton: What `build_skeleton` made of both.
        light: The photo's light.
        scale: Pixels per standing height.
        origin: Column and row of world (0, 0).
    """

    species: Species
    pose: Pose
    skeleton: Skeleton
    light: Light
    scale: float
    origin: tuple[float, float]

    def project(self, points: Vector) -> Vector:
        """Columns and rows, float64 (n, 2), of world points (n, 3)."""
        x = self.origin[0] + points[:, 0] * self.scale
        return np.stack([x, self.origin[1] - points[:, 1] * self.scale], axis=1)

    def steps(self, length: float, most: int) -> int:
        """How many solids to string along a `length` in world units: fewer where they are smaller than pixels."""
        return min(most, max(4, round(length * self.scale / 2)))

    def lit(self, colour: Colour, normal: Vector) -> Vector:
        """A colour, float64 (3,), as the light shows it on a surface with that unit normal (3,)."""
        shaded = shade(np.array([colour], np.float32), normal[None].astype(np.float32), self.light)
        colours: Vector = shaded[0].astype(np.float64)
        return colours

    def head_point(self, forward: float, left: float, up: float) -> Vector:
        """World place, float64 (3,), of a place on the head in head radii."""
        place = np.array([forward, left, up]) * self.species.head_radius
        world: Vector = self.skeleton.head + self.skeleton.head_axes @ place
        return world


def flat_layer(shape: tuple[int, int]) -> FlatLayer:
    """An empty layer of `shape` rows and columns."""
    size = (shape[1], shape[0])
    return FlatLayer(Image.new("RGB", size), Image.new("L", size), Image.new("L", size))


def paint_tail(painter: Painter, under: FlatLayer, over: FlatLayer) -> None:
    """The tail, a wedge; in front of the body where the back faces the viewer."""
    trunk, species = painter.skeleton.trunk, painter.species
    rump = -0.62 * species.girth * painter.pose.plumpness
    places = np.array([[rump, -0.035, 0.13], [rump, 0.035, 0.13], [rump - species.tail_length * 0.85, 0.0, 0.0]])
    places = np.insert(places, 2, places[2] + [0.01, 0.02, 0.012], axis=0)
    layer = over if trunk[2, 0] < -0.3 else under
    layer.polygon(painter.project(places @ trunk.T), painter.lit(species.back, -trunk[:, 0]))


def paint_feet(painter: Painter, under: FlatLayer) -> None:
    """Both webbed feet, flat on the ground, or trailing behind a bird that lies."""
    pose, species, skeleton = painter.pose, painter.species, painter.skeleton
    if pose.lying:
        trunk, spread = skeleton.trunk, 0.4 * species.girth
        for side in (-spread, spread):
            soles = np.array([[0.04, side, 0.05], [0.03, side - 0.03, -0.07], [0.0, side, -0.09], [0.03, side, -0.05]])
            under.polygon(painter.project(soles @ trunk.T), painter.lit(species.feet, FROM_ABOVE))
        return
    level = _ground_steps(pose)
    toes = [(0.035, -0.016), (0.115, -0.058), (0.098, -0.026), (0.135, 0.0), (0.098, 0.026), (0.115, 0.058)]
    outline = np.array([(-0.03, -0.018), *toes, (0.035, 0.016), (-0.03, 0.018)])
    for side in (1.0, -1.0):
        place = np.array([0.015 + side * pose.stride / 2, side * 0.47 * species.girth * pose.plumpness])
        sole = (outline * (1.0, 0.95) + place) @ level
        lift = 0.025 if abs(pose.stride) > 0.05 and side * pose.stride > 0 else 0.0
        ankle = np.array([[-0.02, -0.024], [0.03, -0.024], [0.03, 0.024], [-0.02, 0.024]]) + place
        points = np.column_stack([sole[:, 0], sole[:, 1] + lift + 0.012, np.zeros(len(sole))])
        shade_normal = np.array([0.0, 0.8, 0.6])
        dark = tuple(0.45 * value for value in species.feet)
        under.polygon(painter.project(points - [0, 0.012, 0]), painter.lit((dark[0], dark[1], dark[2]), shade_normal))
        under.polygon(painter.project(points), painter.lit(species.feet, shade_normal))
        leg = ankle @ level
        column = np.column_stack([leg[:, 0], leg[:, 1] + np.array([0.0, 0.0, 0.07, 0.07]), np.zeros(4)])
        under.polygon(painter.project(column), painter.lit(species.feet, np.array([0.0, 0.0, 1.0])))


def paint_flippers(painter: Painter, under: FlatLayer, over: FlatLayer) -> None:
    """Both flippers: dark outside with a white trailing edge, pale inside; the far one behind the body."""
    species = painter.species
    for left in (True, False):
        outline, normal, outer = flipper_outline(species, painter.pose, painter.skeleton, left)
        layer = over if outline[:, 2].mean() > -0.03 else under
        points = painter.project(outline)
        if outer:
            layer.polygon(points, painter.lit(FLIPPER_RIM, normal))
            inner = points.copy()
            half = len(points) // 2
            inner[half:] += 0.11 * (points[:half][::-1] - points[half:])
            layer.polygon(inner, painter.lit(species.back, normal))
        else:
            layer.polygon(points, painter.lit(species.back, normal))
            middle = points.mean(axis=0)
            layer.polygon(middle + (points - middle) * (0.80, 0.86), painter.lit(FLIPPER_LINING, normal))


def paint_crest(painter: Painter, under: FlatLayer, over: FlatLayer, rng: np.random.Generator) -> None:
    """Yellow plumes behind the brows, black spikes on the crown."""
    axes = painter.skeleton.head_axes
    yellow, black = painter.lit(CREST_YELLOW, FROM_ABOVE), painter.lit(CROWN_BLACK, FROM_ABOVE)
    for side in (1.0, -1.0):
        layer = over if side * axes[2, 1] > -0.25 else under
        for _ in range(7):
            root = np.array([rng.uniform(-0.55, -0.05), side * 0.66, rng.uniform(0.55, 0.72)])
            tip = root + np.array([rng.uniform(-0.75, -0.25), side * rng.uniform(0.05, 0.3), rng.uniform(0.2, 0.6)])
            layer.polygon(_plume(painter, root, tip, 0.1, 0.0), black)
        for _ in range(9):
            root = np.array([rng.uniform(-0.5, 0.05), side * 0.80, rng.uniform(0.44, 0.60)])
            tip = root + np.array([rng.uniform(-1.25, -0.6), side * rng.uniform(0.15, 0.75), rng.uniform(-0.35, 0.45)])
            layer.polygon(_plume(painter, root, tip, 0.075, rng.uniform(0.05, 0.3)), yellow, mark=True)


def _ground_steps(pose: Pose) -> Vector:
    """Where a step forward (row 0) and one to the bird's left (row 1) lead in the picture, as x and y."""
    down = -np.sin(pose.camera_pitch)
    sine, cosine = np.sin(pose.yaw), np.cos(pose.yaw)
    return np.array([[sine, cosine * down], [cosine, -sine * down]])


def _plume(painter: Painter, root: Vector, tip: Vector, half_width: float, droop: float) -> Vector:
    """A thin curved feather between two places on the head, as a polygon in pixels."""
    steps = np.linspace(0, 1, 6)[:, None]
    places = root + steps * (tip - root) - np.array([0.0, 0.0, droop]) * steps**2
    spine = painter.project(np.stack([painter.head_point(*place) for place in places]))
    along = np.gradient(spine, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-6)
    offset = across * (1 - steps**2) * half_width * painter.species.head_radius * painter.scale
    return np.concatenate([spine + offset, (spine - offset)[::-1]])
