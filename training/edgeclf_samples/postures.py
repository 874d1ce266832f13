"""How a bird holds itself, and where that puts the parts of its body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf_samples.relief import BodyProfile, Vector, facing_frame, plane_rotation
from edgeclf_samples.species import Species

LEVELS = 400
FLIPPER_ROOT = 0.70


@dataclass(frozen=True)
class Pose:
    """One bird's posture; angles in radians.

    Attributes:
        yaw: Where the breast faces: 0 the viewer, pi/2 the right edge, -pi/2 the left edge.
        lean: Tilt of the body in the picture's plane, clockwise.
        head_yaw: Where the bill points, as `yaw`.
        head_pitch: How far the bill points above the horizon.
        head_roll: How far the head is cocked.
        flippers: How far the left and the right flipper stand off the body: 0 is folded, 1.4 is level.
        swing: How far the flippers reach forward (above 0) or back.
        stride: How far the left foot is ahead of the right one, in standing heights.
        lying: Whether the bird lies on its belly.
        plumpness: Factor on the girth.
        camera_pitch: How far the viewer looks down.
    """

    yaw: float
    lean: float = 0.0
    head_yaw: float = 0.0
    head_pitch: float = 0.0
    head_roll: float = 0.0
    flippers: tuple[float, float] = (0.0, 0.0)
    swing: float = 0.0
    stride: float = 0.0
    lying: bool = False
    plumpness: float = 1.0
    camera_pitch: float = 0.2


@dataclass(frozen=True)
class Skeleton:
    """Places of a posed bird's parts: world coordinates, feet near (0, 0, 0), unit the standing height.

    Attributes:
        profile: The trunk.
        trunk: float64 (3, 3), the trunk's axes forward, left and up as columns.
        lean: The trunk's whole rotation in the picture's plane, clockwise, in radians.
        neck_base: float64 (3,).
        head: float64 (3,), the head's middle.
        head_axes: float64 (3, 3), forward, left and up as columns.
        footing: x and y at which the bird stands or lies on the ground.
    """

    profile: BodyProfile
    trunk: Vector
    lean: float
    neck_base: Vector
    head: Vector
    head_axes: Vector
    footing: tuple[float, float]


def body_profile(species: Species, plumpness: float) -> BodyProfile:
    """The trunk of a species; `plumpness` is a factor on its girth.

    The squares of the widths are smoothed: that leaves both ends round.
    """
    girth, head = species.girth * plumpness, species.head_radius
    heights = [0.0, 0.045, 0.055, 0.10, 0.18, 0.32, 0.46, 0.58, 0.67, 1 - 2.6 * head, 1 - 1.9 * head, 1 - 1.5 * head, 1]
    lateral = [0.0, 0.0, 0.74, 0.91, 0.99, 1.0, 0.97, 0.90, 0.79]
    depth = [0.0, 0.0, 0.70, 0.88, 0.99, 1.03, 0.97, 0.87, 0.76]
    offset = [0.0, 0.0, 0.0, 0.010, 0.026, 0.034, 0.028, 0.018, 0.012, 0.012, 0.016, 0.02, 0.02]
    top = [(1.30 * head) ** 2, (0.95 * head) ** 2, 0.0, 0.0]
    return BodyProfile(
        np.sqrt(_smoothed(heights, [(girth * part) ** 2 for part in lateral] + top)),
        np.sqrt(_smoothed(heights, [(girth * part) ** 2 for part in depth] + top)),
        _smoothed(heights, offset),
    )


def build_skeleton(species: Species, pose: Pose) -> Skeleton:
    """Put a posed bird's parts in their places."""
    profile = body_profile(species, pose.plumpness)
    head_axes = facing_frame(pose.head_yaw, pose.head_pitch, pose.head_roll)
    lying_turn = np.sign(np.sin(pose.yaw)) * 1.52 if pose.lying else 0.0
    lean = pose.lean + lying_turn
    trunk = plane_rotation(lean) @ facing_frame(pose.yaw)
    neck_height = 1 - 2.7 * species.head_radius
    neck_base = trunk @ np.array([_at(profile.offset, neck_height), 0.0, neck_height])
    if pose.lying:
        reach = trunk[:, 2] * 1.5 + np.array([0.0, 1.2, 0.0])
        head = neck_base + reach * species.head_radius * 0.95
    else:
        head = trunk @ np.array([_at(profile.offset, neck_height), 0.0, 1 - species.head_radius])
        head = head + 0.22 * species.head_radius * head_axes[:, 0]
    belly = (profile.offset + profile.depth) * trunk[1, 0] + np.linspace(0, 1, LEVELS) * trunk[1, 2]
    footing = (0.4 * float(trunk[0, 2]), float(belly[LEVELS // 20 :].min())) if pose.lying else (0.0, 0.0)
    return Skeleton(profile, trunk, lean, neck_base, head, head_axes, footing)


def flipper_outline(species: Species, pose: Pose, skeleton: Skeleton, left: bool) -> tuple[Vector, Vector, bool]:
    """One flipper as a flat blade.

    Returns:
        Its outline, float64 (n, 3), world, first down the leading edge, then back up the trailing one; the unit normal
        (3,) of the face that the viewer sees; and whether that face is the outer one.
    """
    sign = 1.0 if left else -1.0
    forward, outward, up = skeleton.trunk[:, 0], sign * skeleton.trunk[:, 1], skeleton.trunk[:, 2]
    profile = skeleton.profile
    root = (
        forward * (_at(profile.offset, FLIPPER_ROOT) - 0.01)
        + outward * _at(profile.lateral, FLIPPER_ROOT) * 0.93
        + up * FLIPPER_ROOT
    )
    spread = pose.flippers[0 if left else 1] + 0.16
    along = np.cos(spread) * -up + np.sin(spread) * outward
    along = np.cos(pose.swing) * along + np.sin(pose.swing) * forward
    face_on = 0.38 + 0.75 * min(spread, 1.0)
    across = np.cos(face_on) * forward + np.sin(face_on) * (outward + 0.5 * up)
    across = across - (across @ along) * along
    across /= np.linalg.norm(across)
    steps = np.linspace(0, 1, 12)
    width = 0.045
    sweep = -0.035 * steps**2
    root_taper = np.minimum(1, 0.4 + 4 * steps)
    leading = root_taper * width * 0.95 * (1 - steps**8) * (0.75 + 0.5 * steps * (1 - steps))
    trailing = -root_taper * width * (1 - steps**6) * (0.8 + 0.9 * steps * (1 - steps))
    lengths = species.flipper_length * steps
    offsets = np.concatenate([leading + sweep, (trailing + sweep)[::-1]])
    outline = root + np.concatenate([lengths, lengths[::-1]])[:, None] * along + offsets[:, None] * across
    outer = np.cross(along, across)
    outer *= np.sign(outer @ (outward + 0.6 * up))
    return outline, outer * (1 if outer[2] > 0 else -1), bool(outer[2] > 0)


def random_pose(rng: np.random.Generator) -> Pose:
    """Draw a posture in which the head's side or front, and so the field mark, faces the viewer."""
    side = rng.choice([-1.0, 1.0])
    kind = rng.choice(["quarter", "profile", "front", "back", "lying"], p=[0.42, 0.26, 0.17, 0.08, 0.07])
    bounds = {"quarter": (0.45, 1.15), "profile": (1.15, 1.75), "front": (0.0, 0.45), "back": (2.1, 2.8)}
    yaw = side * rng.uniform(*bounds.get(kind, (1.35, 1.75)))
    turn = rng.normal(0, 0.4) + (side * 0.5 if kind == "front" else 0.0)
    head_yaw = float(np.clip(yaw + turn, -1.75, 1.75))
    if kind == "back":
        head_yaw = side * rng.uniform(1.1, 1.7)
    walking = kind != "lying" and rng.random() < 0.25
    spread = rng.uniform(0.0, 0.16, 2)
    if rng.random() < 0.35 or walking:
        spread = rng.uniform(0.15, 1.0) + rng.uniform(-0.1, 0.15, 2)
    return Pose(
        yaw=float(yaw),
        lean=float(rng.normal(0, 0.05) + np.sin(yaw) * rng.uniform(-0.02, 0.14)) if kind != "lying" else 0.0,
        head_yaw=head_yaw,
        head_pitch=float(np.clip(rng.normal(0.06, 0.24), -0.5, 0.75)),
        head_roll=float(rng.normal(0, 0.07)),
        flippers=(float(spread[0]), float(spread[1])),
        swing=float(rng.normal(-0.05, 0.18)),
        stride=float(rng.uniform(-0.12, 0.12)) if walking else float(rng.normal(0, 0.015)),
        lying=bool(kind == "lying"),
        plumpness=float(rng.uniform(0.88, 1.12)),
        camera_pitch=float(rng.uniform(0.1, 0.4)),
    )


def _smoothed(heights: list[float], values: list[float]) -> NDArray[np.float32]:
    levels = np.interp(np.linspace(0, 1, LEVELS), heights, values)
    window = np.convolve(np.ones(37), np.hanning(19))
    padded = np.pad(levels, len(window) // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid").astype(np.float32)


def _at(values: NDArray[np.float32], height: float) -> float:
    return float(np.interp(height, np.linspace(0, 1, len(values)), values))
