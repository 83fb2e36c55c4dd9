"""Places furniture in rooms: along the walls, around tables, never in the way of a door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.synthetic.polygons import Polygons
from training.synthetic.rooms import furniture
from training.synthetic.rooms.piece import Piece, Solids, vivid
from training.synthetic.rooms.plan import Door, Room

if TYPE_CHECKING:
    from training.synthetic.rooms.materials import Materials

Part = tuple[Polygons, Solids]
TRIES = 25
PASSAGE_M = 0.75  # free depth on both sides of a door
WALL_GAP_M = 0.02
TARGET_HEIGHT_M = 0.85  # a camera looks at things no higher than this
HANGING_TARGETS = 0.25  # share of the things on walls that it looks at
LINES = {
    "kitchen": ("kitchen", "kitchen", "fridge", "chest", "bin_", "bookshelf", "stool"),
    "living": ("sofa", "sofa", "tv_stand", "bookshelf", "plant", "chest", "floor_lamp", "plant"),
    "bedroom": ("bed", "wardrobe", "chest", "desk", "plant", "cartons", "chair", "floor_lamp"),
    "office": ("desk", "desk", "bookshelf", "wardrobe", "bin_", "plant", "cartons", "desk"),
    "dining": ("chest", "bookshelf", "plant", "chair", "sofa", "floor_lamp"),
    "workshop": ("workbench", "workbench", "cartons", "bookshelf", "wardrobe", "cartons", "bin_"),
    "bath": ("bathtub", "washbasin", "toilet", "chest", "bin_", "wardrobe"),
    "corridor": ("chest", "plant", "cartons", "bookshelf", "wardrobe"),
}
"""Furniture along the walls of each kind of room, in the order of its placing."""
MIDDLES = {
    "kitchen": "table",
    "living": "low_table",
    "dining": "table",
    "office": "table",
    "workshop": "table",
}

EXTRAS = ("plant", "cartons", "chair", "desk", "bin_", "chest", "bookshelf", "table")
"""Further furniture along the walls of any room."""
LOOSE = ("chair", "stool", "cartons", "bin_", "plant", "low_table", "office_chair")
"""Furniture that stands anywhere."""


@dataclass(frozen=True)
class Footprint:
    """Rectangle on the floor along the axes, with the heights that it takes, metres."""

    low: np.ndarray  # (2,)
    high: np.ndarray  # (2,)
    bottom: float
    top: float

    def meets(self, other: Footprint) -> bool:
        """Returns whether both share any room."""
        is_apart = (self.low >= other.high).any() or (other.low >= self.high).any()
        return not is_apart and self.bottom < other.top and other.bottom < self.top


class Furnisher:
    """Furnishes one room; `parts` collects polygons and solids."""

    def __init__(
        self,
        materials: Materials,
        rng: np.random.Generator,
        room: Room,
        doors: list[Door],
        height: float,
    ) -> None:
        self.materials = materials
        self.rng = rng
        self.room = room
        self.height = height
        self.parts: list[Part] = []
        self.targets: list[np.ndarray] = []
        """Middles (3,) of the pieces, things to look at."""
        self._taken = [_passage(door) for door in doors]

    def furnish(self) -> None:
        """Places all furniture of the room."""
        rng = self.rng
        density = rng.uniform(0.65, 1.0)
        if self.room.kind in MIDDLES and rng.random() < 0.8 and self.room.size.min() > 2.6:
            self._place_middle(MIDDLES[self.room.kind])
        for name in LINES[self.room.kind]:
            if rng.random() < density:
                self._place_line(name)
        for _ in range(int(rng.integers(2, 9))):
            self._place_line(str(rng.choice(EXTRAS)))
        for _ in range(int(rng.integers(0, 4))):
            self._place_loose(str(rng.choice(LOOSE)))
        for _ in range(int(rng.integers(4, 15))):
            self._hang()

    def _build(self, name: str) -> Piece:
        """Builds a piece of furniture by its name."""
        if name == "kitchen":
            width = float(rng_width(self.rng, self.room))
            return furniture.kitchen_line(self.materials, self.rng, width)
        build: Callable[..., Piece] = getattr(furniture, name)
        return build(self.materials, self.rng)

    def _place_line(self, name: str) -> None:
        """Tries to place a piece with its back to a wall."""
        piece = self._build(name)
        for _ in range(TRIES):
            side = int(self.rng.integers(4))
            placed = self._stand(piece, side)
            if placed is None:
                continue
            along, heading = placed
            if name == "kitchen" and self.rng.random() < 0.85:
                self._above(piece, side, along, heading)
            if name == "desk":
                self._seat(piece, side, along, "office_chair")
            return

    def _stand(self, piece: Piece, side: int) -> tuple[float, float] | None:
        """Stands a piece against a wall; returns its place along the wall and heading."""
        low, high = bounds(piece)
        start, heading, length = self.room.wall(side)
        if high[0] - low[0] > length - 0.02:
            return None
        along = float(self.rng.uniform(0.01 - low[0], length - 0.01 - high[0]))
        if self.rng.random() < 0.35:
            along = float(-low[0] + 0.01 if self.rng.random() < 0.5 else length - high[0] - 0.01)
        for a, b, bottom in self._windows(side):
            # Neither high before a window, nor any curtain or radiator inside.
            margin = 0.3
            if along + low[0] < b + margin and along + high[0] > a - margin and high[2] > bottom:
                return None
            if bottom < 0.3 and along + low[0] < b and along + high[0] > a:
                return None
        gap = 0.16 if self._windows(side) else WALL_GAP_M
        direction = np.array([np.cos(heading), np.sin(heading)])
        inward = np.array([-direction[1], direction[0]])
        point = start + direction * along + inward * (gap - min(low[1], 0.0))
        return (along, heading) if self._put(piece, point, heading) else None

    def _windows(self, side: int) -> list[tuple[float, float, float]]:
        """Returns the windows of a wall: range along it, and height of the sill."""
        return [
            (*self.room.local(side, each), each.bottom)
            for each in self.room.openings[side]
            if each.is_window
        ]

    def _put(self, piece: Piece, point: np.ndarray, heading: float) -> bool:
        """Places a piece if its room is free; returns whether it was."""
        footprint = _footprint(piece, point, heading)
        inside = (footprint.low >= self.room.low - 1e-6).all()
        inside &= (footprint.high <= self.room.high + 1e-6).all()
        if not inside or footprint.top > self.height - 0.03:
            return False
        if any(footprint.meets(other) for other in self._taken):
            return False
        self._taken.append(footprint)
        self.parts.append(piece.placed(np.array([*point, 0.0]), heading))
        # Mostly the tops of what stands on the floor are worth a look.
        if footprint.bottom < 0.3 or self.rng.random() < HANGING_TARGETS:
            middle = (footprint.low + footprint.high) / 2
            height = min(footprint.top, max(TARGET_HEIGHT_M, footprint.bottom + 0.1))
            self.targets.append(np.array([*middle, height]))
        return True

    def _above(self, piece: Piece, side: int, along: float, heading: float) -> None:
        """Hangs wall cupboards above a kitchen counter."""
        low, high = bounds(piece)
        width = float((high[0] - low[0]) * self.rng.uniform(0.5, 1.0))
        if all(along + low[0] > b or along + high[0] < a for a, b, _ in self._windows(side)):
            upper = furniture.wall_cupboards(self.materials, self.rng, width)
            start, _, _ = self.room.wall(side)
            direction = np.array([np.cos(heading), np.sin(heading)])
            self._put(upper, start + direction * along, heading)

    def _seat(self, piece: Piece, side: int, along: float, name: str) -> None:
        """Puts a chair before a desk, its back to the room."""
        start, heading, _ = self.room.wall(side)
        direction = np.array([np.cos(heading), np.sin(heading)])
        inward = np.array([-direction[1], direction[0]])
        depth = float(bounds(piece)[1][1])
        shift = self.rng.uniform(-0.2, 0.2)
        point = start + direction * (along + shift)
        point = point + inward * (depth + self.rng.uniform(0.55, 0.8))
        self._put(self._build(name), point, heading + np.pi + self.rng.uniform(-0.5, 0.5))

    def _place_middle(self, name: str) -> None:
        """Places a table in the room with chairs around it."""
        rng = self.rng
        piece = self._build(name)
        low, high = bounds(piece)
        heading = float(rng.choice([0.0, np.pi / 2])) + rng.uniform(-0.06, 0.06)
        direction = np.array([np.cos(heading), np.sin(heading)])
        inward = np.array([-direction[1], direction[0]])
        for _ in range(TRIES):
            spread = np.maximum(self.room.size / 2 - 1.2, 0.05)
            middle = self.room.middle + rng.uniform(-spread, spread)
            if self._put(piece, middle - inward * (low[1] + high[1]) / 2, heading):
                break
        else:
            return
        if name == "low_table":
            return
        seats = max(int((high[0] - low[0]) / 0.6), 1)
        chair = self._build("chair").rng.integers(2**31)
        for sign in (-1.0, 1.0):
            for x in (np.arange(seats) + 0.5) / seats * (high[0] - low[0]) + low[0]:
                if rng.random() < 0.75:
                    # Chairs of one table look alike.
                    seat = furniture.chair(self.materials, np.random.default_rng(int(chair)))
                    reach = (high[1] - low[1]) / 2 + rng.uniform(0.25, 0.6)
                    point = middle + direction * x + inward * sign * reach
                    turn = (0.0 if sign < 0 else np.pi) + rng.uniform(-0.25, 0.25)
                    self._put(seat, point, heading + turn)

    def _place_loose(self, name: str) -> None:
        """Tries to place a piece anywhere on the floor."""
        piece = self._build(name)
        for _ in range(TRIES):
            point = self.rng.uniform(self.room.low + 0.5, self.room.high - 0.5)
            if self._put(piece, point, self.rng.uniform(0, 6.28)):
                return

    def _hang(self) -> None:
        """Tries to hang a picture, a board, a shelf, a clock or a socket on a wall."""
        # Its kind and size.
        rng = self.rng
        piece = Piece(self.materials, rng)
        kind = str(rng.choice(["picture", "picture", "board", "clock", "socket", "shelf", "paper"]))
        width, height, bottom = {
            "picture": (rng.uniform(0.25, 1.1), rng.uniform(0.25, 0.8), rng.uniform(1.25, 1.5)),
            "board": (rng.uniform(0.6, 1.6), rng.uniform(0.5, 0.9), rng.uniform(1.1, 1.3)),
            "clock": (0.3, 0.3, rng.uniform(1.7, 1.95)),
            "socket": (0.08, 0.08, float(rng.choice([0.3, 1.05]))),
            "shelf": (rng.uniform(0.5, 1.2), 0.5, rng.uniform(1.1, 1.5)),
            "paper": (0.21, 0.297, rng.uniform(1.2, 1.6)),
        }[kind]
        # Build it.
        low, high = (-width / 2, 0.0, bottom), (width / 2, 0.025, bottom + height)
        if kind == "shelf":
            piece = furniture.wall_cupboards(self.materials, rng, width)
        elif kind == "clock":
            corners = [(0.15, bottom), (-0.15, bottom), (-0.15, bottom + 0.3), (0.15, bottom + 0.3)]
            points = [(x, 0.03, z) for x, z in corners]
            piece.sheet(points, piece.pick("clock"), cutout=True)
        else:
            piece.panel(low, high, piece.pick(kind), edge=vivid(rng))
        # Find a place beside doors and windows.
        for _ in range(TRIES):
            side = int(rng.integers(4))
            start, heading, length = self.room.wall(side)
            if length < width + 0.4:
                continue
            along = float(rng.uniform(width / 2 + 0.1, length - width / 2 - 0.1))
            holes = [self.room.local(side, each) for each in self.room.openings[side]]
            if any(along - width / 2 < b + 0.3 and along + width / 2 > a - 0.3 for a, b in holes):
                continue
            direction = np.array([np.cos(heading), np.sin(heading)])
            if self._put(piece, start + direction * along, heading):
                return


def rng_width(rng: np.random.Generator, room: Room) -> float:
    """Returns the width of a kitchen counter for a room in metres."""
    return float(np.clip(rng.uniform(1.2, 4.2), 1.2, room.size.max() - 0.4))


def bounds(piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and highest coordinates (3,) of a piece in its frame."""
    corners = piece.mesh.polygons().corners.reshape(-1, 3)
    return corners.min(axis=0), corners.max(axis=0)


def _footprint(piece: Piece, point: np.ndarray, heading: float) -> Footprint:
    """Returns the footprint of a piece at a point (2,) of the floor."""
    corners = piece.mesh.polygons().corners.reshape(-1, 3)
    cos, sin = np.cos(heading), np.sin(heading)
    x = corners[:, 0] * cos - corners[:, 1] * sin + point[0]
    y = corners[:, 0] * sin + corners[:, 1] * cos + point[1]
    low, high = np.array([x.min(), y.min()]), np.array([x.max(), y.max()])
    return Footprint(low, high, float(corners[:, 2].min()), float(corners[:, 2].max()))


def _passage(door: Door) -> Footprint:
    """Returns the room that must stay free around a doorway."""
    low = door.low[:2].copy()
    high = door.high[:2].copy()
    width = high[door.axis] - low[door.axis]
    reach = max(PASSAGE_M, width + 0.05) if door.has_leaf else PASSAGE_M
    low[1 - door.axis] -= reach
    high[1 - door.axis] += reach
    low[door.axis] -= 0.25
    high[door.axis] += 0.12
    return Footprint(low, high, 0.0, 3.5)
