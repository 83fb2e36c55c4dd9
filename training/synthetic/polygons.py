"""Convex planar polygons, the only primitive of the renderer."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Polygons:
    """M textured convex planar polygons of four corners (a triangle repeats its last corner).

    Corners run counter-clockwise seen from the front. Texture coordinates are affine in the world
    point P, u = texture_u[:3] . P + texture_u[3], counted in repeats of the texture; v grows
    downwards in the texture.
    """

    corners: np.ndarray  # (M, 4, 3) float64
    texture_u: np.ndarray  # (M, 4) float64
    texture_v: np.ndarray  # (M, 4) float64
    texture: np.ndarray  # (M,) int64, index into the atlas
    tint: np.ndarray  # (M, 3) float32, multiplies the texture
    cutout: np.ndarray  # (M,) bool: holes where the texture's alpha is 0
    two_sided: np.ndarray  # (M,) bool
    ground: np.ndarray  # (M,) bool: coloured by the ground painter as well
    moving: np.ndarray  # (M,) bool: on an independently moving object

    def __len__(self) -> int:
        return len(self.corners)

    def take(self, rows: np.ndarray) -> Polygons:
        """Returns the polygons of some rows (K,), in their order."""
        return Polygons(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def normals(self) -> np.ndarray:
        """Returns unit normals (M, 3), towards the front."""
        normal = np.cross(
            self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0]
        )
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)

    def transformed(self, world_from_local: np.ndarray, moving: bool) -> Polygons:
        """Returns the polygons under a rigid transform (4, 4), their textures carried along.

        `moving` marks all of them as on an independently moving object or not.
        """
        rotation = world_from_local[:3, :3]
        translation = world_from_local[:3, 3]

        def transform_texture(texture: np.ndarray) -> np.ndarray:
            gradient = texture[:, :3] @ rotation.T
            return np.concatenate(
                [gradient, (texture[:, 3] - gradient @ translation)[:, None]], axis=1
            )

        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["corners"] = self.corners @ rotation.T + translation
        values["texture_u"] = transform_texture(self.texture_u)
        values["texture_v"] = transform_texture(self.texture_v)
        values["moving"] = np.full(len(self), moving)
        return Polygons(**values)


def concatenate(parts: list[Polygons]) -> Polygons:
    """Returns the polygons of all parts, in their order."""
    return Polygons(
        **{
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(Polygons)
        }
    )


class Mesh:
    """Collection of polygons under construction; `polygons()` returns them as arrays."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []

    def __len__(self) -> int:
        return len(self._rows)

    def quad(
        self,
        corners: ArrayLike,
        texture: int,
        repeats: tuple[float, float] = (1.0, 1.0),
        offset: tuple[float, float] = (0.0, 0.0),
        tint: tuple[float, float, float] = (1.0, 1.0, 1.0),
        cutout: bool = False,
        two_sided: bool = False,
    ) -> None:
        """Adds a quadrilateral.

        `corners` (4, 3) are bottom left, bottom right, top right, top left as seen from the front.
        `repeats` counts repeats of the texture across and up, `offset` shifts it by repeats.
        """
        # Axes across and up, orthogonal.
        points = np.asarray(corners, dtype=np.float64)
        across = points[1] - points[0]
        up = points[3] - points[0]
        up = up - across * (up @ across) / max(across @ across, 1e-12)
        # Texture coordinates as affine functions of the point.
        gradient_u = across * repeats[0] / max(across @ across, 1e-12)
        gradient_v = -up * repeats[1] / max(up @ up, 1e-12)
        texture_u = (*gradient_u, offset[0] - gradient_u @ points[0])
        texture_v = (*gradient_v, offset[1] - gradient_v @ points[0])
        self._rows.append((points, texture_u, texture_v, texture, tint, cutout, two_sided))

    def box(
        self,
        center: np.ndarray,
        heading_rad: float,
        size: tuple[float, float, float],
        texture: int,
        texture_size_m: tuple[float, float],
        tint: tuple[float, float, float] = (1.0, 1.0, 1.0),
        top: bool = True,
        whole_height: bool = False,
    ) -> None:
        """Adds an upright box: four walls and, if `top`, its top.

        `center` (3,) is the middle of its bottom; `size` is length along the heading, width and
        height in metres. The texture repeats every `texture_size_m`, across and up; with
        `whole_height` it shows vertically once over the whole wall.
        """
        # Walls.
        length, width, height = size
        bottom = footprint(center, heading_rad, length, width)
        lift = np.array([0.0, 0.0, height])
        for i in range(4):
            a = bottom[i]
            b = bottom[(i + 1) % 4]
            across = (width if i % 2 else length) / texture_size_m[0]
            upward = 1.0 if whole_height else height / texture_size_m[1]
            self.quad(
                [a, b, b + lift, a + lift],
                texture,
                (max(round(across), 1) if whole_height else across, upward),
                tint=tint,
            )
        # Top; of a texture of whole walls it shows only a spot.
        if top:
            repeats = (length / texture_size_m[0], width / texture_size_m[1])
            self.quad(bottom + lift, texture, (0.02, 0.02) if whole_height else repeats, tint=tint)

    def polygons(self) -> Polygons:
        """Returns the collected polygons, none of them ground or moving."""
        count = len(self._rows)
        corners, texture_u, texture_v, texture, tint, cutout, two_sided = zip(
            *self._rows, strict=True
        )
        return Polygons(
            corners=np.array(corners, dtype=np.float64).reshape(count, 4, 3),
            texture_u=np.array(texture_u, dtype=np.float64),
            texture_v=np.array(texture_v, dtype=np.float64),
            texture=np.array(texture, dtype=np.int64),
            tint=np.array(tint, dtype=np.float32),
            cutout=np.array(cutout, dtype=bool),
            two_sided=np.array(two_sided, dtype=bool),
            ground=np.zeros(count, dtype=bool),
            moving=np.zeros(count, dtype=bool),
        )


def footprint(center: np.ndarray, heading_rad: float, length: float, width: float) -> np.ndarray:
    """Returns the corners (4, 3) of a horizontal rectangle, counter-clockwise from above.

    The first is the back right one; `length` is along the heading.
    """
    forward = np.array([np.cos(heading_rad), np.sin(heading_rad), 0.0]) * length / 2
    left = np.array([-np.sin(heading_rad), np.cos(heading_rad), 0.0]) * width / 2
    return np.asarray(center) + np.array(
        [-forward - left, forward - left, forward + left, left - forward]
    )
