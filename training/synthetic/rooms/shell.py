"""Walls, floors, ceilings, doors, windows and lamps of the rooms, and what lies outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.synthetic.polygons import Polygons
from training.synthetic.rooms.piece import WHITE, Piece, Solids, grey, vivid, woody
from training.synthetic.rooms.plan import WALL_M, Door, Opening, Plan, Room

if TYPE_CHECKING:
    from training.synthetic.rooms.materials import Materials
    from training.synthetic.surfaces import Colour

REVEAL_M = 0.2  # depth of a window's hole
SKIRTING_M = 0.015
FLOORS = {"kitchen": ("tiles", "planks", "carpet"), "bath": ("tiles",)}
OUTSIDE_BELOW_M = 5.0  # depth of the ground outside below the floor
Part = tuple[Polygons, Solids]


@dataclass(frozen=True)
class Lamp:
    """Source of light: a lamp, or a part of a window that shines into one direction."""

    position: np.ndarray  # (3,)
    power: np.ndarray  # (3,) radiant intensity per colour
    normal: np.ndarray | None = None  # (3,) of a window, into the room


@dataclass(frozen=True)
class Finish:
    """Covering of one room: texture, tint and the size of a repeat of walls and floor."""

    wall: tuple[int, Colour, float]
    floor: tuple[int, Colour, float]
    tiled: tuple[int, Colour, float] | None
    """Covering of the lower wall."""
    tiled_m: float
    skirting: Colour | None


def draw_finish(rng: np.random.Generator, materials: Materials, kind: str) -> Finish:
    """Draws the coverings of a room."""
    # Walls and floor.
    names = ("plaster", "plaster", "plaster", "wallpaper")
    name = names[int(rng.integers(4))]
    tint = grey(rng, 0.75, 1.0, 0.05) if rng.random() < 0.65 else vivid(rng)
    wall = (materials.pick(rng, name), WHITE if name == "wallpaper" else tint, 1.1)
    choices = FLOORS.get(kind, ("planks", "planks", "carpet", "tiles"))
    name = choices[int(rng.integers(len(choices)))]
    size_m = {"tiles": rng.uniform(1.2, 2.6), "planks": rng.uniform(0.9, 1.4), "carpet": 1.0}
    floor = (materials.pick(rng, name), grey(rng, 0.6, 1.05), float(size_m[name]))
    # Lower covering and skirting.
    tiled = None
    tiled_m = 0.0
    if kind in ("bath", "kitchen"):
        tiled = (materials.pick(rng, "tiles"), grey(rng, 0.7, 1.0), float(rng.uniform(0.8, 1.6)))
        tiled_m = float(rng.uniform(1.3, 2.1)) if kind == "bath" else 1.45
    elif rng.random() < 0.12:
        tiled = (materials.pick(rng, "wood"), woody(rng), 0.8)
        tiled_m = 0.9
    skirting = None
    if tiled is None and rng.random() < 0.85:
        skirting = woody(rng) if rng.random() < 0.5 else (0.97, 0.97, 0.95)
    return Finish(wall, floor, tiled, tiled_m, skirting)


def build_room(
    materials: Materials, rng: np.random.Generator, room: Room, height: float
) -> tuple[list[Part], list[Lamp]]:
    """Builds the shell of a room; returns its parts and its sources of light."""
    finish = draw_finish(rng, materials, room.kind)
    lamps: list[Lamp] = []
    parts = [_floor_and_ceiling(materials, rng, room, height, finish, lamps)]
    frame = woody(rng) if rng.random() < 0.4 else grey(rng, 0.85, 1.0)
    for side in range(4):
        start, heading, length = room.wall(side)
        piece = Piece(materials, rng)
        openings = sorted((*room.local(side, each), each) for each in room.openings[side])
        _wall(piece, length, height, openings, finish)
        for a, b, opening in openings:
            if opening.is_window:
                _window(piece, a, b, opening, frame)
        part = piece.placed(np.array([*start, 0.0]), heading)
        parts.append(part)
        lamps += _window_light(openings, start, heading)
    return parts, lamps


def _facing(
    piece: Piece,
    x: tuple[float, float],
    z: tuple[float, float],
    look: tuple[int, Colour, float],
    y: float = 0.0,
) -> None:
    """Adds a part of a wall's face; its texture runs on from part to part."""
    texture, tint, size_m = look
    corners = [(x[1], y, z[0]), (x[0], y, z[0]), (x[0], y, z[1]), (x[1], y, z[1])]
    repeats = ((x[1] - x[0]) / size_m, (z[1] - z[0]) / size_m)
    offset = (-x[1] / size_m, -z[0] / size_m)
    piece.mesh.quad(np.array(corners), texture, repeats, offset, tint)


