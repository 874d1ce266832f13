"""Irregular patterns and soft-edged shapes that backgrounds are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from edgeclf_samples.relief import Floats
from edgeclf_samples.species import Colour


def clouds(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[float, float], octaves: int = 3) -> Floats:
    """Smooth random hills, finer and lower with each octave.

    Args:
        rng: Source of the randomness.
        shape: Rows and columns.
        cells: How many hills fit into the height and into the width.
        octaves: How many layers, each twice as fine as the one before.

    Returns:
        float32 `shape`, mostly within -1 to 1.
    """
    total = np.zeros(shape, np.float32)
    strength = 0.5
    for octave in range(octaves):
        rows = max(2, min(shape[0], round(cells[0] * 2**octave)) + 1)
        columns = max(2, min(shape[1], round(cells[1] * 2**octave)) + 1)
        grid = Image.fromarray(rng.standard_normal((rows, columns), np.float32))
        total += strength * np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
        strength *= 0.55
    return total


def receding(texture: Floats, horizon: float) -> Floats:
    """Lay a pattern on the ground: rows shrink towards the horizon.

    Args:
        texture: float32 (height, width).
        horizon: Row of the horizon; may be outside the picture.

    Returns:
        float32 (height, width), rows of `texture`, repeated in turn; rows above the horizon are meaningless.
    """
    height = len(texture)
    below = np.maximum(np.arange(height) - horizon, 0) / height + 0.05
    rows = (0.35 * height / below).astype(np.int64) % (2 * height)
    laid: Floats = texture[np.where(rows < height, rows, 2 * height - 1 - rows)]
    return laid


def ridge(rng: np.random.Generator, width: int, roughness: float, height: float) -> NDArray[np.float64]:
    """Heights of a jagged skyline, float64 (width,), 0 to about `height`; higher roughness is more jagged."""
    line = np.zeros(width)
    step = 2.0
    for level in range(6):
        knots = rng.uniform(-1, 1, int(step) + 1)
        line += np.interp(np.linspace(0, step, width), np.arange(len(knots)), knots) * roughness**level
        step *= 2
    line -= line.min()
    top = float(line.max())
    return line / (top or 1.0) * height


def shape_mask(shape: tuple[int, int], polygon: Sequence[tuple[float, float]], blur: float = 0.0) -> Floats:
    """A filled polygon.

    Args:
        shape: Rows and columns.
        polygon: Corners as (column, row).
        blur: Softness of the edge in pixels.

    Returns:
        float32 `shape`, 0 outside to 1 inside.
    """
    image = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(image).polygon(list(polygon), fill=255)
    if blur > 0:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(image, np.float32) / np.float32(255)


def blended(picture: Floats, towards: Colour | Floats, weight: Floats) -> Floats:
    """Mix colours into a picture.

    Args:
        picture: float32 (height, width, 3).
        towards: A colour, or a picture of that shape.
        weight: float32, fits (height, width): 0 keeps the picture, 1 replaces it.
    """
    mixed: Floats = picture + weight[..., None] * (np.asarray(towards, np.float32) - picture)
    return mixed


def bytes_of(colour: Floats | NDArray[np.float64]) -> tuple[int, int, int]:
    """One colour, 0 to 1, as Pillow wants it."""
    red, green, blue = (min(255, max(0, round(255 * value))) for value in colour.tolist())
    return red, green, blue
