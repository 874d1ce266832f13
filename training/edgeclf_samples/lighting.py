"""Light: where it comes from, what colour it has, and how it falls on a surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeclf_samples.relief import Floats, Vector
from edgeclf_samples.species import Colour


@dataclass(frozen=True)
class Light:
    """The light of one photo. Colours are intensities: about 1 lights a white surface to white.

    Attributes:
        direction: float64 (3,), unit vector towards the sun, world coordinates (z towards the viewer).
        sun: Colour of the direct light.
        sky: Colour of the light that falls from above.
        ground: Colour of the light that the ground reflects.
        heaven_top: Colour of the sky high above.
        heaven_low: Colour of the sky at the horizon.
        shadow: Strength of cast shadows, 0 to 1.
    """

    direction: Vector
    sun: Colour
    sky: Colour
    ground: Colour
    heaven_top: Colour
    heaven_low: Colour
    shadow: float


def random_light(rng: np.random.Generator) -> Light:
    """Draw dawn, overcast, harsh sun or backlight, each with its own spread."""
    mood = rng.choice(4, p=[0.22, 0.33, 0.27, 0.18])
    azimuth = rng.uniform(-1.3, 1.3)
    if mood == 0:
        warmth, pink = rng.uniform(0.15, 0.4), rng.uniform(0, 0.25)
        return Light(
            _direction(azimuth, rng.uniform(0.1, 0.4)),
            _scaled((1.0, 1.0 - warmth * 0.55, 1.0 - warmth * 1.3), rng.uniform(0.5, 0.75)),
            _scaled((0.80, 0.82, 1.0), rng.uniform(0.40, 0.55)),
            _scaled((0.95, 0.85, 0.90), rng.uniform(0.25, 0.45)),
            (0.45 + pink * 0.6, 0.50, 0.68),
            (0.97, 0.80 - pink * 0.5, 0.62 + pink * 0.3),
            rng.uniform(0.25, 0.5),
        )
    if mood == 1:
        grey = rng.uniform(0.55, 0.9)
        return Light(
            _direction(azimuth, 1.2),
            _scaled((1.0, 1.0, 1.0), rng.uniform(0.08, 0.2)),
            _scaled((0.97, 0.99, 1.0), rng.uniform(0.75, 0.92)),
            _scaled((0.97, 0.98, 1.0), rng.uniform(0.40, 0.65)),
            (grey * 0.93, grey * 0.96, grey),
            (min(1.0, grey + 0.06),) * 3,
            rng.uniform(0.08, 0.2),
        )
    blue = rng.uniform(0.0, 0.25)
    heaven = (0.50 - blue, 0.66 - blue * 0.6, 0.86), (0.80 - blue * 0.5, 0.88 - blue * 0.3, 0.95)
    if mood == 2:
        return Light(
            _direction(azimuth, rng.uniform(0.5, 1.0)),
            _scaled((1.0, 0.97, 0.90), rng.uniform(0.65, 0.95)),
            _scaled((0.80, 0.90, 1.0), rng.uniform(0.35, 0.5)),
            _scaled((0.95, 0.97, 1.0), rng.uniform(0.25, 0.5)),
            *heaven,
            rng.uniform(0.4, 0.62),
        )
    behind = azimuth + np.pi
    return Light(
        _direction(behind if abs(azimuth) > 0.4 else np.pi - 0.6, rng.uniform(0.3, 0.7)),
        _scaled((1.0, 0.94, 0.82), rng.uniform(0.9, 1.3)),
        _scaled((0.80, 0.88, 1.0), rng.uniform(0.42, 0.55)),
        _scaled((0.92, 0.95, 1.0), rng.uniform(0.28, 0.45)),
        *heaven,
        rng.uniform(0.35, 0.55),
    )


def shade(colour: Floats, normal: Floats, light: Light) -> Floats:
    """Colours as the light shows them.

    Args:
        colour: float32 (n, 3), reflectance 0 to 1.
        normal: float32 (n, 3), unit vectors.
        light: The light.

    Returns:
        float32 (n, 3), 0 and above; more than 1 is over-exposed.
    """
    skyward = (normal[:, 1] * 0.5 + 0.5)[:, None]
    ground = np.array(light.ground, np.float32)
    ambient = ground + skyward * (np.array(light.sky, np.float32) - ground)
    facing = (normal @ light.direction.astype(np.float32) + 0.12) / 1.12
    lit = ambient + np.maximum(facing, 0)[:, None] * np.array(light.sun, np.float32)
    turned = 1 - np.clip(normal[:, 2], 0, 1)
    sheen = (0.07 * turned * turned * turned)[:, None]
    seen: Floats = (colour + sheen) * lit
    return seen


def _direction(azimuth: float, elevation: float) -> Vector:
    flat = np.cos(elevation)
    return np.array([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat])


def _scaled(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
