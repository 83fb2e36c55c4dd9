"""Builder of one piece of furniture: boxes and prisms in a frame of its own, and what is solid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.synthetic.polygons import Mesh, Polygons

if TYPE_CHECKING:
    from training.synthetic.rooms.materials import Materials
    from training.synthetic.surfaces import Colour

WHITE: Colour = (1.0, 1.0, 1.0)
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Solids:
    """S upright boxes that block cameras, and most of them light."""

    center: np.ndarray  # (S, 3) middle, metres
    heading_rad: np.ndarray  # (S,) direction of the length
    half: np.ndarray  # (S, 3) half of length, width and height
    casts_shadow: np.ndarray  # (S,) bool

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Returns distances (N,) in metres of points (N, 3) to the nearest solid, 0 inside."""
        best = np.full(len(points), np.inf)
        rows = zip(self.center, self.heading_rad, self.half, strict=True)
        for center, heading, half in rows:
            offset = points - center
            cos, sin = np.cos(heading), np.sin(heading)
            along = np.abs(offset[:, 0] * cos + offset[:, 1] * sin) - half[0]
            across = np.abs(offset[:, 1] * cos - offset[:, 0] * sin) - half[1]
            above = np.abs(offset[:, 2]) - half[2]
            beyond = np.maximum(np.stack([along, across, above]), 0)
            np.minimum(best, np.sqrt((beyond**2).sum(axis=0)), out=best)
        return best

    def take(self, rows: np.ndarray) -> Solids:
        """Returns some of the solids."""
        return Solids(
            self.center[rows], self.heading_rad[rows], self.half[rows], self.casts_shadow[rows]
        )


def join_solids(parts: list[Solids]) -> Solids:
    """Returns the solids of all parts."""
    return Solids(
        np.concatenate([part.center for part in parts]).reshape(-1, 3),
        np.concatenate([part.heading_rad for part in parts]),
        np.concatenate([part.half for part in parts]).reshape(-1, 3),
        np.concatenate([part.casts_shadow for part in parts]),
    )


