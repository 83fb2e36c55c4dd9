"""Light in the rooms, computed once: irradiance on a grid of points, for six directions.

Lamps, windows and the sun cast soft shadows through a grid of solid cells; light that the walls
reflect is the same all over a room, except in corners and below furniture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.synthetic.rooms.piece import Solids
from training.synthetic.rooms.plan import Plan, Room
from training.synthetic.rooms.shell import Lamp

CELL_M = 0.12
MARGIN_M = 0.36
RAY_STEPS = 26  # points at which a ray from a cell to a lamp is tested
HIDDEN_INTERVAL = 4  # such points between two removals of the rays that ended
LAMP_ROOM_M = 1.6  # light of a room reaches this far beyond its walls, through doors
MEAN_IRRADIANCE = 0.4  # over all free cells and directions
LIFT = 0.8  # distance from a surface, in cells, at which its light is read
DIRECTIONS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
EPSILON = np.float32(1e-3)


@dataclass(frozen=True)
class Sun:
    """Sunlight: unit vector towards the sun and irradiance per colour."""

    to_sun: np.ndarray  # (3,)
    power: np.ndarray  # (3,)


class LightVolume:
    """Irradiance at points of the rooms."""

    def __init__(
        self, plan: Plan, solids: Solids, lamps: list[tuple[Room, Lamp]], sun: Sun | None
    ) -> None:
        # Grid of cells, with a margin around the rooms.
        size = np.array([*plan.size, plan.height]) + 2 * MARGIN_M
        self._shape = np.ceil(size / CELL_M).astype(int)
        self._origin = np.full(3, -MARGIN_M)
        solid = self._fill_cells(solids.take(np.flatnonzero(solids.casts_shadow)))
        # Light from lamps, windows and the sun, and what the walls reflect.
        irradiance = np.zeros((6, *self._shape[::-1], 3), np.float32)
        for room, lamp in lamps:
            if lamp.power.max() > 0:
                self._add_lamp(irradiance, solid, room, lamp)
        if sun is not None:
            self._add_sun(irradiance, solid, sun)
        self._add_reflected(irradiance, solid, plan)
        irradiance *= np.float32(MEAN_IRRADIANCE / max(float(irradiance[:, ~solid].mean()), 1e-6))
        self._pack(irradiance, solid)

    def _centers(self, axis: int) -> np.ndarray:
        """Returns the coordinates of the cells' centres along an axis."""
        return self._origin[axis] + (np.arange(self._shape[axis]) + 0.5) * CELL_M

    def _fill_cells(self, solids: Solids) -> np.ndarray:
        """Returns which cells are solid, bool (z, y, x)."""
        solid = np.zeros(self._shape[::-1], bool)
        rows = zip(solids.center, solids.heading_rad, solids.half, strict=True)
        for center, heading, half in rows:
            # At least one layer of cells, however thin the solid is.
            half = np.maximum(half, CELL_M / 2)
            reach = np.array([np.hypot(half[0], half[1])] * 2 + [half[2]])
            first = np.floor((center - reach - self._origin) / CELL_M).astype(int).clip(0)
            last = np.ceil((center + reach - self._origin) / CELL_M).astype(int)
            x, y, z = (
                self._centers(axis)[first[axis] : max(last[axis], 0)] - center[axis]
                for axis in range(3)
            )
            if not (len(x) and len(y) and len(z)):
                continue
            cos, sin = np.cos(heading), np.sin(heading)
            along = np.abs(x * cos + y[:, None] * sin) <= half[0]
            across = np.abs(y[:, None] * cos - x * sin) <= half[1]
            inside = (along & across)[None] & (np.abs(z) <= half[2])[:, None, None]
            part = solid[first[2] : last[2], first[1] : last[1], first[0] : last[0]]
            part |= inside
        return solid

    def _add_lamp(self, irradiance: np.ndarray, solid: np.ndarray, room: Room, lamp: Lamp) -> None:
        """Adds the light of one lamp or window in and around its room, in place."""
        # The cells that it may reach.
        low = np.array([*room.low - LAMP_ROOM_M, 0.0])
        high = np.array([*room.high + LAMP_ROOM_M, 9.0])
        first = np.floor((low - self._origin) / CELL_M).astype(int).clip(0)
        last = np.ceil((high - self._origin) / CELL_M).astype(int).clip(0, self._shape)
        block = np.s_[first[2] : last[2], first[1] : last[1], first[0] : last[0]]
        z, y, x = (self._centers(axis)[first[axis] : last[axis]] for axis in (2, 1, 0))
        free = ~solid[block]
        k, j, i = np.nonzero(free)
        points = np.stack([x[i], y[j], z[k]], axis=1).astype(np.float32)
        to_lamp = lamp.position.astype(np.float32) - points
        square = np.einsum("ni,ni->n", to_lamp, to_lamp)
        distance = np.sqrt(square) + EPSILON
        light = self._visible(solid, points, to_lamp) / (square + np.float32(0.15))
        if lamp.normal is not None:
            light *= np.maximum(-(to_lamp @ lamp.normal.astype(np.float32)) / distance, 0)
        # Its part from each direction, where it is any.
        _, rows, columns = solid.shape
        cells = ((k + first[2]) * rows + j + first[1]) * columns + i + first[0]
        lit = np.flatnonzero(light)
        cells, to_lamp, distance, light = cells[lit], to_lamp[lit], distance[lit], light[lit]
        for k_direction, direction in enumerate(DIRECTIONS):
            axis = int(np.argmax(np.abs(direction)))
            towards = to_lamp[:, axis] * np.float32(direction[axis]) / distance
            facing = np.flatnonzero(towards > 0)
            part = (towards[facing] * light[facing])[:, None] * lamp.power.astype(np.float32)
            irradiance[k_direction].reshape(-1, 3)[cells[facing]] += part

    def _visible(self, solid: np.ndarray, points: np.ndarray, ray: np.ndarray) -> np.ndarray:
        """Returns which points (N, 3) see the end of their ray (N, 3), float32 0 or 1."""
        flat = solid.reshape(-1)
        scale = np.float32(1 / CELL_M)
        start = np.ascontiguousarray(((points - self._origin.astype(np.float32)) * scale).T)
        step = np.ascontiguousarray((ray * scale).T)
        seen: np.ndarray = np.arange(len(points))
        hidden = np.zeros(len(points), bool)
        _, rows, columns = solid.shape
        for number, share in enumerate(np.linspace(0.07, 0.96, RAY_STEPS).astype(np.float32)):
            x, y, z = (start + step * share).astype(np.int32)
            hidden |= flat.take((z * rows + y) * columns + x, mode="clip")
            # Now and then go on with those alone that are not hidden yet.
            if number % HIDDEN_INTERVAL == HIDDEN_INTERVAL - 1:
                rest = np.flatnonzero(~hidden)
                seen, start, step = seen[rest], start[:, rest], step[:, rest]
                hidden = np.zeros(len(rest), bool)
        visible = np.zeros(len(points), np.float32)
        visible[seen[~hidden]] = 1
        return visible

    def _add_sun(self, irradiance: np.ndarray, solid: np.ndarray, sun: Sun) -> None:
        """Adds sunlight that falls through windows, in place."""
        # March all cells towards the sun at once, by shifting the grid, until they are outside.
        free = ~solid
        lit = free.copy()
        reach = max(float(np.linalg.norm(self._shape * CELL_M)), 1.0)
        ceiling = (self._shape[2] * CELL_M - MARGIN_M) / max(sun.to_sun[2], 0.2)
        for distance in np.arange(1.5 * CELL_M, min(reach, ceiling), CELL_M):
            shift = np.round(sun.to_sun * distance / CELL_M).astype(int)
            lit &= _shifted(free, shift)
        for k, direction in enumerate(DIRECTIONS):
            facing = max(float(direction @ sun.to_sun), 0.0)
            irradiance[k] += lit[..., None] * (facing * sun.power).astype(np.float32)

    def _add_reflected(self, irradiance: np.ndarray, solid: np.ndarray, plan: Plan) -> None:
        """Adds the light that walls, floor and ceiling reflect, in place."""
        reflected = np.zeros(irradiance.shape[1:], np.float32)
        reflected += irradiance.mean(axis=(0, 1, 2, 3)) * np.float32(0.35) + np.float32(0.02)
        for room in plan.rooms:
            first = np.floor((room.low - WALL_HALF_M - self._origin[:2]) / CELL_M).astype(int)
            last = np.ceil((room.high + WALL_HALF_M - self._origin[:2]) / CELL_M).astype(int)
            block = np.s_[:, first[1] : last[1], first[0] : last[0]]
            free = ~solid[block]
            mean = np.mean([each[block][free].mean(axis=0) for each in irradiance], axis=0)
            reflected[block] += mean.astype(np.float32) * np.float32(1.1)
        # Smooth between rooms, and darken corners: the share of free cells ahead.
        reflected = _blurred(reflected, 5)
        free = (~solid).astype(np.float32)
        near, far = _blurred(free, 3), _blurred(free, 9)
        for k, direction in enumerate(DIRECTIONS):
            opening = 0.4 * _shifted(near, direction * 2) + 0.6 * _shifted(far, direction * 3)
            shade = np.clip(opening * np.float32(1.25), 0.12, 1.0)
            irradiance[k] += reflected * shade[..., None]

    def _pack(self, irradiance: np.ndarray, solid: np.ndarray) -> None:
        """Keeps the grid as one image: a column for each height, a row for each direction."""
        weight = np.where(solid, EPSILON, np.float32(1))[..., None]
        columns, rows, levels = self._shape
        image = np.empty((6, rows, levels, columns, 4), np.float32)
        for k in range(6):
            # Solid cells hold the light around them, with little weight.
            filled = np.where(solid[..., None], _spread(irradiance[k], solid), irradiance[k])
            image[k, ..., :3] = (filled * weight).transpose(1, 0, 2, 3)
            image[k, ..., 3:] = weight.transpose(1, 0, 2, 3)
        self._image = image.reshape(6 * rows, levels * columns, 4)

    def sample(
        self, points: list[np.ndarray], normal: list[np.ndarray], direction: np.ndarray
    ) -> np.ndarray:
        """Returns irradiance (rows, columns, 3) float32 at points, as three (rows, columns) arrays.

        `normal` are the surfaces' normals in the same layout, `direction` (rows, columns) float32
        the row of DIRECTIONS to read.
        """
        # Coordinates in cells, a little before the surface.
        columns, rows, levels = (int(v) for v in self._shape)
        x, y, z = (
            (points[axis] - np.float32(self._origin[axis])) * np.float32(1 / CELL_M)
            + normal[axis] * np.float32(LIFT)
            - np.float32(0.5)
            for axis in range(3)
        )
        x = np.clip(x, 0, columns - 1)
        y = np.clip(y, 0, rows - 1) + direction * np.float32(rows)
        z = np.clip(z, 0, levels - 1.001)
        # Mix the levels below and above.
        level = np.floor(z)
        share = (z - level)[..., None]
        x += level * np.float32(columns)
        low = cv2.remap(self._image, x, y, cv2.INTER_LINEAR)
        x += np.float32(columns)
        high = cv2.remap(self._image, x, y, cv2.INTER_LINEAR)
        mixed = low + (high - low) * share
        return mixed[..., :3] / np.maximum(mixed[..., 3:], np.float32(1e-6))


