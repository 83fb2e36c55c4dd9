"""Which polygon is seen at each sample: exact half-plane tests and a buffer of an affine
"nearness".

For a plane seen in perspective, inverse depth is affine in the image; seen along parallel light, so
is the height towards the light. Both fill the same buffer with the same loop. Edges are planes
through the camera centre, so polygons that reach behind the camera need no clipping (Olano and
Greer, Triangle scan conversion using 2D homogeneous coordinates, 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.synthetic.atlas import Atlas
from training.synthetic.polygons import Polygons

NEAR_M = 0.3
SMALL_BOX = 6000  # samples up to which one call to OpenCV beats several to numpy
EDGE_SLACK = 2e-3  # in pixels: neighbours overlap by this much, so that rounding opens no cracks


@dataclass(frozen=True)
class Projected:
    """Visible polygons as affine functions of image coordinates (x, y): each row (a, b, c) means
    a x + b y + c."""

    source: np.ndarray  # (K,) row of the input polygons
    nearness: np.ndarray  # (K, 3) float64: inverse depth, or height towards the light
    edges: np.ndarray  # (K, 4, 3) float64, >= 0 inside
    texture_u: np.ndarray  # (K, 4): u = (a x + b y + c) / nearness + [3] in perspective, without the division for parallel light
    texture_v: np.ndarray  # (K, 4)
    once: np.ndarray  # (K,) bool: the texture shows at most once, its coordinates start at 0
    boxes: np.ndarray  # (K, 4) int: first and one past the last sample column, then row
    nearest: np.ndarray  # (K,) an upper bound of the nearness anywhere on the polygon
    perspective: bool


@dataclass(frozen=True)
class Samples:
    """The grid of image coordinates at which visibility is decided."""

    x: np.ndarray  # (columns,) ascending, evenly spaced
    y: np.ndarray  # (rows,)

    @property
    def step(self) -> float:
        return float(self.x[1] - self.x[0])

    def boxes(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(K, 4) sample ranges that cover the image rectangles low..high, each (K, 2)."""
        columns = []
        for axis, grid in ((0, self.x), (1, self.y)):
            step = grid[1] - grid[0]
            first = np.ceil((low[:, axis] - grid[0]) / step - 1e-3)
            last = np.floor((high[:, axis] - grid[0]) / step + 1e-3) + 1
            columns += [np.clip(first, 0, len(grid)), np.clip(last, 0, len(grid))]
        return np.stack(columns, axis=1).astype(np.int64)


def project(
    polygons: Polygons, camera_from_world: np.ndarray, matrix: np.ndarray, samples: Samples
) -> Projected:
    """Perspective view: `camera_from_world` (4, 4), `matrix` (3, 3) intrinsics. Back faces and
    what is outside the image are dropped."""
    rotation, translation = camera_from_world[:3, :3], camera_from_world[:3, 3]
    corners = polygons.corners @ rotation.T + translation
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    offset = np.einsum("mi,mi->m", normal, corners[:, 0])
    keep = np.abs(offset) > 1e-9 * np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    keep &= (offset < 0) | polygons.two_sided
    keep &= corners[:, :, 2].max(axis=1) > NEAR_M
    low, high = _image_box(corners, matrix)
    boxes = samples.boxes(low, high)
    keep &= (boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2])
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(np.linalg.norm(corners[rows].mean(axis=1), axis=1), kind="stable")]

    ray_from_image = np.linalg.inv(matrix)
    corners, normal, offset = corners[rows], normal[rows], offset[rows]
    edges = (
        np.cross(corners, np.roll(corners, -1, axis=1))
        * np.sign(offset)[:, None, None]
        @ ray_from_image
    )
    center = -rotation.T @ translation
    texture_u, once_u = _texture_in_view(
        polygons.texture_u[rows], polygons.corners[rows], rotation, center, ray_from_image
    )
    texture_v, once_v = _texture_in_view(
        polygons.texture_v[rows], polygons.corners[rows], rotation, center, ray_from_image
    )
    closest_m = corners[:, :, 2].min(axis=1)
    nearest = np.where(closest_m > NEAR_M, 1.001 / np.maximum(closest_m, NEAR_M), np.inf)
    nearness = normal / offset[:, None] @ ray_from_image
    return Projected(
        rows,
        nearness,
        _slackened(edges),
        texture_u,
        texture_v,
        once_u & once_v,
        boxes[rows],
        nearest,
        perspective=True,
    )