Openings = list[tuple[float, float, Opening]]


def _wall(piece: Piece, length: float, height: float, openings: Openings, finish: Finish) -> None:
    """Adds a wall with holes, its lower covering and its skirting."""
    edges = [0.0, *(x for a, b, _ in openings for x in (a, b)), length]
    # Full height between the openings.
    for x in zip(edges[::2], edges[1::2], strict=True):
        _wall_part(piece, x, (0.0, height), finish)
        if finish.skirting and x[1] - x[0] > 0.05:
            low, high = (x[0], 0.0, 0.0), (x[1], SKIRTING_M, 0.09)
            piece.block(low, high, piece.pick("wood"), finish.skirting, is_solid=False)
    # Below and above them.
    for a, b, opening in openings:
        _wall_part(piece, (a, b), (opening.top, height), finish)
        if opening.bottom > 0:
            _wall_part(piece, (a, b), (0.0, opening.bottom), finish)


def _wall_part(
    piece: Piece, x: tuple[float, float], z: tuple[float, float], finish: Finish
) -> None:
    """Adds a rectangle of wall, covered up to the height of the tiles, and its solid."""
    split = float(np.clip(finish.tiled_m, *z))
    if finish.tiled is not None and split > z[0]:
        _facing(piece, x, (z[0], split), finish.tiled)
    if split < z[1]:
        _facing(piece, x, (split, z[1]), finish.wall)
    middle = ((x[0] + x[1]) / 2, -WALL_M / 2, (z[0] + z[1]) / 2)
    piece.solid(middle, ((x[1] - x[0]) / 2, WALL_M / 2, (z[1] - z[0]) / 2))


def _window(piece: Piece, a: float, b: float, opening: Opening, frame: Colour) -> None:
    """Adds reveals, frame, sill and perhaps curtains, a blind and a radiator."""
    rng = piece.rng
    low, high = opening.bottom, opening.top
    d = -REVEAL_M
    paint = piece.pick("plaster")
    sheets = (
        [(a, d, low), (a, 0.0, low), (a, 0.0, high), (a, d, high)],
        [(b, 0.0, low), (b, d, low), (b, d, high), (b, 0.0, high)],
        [(a, 0.0, high), (b, 0.0, high), (b, d, high), (a, d, high)],
    )
    for corners in sheets:
        piece.sheet(corners, paint, (0.95, 0.95, 0.95), two_sided=False)
    # Sill, and a frame with bars.
    board = (piece.pick("stone"), WHITE) if rng.random() < 0.4 else (paint, frame)
    edge = (b + 0.04, rng.uniform(0.02, 0.12), low + 0.004)
    piece.block((a - 0.04, d, low - 0.03), edge, *board, is_solid=False)
    bars = [a, b - 0.05, *([(a + b) / 2 - 0.03] if b - a > 0.9 else [])]
    for x in bars:
        piece.block((x, d, low), (x + 0.05, d + 0.06, high), 0, frame, is_solid=False)
    rails = [low, high - 0.05, *([low + 0.7 * (high - low)] if rng.random() < 0.3 else [])]
    for z in rails:
        piece.block((a, d, z), (b, d + 0.055, z + 0.05), 0, frame, is_solid=False)
    # What hangs before it, and below.
    kind = rng.random()
    if kind < 0.4:
        _curtains(piece, a, b, low)
    elif kind < 0.6:
        drop = high - rng.uniform(0.1, 0.8) * (high - low)
        corners = [(b, -0.1, drop), (a, -0.1, drop), (a, -0.1, high), (b, -0.1, high)]
        repeats = (1.0, (high - drop) / 0.5)
        piece.sheet(corners, piece.pick("blind"), grey(rng, 0.7, 1.0), repeats)
    if low > 0.7 and rng.random() < 0.6:
        ribs = piece.pick("radiator")
        x = (a + b) / 2
        half = min((b - a) / 2, 0.6)
        piece.block((x - half, 0.03, 0.12), (x + half, 0.11, low - 0.12), 0, front=ribs, fronts=2)


