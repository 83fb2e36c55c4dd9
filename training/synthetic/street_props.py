"""Objects along a road: houses, trees, hedges, walls, fences, poles, signs.

Each function adds the polygons of one object to a mesh. Points are (3,) in world metres; `base` and
`center` are on the ground.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.synthetic.polygons import Mesh, footprint
from training.synthetic.surfaces import Colour, as_colour

if TYPE_CHECKING:
    from training.synthetic.palette import Palette

UP = np.array([0.0, 0.0, 1.0])
FOUNDATION_M = 0.6  # walls reach this far below the ground, for slopes


def grey(rng: np.random.Generator, low: float, high: float, hue: float = 0.06) -> Colour:
    """Returns a random tint that is nearly grey."""
    colour = rng.uniform(low, high) * (1 + rng.uniform(-hue, hue, 3))
    return as_colour(colour)


def house(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    center: np.ndarray,
    heading_rad: float,
    size: tuple[float, float],
    storeys: int,
) -> None:
    """Adds a house: walls and a gabled, hipped or flat roof.

    `heading_rad` is the direction of the front, `size` length along it and depth in metres.
    """
    length, depth = size
    height = storeys * rng.uniform(2.7, 3.2) + 0.4
    # Walls, from below the ground.
    base = np.asarray(center) - UP * 0.3
    mesh.box(
        base,
        heading_rad,
        size=(length, depth, height + 0.3),
        texture=palette.pick(rng, f"facade{min(max(storeys, 2), 4)}"),
        texture_size_m=(12.0, 1.0),
        tint=grey(rng, 0.75, 1.1),
        top=False,
        whole_height=True,
    )
    # Roof.
    kind = rng.choice(["gable", "gable", "hip", "flat"])
    top = base + UP * (height + 0.3)
    if kind == "flat":
        _flat_roof(mesh, palette, rng, top, heading_rad, size)
        return
    eaves = footprint(top, heading_rad, length + 0.8, depth + 0.9)
    rise = depth * rng.uniform(0.3, 0.5)
    _pitched_roof(mesh, palette, rng, eaves, rise, hip=0.0 if kind == "gable" else 0.25)
    if rng.random() < 0.7:
        _chimney(mesh, palette, rng, base + UP * (height + 0.5), heading_rad, size)


def _flat_roof(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    top: np.ndarray,
    heading_rad: float,
    size: tuple[float, float],
) -> None:
    """Adds a flat roof that projects over walls of `size`; `top` is the middle of their top."""
    mesh.box(
        top,
        heading_rad,
        size=(size[0] + 0.4, size[1] + 0.4, 0.5),
        texture=palette.pick(rng, "plain"),
        texture_size_m=(4.0, 4.0),
        tint=grey(rng, 0.3, 0.6),
    )


def _chimney(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    middle: np.ndarray,
    heading_rad: float,
    size: tuple[float, float],
) -> None:
    """Adds a chimney in one quarter of a roof over walls of `size`; `middle` is the roof's."""
    length, depth = size
    corners = footprint(np.zeros(3), heading_rad, length * 0.5, depth * 0.2)
    mesh.box(
        middle + corners[int(rng.integers(4))],
        heading_rad,
        size=(0.7, 0.6, depth * 0.5),
        texture=palette.pick(rng, "masonry"),
        texture_size_m=(1.5, 1.5),
        tint=grey(rng, 0.6, 1.0),
    )


def _pitched_roof(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    eaves: np.ndarray,
    rise: float,
    hip: float,
) -> None:
    """Adds two slopes up to a ridge along the length, and two gables or hips.

    `eaves` (4, 3) are the corners, `rise` the ridge's height above them in metres, `hip` the share
    of the length that each hip takes, 0 for gables.
    """
    # Ridge.
    back = (eaves[0] + eaves[3]) / 2
    front = (eaves[1] + eaves[2]) / 2
    ridge_back = back + (front - back) * hip + UP * rise
    ridge_front = front + (back - front) * hip + UP * rise
    # Slopes.
    tiles = palette.pick(rng, "roof")
    tint = grey(rng, 0.7, 1.2)
    repeats = (
        float(np.linalg.norm(front - back)) / 5.0,
        float(np.linalg.norm(ridge_back - eaves[0])) / 5.0,
    )
    for corners in (
        [eaves[0], eaves[1], ridge_front, ridge_back],
        [eaves[2], eaves[3], ridge_back, ridge_front],
    ):
        mesh.quad(corners, tiles, repeats, tint=tint, two_sided=True)
    # Gables or hips.
    end = tiles if hip else palette.pick(rng, "plain")
    for a, b, top in ((eaves[1], eaves[2], ridge_front), (eaves[3], eaves[0], ridge_back)):
        mesh.quad(
            [a, b, top, top],
            end,
            (1.5, 1.0),
            tint=tint if hip else grey(rng, 0.5, 0.85),
            two_sided=True,
        )