def project_parallel(polygons: Polygons, axes: np.ndarray, samples: Samples) -> Projected:
    """View along parallel light: rows of `axes` (3, 3) are the map's x and y and the direction
    towards the light, unit vectors."""
    corners = polygons.corners @ axes.T
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    low, high = corners[:, :, :2].min(axis=1), corners[:, :, :2].max(axis=1)
    boxes = samples.boxes(low, high)
    keep = np.abs(normal[:, 2]) > 0.02 * np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    keep &= (boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2]) & ~polygons.ground
    rows = np.flatnonzero(keep)
    corners, normal = corners[rows], normal[rows]
    following = np.roll(corners, -1, axis=1)
    a, b = corners[..., 1] - following[..., 1], following[..., 0] - corners[..., 0]
    edges = (
        np.stack([a, b, -(a * corners[..., 0] + b * corners[..., 1])], axis=-1)
        * np.sign(normal[:, 2])[:, None, None]
    )
    height = np.einsum("mi,mi->m", normal, corners[:, 0])
    nearness = np.stack([-normal[:, 0], -normal[:, 1], height], axis=1) / normal[:, 2:]
    textures, once = [], np.ones(len(rows), bool)
    for texture in (polygons.texture_u[rows], polygons.texture_v[rows]):
        gradient = (
            texture[:, :3] @ axes.T
        )  # along the map's axes and towards the light, where the point lies at `nearness`
        affine = gradient[:, 2:] * nearness
        affine[:, :2] += gradient[:, :2]
        first, single = _first_repeat(texture, polygons.corners[rows])
        textures.append(
            np.concatenate(
                [affine, (texture[:, 3] - np.where(single, first, 0.0))[:, None]], axis=1
            )
        )
        once &= single
    nearest = corners[..., 2].max(axis=1) + 0.01
    return Projected(
        rows,
        nearness,
        _slackened(edges),
        textures[0],
        textures[1],
        once,
        boxes[rows],
        nearest,
        perspective=False,
    )


