"""What stands beside a road: houses, trees, hedges, walls, fences, poles, signs. Each adds its
polygons to a mesh."""

from __future__ import annotations

import numpy as np

from training.synthetic.palette import Palette
from training.synthetic.polygons import Mesh, footprint
from training.synthetic.surfaces import Colour, as_colour

UP = np.array([0.0, 0.0, 1.0])
SUNK_M = 0.6  # walls go this far below the ground, for slopes


def grey(rng: np.random.Generator, low: float, high: float, hue: float = 0.06) -> Colour:
    """A random tint, nearly grey."""
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
    """Walls and a gabled, hipped or flat roof; `heading_rad` runs along the front, `size` is
    length and depth in metres."""
    length, depth = size
    height = storeys * rng.uniform(2.7, 3.2) + 0.4
    name = f"facade{min(max(storeys, 2), 4)}"
    base = np.asarray(center) - UP * 0.3
    mesh.box(
        base,
        heading_rad,
        (length, depth, height + 0.3),
        palette.pick(rng, name),
        (12.0, 1.0),
        grey(rng, 0.75, 1.1),
        False,
        True,
    )
    kind = rng.choice(["gable", "gable", "hip", "flat"])
    eaves = footprint(base + UP * (height + 0.3), heading_rad, length + 0.8, depth + 0.9)
    if kind == "flat":
        mesh.box(
            base + UP * (height + 0.3),
            heading_rad,
            (length + 0.4, depth + 0.4, 0.5),
            palette.pick(rng, "plain"),
            (4.0, 4.0),
            grey(rng, 0.3, 0.6),
        )
        return
    _roof(
        mesh, palette, rng, eaves, depth * rng.uniform(0.3, 0.5), 0.0 if kind == "gable" else 0.25
    )
    if rng.random() < 0.7:
        spot = (
            base
            + UP * (height + 0.5)
            + footprint(np.zeros(3), heading_rad, length * 0.5, depth * 0.2)[int(rng.integers(4))]
        )
        mesh.box(
            spot,
            heading_rad,
            (0.7, 0.6, depth * 0.5),
            palette.pick(rng, "masonry"),
            (1.5, 1.5),
            grey(rng, 0.6, 1.0),
        )


def _roof(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    eaves: np.ndarray,
    rise: float,
    hip: float,
) -> None:
    """Two slopes up to a ridge along the length, and two gables or hips."""
    back, front = (eaves[0] + eaves[3]) / 2, (eaves[1] + eaves[2]) / 2
    ridge_back = back + (front - back) * hip + UP * rise
    ridge_front = front + (back - front) * hip + UP * rise
    tiles, tint = palette.pick(rng, "roof"), grey(rng, 0.7, 1.2)
    repeats = (
        float(np.linalg.norm(front - back)) / 5.0,
        float(np.linalg.norm(ridge_back - eaves[0])) / 5.0,
    )
    mesh.quad(
        [eaves[0], eaves[1], ridge_front, ridge_back], tiles, repeats, tint=tint, two_sided=True
    )
    mesh.quad(
        [eaves[2], eaves[3], ridge_back, ridge_front], tiles, repeats, tint=tint, two_sided=True
    )
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
    """A row of garages."""
    size = (float(rng.choice([3.0, 6.0, 9.0])), 5.5, rng.uniform(2.4, 2.9))
    mesh.box(
        np.asarray(center) - UP * 0.2,
        heading_rad,
        size,
        palette.pick(rng, "garage"),
        (3.0, 1.0),
        grey(rng, 0.7, 1.05),
        True,
        True,
    )


def tree(
    mesh: Mesh, palette: Palette, rng: np.random.Generator, base: np.ndarray, height: float
) -> None:
    """A trunk, and a crown of crossed cut-outs."""
    base = np.asarray(base)
    spin = rng.uniform(0, np.pi)
    if rng.random() < 0.2:
        _crossed(
            mesh,
            palette.pick(rng, "conifer"),
            base - UP * 0.2,
            rng.uniform(0.35, 0.5) * height,
            height,
            spin,
            grey(rng, 0.7, 1.2),
        )
        return
    trunk = height * rng.uniform(0.22, 0.38)
    radius = height * rng.uniform(0.016, 0.03)
    lean = np.array([*rng.normal(0, 0.04, 2), 1.0])
    prism(
        mesh,
        palette.pick(rng, "bark"),
        base - UP * 0.3,
        base + lean * trunk * 1.5,
        radius,
        4,
        grey(rng, 0.6, 1.2),
        (0.5, 2.0),
    )
    width = height * rng.uniform(0.55, 0.95)
    texture, tint = palette.pick(rng, "crown"), grey(rng, 0.7, 1.25)
    _crossed(mesh, texture, base + lean * trunk, width, height - trunk, spin, tint)
    for _ in range(3):
        middle = (
            base
            + lean * trunk
            + np.array(
                [*rng.uniform(-0.25, 0.25, 2) * width, (height - trunk) * rng.uniform(0.3, 0.7)]
            )
        )
        _leaf_plate(mesh, rng, texture, middle, width * rng.uniform(0.6, 0.85), tint)
    if rng.random() < 0.5:
        _crossed(
            mesh,
            palette.pick(rng, "branches"),
            base + lean * trunk * 0.7,
            width * 0.8,
            (height - trunk) * 0.8,
            spin + 0.5,
            (0.8, 0.8, 0.8),
            2,
        )