def shed(
    mesh: Mesh, palette: Palette, rng: np.random.Generator, center: np.ndarray, heading_rad: float
) -> None:
    """Adds a row of garages."""
    size = (float(rng.choice([3.0, 6.0, 9.0])), 5.5, rng.uniform(2.4, 2.9))
    mesh.box(
        np.asarray(center) - UP * 0.2,
        heading_rad,
        size,
        texture=palette.pick(rng, "garage"),
        texture_size_m=(3.0, 1.0),
        tint=grey(rng, 0.7, 1.05),
        top=True,
        whole_height=True,
    )


def tree(
    mesh: Mesh, palette: Palette, rng: np.random.Generator, base: np.ndarray, height: float
) -> None:
    """Adds a conifer or a broad-leaved tree: a crown of crossed cut-outs, on a trunk."""
    base = np.asarray(base)
    spin_rad = rng.uniform(0, np.pi)
    if rng.random() < 0.2:
        _conifer(mesh, palette, rng, base, height, spin_rad)
        return
    # Trunk.
    trunk = height * rng.uniform(0.22, 0.38)
    radius = height * rng.uniform(0.016, 0.03)
    lean = np.array([*rng.normal(0, 0.04, 2), 1.0])
    _trunk(mesh, palette, rng, base, base + lean * trunk * 1.5, radius)
    # Crown, and sometimes bare branches in it.
    width = height * rng.uniform(0.55, 0.95)
    _crown(
        mesh,
        palette,
        rng,
        base=base + lean * trunk,
        width=width,
        height=height - trunk,
        spin_rad=spin_rad,
    )
    if rng.random() < 0.5:
        _crossed_planes(
            mesh,
            texture=palette.pick(rng, "branches"),
            base=base + lean * trunk * 0.7,
            width=width * 0.8,
            height=(height - trunk) * 0.8,
            spin_rad=spin_rad + 0.5,
            tint=(0.8, 0.8, 0.8),
            planes=2,
        )


def _trunk(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    base: np.ndarray,
    top: np.ndarray,
    radius: float,
) -> None:
    """Adds a trunk that ends within the crown."""
    prism(
        mesh,
        texture=palette.pick(rng, "bark"),
        bottom=base - UP * 0.3,
        top=top,
        radius=radius,
        sides=4,
        tint=grey(rng, 0.6, 1.2),
        texture_size_m=(0.5, 2.0),
    )


def _conifer(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    base: np.ndarray,
    height: float,
    spin_rad: float,
) -> None:
    """Adds a conifer, whose crown reaches down to the ground."""
    _crossed_planes(
        mesh,
        texture=palette.pick(rng, "conifer"),
        base=base - UP * 0.2,
        width=rng.uniform(0.35, 0.5) * height,
        height=height,
        spin_rad=spin_rad,
        tint=grey(rng, 0.7, 1.2),
    )


def _crown(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    base: np.ndarray,
    width: float,
    height: float,
    spin_rad: float,
) -> None:
    """Adds a crown of upright crossed cut-outs, filled with tilted ones."""
    # Upright planes.
    texture = palette.pick(rng, "crown")
    tint = grey(rng, 0.7, 1.25)
    _crossed_planes(
        mesh,
        texture=texture,
        base=base,
        width=width,
        height=height,
        spin_rad=spin_rad,
        tint=tint,
    )
    # Tilted plates at random points between them.
    for _ in range(3):
        middle = base + np.array(
            [*rng.uniform(-0.25, 0.25, 2) * width, height * rng.uniform(0.3, 0.7)]
        )
        _leaf_plate(mesh, rng, texture, middle, width * rng.uniform(0.6, 0.85), tint)