def _curtains(piece: Piece, a: float, b: float, sill: float) -> None:
    """Adds a folded curtain at each side of a window, on a rod."""
    # Cloth and height.
    rng = piece.rng
    cloth = (piece.pick("curtain"), vivid(rng))
    bottom = 0.04 if rng.random() < 0.6 else max(sill - 0.15, 0.04)
    top = 2.2 if rng.random() < 0.5 else 2.3
    width = (b - a) * rng.uniform(0.15, 0.4)
    # Folds at both sides.
    for first in (a - 0.18, b + 0.18 - width):
        folds = max(int(width / 0.06), 3)
        x = np.linspace(first, first + width, folds + 1).tolist()
        for k in range(folds):
            y = (0.1, 0.15) if k % 2 else (0.15, 0.1)
            corners = [
                (x[k + 1], y[1], bottom),
                (x[k], y[0], bottom),
                (x[k], y[0], top),
                (x[k + 1], y[1], top),
            ]
            piece.sheet(corners, *cloth, repeats=(0.2, 1.0))
        piece.solid((first + width / 2, 0.12, (top + bottom) / 2), (width / 2, 0.04, 1.0))
    piece.block(
        (a - 0.25, 0.115, top), (b + 0.25, 0.135, top + 0.02), 0, (0.4,) * 3, is_solid=False
    )


def _window_light(openings: Openings, start: np.ndarray, heading: float) -> list[Lamp]:
    """Returns the light that the windows of a wall let in, from two points each."""
    along = np.array([np.cos(heading), np.sin(heading), 0.0])
    inward = np.array([-np.sin(heading), np.cos(heading), 0.0])
    lamps = []
    for a, b, opening in openings:
        if opening.is_window:
            area = (b - a) * (opening.top - opening.bottom)
            for share in (0.27, 0.73):
                position = np.array([*start, 0.0]) + along * (a + share * (b - a)) - 0.02 * inward
                position[2] = (opening.top + opening.bottom) / 2
                lamps.append(Lamp(position, np.full(3, area / 2), inward))
    return lamps