def _crossed(
    mesh: Mesh,
    texture: int,
    base: np.ndarray,
    width: float,
    height: float,
    spin_rad: float,
    tint: Colour,
    planes: int = 3,
) -> None:
    for i in range(planes):
        angle = spin_rad + i * np.pi / planes
        half = np.array([np.cos(angle), np.sin(angle), 0.0]) * width / 2
        corners = [base - half, base + half, base + half + UP * height, base - half + UP * height]
        mesh.quad(
            corners,
            texture,
            ((-1.0, 1.0)[i % 2], 1.0),
            (0.0, 0.0),
            tint,
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
    """A tilted cut-out that fills the crown between the upright ones."""
    a = rng.standard_normal(3)
    a[2] *= 0.3
    a /= np.linalg.norm(a)
    b = np.cross(a, rng.standard_normal(3))
    b *= np.sign(b[2]) / max(np.linalg.norm(b), 1e-6)
    a, b = a * size / 2, b * size / 2
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
    """A crown that sits on the ground."""
    _crossed(
        mesh,
        palette.pick(rng, "crown"),
        np.asarray(base) - UP * size * 0.25,
        size * rng.uniform(1.0, 1.6),
        size * 1.25,
        rng.uniform(0, 3),
        grey(rng, 0.6, 1.2),
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
    """An upright post of 3 or 4 faces, slightly tapered."""
    angles = 0.4 + np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1) * radius
    repeats = (
        2 * radius / texture_size_m[0],
        float(np.linalg.norm(top - bottom)) / texture_size_m[1],
    )
    for i in range(sides):
        a, b = ring[i], ring[(i + 1) % sides]
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
    """A lamp post or mast."""
    base = np.asarray(base)
    prism(
        mesh,
        palette.pick(rng, "plain"),
        base - UP * 0.3,
        base + UP * height,
        radius,
        3,
        grey(rng, 0.25, 0.75),
        (0.5, 2.0),
    )


def lamp(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    base: np.ndarray,
    towards_road_rad: float,
) -> None:
    """A lamp post with its arm over the road."""
    height = rng.uniform(5, 9)
    pole(mesh, palette, rng, base, height, rng.uniform(0.06, 0.1))
    reach = np.array([np.cos(towards_road_rad), np.sin(towards_road_rad), 0.05])
    mesh.box(
        np.asarray(base) + UP * height + reach * 0.8,
        towards_road_rad,
        (1.8, 0.18, 0.14),
        palette.pick(rng, "plain"),
        (2.0, 2.0),
        grey(rng, 0.3, 0.6),
    )


def sign(
    mesh: Mesh, palette: Palette, rng: np.random.Generator, base: np.ndarray, facing_rad: float
) -> None:
    """A traffic sign on a post; `facing_rad` points at the reader."""
    base, height = np.asarray(base), rng.uniform(2.0, 2.8)
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
    """A straight stretch of hedge, wall, fence, rail or tall grass from `start` to `end`, (3,)
    points on the ground."""
    start, end = np.asarray(start), np.asarray(end)
    if kind in ("fence", "meadow"):
        height = {"fence": 1.1, "meadow": 0.6}[kind]
        length = float(np.linalg.norm(end - start))
        corners = [start, end, end + UP * height, start + UP * height]
        mesh.quad(
            corners,
            palette.pick(rng, kind),
            (max(round(length / 1.6), 1), 1.0),
            tint=grey(rng, 0.7, 1.1),
            cutout=True,
            two_sided=True,
        )
        return
    texture, thickness, height, size = {
        "hedge": ("foliage", 0.9, rng.uniform(0.9, 2.2), (3.0, 3.0)),
        "wall": ("masonry", 0.35, rng.uniform(0.6, 2.2), (2.2, 2.2)),
        "rail": ("plain", 0.1, 0.75, (4.0, 2.0)),
    }[kind]
    ends_on(
        mesh, start, end, thickness, height, palette.pick(rng, texture), size, grey(rng, 0.6, 1.15)
    )


def ends_on(
    mesh: Mesh,
    start: np.ndarray,
    end: np.ndarray,
    thickness: float,
    height: float,
    texture: int,
    size_m: tuple[float, float],
    tint: Colour,
) -> None:
    """A box from `start` to `end` that follows their heights."""
    along = end - start
    length = float(np.linalg.norm(along))
    side = np.array([-along[1], along[0], 0.0]) / max(length, 1e-6) * thickness / 2
    deep, lift = UP * SUNK_M, UP * height
    phase = (float(start[0] + start[1]) % 1.0, 0.0)
    ring = [start - side, end - side, end + side, start + side]
    for i in range(4):
        a, b = ring[i], ring[(i + 1) % 4]
        repeats = ((length if i % 2 == 0 else thickness) / size_m[0], (height + SUNK_M) / size_m[1])
        mesh.quad([a - deep, b - deep, b + lift, a + lift], texture, repeats, phase, tint)
    mesh.quad(
        [p + lift for p in ring], texture, (length / size_m[0], thickness / size_m[1]), phase, tint
    )


def upright_box(
    mesh: Mesh,
    palette: Palette,
    rng: np.random.Generator,
    base: np.ndarray,
    size: tuple[float, float, float],
) -> None:
    """A bin, a cabinet or a planter."""
    mesh.box(
        np.asarray(base) - UP * 0.1,
        rng.uniform(0, 3),
        size,
        palette.pick(rng, "plain"),
        (2.0, 2.0),
        grey(rng, 0.15, 1.0, 0.3),
    )
