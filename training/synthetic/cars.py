"""Cars: meshes, textures and poses.

A car is its side outline, drawn as a cut-out, extruded across the width by bumper, bonnet, glass,
roof and boot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.synthetic import cutouts
from training.synthetic.ego import body_rotations
from training.synthetic.noise import opaque
from training.synthetic.polygons import Mesh, Polygons
from training.synthetic.surfaces import Colour, as_colour
from training.synthetic.terrain import Terrain

if TYPE_CHECKING:
    from training.synthetic.palette import Palette


@dataclass(frozen=True)
class CarShape:
    """Dimensions of a kind of car, in metres."""

    name: str
    outline: tuple[tuple[float, float], ...]
    """Points (x, z) from the rear bumper forwards, z up from the ground."""
    glass: tuple[int, ...]
    """Indices of the outline's segments that are glass."""
    window: tuple[tuple[float, float], ...]
    """Points (x, z) of the side windows."""
    width: float = 1.75
    wheel_radius: float = 0.31

    @property
    def length(self) -> float:
        """Length in metres."""
        return max(x for x, _ in self.outline)

    @property
    def height(self) -> float:
        """Height in metres."""
        return max(z for _, z in self.outline)


SHAPES = (
    CarShape(
        "hatchback",
        (
            (0.0, 0.3),
            (0.02, 0.85),
            (0.15, 0.95),
            (0.5, 1.4),
            (0.9, 1.46),
            (2.1, 1.46),
            (2.85, 0.98),
            (3.75, 0.8),
            (3.9, 0.6),
            (3.92, 0.3),
        ),
        (2, 5),
        ((0.45, 0.98), (0.7, 1.36), (2.05, 1.37), (2.65, 0.98)),
        1.68,
    ),
    CarShape(
        "saloon",
        (
            (0.0, 0.32),
            (0.02, 0.9),
            (0.75, 1.0),
            (1.35, 1.4),
            (1.7, 1.43),
            (2.5, 1.43),
            (3.3, 0.98),
            (4.4, 0.8),
            (4.58, 0.6),
            (4.6, 0.3),
        ),
        (2, 5),
        ((1.0, 1.0), (1.45, 1.35), (2.5, 1.35), (3.1, 1.0)),
        1.78,
    ),
    CarShape(
        "estate",
        (
            (0.0, 0.32),
            (0.02, 0.9),
            (0.1, 1.0),
            (0.4, 1.42),
            (0.8, 1.48),
            (2.6, 1.46),
            (3.35, 1.0),
            (4.4, 0.82),
            (4.58, 0.6),
            (4.6, 0.3),
        ),
        (2, 5),
        ((0.4, 1.0), (0.6, 1.38), (2.55, 1.38), (3.1, 1.0)),
        1.76,
    ),
    CarShape(
        "van",
        (
            (0.0, 0.35),
            (0.0, 1.0),
            (0.03, 1.2),
            (0.1, 1.85),
            (0.3, 1.95),
            (3.5, 1.93),
            (4.3, 1.2),
            (4.85, 1.0),
            (4.95, 0.7),
            (4.95, 0.33),
        ),
        (2, 5),
        ((2.3, 1.2), (2.4, 1.75), (3.45, 1.75), (3.95, 1.2)),
        1.9,
        0.34,
    ),
    CarShape(
        "suv",
        (
            (0.0, 0.4),
            (0.02, 0.95),
            (0.1, 1.08),
            (0.35, 1.6),
            (0.8, 1.68),
            (2.5, 1.68),
            (3.2, 1.15),
            (4.2, 1.02),
            (4.45, 0.8),
            (4.5, 0.4),
        ),
        (2, 5),
        ((0.45, 1.12), (0.6, 1.56), (2.45, 1.56), (2.95, 1.12)),
        1.82,
        0.36,
    ),
    CarShape(
        "lorry",
        (
            (0.0, 0.7),
            (0.0, 1.0),
            (0.0, 1.1),
            (0.0, 3.3),
            (0.1, 3.35),
            (5.2, 3.35),
            (5.2, 2.8),
            (6.9, 2.8),
            (7.3, 1.6),
            (7.4, 0.5),
        ),
        (7,),
        ((6.0, 1.6), (6.0, 2.5), (6.8, 2.5), (6.95, 1.6)),
        2.3,
        0.48,
    ),
)
PAINTS = (
    (200, 200, 202),
    (150, 154, 160),
    (110, 114, 120),
    (28, 30, 34),
    (16, 17, 20),
    (40, 44, 52),
    (30, 42, 80),
    (120, 18, 20),
    (225, 225, 222),
    (60, 70, 60),
)


def draw_side(shape: CarShape) -> np.ndarray:
    """Draws a car's side as a cut-out in light paint, to be tinted."""
    size = np.array([shape.length, shape.height])
    wheels = (0.19, 0.79)
    radius = (shape.wheel_radius / shape.length, shape.wheel_radius / shape.height)
    return cutouts.car_side(
        np.array(shape.outline) / size, np.array(shape.window) / size, wheels, radius
    )