def _floor_and_ceiling(
    materials: Materials,
    rng: np.random.Generator,
    room: Room,
    height: float,
    finish: Finish,
    lamps: list[Lamp],
) -> Part:
    """Builds floor, ceiling and the lamps at the ceiling."""
    piece = Piece(materials, rng)
    (x0, y0), (x1, y1) = room.low.tolist(), room.high.tolist()
    texture, tint, size_m = finish.floor
    repeats = ((x1 - x0) / size_m, (y1 - y0) / size_m)
    corners = [(x0, y0, 0.0), (x1, y0, 0.0), (x1, y1, 0.0), (x0, y1, 0.0)]
    if rng.random() < 0.5:
        corners = corners[1:] + corners[:1]
        repeats = repeats[::-1]
    piece.sheet(corners, texture, tint, repeats, two_sided=False)
    top = [(x0, y1, height), (x1, y1, height), (x1, y0, height), (x0, y0, height)]
    white = grey(rng, 0.9, 1.03, 0.02)
    piece.sheet(top, piece.pick("plaster"), white, ((x1 - x0) / 2, (y1 - y0) / 2), two_sided=False)
    # Lamps: one, or a row in a long room.
    size = room.size
    axis = int(size[1] > size[0])
    count = 2 if size[axis] > 4.2 and rng.random() < 0.7 else 1
    kind = int(rng.integers(3))
    warmth = np.array([1.0, 1.0, 1.0]) - np.array([0.0, 0.12, 0.35]) * rng.random()
    power = rng.uniform(0.5, 1.2) * warmth * (rng.random() < 0.8)
    for k in range(count):
        at = room.middle.copy()
        at[axis] = room.low[axis] + size[axis] * (k + 0.5) / count
        bottom = _lamp(piece, (float(at[0]), float(at[1])), height, kind)
        lamps.append(Lamp(np.array([*at, bottom - 0.1]), power * size.prod() / 9 / count))
    if rng.random() < 0.45 and size.min() > 2.0:
        _rug(piece, room)
    return piece.placed(np.zeros(3), 0.0)


def _lamp(piece: Piece, at: tuple[float, float], height: float, kind: int) -> float:
    """Adds a lamp at the ceiling; returns the height of its lower edge."""
    rng = piece.rng
    glow = piece.pick("glow")
    x, y = at
    if kind == 0:
        # Flat panel or tube.
        half = (0.3, 0.3) if rng.random() < 0.5 else (0.6, 0.08)
        low, high = (x - half[0], y - half[1], height - 0.05), (x + half[0], y + half[1], height)
        piece.block(low, high, glow, is_solid=False)
        return low[2]
    if kind == 1:
        # Dish.
        piece.prism((x, y, height - 0.1), 0.1, (0.14, 0.22), glow, sides=12, is_solid=False)
        _disc(piece, (x, y, height - 0.1), 0.14, glow)
        return height - 0.1
    # Shade on a cord.
    bottom = max(height - rng.uniform(0.5, 0.9), 1.95)
    piece.block((x - 0.006, y - 0.006, bottom), (x + 0.006, y + 0.006, height), 0, (0.1,) * 3)
    shade = vivid(rng)
    radius = rng.uniform(0.12, 0.28)
    piece.prism((x, y, bottom), 0.2, (radius, radius * 0.6), 0, shade, 12, is_solid=False)
    _disc(piece, (x, y, bottom), radius, glow)
    return bottom


def _disc(piece: Piece, middle: tuple[float, float, float], radius: float, texture: int) -> None:
    """Adds a round face that looks down."""
    angles = -np.arange(13) * np.pi / 6
    x, y, z = middle
    ring = [(x + radius * float(np.cos(t)), y + radius * float(np.sin(t)), z) for t in angles]
    for i in range(1, 11, 2):
        piece.sheet([ring[0], ring[i], ring[i + 1], ring[i + 2]], texture, two_sided=False)


def _rug(piece: Piece, room: Room) -> None:
    """Adds a rug near the middle of the room."""
    rng = piece.rng
    size = np.minimum(rng.uniform((1.2, 0.9), (2.6, 1.8)), room.size - 0.8)
    spin = float(rng.choice([0.0, np.pi / 2])) + rng.uniform(-0.1, 0.1)
    middle = room.middle + rng.uniform(-0.25, 0.25, 2)
    size = np.minimum(size, room.size.min() - 0.8)
    low = (middle[0] - size[0] / 2, middle[1] - size[1] / 2, 0.0)
    high = (middle[0] + size[0] / 2, middle[1] + size[1] / 2, 0.012)
    texture = piece.pick("rug")
    tint = (0.5, 0.45, 0.4)
    piece.block(low, high, texture, tint, top=texture, spin_rad=spin, is_solid=False)