WALL_HALF_M = 0.07


def _shifted(grid: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Returns the grid (z, y, x) read `shift` (x, y, z) cells further on; ones beyond it."""
    result = np.ones_like(grid)
    source, target = [], []
    for axis in (2, 1, 0):
        count, step = grid.shape[2 - axis], int(shift[axis])
        source.append(slice(max(step, 0), max(count + min(step, 0), 0)))
        target.append(slice(max(-step, 0), max(count - max(step, 0), 0)))
    result[tuple(target)] = grid[tuple(source)]
    return result


def _blurred(grid: np.ndarray, side: int) -> np.ndarray:
    """Returns a grid (z, y, x) or (z, y, x, 3) averaged over cubes of `side` cells."""
    planes = np.stack(
        [cv2.blur(each, (side, side), borderType=cv2.BORDER_REPLICATE) for each in grid]
    )
    flat = planes.reshape(len(grid), -1)
    return cv2.blur(flat, (1, side), borderType=cv2.BORDER_REPLICATE).reshape(grid.shape)


def _spread(grid: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Returns the average of the free cells around each cell, (z, y, x, 3)."""
    free = (~solid).astype(np.float32)
    total = _blurred(grid * free[..., None], 3)
    return total / np.maximum(_blurred(free, 3), np.float32(0.01))[..., None]