def draw_end(rng: np.random.Generator, shape: CarShape, rear: bool) -> np.ndarray:
    """Draws a car's rear or front in light paint, to be tinted.

    It shows lamps, number plate, bumper and, at the front, the grille.
    """
    image = np.full((128, 256, 3), 225, np.float32)
    image[78:] = 60 if rng.random() < 0.5 else 190
    lamp = (150.0, 20.0, 20.0) if rear else (235.0, 235.0, 230.0)
    cv2.rectangle(image, (8, 20), (48, 60), lamp, -1)
    cv2.rectangle(image, (208, 20), (248, 60), lamp, -1)
    cv2.rectangle(image, (90, 66), (166, 88), (240.0, 240.0, 235.0), -1)
    for x in range(98, 160, 9):
        cv2.line(image, (x, 71), (x + 3, 83), (20.0, 20.0, 20.0), 3)
    if not rear:
        cv2.rectangle(image, (62, 30), (194, 56), (25.0, 25.0, 25.0), -1)
    image[112:] = 22
    return opaque(image)


def draw_glass(rng: np.random.Generator) -> np.ndarray:
    """Draws a windscreen: dark, with a bright reflection and black edges."""
    image = np.full((64, 128, 3), 30, np.float32)
    cv2.fillConvexPoly(image, np.array([[20, 64], [60, 0], [100, 0], [64, 64]]), (70.0, 76.0, 82.0))
    cv2.rectangle(image, (22, 30), (48, 63), (14.0, 14.0, 15.0), -1)
    cv2.rectangle(image, (80, 30), (106, 63), (14.0, 14.0, 15.0), -1)
    cv2.rectangle(image, (0, 0), (127, 63), (10.0, 10.0, 10.0), 5)
    return opaque(image)


def build(
    palette: Palette, rng: np.random.Generator, kinds: tuple[int, ...] = (0, 0, 1, 2, 2, 3, 4)
) -> tuple[Polygons, CarShape]:
    """Builds a random car; `kinds` are indices into SHAPES to choose from.

    Its frame: x forward from the car's middle, y left, z up from the ground, metres.
    """
    kind = int(kinds[int(rng.integers(len(kinds)))])
    shape = SHAPES[kind]
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))]) / 225 * rng.uniform(0.85, 1.15)
    tint = as_colour(np.clip(paint, 0.03, 1.1))
    mesh = Mesh()
    _add_sides(mesh, palette, kind, tint)
    _add_skin(mesh, palette, rng, kind, tint)
    return mesh.polygons(), shape


def _add_sides(mesh: Mesh, palette: Palette, kind: int, tint: Colour) -> None:
    """Adds the two sides, as cut-outs."""
    shape = SHAPES[kind]
    back = -shape.length / 2
    front = shape.length / 2
    half = shape.width / 2
    texture = palette.variant("car_side", kind)
    left = np.array(
        [[front, half, 0], [back, half, 0], [back, half, shape.height], [front, half, shape.height]]
    )
    right = np.array(
        [
            [back, -half, 0],
            [front, -half, 0],
            [front, -half, shape.height],
            [back, -half, shape.height],
        ]
    )
    mesh.quad(right, texture, (1, 1), tint=tint, cutout=True)
    mesh.quad(left, texture, (-1, 1), (1.0, 0.0), tint=tint, cutout=True)


def _add_skin(
    mesh: Mesh, palette: Palette, rng: np.random.Generator, kind: int, tint: Colour
) -> None:
    """Adds quads across the width along the outline, and a dark floor."""
    shape = SHAPES[kind]
    half = shape.width / 2
    middle = shape.length / 2
    # One quad for each segment of the outline: glass, rear, front, or painted sheet.
    segments = list(zip(shape.outline[:-1], shape.outline[1:], strict=True))
    for i, ((x0, z0), (x1, z1)) in enumerate(segments):
        corners = np.array(
            [
                [x0 - middle, half, z0],
                [x0 - middle, -half, z0],
                [x1 - middle, -half, z1],
                [x1 - middle, half, z1],
            ]
        )
        if i in shape.glass:
            mesh.quad(corners, palette.variant("glass", 0))
        elif i == 0 or (i >= len(segments) - 2 and z1 < z0 - 0.1 and x1 - x0 < 0.3):
            name = "car_rear" if i == 0 else "car_front"
            upright = corners if i == 0 else corners[[2, 3, 0, 1]]
            mesh.quad(upright, palette.variant(name, kind), tint=tint)
        else:
            mesh.quad(corners, palette.pick(rng, "plain"), (0.3, 0.3), tint=tint)
    # The floor, which hides the ground under the car.
    floor = np.array(
        [[-middle, half, 0.3], [-middle, -half, 0.3], [middle, -half, 0.3], [middle, half, 0.3]]
    )
    mesh.quad(floor, palette.variant("plain", 0), tint=(0.05, 0.05, 0.05), two_sided=True)


def ground_pose(terrain: Terrain, point: np.ndarray, heading_rad: float) -> np.ndarray:
    """Returns world_from_car (4, 4) of a car that stands on the ground at `point` (2,)."""
    pose = np.eye(4)
    pose[:3, :3] = body_rotations(terrain, np.asarray(point)[None, :2], np.array([heading_rad]))[0]
    pose[:3, 3] = point[0], point[1], float(terrain.height(np.asarray(point)[:2]))
    return pose