class Piece:
    """Piece of furniture under construction.

    In its frame x runs to the right along its back, y to the front, z up; the origin is the middle
    of the back's lower edge. Sizes are in metres.
    """

    def __init__(self, materials: Materials, rng: np.random.Generator) -> None:
        self.materials = materials
        self.rng = rng
        self.mesh = Mesh()
        self._solids: list[tuple[Vector, float, Vector, bool]] = []

    def pick(self, name: str) -> int:
        """Returns a random variant of a texture."""
        return self.materials.pick(self.rng, name)

    def block(
        self,
        low: Vector,
        high: Vector,
        texture: int,
        tint: Colour = WHITE,
        size_m: float = 0.8,
        front: int | None = None,
        fronts: int = 1,
        top: int | None = None,
        spin_rad: float = 0.0,
        is_solid: bool = True,
    ) -> None:
        """Adds a box from corner `low` to `high`, turned by `spin_rad` about its middle.

        The texture repeats every `size_m` metres. `front` is shown `fronts` times across the front
        face, and `top` once on the top face.
        """
        # Its frame; the texture starts differently on each box.
        middle = (np.array(low) + np.array(high)) / 2
        half = (np.array(high) - np.array(low)) / 2
        cos, sin = np.cos(spin_rad), np.sin(spin_rad)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        shift = (float(self.rng.random()), float(self.rng.random()))
        # Faces.
        for signs, across, up in FACES:
            corners = np.array(signs) * half @ turn.T + middle
            repeats = (2 * half[across] / size_m, 2 * half[up] / size_m)
            is_front = front is not None and signs is FRONT
            is_top = top is not None and signs is TOP
            if is_front:
                self.mesh.quad(corners, front or 0, (float(fronts), 1.0), tint=tint)
            elif is_top:
                self.mesh.quad(corners, top or 0)
            else:
                self.mesh.quad(corners, texture, repeats, shift, tint)
        if is_solid:
            self.solid(tuple(middle.tolist()), tuple(half.tolist()), spin_rad)

    def solid(
        self, middle: Vector, half: Vector, spin_rad: float = 0.0, casts_shadow: bool = True
    ) -> None:
        """Marks a box as solid without drawing it."""
        self._solids.append((middle, spin_rad, half, casts_shadow))

    def prism(
        self,
        base: Vector,
        height: float,
        radii: tuple[float, float],
        texture: int,
        tint: Colour = WHITE,
        sides: int = 10,
        size_m: float | None = 0.4,
        has_top: bool = True,
        is_solid: bool = True,
    ) -> None:
        """Adds an upright round body of the radii at bottom and top, with its top face.

        The texture repeats every `size_m` metres, or is shown once around it with None.
        """
        angles = np.arange(sides + 1) * 2 * np.pi / sides
        circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides + 1)], axis=1)
        bottom = np.array(base) + circle * radii[0]
        top = np.array(base) + circle * radii[1] + (0.0, 0.0, height)
        width = 2 * np.pi * max(radii) / sides
        repeats = (1 / sides, 1.0) if size_m is None else (width / size_m, height / size_m)
        for i in range(sides):
            corners = [bottom[i], bottom[i + 1], top[i + 1], top[i]]
            self.mesh.quad(corners, texture, repeats, (i * repeats[0], 0.0), tint)
        if has_top:
            # Wedges of four corners from the first one.
            share = 2 * radii[1] / (size_m or 0.4)
            for i in range(1, sides - 1, 2):
                corners = [top[0], top[i], top[i + 1], top[min(i + 2, sides)]]
                self.mesh.quad(corners, texture, (share, share), tint=tint)
        if is_solid:
            radius = 0.9 * max(radii)
            self.solid((base[0], base[1], base[2] + height / 2), (radius, radius, height / 2))

    def sheet(
        self,
        corners: list[Vector],
        texture: int,
        tint: Colour = WHITE,
        repeats: tuple[float, float] = (1.0, 1.0),
        cutout: bool = False,
        two_sided: bool = True,
    ) -> None:
        """Adds one face, not solid; corners as of Mesh.quad."""
        self.mesh.quad(
            np.array(corners), texture, repeats, tint=tint, cutout=cutout, two_sided=two_sided
        )

    def panel(
        self, low: Vector, high: Vector, texture: int, tint: Colour = WHITE, edge: Colour = WHITE
    ) -> None:
        """Adds a thin box whose front shows a texture once and whose edges are plain."""
        self.block(low, high, self.pick("plaster"), edge, is_solid=False)
        y = high[1] + 0.0015
        self.sheet(
            [
                (high[0], y, low[2]),
                (low[0], y, low[2]),
                (low[0], y, high[2]),
                (high[0], y, high[2]),
            ],
            texture,
            tint,
            two_sided=False,
        )

    def placed(self, point: np.ndarray, heading_rad: float) -> tuple[Polygons, Solids]:
        """Returns polygons and solids in the world, the origin at `point` (3,)."""
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        pose = np.eye(4)
        pose[:2, :2] = [[cos, -sin], [sin, cos]]
        pose[:3, 3] = point
        middles = np.array([middle for middle, _, _, _ in self._solids]).reshape(-1, 3)
        return self.mesh.polygons().transformed(pose, moving=False), Solids(
            middles @ pose[:3, :3].T + point,
            np.array([spin + heading_rad for _, spin, _, _ in self._solids]),
            np.array([half for _, _, half, _ in self._solids]).reshape(-1, 3),
            np.array([casts for _, _, _, casts in self._solids], dtype=bool),
        )


FRONT = ((1, 1, -1), (-1, 1, -1), (-1, 1, 1), (1, 1, 1))
TOP = ((-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1))
FACES = (
    (FRONT, 0, 2),
    (((-1, -1, -1), (1, -1, -1), (1, -1, 1), (-1, -1, 1)), 0, 2),
    (((1, -1, -1), (1, 1, -1), (1, 1, 1), (1, -1, 1)), 1, 2),
    (((-1, 1, -1), (-1, -1, -1), (-1, -1, 1), (-1, 1, 1)), 1, 2),
    (TOP, 0, 1),
    (((-1, 1, -1), (1, 1, -1), (1, -1, -1), (-1, -1, -1)), 0, 1),
)
"""Faces of a box: signs of the corners, and the axes across and up."""


def grey(rng: np.random.Generator, low: float, high: float, hue: float = 0.08) -> Colour:
    """Returns a random tint that is nearly grey."""
    tint = rng.uniform(low, high) * (1 + rng.uniform(-hue, hue, 3))
    return float(tint[0]), float(tint[1]), float(tint[2])


def woody(rng: np.random.Generator) -> Colour:
    """Returns the tint of a kind of wood, or of painted wood."""
    woods = (
        (0.72, 0.52, 0.34),
        (0.5, 0.33, 0.2),
        (0.85, 0.7, 0.5),
        (0.3, 0.2, 0.14),
        (0.95, 0.94, 0.9),
        (0.25, 0.25, 0.26),
    )
    tint = np.array(woods[int(rng.integers(len(woods)))]) * rng.uniform(0.8, 1.1)
    return float(tint[0]), float(tint[1]), float(tint[2])


def vivid(rng: np.random.Generator) -> Colour:
    """Returns a tint of any hue, pale or strong."""
    strength = rng.uniform(0.1, 0.9)
    tint = rng.uniform(0.25, 0.95) * (1 - strength * rng.random(3))
    return float(tint[0]), float(tint[1]), float(tint[2])
