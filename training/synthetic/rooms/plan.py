"""Floor plan of a storey: rooms, doors between them, windows to the outside."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

WALL_M = 0.14  # thickness of inner walls
OUTER_WALL_M = 0.3
MIN_SIDE_M = 2.3
SHARED_M = 1.25  # shortest common wall that can hold a door
KINDS = ("kitchen", "living", "bedroom", "office", "dining", "workshop", "bath")


@dataclass(frozen=True)
class Opening:
    """Hole in a wall: its range along the wall's axis and its range of heights, in metres."""

    start: float
    end: float
    bottom: float
    top: float
    is_window: bool = False


@dataclass(eq=False)
class Room:
    """Rectangle between the inner faces of its walls.

    Sides are numbered 0 south (y low), 1 east (x high), 2 north, 3 west.
    """

    kind: str
    low: np.ndarray  # (2,)
    high: np.ndarray  # (2,)
    openings: dict[int, list[Opening]] = field(default_factory=lambda: {k: [] for k in range(4)})

    @property
    def size(self) -> np.ndarray:
        """Length along x and y in metres, (2,)."""
        return self.high - self.low

    @property
    def middle(self) -> np.ndarray:
        """Middle of the floor, (2,)."""
        return (self.low + self.high) / 2

    def wall(self, side: int) -> tuple[np.ndarray, float, float]:
        """Returns a wall's start (2,), its heading and its length.

        The heading turned by 90 degrees to the left points into the room.
        """
        corners = (
            self.low,
            np.array([self.high[0], self.low[1]]),
            self.high,
            np.array([self.low[0], self.high[1]]),
        )
        return corners[side], side * np.pi / 2, float(self.size[side % 2])

    def local(self, side: int, opening: Opening) -> tuple[float, float]:
        """Returns the range of an opening in metres from the wall's start."""
        axis = side % 2
        if side < 2:
            return opening.start - float(self.low[axis]), opening.end - float(self.low[axis])
        return float(self.high[axis]) - opening.end, float(self.high[axis]) - opening.start


@dataclass(frozen=True)
class Door:
    """Doorway between two rooms: middle of its passage and half its size, metres."""

    low: np.ndarray  # (3,)
    high: np.ndarray  # (3,)
    axis: int  # the axis along the wall
    has_leaf: bool


@dataclass(frozen=True)
class Plan:
    """Rooms of a storey, of one height, with the doors between them."""

    rooms: list[Room]
    doors: list[Door]
    height: float
    size: np.ndarray  # (2,) outer size


def draw_plan(seed: int) -> Plan:
    """Draws a floor plan from its seed."""
    rng = np.random.default_rng([seed, 102])
    size = rng.uniform((6.5, 5.0), (13.0, 9.5))
    height = float(rng.uniform(2.35, 3.1))
    target = float(rng.uniform(9, 26))
    rectangles = _with_corridor(rng, size, target)
    kinds = rng.permutation(KINDS).tolist()
    rooms = []
    for k, (low, high) in enumerate(rectangles):
        narrow = float((high - low).min())
        kind = "corridor" if narrow < MIN_SIDE_M - 0.2 else kinds[k % len(kinds)]
        rooms.append(Room(kind, low + WALL_M / 2, high - WALL_M / 2))
    doors = _draw_doors(rng, rooms, min(height - 0.1, 2.1))
    for room in rooms:
        _draw_windows(rng, room, size, height)
    return Plan(rooms, doors, height, size)


Rectangle = tuple[np.ndarray, np.ndarray]


def _with_corridor(rng: np.random.Generator, size: np.ndarray, target: float) -> list[Rectangle]:
    """Returns the rectangles of the rooms, some with a corridor between them."""
    zero = np.zeros(2)
    if rng.random() < 0.5 and size[1] > 2 * MIN_SIDE_M + 1.8:
        width = rng.uniform(1.3, 2.0)
        lower = rng.uniform(MIN_SIDE_M, size[1] - MIN_SIDE_M - width)
        return [
            (np.array([0.0, lower]), np.array([size[0], lower + width])),
            *_split(rng, zero, np.array([size[0], lower]), target),
            *_split(rng, np.array([0.0, lower + width]), size, target),
        ]
    return _split(rng, zero, size, target)