def build_door(materials: Materials, rng: np.random.Generator, door: Door) -> Part:
    """Builds the frame of a doorway, its threshold and perhaps an open leaf."""
    piece = Piece(materials, rng)
    length = float((door.high - door.low)[door.axis])
    half = WALL_M / 2 + 0.014
    top = float(door.high[2])
    look = (piece.pick("wood"), woody(rng))
    # In the piece's frame x runs along the wall from the middle of the passage.
    for x in (-length / 2, length / 2):
        outer = x + np.sign(x) * 0.06
        inner = x - np.sign(x) * 0.02
        low, high = min(outer, inner), max(outer, inner)
        piece.block((low, -half, 0.0), (high, half, top + 0.06), *look)
    piece.block((-length / 2, -half, top - 0.02), (length / 2, half, top + 0.06), *look)
    floor = [(-length / 2, -half), (length / 2, -half), (length / 2, half), (-length / 2, half)]
    piece.sheet([(x, y, 0.004) for x, y in floor], *look, two_sided=False)
    if door.has_leaf:
        _leaf(piece, length, top)
    middle = (door.low + door.high) / 2
    middle[2] = 0.0
    return piece.placed(middle, 0.0 if door.axis == 0 else np.pi / 2)


def _leaf(piece: Piece, length: float, top: float) -> None:
    """Adds an open door leaf at one jamb."""
    rng = piece.rng
    angle = rng.uniform(1.3, 1.65)
    side = float(rng.choice([-1.0, 1.0]))
    hinge = np.array([-length / 2, side * (WALL_M / 2 - 0.01)])  # inside the jamb
    direction = np.array([np.cos(angle), side * np.sin(angle)])
    middle = hinge + direction * (length - 0.06) / 2
    spin = float(np.arctan2(direction[1], direction[0]))
    half = (length - 0.06) / 2
    low = (middle[0] - half, middle[1] - 0.02, 0.01)
    high = (middle[0] + half, middle[1] + 0.02, top - 0.03)
    tint = grey(rng, 0.8, 1.0) if rng.random() < 0.6 else woody(rng)
    door = piece.pick("door")
    piece.block(low, high, piece.pick("plaster"), tint, front=door, spin_rad=spin)
    # The same picture on the other face.
    normal = np.array([-np.sin(spin), np.cos(spin)]) * -0.0205
    ends = [middle - direction * half + normal, middle + direction * half + normal]
    levels = ((ends[0], low[2]), (ends[1], low[2]), (ends[1], high[2]), (ends[0], high[2]))
    corners = [(float(end[0]), float(end[1]), z) for end, z in levels]
    piece.sheet(corners, door, tint, two_sided=False)


def build_outside(
    materials: Materials, rng: np.random.Generator, plan: Plan, daylight: float
) -> Polygons:
    """Builds the views around the storey, as bright as the daylight."""
    piece = Piece(materials, rng)
    margin = rng.uniform(5.0, 18.0)
    tint = (daylight, daylight, daylight)
    low, high = -margin, plan.size + margin
    corners = np.array([[low, low], [high[0], low], [high[0], high[1]], [low, high[1]]])
    top = margin * rng.uniform(0.8, 1.2)
    for side in range(4):
        a, b = corners[side], corners[(side + 1) % 4]
        levels = ((b, -OUTSIDE_BELOW_M), (a, -OUTSIDE_BELOW_M), (a, top), (b, top))
        face = [(float(end[0]), float(end[1]), z) for end, z in levels]
        repeats = (max(round(float(np.linalg.norm(b - a)) / (top + 5.0)), 1), 1.0)
        piece.sheet(face, piece.pick("view"), tint, repeats, two_sided=False)
    ground = [(float(x), float(y), -OUTSIDE_BELOW_M) for x, y in corners]
    piece.sheet(ground, piece.pick("lawn"), tint, (6.0, 6.0), two_sided=False)
    return piece.mesh.polygons()
