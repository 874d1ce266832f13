"""What the camera does to a scene: exposure, colour cast, blur, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edgeclf_samples.relief import Floats


def take_photo(picture: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn light into a photo as an ordinary visitor takes it: exposure, sharpness and colours vary.

    Args:
        picture: float32 (height, width, 3), 0 and above; 1 is white in normal exposure.
        rng: Draws exposure, contrast, colour cast, saturation, blur, vignette and noise.

    Returns:
        uint8 (height, width, 3).
    """
    height, width = picture.shape[:2]
    pixel_scale = max(height, width) / 224
    picture = softened(picture, float(rng.gamma(1.6, 0.2)) * pixel_scale)
    if rng.random() < 0.06:
        picture = _shaken(picture, rng, pixel_scale)
    metered = 0.5 / max(0.15, float(picture.mean()))
    picture = picture * np.float32(metered ** rng.uniform(0.25, 0.7) * 2 ** rng.normal(0.05, 0.22))
    cast = 1 + rng.normal(0, 0.025, 3) + rng.normal(0, 0.05) * np.array([1.0, 0.1, -1.0])
    picture = picture * cast.astype(np.float32)
    grey: Floats = picture @ np.full((3, 1), 1 / 3, np.float32)
    picture = grey + (picture - grey) * np.float32(rng.uniform(0.75, 1.2))
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    vignette: Floats = 1 - np.float32(rng.uniform(0, 0.09)) * (rows * rows + columns * columns)
    picture = picture * vignette[:, :, None]
    picture = (picture - 0.45) * np.float32(rng.normal(1.0, 0.10)) + np.float32(0.45 + max(0.0, rng.normal(0.01, 0.03)))
    bright = np.maximum(picture - np.float32(0.85), 0)
    picture = np.minimum(picture, np.float32(0.85)) + bright / (1 + bright / np.float32(0.2))
    grain = np.float32(rng.gamma(1.5, 0.006))
    noise = rng.standard_normal(picture.shape, np.float32)
    photo: NDArray[np.uint8] = (np.clip(picture + grain * noise, 0, 1) * 255).round().astype(np.uint8)
    return photo


def softened(picture: Floats, radius: float) -> Floats:
    """Blur a picture.

    Args:
        picture: float32 (height, width, 3), 0 to about 1.6; brighter light is cut off there.
        radius: Standard deviation of the blur in pixels; less than 0.2 changes nothing.
    """
    if radius < 0.2:
        return picture
    image = Image.fromarray((np.clip(picture, 0, 1.6) * (255 / 1.6)).round().astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) * np.float32(1.6 / 255)


def _shaken(picture: Floats, rng: np.random.Generator, pixel_scale: float) -> Floats:
    """Average of the picture and itself shifted along a short line."""
    steps = max(2, round(rng.uniform(2, 4) * pixel_scale))
    down, right = rng.normal(0, 0.3), rng.choice([-1.0, 1.0])
    total = np.zeros_like(picture)
    for step in range(steps):
        rows, columns = round(step * down), round(step * right)
        padded = np.pad(picture, ((abs(rows),) * 2, (abs(columns),) * 2, (0, 0)), mode="edge")
        total += padded[abs(rows) + rows :, abs(columns) + columns :][: picture.shape[0], : picture.shape[1]]
    total /= steps
    return total