def _split(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, target: float
) -> list[Rectangle]:
    """Splits a rectangle into rooms of about the target area."""
    size = high - low
    axis = int(size[1] > size[0] * rng.uniform(0.8, 1.25))
    if size.prod() < target * rng.uniform(0.8, 1.6) or size[axis] < 2 * MIN_SIDE_M:
        return [(low, high)]
    cut = low[axis] + rng.uniform(MIN_SIDE_M, size[axis] - MIN_SIDE_M)
    first_high = high.copy()
    first_high[axis] = cut
    second_low = low.copy()
    second_low[axis] = cut
    return _split(rng, low, first_high, target) + _split(rng, second_low, high, target)


def _draw_doors(rng: np.random.Generator, rooms: list[Room], top: float) -> list[Door]:
    """Joins the rooms by doors: all can be reached, and some walls have a further door."""
    joints = []
    for a, first in enumerate(rooms):
        for b, second in enumerate(rooms):
            for axis in (0, 1):
                gap = second.low[1 - axis] - first.high[1 - axis]
                start = max(first.low[axis], second.low[axis])
                end = min(first.high[axis], second.high[axis])
                if abs(gap - WALL_M) < 1e-6 and end - start > SHARED_M:
                    joints.append((a, b, axis, float(start), float(end)))
    group = list(range(len(rooms)))
    doors = []
    for k in rng.permutation(len(joints)).tolist():
        a, b, axis, start, end = joints[k]
        if group[a] == group[b] and rng.random() > 0.3:
            continue
        group = [group[a] if each == group[b] else each for each in group]
        doors.append(_add_door(rng, rooms[a], rooms[b], axis, (start, end), top))
    return doors


def _add_door(
    rng: np.random.Generator,
    first: Room,
    second: Room,
    axis: int,
    shared: tuple[float, float],
    top: float,
) -> Door:
    """Opens the wall between two rooms; `second` lies north or east of `first`."""
    # Its place and width, in both rooms.
    room = shared[1] - shared[0] - 0.3
    is_wide = rng.random() < 0.3 and room > 1.5
    width = float(rng.uniform(1.3, min(2.4, room))) if is_wide else float(rng.uniform(0.82, 0.95))
    start = float(rng.uniform(shared[0] + 0.15, shared[1] - 0.15 - width))
    opening = Opening(start, start + width, 0.0, top)
    first.openings[2 if axis == 0 else 1].append(opening)
    second.openings[0 if axis == 0 else 3].append(opening)
    # The passage through the wall.
    low = np.zeros(3)
    high = np.zeros(3)
    low[axis], high[axis] = start, start + width
    low[1 - axis], high[1 - axis] = first.high[1 - axis], second.low[1 - axis]
    high[2] = top
    return Door(low, high, axis, not is_wide and bool(rng.random() < 0.6))


def _draw_windows(rng: np.random.Generator, room: Room, size: np.ndarray, height: float) -> None:
    """Opens windows in the outer walls of a room."""
    for side in range(4):
        axis = side % 2
        edge = room.high[1 - axis] if side in (1, 2) else room.low[1 - axis]
        outer = size[1 - axis] if side in (1, 2) else 0.0
        if abs(edge - outer) > WALL_M or rng.random() < 0.3:
            continue
        length = float(room.size[axis])
        count = int(rng.integers(1, 3)) if length > 3.2 else 1
        sill = float(rng.choice([0.08, 0.85, 0.95, 1.1], p=[0.15, 0.4, 0.3, 0.15]))
        top = float(rng.uniform(2.0, min(height - 0.12, 2.5)))
        for k in range(count):
            width = float(rng.uniform(0.7, max(0.8, min(2.0, length / count - 0.6))))
            spot = length * (k + 0.5) / count + float(rng.uniform(-0.2, 0.2))
            start = float(room.low[axis]) + spot - width / 2
            if start > room.low[axis] + 0.1 and start + width < room.high[axis] - 0.1:
                room.openings[side].append(Opening(start, start + width, sill, top, True))