def _crossed_planes(
    mesh: Mesh,
    texture: int,
    base: np.ndarray,
    width: float,
    height: float,
    spin_rad: float,
    tint: Colour,
    planes: int = 3,
) -> None:
    """Adds upright cut-outs that cross in one vertical axis above `base`, turned by `spin_rad`."""
    for i in range(planes):
        # Corners of the plane.
        angle = spin_rad + i * np.pi / planes
        half = np.array([np.cos(angle), np.sin(angle), 0.0]) * width / 2
        corners = [base - half, base + half, base + half + UP * height, base - half + UP * height]
        # Every other plane shows the texture mirrored.
        mesh.quad(
            corners,
            texture,
            repeats=((-1.0, 1.0)[i % 2], 1.0),
            tint=tint,
            cutout=True,
            two_sided=True,
        )


def _leaf_plate(
    mesh: Mesh,
    rng: np.random.Generator,
    texture: int,
    middle: np.ndarray,
    size: float,
    tint: Colour,
) -> None:
    """Adds a tilted cut-out that fills the crown between the upright ones."""
    # Random axes of the plate, the second one pointing upwards.
    a = rng.standard_normal(3)
    a[2] *= 0.3
    a /= np.linalg.norm(a)
    b = np.cross(a, rng.standard_normal(3))
    b *= np.sign(b[2]) / max(np.linalg.norm(b), 1e-6)
    # Its corners.
    a = a * size / 2
    b = b * size / 2
    mesh.quad(
        [middle - a - b, middle + a - b, middle + a + b, middle - a + b],
        texture,
        tint=tint,
        cutout=True,
        two_sided=True,
    )


def bush(
    mesh: Mesh, palette: Palette, rng: np.random.Generator, base: np.ndarray, size: float
) -> None:
    """Adds a bush, a crown that sits on the ground."""
    _crossed_planes(
        mesh,
        texture=palette.pick(rng, "crown"),
        base=np.asarray(base) - UP * size * 0.25,
        width=size * rng.uniform(1.0, 1.6),
        height=size * 1.25,
        spin_rad=rng.uniform(0, 3),
        tint=grey(rng, 0.6, 1.2),
    )


def prism(
    mesh: Mesh,
    texture: int,
    bottom: np.ndarray,
    top: np.ndarray,
    radius: float,
    sides: int,
    tint: Colour,
    texture_size_m: tuple[float, float],
) -> None:
    """Adds an upright post of 3 or 4 faces, slightly tapered, from `bottom` to `top`."""
    # Corners of the cross-section.
    angles = 0.4 + np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1) * radius
    # Faces.
    repeats = (
        2 * radius / texture_size_m[0],
        float(np.linalg.norm(top - bottom)) / texture_size_m[1],
    )
    for i in range(sides):
        a = ring[i]
        b = ring[(i + 1) % sides]
        mesh.quad(
            [bottom + a, bottom + b, top + b * 0.7, top + a * 0.7], texture, repeats, tint=tint
        )


def pole(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    base: np.ndarray,
    height: float,
    radius: float,
) -> None:
    """Adds a lamp post or mast."""
    base = np.asarray(base)
    prism(
        mesh,
        texture=palette.pick(rng, "plain"),
        bottom=base - UP * 0.3,
        top=base + UP * height,
        radius=radius,
        sides=3,
        tint=grey(rng, 0.25, 0.75),
        texture_size_m=(0.5, 2.0),
    )


def lamp(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    base: np.ndarray,
    towards_road_rad: float,
) -> None:
    """Adds a lamp post with its arm over the road, in direction `towards_road_rad`."""
    height = rng.uniform(5, 9)
    pole(mesh, palette, rng, base, height, rng.uniform(0.06, 0.1))
    reach = np.array([np.cos(towards_road_rad), np.sin(towards_road_rad), 0.05])
    mesh.box(
        np.asarray(base) + UP * height + reach * 0.8,
        towards_road_rad,
        size=(1.8, 0.18, 0.14),
        texture=palette.pick(rng, "plain"),
        texture_size_m=(2.0, 2.0),
        tint=grey(rng, 0.3, 0.6),
    )


