"""Solids seen from the front, without perspective, in a depth buffer: what the birds are modelled from.

World coordinates: x to the right, y up, z towards the viewer; the unit is the bird's standing height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Vector = NDArray[np.float64]

EDGE = np.float32(1e-4)  # keeps divisions by a body's width finite where it has none


def facing_frame(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Vector:
    """Axes of something that looks in one direction.

    Args:
        yaw: 0 looks at the viewer, pi/2 looks right, in radians.
        pitch: Above 0 looks up, in radians.
        roll: Above 0 tips the crown towards the thing's own right side, in radians.

    Returns:
        float64 (3, 3) with the axes forward, left and up as its columns, in world coordinates.
    """
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    left = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    up = np.cross(forward, left)
    rolled_left = np.cos(roll) * left + np.sin(roll) * up
    return np.stack([forward, rolled_left, np.cross(forward, rolled_left)], axis=1)


def plane_rotation(angle: float) -> Vector:
    """Rotation of the world about the viewing axis by `angle` radians clockwise, float64 (3, 3)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class BodyProfile:
    """An upright body as a stack of ellipses; every array is float32 (n,), over heights 0 to 1.

    Attributes:
        lateral: Half width from side to side.
        depth: Half width from belly to back.
        offset: How far the ellipse's middle is in front of the body's axis.
    """

    lateral: Floats
    depth: Floats
    offset: Floats


@dataclass(frozen=True)
class Surface:
    """The visible points of a relief's solids, n of them, in the order in which the solids were added.

    Attributes:
        rows: int64 (n,), pixel rows in the relief.
        columns: int64 (n,), pixel columns.
        part: int8 (n,), the number given when the solid was added.
        normal: float32 (n, 3), unit vectors in world coordinates.
        local: float32 (n, 3), the point in the solid's own coordinates.
    """

    rows: Integers
    columns: Integers
    part: NDArray[np.int8]
    normal: Floats
    local: Floats


