"""Draws bursts of penguins: one bird in one place, several shots a few seconds apart, with EXIF time and camera.

    python benchmarks/few_photos/drawn_bursts.py DIR --bursts 8 --shots 8

From shot to shot the bird turns, moves its head and shifts a little, the camera moves with the hand, and exposure,
colour cast and noise are those of another photo. Scene, light, other birds and the bird's build stay.
"""

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from edgeclf_samples.birds import BirdDrawing, draw_bird
from edgeclf_samples.camera import softened, take_photo
from edgeclf_samples.lighting import Light, random_light
from edgeclf_samples.photos import _feet_place, _picture_shape, _with_others, _with_shadow
from edgeclf_samples.postures import Pose, build_skeleton, random_pose
from edgeclf_samples.scenes import Scene, draw_scene
from edgeclf_samples.species import ALL_SPECIES, Species
from numpy.typing import NDArray
from PIL import Image

SECONDS = 3  # between two shots
_MODEL, _TAKEN, _EXIF = 0x0110, 0x9003, 0x8769
_MARGIN = 0.04  # of the sides: so far the hand moves


def draw_burst(species: Species, number: int, shots: int, size: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """The photos of one burst, uint8 ``[height, width, 3]`` each."""
    fixed = np.random.default_rng([seed, zlib.crc32(species.name.encode()), number])
    shape = _picture_shape(fixed, round(size / (1 - _MARGIN)))
    light = random_light(fixed)
    scene = draw_scene(fixed, shape, light)
    picture = softened(_with_others(fixed, scene, light), float(fixed.gamma(1.5, 0.9)) * size / 224)
    pose, scale, feet = _first_place(species, fixed, light, scene, shape)
    plumage = int(fixed.integers(2**31))
    for shot in range(shots):
        moving = np.random.default_rng([seed, zlib.crc32(species.name.encode()), number, shot])
        now = _moved(pose, moving)
        here = (feet[0] + moving.normal(0, 0.03) * shape[1], feet[1] + moving.normal(0, 0.01) * shape[0])
        large = scale * float(moving.normal(1, 0.02))
        bird = _drawn(species, now, light, shape, large, here, np.random.default_rng(plumage))
        x, y = build_skeleton(species, now).footing
        ground = (here[0] + x * large, here[1] - y * large, (0.36 if now.lying else 0.20) * large)
        whole = _with_shadow(picture, bird, light, ground, large, scene.horizon)
        whole = whole * (1 - bird.cover)[:, :, None] + bird.colour
        top, left = (int(moving.integers(0, max(1, round(side * _MARGIN)))) for side in shape)
        height, width = (round(side * (1 - _MARGIN)) for side in shape)
        yield take_photo(whole[top : top + height, left : left + width], moving)


def _first_place(
    species: Species, rng: np.random.Generator, light: Light, scene: Scene, shape: tuple[int, int]
) -> tuple[Pose, float, tuple[float, float]]:
    for _ in range(20):
        pose = random_pose(rng)
        scale = max((0.38 + 0.57 * rng.beta(1.8, 1.3)) * shape[0], 60.0)
        feet = _feet_place(rng, species, build_skeleton(species, pose), scale, scene, shape)
        bird = _drawn(species, pose, light, shape, scale, feet, rng)
        if float(bird.mark.sum()) >= species.least_mark * (species.head_radius * scale) ** 2:
            break
    return pose, scale, feet


def _drawn(
    species: Species,
    pose: Pose,
    light: Light,
    shape: tuple[int, int],
    scale: float,
    feet: tuple[float, float],
    rng: np.random.Generator,
) -> BirdDrawing:
    return draw_bird(species, pose, build_skeleton(species, pose), light, shape, scale, feet, rng, 2)


def _moved(pose: Pose, rng: np.random.Generator) -> Pose:
    turn = float(rng.normal(0, 0.15))
    return replace(
        pose,
        yaw=pose.yaw + turn,
        head_yaw=float(np.clip(pose.head_yaw + turn + rng.normal(0, 0.25), -1.75, 1.75)),
        head_pitch=float(np.clip(pose.head_pitch + rng.normal(0, 0.12), -0.5, 0.75)),
        lean=pose.lean + float(rng.normal(0, 0.02)),
        flippers=(
            abs(pose.flippers[0] + float(rng.normal(0, 0.05))),
            abs(pose.flippers[1] + float(rng.normal(0, 0.05))),
        ),
    )


def write_bursts(folder: Path, bursts: int, shots: int, size: int, seed: int) -> None:
    """Write class folders; a file's name begins with its burst. Each species has four cameras, which take turns."""
    start = datetime(2026, 5, 1, 8)
    for kind, species in enumerate(ALL_SPECIES):
        (folder / species.name).mkdir(parents=True)
        for number in range(bursts):
            begin = start + timedelta(days=seed, minutes=10 * (kind * bursts + number))
            for shot, pixels in enumerate(draw_burst(species, number, shots, size, seed)):
                exif = Image.Exif()
                exif[_MODEL] = f"Drawn Camera {number % 4 + 1}"
                taken = begin + timedelta(seconds=SECONDS * shot)
                exif.get_ifd(_EXIF)[_TAKEN] = taken.strftime("%Y:%m:%d %H:%M:%S")
                name = f"{species.name}-{number:03}-{shot:02}.jpg"
                Image.fromarray(pixels).save(folder / species.name / name, quality=88, exif=exif)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="new")
    parser.add_argument("--bursts", type=int, default=8, help="of each species")
    parser.add_argument("--shots", type=int, default=8, help="of each burst")
    parser.add_argument("--size", type=int, default=224, help="longer side, pixels")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write_bursts(given.folder, given.bursts, given.shots, given.size, given.seed)


if __name__ == "__main__":
    main()
