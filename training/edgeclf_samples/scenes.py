"""Backgrounds: sky, distance, ground, what lies on the ground, and what stands in front of the bird."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from edgeclf_samples.lighting import Light, shade
from edgeclf_samples.relief import Floats
from edgeclf_samples.species import Colour
from edgeclf_samples.textures import blended, bytes_of, clouds, receding, ridge, shape_mask

SNOW, ROCK, SHORE, COLONY, TUSSOCK = "snow", "rock", "shore", "colony", "tussock"
KINDS = (SNOW, ROCK, SHORE, COLONY, TUSSOCK)

GROUND_COLOURS: dict[str, tuple[Colour, Colour]] = {
    SNOW: ((0.86, 0.89, 0.93), (0.95, 0.96, 0.97)),
    ROCK: ((0.30, 0.29, 0.28), (0.56, 0.52, 0.47)),
    SHORE: ((0.33, 0.30, 0.27), (0.62, 0.57, 0.49)),
    COLONY: ((0.36, 0.30, 0.26), (0.62, 0.50, 0.43)),
    TUSSOCK: ((0.24, 0.27, 0.13), (0.52, 0.49, 0.26)),
}
"""Darkest and brightest ground of each kind of scene."""


@dataclass(frozen=True)
class Scene:
    """A background and the ground that a bird can stand on.

    Attributes:
        kind: One of `KINDS`.
        colour: float32 (height, width, 3), 0 and above.
        horizon: Row at which the ground or the sea begins; below 0 where it fills the picture.
        dry: Row from which on the ground is dry land.
    """

    kind: str
    colour: Floats
    horizon: float
    dry: float


def draw_scene(rng: np.random.Generator, shape: tuple[int, int], light: Light) -> Scene:
    """Draw one background of random kind, `shape` being its height and width in pixels."""
    kind = str(rng.choice(KINDS, p=[0.26, 0.2, 0.18, 0.2, 0.16]))
    height = shape[0]
    horizon = float(rng.uniform(0.1, 0.6) * height) if rng.random() < 0.72 else -0.2 * height
    picture = np.zeros((*shape, 3), np.float32)
    if horizon > 0:
        picture = _distance(rng, _sky(rng, shape, light), kind, horizon, light)
    dark, bright = (np.array(colour, np.float32) for colour in GROUND_COLOURS[kind])
    relief = receding(clouds(rng, shape, (18, 7), 4), horizon)
    hue = clouds(rng, shape, (3, 4), 2)
    albedo = dark + np.clip(0.5 + 0.45 * hue, 0, 1)[:, :, None] * (bright - dark)
    if kind == COLONY:
        albedo = blended(albedo, (0.72, 0.45, 0.38), np.clip(receding(clouds(rng, shape, (6, 5)), horizon), 0, 0.6))
    shoreline = horizon
    if kind == SHORE:
        shoreline = max(horizon, 0.0) + (height - max(horizon, 0.0)) * float(rng.uniform(0.1, 0.6))
        albedo = _sea(rng, albedo, horizon, shoreline)
    normal = np.stack([-np.gradient(relief, axis=1) * 2.2, np.full(shape, 0.9, np.float32), 0.45 + 0.25 * relief], -1)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    ground = shade(albedo.reshape(-1, 3), normal.reshape(-1, 3), light).reshape(picture.shape)
    edge = horizon + (clouds(rng, (1, shape[1]), (1, 5))[0] * 0.015 * height if kind != SHORE else 0.0)
    below = np.clip(np.arange(height, dtype=np.float32)[:, None] - edge, 0, 1).astype(np.float32)
    picture = blended(picture, ground.astype(np.float32), below)
    return Scene(kind, _litter(rng, picture, kind, horizon, shoreline, light), horizon, shoreline)


def foreground_mask(
    rng: np.random.Generator, kind: str, shape: tuple[int, int], top: float, span: tuple[float, float]
) -> Floats:
    """Where snow, stones or grass stand between the viewer and the bird.

    Args:
        rng: Source of the randomness.
        kind: The scene's kind.
        shape: Rows and columns.
        top: Row above which nothing reaches.
        span: First and last column that are covered most.

    Returns:
        float32 `shape`, 0 (free) to 1 (covered).
    """
    height, width = shape
    columns = np.arange(width)
    if kind in (TUSSOCK, ROCK) and (kind == TUSSOCK or rng.random() < 0.3):
        image = Image.new("L", (width * 2, height * 2))
        draw = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(60, 160))):
            foot = rng.uniform(span[0] - 0.1 * width, span[1] + 0.1 * width)
            tip = rng.uniform(top, top + 0.7 * (height - top))
            bend = rng.normal(0, 0.08) * width
            points = [(2 * foot, 2 * height), (2 * foot + bend * 0.6, height + tip), (2 * foot + 2 * bend, 2 * tip)]
            draw.line(points, fill=255, width=max(1, round(width / 90)))
        return np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32) / np.float32(255)
    middle, reach = rng.uniform(*span), (span[1] - span[0]) * rng.uniform(0.6, 1.2) + 0.08 * width
    bump = np.exp(-(np.abs((columns - middle) / reach) ** rng.uniform(2, 4)))
    if kind == SNOW:
        line = top + (height - top) * (1 - bump) + 0.02 * height * (1 + clouds(rng, (1, width), (1, 6))[0])
    else:
        line = top + (height - top) * (1 - bump) + ridge(rng, width, 0.6, 0.08 * height)
    corners = [(float(x), float(y)) for x, y in zip(columns, line, strict=True)]
    return shape_mask(shape, [(0, height), *corners, (width, height)], blur=0.7)


def foreground_colour(rng: np.random.Generator, kind: str, shape: tuple[int, int], light: Light) -> Floats:
    """Colours, float32 (height, width, 3), of what `foreground_mask` puts in front."""
    dark, bright = (np.array(colour, np.float32) for colour in GROUND_COLOURS[kind])
    grain = np.clip(0.5 + 0.5 * clouds(rng, shape, (14, 14), 3), 0, 1)[:, :, None]
    albedo = (dark + grain * (bright - dark)).reshape(-1, 3)
    normal = np.tile(np.array([0, 0.7, 0.71], np.float32), (len(albedo), 1))
    return shade(albedo, normal, light).reshape(*shape, 3)


def _sky(rng: np.random.Generator, shape: tuple[int, int], light: Light) -> Floats:
    fall = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None] ** 0.7
    top, low = np.array(light.heaven_top, np.float32), np.array(light.heaven_low, np.float32)
    sky = np.broadcast_to(top + fall * (low - top), (*shape, 3)).astype(np.float32)
    cover = np.clip(clouds(rng, shape, (6, 2.5), 3) + rng.uniform(-0.5, 0.3), 0, 1) * np.float32(rng.uniform(0.2, 0.7))
    return blended(sky, 0.5 + 0.5 * low, cover)


def _distance(rng: np.random.Generator, picture: Floats, kind: str, horizon: float, light: Light) -> Floats:
    """Mountains, ice cliffs or hills behind the ground, one or two rows of them, paler with distance."""
    height, width = picture.shape[:2]
    rocky: Colour = (0.34, 0.38, 0.28) if kind == TUSSOCK else (0.36, 0.38, 0.43)
    haze = np.array(light.heaven_low, np.float32)
    for nearness in (0.35, 0.7)[: int(rng.integers(0, 3))]:
        line = horizon - ridge(rng, width, rng.uniform(0.35, 0.6), rng.uniform(0.08, 0.45) * horizon * (1.2 - nearness))
        corners = [(float(x), float(y)) for x, y in enumerate(line)]
        mask = shape_mask((height, width), [(0, height), *corners, (width, height)], blur=0.6)
        snowy = np.clip(clouds(rng, (height, width), (9, 12), 3) * 1.5 + rng.uniform(-0.5, 0.9), 0, 1)
        slope = blended(np.broadcast_to(np.array(rocky, np.float32), picture.shape), (0.88, 0.91, 0.96), snowy)
        lit = slope * np.float32(np.mean(light.sky) * 1.4)
        picture = blended(picture, haze + np.float32(nearness) * (lit - haze), mask)
    return picture


def _sea(rng: np.random.Generator, albedo: Floats, horizon: float, shoreline: float) -> Floats:
    """Water from the horizon to a wavy line about the row `shoreline`, with foam along it."""
    height, width = albedo.shape[:2]
    line = shoreline + clouds(rng, (1, width), (1, 3))[0] * 0.04 * height
    rows = np.arange(height, dtype=np.float32)[:, None]
    waves = receding(clouds(rng, (height, width), (26, 4), 3), horizon)
    tint = rng.uniform(0, 1)
    water = np.array([0.20, 0.36, 0.44], np.float32) * (1 - tint) + np.array([0.38, 0.44, 0.48], np.float32) * tint
    sea = water * (1 + 0.30 * waves[:, :, None])
    sea = blended(sea, (0.92, 0.95, 0.96), np.clip(waves * 2 - 1.5, 0, 0.9))
    albedo = blended(albedo, sea.astype(np.float32), (rows < line).astype(np.float32))
    foam = np.exp(-(((rows - line) / (0.025 * height)) ** 2)) * (0.7 + 0.5 * waves)
    return blended(albedo, (0.93, 0.95, 0.95), np.clip(foam, 0, 1).astype(np.float32))


def _litter(
    rng: np.random.Generator, picture: Floats, kind: str, horizon: float, shoreline: float, light: Light
) -> Floats:
    """Stones, grass and lichen on dry ground, a buoy anywhere: small things, larger towards the viewer."""
    height, width = picture.shape[:2]
    image = Image.fromarray((np.clip(picture, 0, 1.6) * (255 / 1.6)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    count = {SNOW: 6, ROCK: 170, SHORE: 60, COLONY: 110, TUSSOCK: 22}[kind]
    start = max(0.0, shoreline)
    flat = shade(np.eye(3, dtype=np.float32), np.tile(np.array([0, 0.9, 0.43], np.float32), (3, 1)), light)
    lamp = flat.max(axis=0) / 1.6  # what white becomes, in the image's scale
    lichen = rng.random() < 0.45
    for row in np.sort(rng.uniform(start, height * 1.05, int(count * rng.uniform(0.3, 1.3)))):
        near = (row - horizon) / height + 0.06
        column, size = rng.uniform(-0.05, 1.05) * width, near * height * rng.gamma(2.0, 0.018)
        if kind == TUSSOCK:
            _tuft(rng, draw, (column, row), near * height * 0.32, lamp)
            continue
        tone = rng.uniform(0.16, 0.58) * (np.array([1.0, 0.97, 0.92]) + rng.normal(0, 0.03, 3))
        wide, high = size * rng.uniform(0.8, 1.7), size * rng.uniform(0.5, 0.9)
        draw.ellipse((column - wide, row - high, column + wide, row + high), fill=bytes_of(tone * lamp * 0.55))
        top = (column - wide * 0.92, row - high, column + wide * 0.86, row + high * 0.55)
        draw.ellipse(top, fill=bytes_of(tone * lamp))
        if lichen and rng.random() < 0.25:
            spot = np.array([0.90, rng.uniform(0.45, 0.75), 0.12]) * lamp
            draw.ellipse((column - wide / 2, row - high * 0.8, column + wide / 3, row), fill=bytes_of(spot))
    if rng.random() < 0.14:
        row = rng.uniform(max(horizon, 0.0) + 0.05 * height, height)
        column, size = rng.uniform(0, width), rng.uniform(0.02, 0.07) * height
        orange = np.array([0.92, rng.uniform(0.25, 0.55), 0.08]) * lamp
        draw.ellipse((column - size, row - 2 * size, column + size, row), fill=bytes_of(orange * 0.6))
        draw.ellipse((column - size, row - 2 * size, column + size * 0.6, row - size * 0.4), fill=bytes_of(orange))
    return np.asarray(image, np.float32) * np.float32(1.6 / 255)


def _tuft(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, foot: tuple[float, float], size: float, lamp: Floats
) -> None:
    tones = (np.array([0.40, 0.42, 0.18]) * rng.uniform(0.5, 1.4, (14, 1)) + [0.08, 0.05, 0.0]) * lamp
    bends, rises = (rng.normal(0, 0.5, 14) * size).tolist(), (rng.uniform(0.4, 1.0, 14) * size).tolist()
    for tone, bend, rise in zip(tones, bends, rises, strict=True):
        points = [foot, (foot[0] + bend * 0.4, foot[1] - rise * 0.7), (foot[0] + bend, foot[1] - rise)]
        draw.line(points, fill=bytes_of(tone), width=max(1, round(size / 14)))