@dataclass(frozen=True)
class _Ellipsoid:
    """v @ form @ v == 1 on its surface, v counted from the centre; float32 copies of what `add_ellipsoid` is given."""

    centre: Floats
    form: Floats
    part: int
    to_local: Floats
    shift: Floats

    def describe(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        offsets = np.stack([x - self.centre[0], y - self.centre[1], z - self.centre[2]], axis=1)
        return offsets @ self.form, offsets @ self.to_local.T + self.shift


@dataclass(frozen=True)
class _Body:
    """A trunk, and what is the same for all its points."""

    profile: BodyProfile
    slopes: tuple[Floats, Floats, Floats]
    half_width: Floats
    turn: Floats
    axes: Floats
    yaw: float
    part: int

    def around(self, x: Floats, y: Floats) -> tuple[NDArray[np.int16], Floats, Floats, Floats]:
        """Level, sine and cosine around the trunk, and height of the points in front at (x, y), all (n,).

        Beside the body's outline the sine and the cosine are not a number.
        """
        count = len(self.half_width)
        height = self.turn[0, 1] * x + self.turn[1, 1] * y
        level = np.clip(height * (count - 1), 0, count - 1).astype(np.int16)
        cos_yaw, sin_yaw = np.float32(np.cos(self.yaw)), np.float32(np.sin(self.yaw))
        width = self.half_width[level]
        across = self.turn[0, 0] * x + self.turn[1, 0] * y
        u = (across - self.profile.offset[level] * sin_yaw) / width
        with np.errstate(invalid="ignore"):
            s = np.sqrt(1 - u * u)
        tilt_cos, tilt_sin = self.profile.lateral[level] * cos_yaw / width, self.profile.depth[level] * sin_yaw / width
        return level, u * tilt_cos - s * tilt_sin, u * tilt_sin + s * tilt_cos, height

    def describe(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        del z  # the front-most point at (x, y) is the only one that can be seen
        level, side, front, height = self.around(x, y)
        lateral, depth = self.profile.lateral[level] + EDGE, self.profile.depth[level] + EDGE
        rise = -(
            side * side * self.slopes[0][level] / lateral
            + front * front * self.slopes[1][level] / depth
            + front * self.slopes[2][level] / depth
        )
        normal = np.stack([front / depth, side / lateral, rise], axis=1) @ self.axes.T
        return normal, np.stack([side, front, height], axis=1)


class Relief:
    """A depth buffer that remembers, for each pixel, which solid is the front-most."""

    def __init__(self, height: int, width: int, scale: float, origin: tuple[float, float]) -> None:
        """Start empty.

        Args:
            height: Rows of pixels.
            width: Columns of pixels.
            scale: Pixels per world unit.
            origin: Column and row, in pixels, at which world (0, 0) lies; may be outside.
        """
        self._scale = scale
        self._x = ((np.arange(width) + 0.5 - origin[0]) / scale).astype(np.float32)
        self._y = ((origin[1] - np.arange(height) - 0.5) / scale).astype(np.float32)
        self._origin = origin
        self._depth = np.full((height, width), -np.inf, np.float32)
        self._owner = np.full((height, width), -1, np.int16)
        self._solids: list[_Ellipsoid | _Body] = []

    def add_ellipsoid(
        self, centre: Vector, axes: Vector, radii: tuple[float, float, float], part: int, local: tuple[Vector, Vector]
    ) -> None:
        """Add an ellipsoid.

        Args:
            centre: float64 (3,), world.
            axes: float64 (3, 3), its axes as columns.
            radii: Half lengths along those axes.
            part: Number that names the solid in `surface`.
            local: Origin (3,) and inverse map (3, 3): a point's own coordinates are `map @ (point - origin)`.
        """
        reach = np.sqrt(((axes * np.array(radii)) ** 2).sum(axis=1))
        window = self._window(centre, reach)
        if window is None:
            return
        rows, columns = window
        shape = (axes / np.array(radii)).T
        form = (shape.T @ shape).astype(np.float32)
        middle = centre.astype(np.float32)
        dx, dy = self._x[None, columns] - middle[0], self._y[rows, None] - middle[1]
        linear = form[0, 2] * dx + form[1, 2] * dy
        square = linear * linear - form[2, 2] * (
            form[0, 0] * dx * dx - 1 + (2 * form[0, 1] * dx + form[1, 1] * dy) * dy
        )
        with np.errstate(invalid="ignore"):  # beside the ellipsoid z is not a number, and so not in front
            z = (np.sqrt(square) - linear) / form[2, 2] + middle[2]
        front = z > self._depth[rows, columns]
        np.copyto(self._depth[rows, columns], z, where=front)
        np.copyto(self._owner[rows, columns], np.int16(len(self._solids)), where=front)
        shift = (local[1] @ (centre - local[0])).astype(np.float32)
        self._solids.append(_Ellipsoid(middle, form, part, local[1].astype(np.float32), shift))

    def add_body(self, profile: BodyProfile, yaw: float, lean: float, part: int) -> None:
        """Add a body that stands on world (0, 0, 0).

        Its own coordinates are (side, front, height): the sine and cosine of the angle that the point has around
        the body, counted from the breast to the bird's left, and the height up the body's axis.

        Args:
            profile: The stack of ellipses; where they have no width there is no body.
            yaw: 0 faces the viewer, pi/2 faces right, in radians.
            lean: Rotation of the upright body in the picture's plane, clockwise, in radians.
            part: Number that names the solid in `surface`.
        """
        step = 1 / (len(profile.lateral) - 1)
        lateral_slope, depth_slope, offset_slope = (
            np.gradient(values, step).astype(np.float32) for values in (profile.lateral, profile.depth, profile.offset)
        )
        half_width = np.hypot(profile.lateral * np.float32(np.cos(yaw)), profile.depth * np.float32(np.sin(yaw))) + EDGE
        turn = plane_rotation(lean)
        axes = (turn @ facing_frame(yaw)).astype(np.float32)
        slopes = (lateral_slope, depth_slope, offset_slope)
        body = _Body(profile, slopes, half_width, turn.astype(np.float32), axes, yaw, part)
        x, y = np.meshgrid(self._x, self._y)
        across, height = body.turn[0, 0] * x + body.turn[1, 0] * y, body.turn[0, 1] * x + body.turn[1, 1] * y
        widest = half_width.max() + np.abs(profile.offset).max()
        standing = np.flatnonzero(half_width > 4 * EDGE) * step
        near = np.flatnonzero((np.abs(across) < widest) & (height > standing[0]) & (height < standing[-1]))
        level, side, front, _ = body.around(x.ravel()[near], y.ravel()[near])
        z = profile.lateral[level] * side * np.float32(-np.sin(yaw)) + (
            profile.depth[level] * front + profile.offset[level]
        ) * np.float32(np.cos(yaw))
        in_front = z > self._depth.ravel()[near]
        self._depth.reshape(-1)[near[in_front]] = z[in_front]
        self._owner.reshape(-1)[near[in_front]] = len(self._solids)
        self._solids.append(body)

    def surface(self) -> Surface:
        """The pixels that show a solid."""
        rows, columns = np.nonzero(self._owner >= 0)
        owner = self._owner[rows, columns]
        order = np.argsort(owner, kind="stable")
        rows, columns, owner = rows[order], columns[order], owner[order]
        x, y, z = self._x[columns], self._y[rows], self._depth[rows, columns]
        part = np.empty(len(rows), np.int8)
        normal, local = np.empty((len(rows), 3), np.float32), np.empty((len(rows), 3), np.float32)
        starts = np.searchsorted(owner, np.arange(len(self._solids) + 1))
        for solid, start, stop in zip(self._solids, starts[:-1], starts[1:], strict=True):
            part[start:stop] = solid.part
            described = solid.describe(x[start:stop], y[start:stop], z[start:stop])
            normal[start:stop], local[start:stop] = described
        normal /= np.sqrt(np.einsum("ij,ij->i", normal, normal))[:, None]
        return Surface(rows, columns, part, normal, local)

    def _window(self, centre: Vector, reach: Vector) -> tuple[slice, slice] | None:
        left = self._origin[0] + (centre[0] - reach[0]) * self._scale
        right = self._origin[0] + (centre[0] + reach[0]) * self._scale
        top = self._origin[1] - (centre[1] + reach[1]) * self._scale
        bottom = self._origin[1] - (centre[1] - reach[1]) * self._scale
        height, width = self._depth.shape
        rows = slice(max(0, int(top)), min(height, int(bottom) + 1))
        columns = slice(max(0, int(left)), min(width, int(right) + 1))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        return rows, columns