def fill(
    projected: Projected,
    polygons: Polygons,
    atlas: Atlas,
    samples: Samples,
    texel_density: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Resolve visibility: nearness (rows, columns) float32 and the row of `projected` seen there,
    int32, -1 where none.

    `texel_density` (K,): texels of the finest level per unit of image length at nearness 1, for
    choosing the level of cut-outs.
    """
    nearness = np.full(
        (len(samples.y), len(samples.x)), 0.0 if projected.perspective else -1e9, np.float32
    )
    seen = np.full(nearness.shape, -1, np.int32)
    x, y = samples.x.astype(np.float32), samples.y.astype(np.float32)[:, None]
    cutout = polygons.cutout[projected.source].tolist()
    cutouts = _Cutouts(projected, polygons.texture[projected.source], texel_density, atlas, samples)
    nearest = projected.nearest.tolist()
    hidden = _Occlusion(nearness)
    slopes, steps = (
        projected.edges[..., 0, None].astype(np.float32),
        projected.edges[..., 1, None, None].astype(np.float32),
    )
    constants = projected.edges[..., 2, None, None].astype(np.float32)
    rows = zip(projected.nearness.tolist(), projected.boxes.tolist(), strict=True)
    for k, ((a, b, c), box) in enumerate(rows):
        if hidden.covers(k, box, nearest[k]):
            continue
        left, right, top, bottom = box
        x_box, y_box = x[left:right], y[top:bottom]
        candidate = (a * x_box + c) + b * y_box
        buffer = nearness[top:bottom, left:right]
        # Four edges at once: a x >= -(b y + c) as (4, 1, columns) against (4, rows, 1).
        inside = np.logical_and.reduce(
            (slopes[k] * x_box)[:, None] >= -(steps[k] * y_box + constants[k]), axis=0
        )
        inside &= candidate > buffer
        if cutout[k]:
            if not inside.any():
                continue
            inside &= cutouts.opaque(k, x_box, y_box, candidate)
        np.copyto(buffer, candidate, where=inside)
        np.copyto(seen[top:bottom, left:right], k, where=inside)
    return nearness, seen


class _Occlusion:
    """Tells cheaply that a polygon lies behind what is drawn: the least nearness of each block,
    refreshed now and then."""

    BLOCK, EVERY = 16, 120

    def __init__(self, nearness: np.ndarray) -> None:
        self._nearness = nearness
        self._rows, self._columns = nearness.shape[0] // self.BLOCK, nearness.shape[1] // self.BLOCK
        # What is left over at the right and the bottom belongs to no block and counts as not
        # covered.
        self._least = np.full((self._rows + 1, self._columns + 1), -np.inf, np.float32)

    def covers(self, k: int, box: list[int], nearest: float) -> bool:
        if k and k % self.EVERY == 0:
            size = self.BLOCK
            part = (
                self._nearness[: self._rows * size, : self._columns * size]
                .reshape(self._rows, size, self._columns * size)
                .min(axis=1)
            )
            self._least[:-1, :-1] = part.reshape(self._rows, self._columns, size).min(axis=2)
        left, right, top, bottom = box
        size = self.BLOCK
        if self._least[top // size, left // size] < nearest:  # mostly so, and cheap to see
            return False
        return bool(
            self._least[
                top // size : (bottom - 1) // size + 1, left // size : (right - 1) // size + 1
            ].min()
            >= nearest
        )


class _Cutouts:
    """Where the cut-out polygons' textures are there; what can be known before the loop is
    computed for all of them at once."""

    def __init__(
        self,
        projected: Projected,
        textures: np.ndarray,
        texel_density: np.ndarray,
        atlas: Atlas,
        samples: Samples,
    ) -> None:
        self._projected, self._atlas = projected, atlas
        left, right, top, bottom = projected.boxes.T
        x, y = samples.x[(left + right - 1) // 2], samples.y[(top + bottom - 1) // 2]
        parallel = np.tile([0.0, 0.0, 1.0], (len(left), 1))
        below = projected.nearness if projected.perspective else parallel
        middle = np.maximum(below[:, 0] * x + below[:, 1] * y + below[:, 2], 1e-6)
        self._rows = atlas.level_rows(textures, texel_density / middle)
        # Sample indices in the box -> image -> texture, for textures that show once.
        start = np.zeros((len(left), 3, 3))
        start[:, 0, 0] = start[:, 1, 1] = samples.step
        start[:, 0, 2], start[:, 1, 2], start[:, 2, 2] = samples.x[left], samples.y[top], 1.0
        coordinates = [
            texture[:, :3] + texture[:, 3:] * below
            for texture in (projected.texture_u, projected.texture_v)
        ]
        self._texture_from_sample = np.stack([*coordinates, below], axis=1) @ start

    def opaque(self, k: int, x: np.ndarray, y: np.ndarray, nearness: np.ndarray) -> np.ndarray:
        """(rows, columns) bool: where polygon `k`, with `nearness` in its box, is there."""
        projected = self._projected
        row = int(self._rows[k])
        if projected.once[k] and nearness.size < SMALL_BOX:
            return self._atlas.alpha_once(row, self._texture_from_sample[k], nearness.shape) > 127
        scale = 1.0 / np.maximum(nearness, 1e-6) if projected.perspective else np.float32(1.0)
        texture = (projected.texture_u[k].tolist(), projected.texture_v[k].tolist())
        u, v = (((a * x + c) + b * y) * scale + constant for a, b, c, constant in texture)
        return self._atlas.alpha(row, u, v) > 127


def _image_box(corners: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image rectangles (M, 2), (M, 2) of the parts of the polygons in front of the near plane."""
    following = np.roll(corners, -1, axis=1)
    depth, next_depth = corners[:, :, 2], following[:, :, 2]
    crosses = (depth > NEAR_M) != (next_depth > NEAR_M)
    share = np.where(crosses, (NEAR_M - depth) / np.where(crosses, next_depth - depth, 1.0), 0.0)
    points = np.concatenate([corners, corners + share[..., None] * (following - corners)], axis=1)
    valid = np.concatenate([depth > NEAR_M, crosses], axis=1)
    z = np.where(valid, np.maximum(points[..., 2], NEAR_M), 1.0)
    image = np.stack(
        [
            matrix[0, 0] * points[..., 0] / z + matrix[0, 2],
            matrix[1, 1] * points[..., 1] / z + matrix[1, 2],
        ],
        axis=-1,
    )
    image = np.clip(image, -1e6, 1e6)
    return np.where(valid[..., None], image, np.inf).min(axis=1), np.where(
        valid[..., None], image, -np.inf
    ).max(axis=1)


def _slackened(edges: np.ndarray) -> np.ndarray:
    """Edge functions scaled to pixels and moved outwards by the slack; edges of no length always
    hold."""
    length = np.hypot(edges[..., 0], edges[..., 1])
    edges = np.where(length[..., None] > 1e-12, edges / np.maximum(length, 1e-12)[..., None], 0.0)
    edges[..., 2] += EDGE_SLACK
    return edges


def _first_repeat(texture: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For polygons with world `corners` (K, 4, 3): the whole repeats at which their coordinates
    start, and whether they span just one."""
    values = np.einsum("kci,ki->kc", corners, texture[:, :3]) + texture[:, 3:]
    first = np.floor(values.min(axis=1) + 1e-6)
    return first, values.max(axis=1) - first <= 1 + 1e-6


def _texture_in_view(
    texture: np.ndarray,
    corners: np.ndarray,
    rotation: np.ndarray,
    center: np.ndarray,
    ray_from_image: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Texture rows (a, b, c, constant) for image coordinates, and whether the texture shows only
    once.

    Whole repeats are taken off the constant: to start at 0 where the texture shows once, else to
    keep float32 precise.
    """
    constant = np.einsum("ki,i->k", texture[:, :3], center) + texture[:, 3]
    first, once = _first_repeat(texture, corners)
    constant -= np.where(once, first, np.floor(constant))
    return np.concatenate(
        [texture[:, :3] @ rotation.T @ ray_from_image, constant[:, None]], axis=1
    ), once
