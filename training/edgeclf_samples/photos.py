"""Composes one photo: light, background, other birds, the bird itself, what stands in front of it, the camera."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edgeclf_samples.birds import BirdDrawing, draw_bird
from edgeclf_samples.camera import softened, take_photo
from edgeclf_samples.lighting import Light, random_light
from edgeclf_samples.postures import Pose, Skeleton, build_skeleton, random_pose
from edgeclf_samples.relief import Floats
from edgeclf_samples.scenes import COLONY, Scene, draw_scene, foreground_colour, foreground_mask
from edgeclf_samples.species import ADELIE, Species
from edgeclf_samples.textures import blended

Box = tuple[int, int, int, int]
"""First column, first row, column after the last, row after the last."""

PLAIN_PENGUIN = replace(
    ADELIE, name="", mark="", upper_bill=ADELIE.hood, lower_bill=ADELIE.hood, feet=(0.35, 0.28, 0.27), iris=ADELIE.hood
)
"""A penguin without any field mark, for the background."""

MAX_TRIES = 20  # poses and places that are tried until enough of the field mark shows


@dataclass(frozen=True)
class Photo:
    """One drawn photo.

    Attributes:
        pixels: uint8 (height, width, 3), RGB.
        mark: Box of the field mark.
        bird: Box of the whole bird, as far as it is in the picture.
    """

    pixels: NDArray[np.uint8]
    mark: Box
    bird: Box


def draw_photo(species: Species, index: int, size: int, seed: int) -> Photo:
    """Draw photo number `index` of a species; the same arguments always give the same pixels.

    Args:
        species: Which species.
        index: Number of the photo.
        size: Longest side in pixels.
        seed: Seed of the whole data set.
    """
    rng = np.random.default_rng([seed, zlib.crc32(species.name.encode()), index])
    shape = _picture_shape(rng, size)
    light = random_light(rng)
    scene = draw_scene(rng, shape, light)
    picture = softened(_with_others(rng, scene, light), float(rng.gamma(1.5, 0.9)) * size / 224)
    bird, scale, footprint = _place_bird(species, rng, light, scene, shape)
    mark_box, bird_box = box_of(bird.mark, 0.2), box_of(bird.cover, 0.5)
    picture = _with_shadow(picture, bird, light, footprint, scale, scene.horizon)
    picture = picture * (1 - bird.cover)[:, :, None] + bird.colour
    if rng.random() < 0.35:
        picture = _with_foreground(rng, picture, scene, light, mark_box, bird_box)
    return Photo(take_photo(picture, rng), mark_box, bird_box)


def box_of(weights: Floats, least: float) -> Box:
    """Smallest box around the places of (height, width) `weights` above `least`; the whole picture if none is."""
    rows, columns = np.flatnonzero((weights > least).any(axis=1)), np.flatnonzero((weights > least).any(axis=0))
    if not len(rows):
        return 0, 0, weights.shape[1], weights.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _picture_shape(rng: np.random.Generator, size: int) -> tuple[int, int]:
    short = round(size * rng.uniform(0.70, 1.0))
    return (size, short) if rng.random() < 0.5 else (short, size)


def _place_bird(
    species: Species, rng: np.random.Generator, light: Light, scene: Scene, shape: tuple[int, int]
) -> tuple[BirdDrawing, float, tuple[float, float, float]]:
    """Pose, place and draw the bird so that its mark shows; returns also its scale and its footprint.

    The footprint is the column and row at which it touches the ground, and half its width.
    """
    height = shape[0]
    for attempt in range(MAX_TRIES):
        pose = random_pose(rng) if attempt < MAX_TRIES - 1 else Pose(yaw=1.2, head_yaw=1.2)
        part = 0.38 + 0.57 * rng.beta(1.8, 1.3)
        if rng.random() < 0.16 and not pose.lying:
            part = rng.uniform(1.0, 1.7)
        scale = max(part * height, 60.0 if attempt < MAX_TRIES - 1 else 0.95 * height)
        skeleton = build_skeleton(species, pose)
        feet = _feet_place(rng, species, skeleton, scale, scene, shape)
        supersample = 3 if scale < 85 else 2
        bird = draw_bird(species, pose, skeleton, light, shape, scale, feet, rng, supersample)
        if float(bird.mark.sum()) >= species.least_mark * (species.head_radius * scale) ** 2:
            break
    x, y = skeleton.footing
    return bird, scale, (feet[0] + x * scale, feet[1] - y * scale, (0.36 if pose.lying else 0.20) * scale)


def _feet_place(
    rng: np.random.Generator,
    species: Species,
    skeleton: Skeleton,
    scale: float,
    scene: Scene,
    shape: tuple[int, int],
) -> tuple[float, float]:
    """Column and row for world (0, 0): on the ground, with the head in the picture's middle square.

    Photographers put their subject there, and preprocessing that crops photos to squares keeps this part.
    """
    height, width = shape
    side = min(shape)
    left, top = (width - side) / 2, (height - side) / 2
    head_x, head_y = skeleton.head[0] * scale, skeleton.head[1] * scale
    margin = 1.7 * species.head_radius * scale + 1
    highest = top + head_y + margin
    clear = 0.06 if skeleton.footing[1] == 0 else 0.20  # of the height, between the ground's far edge and the bird
    on_ground = max(highest, scene.dry + clear * height + skeleton.footing[1] * scale)
    lowest = max(highest, min(height * 0.98 + skeleton.footing[1] * scale, top + side + head_y - margin))
    row = rng.uniform(min(on_ground, lowest), lowest)
    low, high = left + margin - head_x, left + side - margin - head_x
    column = np.clip(width / 2 - head_x / 2 + rng.normal(0, 0.16) * width, min(low, high), max(low, high))
    return float(column), float(row)


def _with_others(rng: np.random.Generator, scene: Scene, light: Light) -> Floats:
    """The scene with penguins in the distance: many in a colony, sometimes a few elsewhere."""
    shape = (scene.colour.shape[0], scene.colour.shape[1])
    count = int(rng.integers(4, 9)) if scene.kind == COLONY else int(rng.integers(0, 4)) * int(rng.random() < 0.4)
    start = max(scene.dry, 0.0) + 0.03 * shape[0]
    picture = scene.colour
    for row in np.sort(start + (0.9 * shape[0] - start) * rng.random(count) ** 1.5):
        scale = float(((row - scene.horizon) / shape[0] * 0.55 + 0.08) * shape[0] * rng.uniform(0.8, 1.2))
        pose = random_pose(rng)
        skeleton = build_skeleton(PLAIN_PENGUIN, pose)
        place = (float(rng.uniform(-0.05, 1.05) * shape[1]), float(row) + skeleton.footing[1] * scale)
        other = draw_bird(PLAIN_PENGUIN, pose, skeleton, light, shape, scale, place, rng, 1)
        picture = picture * (1 - other.cover)[:, :, None] + other.colour
    return picture


def _with_shadow(
    picture: Floats,
    bird: BirdDrawing,
    light: Light,
    footprint: tuple[float, float, float],
    scale: float,
    horizon: float,
) -> Floats:
    """Lay the bird's outline on the ground, away from the sun, and a soft dark spot where it stands or lies."""
    height, width = bird.cover.shape
    steep = max(float(light.direction[1]), 0.25)
    right = float(np.clip(-light.direction[0] / steep, -1.6, 1.6)) * 0.8
    back = float(np.clip(light.direction[2] / steep, -1.6, 1.6)) * 0.28
    back = back if abs(back) > 0.08 else 0.08
    outline = Image.fromarray((bird.cover * 255).astype(np.uint8))
    column, row, half_width = footprint
    fallen = outline.transform(
        (width, height),
        Image.Transform.AFFINE,
        (1, right / back, -right * row / back, 0, 1 / back, row - row / back),
        Image.Resampling.BILINEAR,
    ).filter(ImageFilter.GaussianBlur(max(0.8, 0.02 * scale)))
    x = (np.arange(width, dtype=np.float32)[None, :] - column) / half_width
    y = (np.arange(height, dtype=np.float32)[:, None] - row) / (0.05 * scale)
    spot = np.exp(-(x * x + y * y)).astype(np.float32)
    ground = (np.arange(height) > horizon).astype(np.float32)[:, None]
    dark = np.asarray(fallen, np.float32) / np.float32(255) * np.float32(light.shadow) * ground
    dark = 1 - (1 - dark) * (1 - 0.55 * spot * ground)
    tint = np.array([1.0, 0.97, 0.90], np.float32)
    darkened: Floats = picture * (1 - dark[:, :, None] * tint)
    return darkened


def _with_foreground(
    rng: np.random.Generator, picture: Floats, scene: Scene, light: Light, mark: Box, bird: Box
) -> Floats:
    """Hide the bird's lower part, never its mark, behind snow, stones or grass."""
    shape = (picture.shape[0], picture.shape[1])
    tall = bird[3] - bird[1]
    top = max(bird[3] - tall * float(rng.uniform(0.05, 0.45)), mark[3] + 0.06 * tall + 2)
    if top >= shape[0] - 2:
        return picture
    mask = foreground_mask(rng, scene.kind, shape, top, (float(bird[0]), float(bird[2])))
    mask[: mark[3] + 1] = 0
    blur = float(rng.uniform(0.0, 1.5)) * shape[0] / 224
    return blended(picture, softened(foreground_colour(rng, scene.kind, shape, light), blur), mask)