def sign(
    mesh: Mesh, palette: Palette, rng: np.random.Generator, base: np.ndarray, facing_rad: float
) -> None:
    """Adds a traffic sign on a post; `facing_rad` points at the reader."""
    base = np.asarray(base)
    height = rng.uniform(2.0, 2.8)
    pole(mesh, palette, rng, base, height + 0.3, 0.035)
    right = np.array([-np.sin(facing_rad), np.cos(facing_rad), 0.0]) * 0.35
    middle = base + UP * height + np.array([np.cos(facing_rad), np.sin(facing_rad), 0]) * 0.08
    corners = [
        middle - right - UP * 0.35,
        middle + right - UP * 0.35,
        middle + right + UP * 0.35,
        middle - right + UP * 0.35,
    ]
    mesh.quad(corners, palette.pick(rng, "sign"), cutout=True)


def barrier(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    start: np.ndarray,
    end: np.ndarray,
    kind: str,
) -> None:
    """Adds a straight stretch of barrier from `start` to `end`, points on the ground.

    `kind` is hedge, wall, fence, rail or meadow (tall grass).
    """
    start = np.asarray(start)
    end = np.asarray(end)
    # Cut-outs.
    if kind in ("fence", "meadow"):
        _cutout_barrier(mesh, palette, rng, start, end, kind)
        return
    # Solid barriers.
    texture, thickness, height, texture_size_m = {
        "hedge": ("foliage", 0.9, rng.uniform(0.9, 2.2), (3.0, 3.0)),
        "wall": ("masonry", 0.35, rng.uniform(0.6, 2.2), (2.2, 2.2)),
        "rail": ("plain", 0.1, 0.75, (4.0, 2.0)),
    }[kind]
    sloping_box(
        mesh,
        start,
        end,
        thickness=thickness,
        height=height,
        texture=palette.pick(rng, texture),
        texture_size_m=texture_size_m,
        tint=grey(rng, 0.6, 1.15),
    )


def _cutout_barrier(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    start: np.ndarray,
    end: np.ndarray,
    kind: str,
) -> None:
    """Adds a stretch of fence or meadow, one upright cut-out."""
    height = {"fence": 1.1, "meadow": 0.6}[kind]
    length = float(np.linalg.norm(end - start))
    mesh.quad(
        [start, end, end + UP * height, start + UP * height],
        palette.pick(rng, kind),
        (max(round(length / 1.6), 1), 1.0),
        tint=grey(rng, 0.7, 1.1),
        cutout=True,
        two_sided=True,
    )


def sloping_box(
    mesh: Mesh,
    start: np.ndarray,
    end: np.ndarray,
    thickness: float,
    height: float,
    texture: int,
    texture_size_m: tuple[float, float],
    tint: Colour,
) -> None:
    """Adds a box from `start` to `end` that follows their heights; sizes in metres."""
    # Corners on the ground.
    along = end - start
    length = float(np.linalg.norm(along))
    side = np.array([-along[1], along[0], 0.0]) / max(length, 1e-6) * thickness / 2
    ring = [start - side, end - side, end + side, start + side]
    # Walls, from below the ground; the texture starts differently on each box.
    deep = UP * FOUNDATION_M
    lift = UP * height
    offset = (float(start[0] + start[1]) % 1.0, 0.0)
    texture_length_m, texture_height_m = texture_size_m
    for i in range(4):
        a = ring[i]
        b = ring[(i + 1) % 4]
        repeats = (
            (length if i % 2 == 0 else thickness) / texture_length_m,
            (height + FOUNDATION_M) / texture_height_m,
        )
        mesh.quad([a - deep, b - deep, b + lift, a + lift], texture, repeats, offset, tint)
    # Top.
    mesh.quad(
        [p + lift for p in ring],
        texture,
        (length / texture_length_m, thickness / texture_height_m),
        offset,
        tint,
    )


def upright_box(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    base: np.ndarray,
    size: tuple[float, float, float],
) -> None:
    """Adds a bin, a cabinet or a planter of length, width and height `size`."""
    mesh.box(
        np.asarray(base) - UP * 0.1,
        rng.uniform(0, 3),
        size,
        texture=palette.pick(rng, "plain"),
        texture_size_m=(2.0, 2.0),
        tint=grey(rng, 0.15, 1.0, 0.3),
    )
