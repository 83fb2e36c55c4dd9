"""Rasteriser: decides which polygon is visible at each sample.

It makes exact half-plane tests and keeps a buffer of an affine "nearness". For a plane seen in
perspective, inverse depth is affine in the image; seen along parallel light, so is the height
towards the light. Both fill the same buffer with the same loop. Edges are planes through the camera
centre, so polygons that reach behind the camera need no clipping (Olano and Greer, Triangle scan
conversion using 2D homogeneous coordinates, 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.synthetic.atlas import Atlas
from training.synthetic.polygons import Polygons

NEAR_M = 0.3  # distance of the near plane on streets
MAX_WARP_SAMPLES = 6000  # up to this many, one call to OpenCV is faster than several to numpy
EDGE_SLACK = 2e-3  # in pixels: neighbours overlap by this much, so rounding opens no cracks


@dataclass(frozen=True)
class ProjectedPolygons:
    """Visible polygons as affine functions of image coordinates (x, y).

    Each row (a, b, c) means a x + b y + c.

    Texture coordinates are u = (a x + b y + c) / nearness + constant in perspective, without the
    division for parallel light.
    """

    source: np.ndarray  # (K,) row of the input polygons
    nearness: np.ndarray  # (K, 3) float64: inverse depth, or height towards the light
    edges: np.ndarray  # (K, 4, 3) float64, >= 0 inside
    texture_u: np.ndarray  # (K, 4): a, b, c, constant
    texture_v: np.ndarray  # (K, 4)
    single_repeat: np.ndarray  # (K,) bool: the texture shows at most once, coordinates start at 0
    boxes: np.ndarray  # (K, 4) int: first and one past the last sample column, then row
    max_nearness: np.ndarray  # (K,) an upper bound of the nearness anywhere on the polygon
    perspective: bool


@dataclass(frozen=True)
class Samples:
    """Grid of image coordinates at which visibility is decided."""

    x: np.ndarray  # (columns,) ascending, evenly spaced
    y: np.ndarray  # (rows,)

    @property
    def step(self) -> float:
        """Distance of neighbouring samples."""
        return float(self.x[1] - self.x[0])

    def boxes(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Returns the sample ranges (K, 4) that cover the image rectangles low..high, each (K, 2).

        A range is first and one past the last column, then row.
        """
        columns = []
        for axis, grid in ((0, self.x), (1, self.y)):
            step = grid[1] - grid[0]
            first = np.ceil((low[:, axis] - grid[0]) / step - 1e-3)
            last = np.floor((high[:, axis] - grid[0]) / step + 1e-3) + 1
            columns += [np.clip(first, 0, len(grid)), np.clip(last, 0, len(grid))]
        return np.stack(columns, axis=1).astype(np.int64)


def project(
    polygons: Polygons,
    camera_from_world: np.ndarray,
    matrix: np.ndarray,
    samples: Samples,
    near_m: float = NEAR_M,
) -> ProjectedPolygons:
    """Projects polygons in perspective; back faces and polygons outside the image are dropped.

    `camera_from_world` is (4, 4), `matrix` the intrinsics (3, 3), `near_m` the distance of the near
    plane. The result is sorted from near to far.
    """
    rotation = camera_from_world[:3, :3]
    translation = camera_from_world[:3, 3]
    corners = polygons.corners @ rotation.T + translation
    normal = _corner_normals(corners)
    offset = np.einsum("mi,mi->m", normal, corners[:, 0])
    # Keep front faces in front of the near plane and inside the image, and sort them by distance.
    boxes = samples.boxes(*_image_box(corners, matrix, near_m))
    keep = _is_front_face(normal, offset, polygons.two_sided) & _overlaps_grid(boxes)
    keep &= corners[:, :, 2].max(axis=1) > near_m
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(np.linalg.norm(corners[rows].mean(axis=1), axis=1), kind="stable")]
    corners = corners[rows]
    # Express planes, edges and textures in image coordinates.
    ray_from_image = np.linalg.inv(matrix)
    view = (polygons.corners[rows], rotation, -rotation.T @ translation, ray_from_image)
    texture_u, single_u = _texture_in_view(polygons.texture_u[rows], *view)
    texture_v, single_v = _texture_in_view(polygons.texture_v[rows], *view)
    return ProjectedPolygons(
        source=rows,
        nearness=normal[rows] / offset[rows][:, None] @ ray_from_image,
        edges=_widen_edges(_perspective_edges(corners, offset[rows], ray_from_image)),
        texture_u=texture_u,
        texture_v=texture_v,
        single_repeat=single_u & single_v,
        boxes=boxes[rows],
        max_nearness=_max_inverse_depth(corners, near_m),
        perspective=True,
    )


def project_parallel(polygons: Polygons, axes: np.ndarray, samples: Samples) -> ProjectedPolygons:
    """Projects polygons along parallel light; the ground and polygons seen edge-on are dropped.

    Rows of `axes` (3, 3) are unit vectors: the map's x and y and the direction towards the light.
    """
    corners = polygons.corners @ axes.T
    normal = _corner_normals(corners)
    # Keep polygons that are not seen edge-on and overlap the map.
    low = corners[:, :, :2].min(axis=1)
    high = corners[:, :, :2].max(axis=1)
    boxes = samples.boxes(low, high)
    keep = np.abs(normal[:, 2]) > 0.02 * np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    keep &= _overlaps_grid(boxes) & ~polygons.ground
    rows = np.flatnonzero(keep)
    corners = corners[rows]
    normal = normal[rows]
    # Express planes, edges and textures in the map's coordinates.
    height = np.einsum("mi,mi->m", normal, corners[:, 0])
    nearness = np.stack([-normal[:, 0], -normal[:, 1], height], axis=1) / normal[:, 2:]
    texture_u, single_u = _texture_along_light(
        polygons.texture_u[rows], polygons.corners[rows], axes, nearness
    )
    texture_v, single_v = _texture_along_light(
        polygons.texture_v[rows], polygons.corners[rows], axes, nearness
    )
    return ProjectedPolygons(
        source=rows,
        nearness=nearness,
        edges=_widen_edges(_parallel_edges(corners, normal)),
        texture_u=texture_u,
        texture_v=texture_v,
        single_repeat=single_u & single_v,
        boxes=boxes[rows],
        max_nearness=corners[..., 2].max(axis=1) + 0.01,
        perspective=False,
    )


def fill(
    projected: ProjectedPolygons,
    polygons: Polygons,
    atlas: Atlas,
    samples: Samples,
    texel_density: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Resolves visibility at each sample; returns nearness and index, both (rows, columns).

    Nearness is float32; the index is the row of `projected` that is visible, int32, -1 where none.

    `texel_density` (K,): texels of the finest level per unit of image length at nearness 1, for
    choosing the level of cut-outs.
    """
    # The buffers, and helpers that are prepared for all polygons at once.
    background = 0.0 if projected.perspective else -1e9
    nearness = np.full((len(samples.y), len(samples.x)), background, np.float32)
    index = np.full(nearness.shape, -1, np.int32)
    occlusion = _OcclusionGrid(nearness)
    edges = _EdgeTest(projected, samples)
    cutouts = _Cutouts(projected, polygons.texture[projected.source], texel_density, atlas, samples)
    is_cutout = polygons.cutout[projected.source].tolist()
    max_nearness = projected.max_nearness.tolist()
    rows = zip(projected.nearness.tolist(), projected.boxes.tolist(), strict=True)
    for k, (plane, box) in enumerate(rows):
        # Skip polygons that lie behind what is drawn already.
        if occlusion.hides(k, box, max_nearness[k]):
            continue
        # Draw the samples of the box that are inside the edges, in front, and not in a hole.
        left, right, top, bottom = box
        candidate = edges.plane_values(plane, box)
        buffer = nearness[top:bottom, left:right]
        inside = edges.inside(k, box) & (candidate > buffer)
        if is_cutout[k]:
            if not inside.any():
                continue
            inside &= cutouts.opaque(k, edges.x[left:right], edges.y[top:bottom], candidate)
        np.copyto(buffer, candidate, where=inside)
        np.copyto(index[top:bottom, left:right], k, where=inside)
    return nearness, index


class _EdgeTest:
    """Evaluates planes and edges of polygons on the samples of a box, in float32."""

    def __init__(self, projected: ProjectedPolygons, samples: Samples) -> None:
        self.x = samples.x.astype(np.float32)
        self.y = samples.y.astype(np.float32)[:, None]
        self._slopes = projected.edges[..., 0, None].astype(np.float32)
        self._steps = projected.edges[..., 1, None, None].astype(np.float32)
        self._constants = projected.edges[..., 2, None, None].astype(np.float32)

    def plane_values(self, plane: list[float], box: list[int]) -> np.ndarray:
        """Returns a x + b y + c on the samples of a box."""
        a, b, c = plane
        left, right, top, bottom = box
        return (a * self.x[left:right] + c) + b * self.y[top:bottom]

    def inside(self, k: int, box: list[int]) -> np.ndarray:
        """Returns whether samples of the box lie inside all edges of polygon `k`, bool.

        Four edges at once: a x >= -(b y + c) as (4, 1, columns) against (4, rows, 1).
        """
        left, right, top, bottom = box
        limit = -(self._steps[k] * self.y[top:bottom] + self._constants[k])
        return np.logical_and.reduce(
            (self._slopes[k] * self.x[left:right])[:, None] >= limit, axis=0
        )


class _OcclusionGrid:
    """Coarse grid of the lowest nearness in each block of the buffer, for a cheap occlusion test.

    It is refreshed only now and then: an outdated grid hides fewer polygons, never more.
    """

    BLOCK_SAMPLES = 16
    """Side of a block in samples."""
    REFRESH_INTERVAL = 120
    """Number of polygons between two refreshes."""

    def __init__(self, nearness: np.ndarray) -> None:
        self._nearness = nearness
        self._rows = nearness.shape[0] // self.BLOCK_SAMPLES
        self._columns = nearness.shape[1] // self.BLOCK_SAMPLES
        # Samples left over at the right and the bottom belong to no block and count as not
        # covered.
        self._min_nearness = np.full((self._rows + 1, self._columns + 1), -np.inf, np.float32)

    def hides(self, k: int, box: list[int], max_nearness: float) -> bool:
        """Returns whether polygon `k` certainly lies behind the buffer everywhere in its box."""
        if k and k % self.REFRESH_INTERVAL == 0:
            self._refresh()
        left, right, top, bottom = box
        size = self.BLOCK_SAMPLES
        # The first block alone mostly decides, and is cheap to test.
        if self._min_nearness[top // size, left // size] < max_nearness:
            return False
        blocks = self._min_nearness[
            top // size : (bottom - 1) // size + 1, left // size : (right - 1) // size + 1
        ]
        return bool(blocks.min() >= max_nearness)

    def _refresh(self) -> None:
        """Computes the lowest nearness of all blocks anew."""
        size = self.BLOCK_SAMPLES
        row_minima = (
            self._nearness[: self._rows * size, : self._columns * size]
            .reshape(self._rows, size, self._columns * size)
            .min(axis=1)
        )
        blocks = row_minima.reshape(self._rows, self._columns, size)
        self._min_nearness[:-1, :-1] = blocks.min(axis=2)


class _Cutouts:
    """Opacity test of cut-out polygons, with all per-polygon values computed in advance."""

    def __init__(
        self,
        projected: ProjectedPolygons,
        textures: np.ndarray,
        texel_density: np.ndarray,
        atlas: Atlas,
        samples: Samples,
    ) -> None:
        self._projected = projected
        self._atlas = atlas
        # Choose the textures' levels in the middle of each box.
        left, right, top, bottom = projected.boxes.T
        x = samples.x[(left + right - 1) // 2]
        y = samples.y[(top + bottom - 1) // 2]
        parallel = np.tile([0.0, 0.0, 1.0], (len(left), 1))
        divisor = projected.nearness if projected.perspective else parallel
        middle = np.maximum(divisor[:, 0] * x + divisor[:, 1] * y + divisor[:, 2], 1e-6)
        self._level_rows = atlas.level_rows(textures, texel_density / middle)
        # Sample indices in the box -> image -> texture, for textures that show once.
        image_from_sample = np.zeros((len(left), 3, 3))
        image_from_sample[:, 0, 0] = image_from_sample[:, 1, 1] = samples.step
        image_from_sample[:, 0, 2] = samples.x[left]
        image_from_sample[:, 1, 2] = samples.y[top]
        image_from_sample[:, 2, 2] = 1.0
        coordinates = [
            texture[:, :3] + texture[:, 3:] * divisor
            for texture in (projected.texture_u, projected.texture_v)
        ]
        self._texture_from_sample = np.stack([*coordinates, divisor], axis=1) @ image_from_sample

    def opaque(self, k: int, x: np.ndarray, y: np.ndarray, nearness: np.ndarray) -> np.ndarray:
        """Returns bool (rows, columns): whether polygon `k` is opaque at samples of its box.

        `x` (columns,) and `y` (rows, 1) are the samples, `nearness` (rows, columns) the polygon's.
        """
        projected = self._projected
        row = int(self._level_rows[k])
        if projected.single_repeat[k] and nearness.size < MAX_WARP_SAMPLES:
            homography = self._texture_from_sample[k]
            return self._atlas.alpha_under_homography(row, homography, nearness.shape) > 127
        scale = 1.0 / np.maximum(nearness, 1e-6) if projected.perspective else np.float32(1.0)
        texture = (projected.texture_u[k].tolist(), projected.texture_v[k].tolist())
        u, v = (((a * x + c) + b * y) * scale + constant for a, b, c, constant in texture)
        return self._atlas.alpha(row, u, v) > 127


def _corner_normals(corners: np.ndarray) -> np.ndarray:
    """Returns the normals (M, 3), not of unit length, of polygons with corners (M, 4, 3)."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _is_front_face(normal: np.ndarray, offset: np.ndarray, two_sided: np.ndarray) -> np.ndarray:
    """Returns bool (M,): whether polygons face the camera and are not seen edge-on.

    `normal` (M, 3) and `offset` (M,), the normal's product with a corner, are in the camera frame.
    """
    is_edge_on = np.abs(offset) <= 1e-9 * np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    return ~is_edge_on & ((offset < 0) | two_sided)


def _overlaps_grid(boxes: np.ndarray) -> np.ndarray:
    """Returns bool (M,): whether boxes (M, 4) hold any sample."""
    return (boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2])


def _perspective_edges(
    corners: np.ndarray, offset: np.ndarray, ray_from_image: np.ndarray
) -> np.ndarray:
    """Returns edge functions (K, 4, 3) of polygons with corners (K, 4, 3) in the camera's frame.

    `offset` (K,) is the normal's product with a corner; its sign is the side that faces the camera.
    """
    return (
        np.cross(corners, np.roll(corners, -1, axis=1))
        * np.sign(offset)[:, None, None]
        @ ray_from_image
    )


def _parallel_edges(corners: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Returns edge functions (K, 4, 3) of polygons with corners (K, 4, 3) in the map's axes."""
    following = np.roll(corners, -1, axis=1)
    a = corners[..., 1] - following[..., 1]
    b = following[..., 0] - corners[..., 0]
    return (
        np.stack([a, b, -(a * corners[..., 0] + b * corners[..., 1])], axis=-1)
        * np.sign(normal[:, 2])[:, None, None]
    )


def _max_inverse_depth(corners: np.ndarray, near_m: float) -> np.ndarray:
    """Returns upper bounds (K,) of the inverse depth; infinite where the near plane is crossed."""
    closest_m = corners[:, :, 2].min(axis=1)
    return np.where(closest_m > near_m, 1.001 / np.maximum(closest_m, near_m), np.inf)


def _image_box(
    corners: np.ndarray, matrix: np.ndarray, near_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns image rectangles, low and high (M, 2), of the parts in front of the near plane."""
    # Points where the edges cross the near plane.
    following = np.roll(corners, -1, axis=1)
    depth = corners[:, :, 2]
    next_depth = following[:, :, 2]
    crosses = (depth > near_m) != (next_depth > near_m)
    share = np.where(crosses, (near_m - depth) / np.where(crosses, next_depth - depth, 1.0), 0.0)
    points = np.concatenate([corners, corners + share[..., None] * (following - corners)], axis=1)
    valid = np.concatenate([depth > near_m, crosses], axis=1)
    # Projection of these and of the corners.
    z = np.where(valid, np.maximum(points[..., 2], near_m), 1.0)
    image = np.stack(
        [
            matrix[0, 0] * points[..., 0] / z + matrix[0, 2],
            matrix[1, 1] * points[..., 1] / z + matrix[1, 2],
        ],
        axis=-1,
    )
    image = np.clip(image, -1e6, 1e6)
    low = np.where(valid[..., None], image, np.inf).min(axis=1)
    high = np.where(valid[..., None], image, -np.inf).max(axis=1)
    return low, high


def _widen_edges(edges: np.ndarray) -> np.ndarray:
    """Returns edge functions scaled to pixels and moved outwards by EDGE_SLACK.

    Edges of no length always hold.
    """
    length = np.hypot(edges[..., 0], edges[..., 1])
    edges = np.where(length[..., None] > 1e-12, edges / np.maximum(length, 1e-12)[..., None], 0.0)
    edges[..., 2] += EDGE_SLACK
    return edges


def _first_repeat(texture: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first repeat of a texture on polygons, and whether there is just one; (K,) each.

    `texture` (K, 4) are coordinates as in Polygons, `corners` (K, 4, 3) are in the world.
    """
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
    """Returns texture rows (a, b, c, constant) for perspective, and whether there is one repeat.

    Whole repeats are taken off the constant: to start at 0 where the texture shows once, else to
    keep float32 precise.
    """
    constant = np.einsum("ki,i->k", texture[:, :3], center) + texture[:, 3]
    first, single_repeat = _first_repeat(texture, corners)
    constant -= np.where(single_repeat, first, np.floor(constant))
    affine = texture[:, :3] @ rotation.T @ ray_from_image
    return np.concatenate([affine, constant[:, None]], axis=1), single_repeat


def _texture_along_light(
    texture: np.ndarray, corners: np.ndarray, axes: np.ndarray, nearness: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns texture rows (a, b, c, constant) for parallel light, and whether there is one repeat.

    Where the texture shows once, whole repeats are taken off the constant to start at 0.
    """
    # Gradient along the map's axes and towards the light, where the point lies at `nearness`.
    gradient = texture[:, :3] @ axes.T
    affine = gradient[:, 2:] * nearness
    affine[:, :2] += gradient[:, :2]
    first, single_repeat = _first_repeat(texture, corners)
    constant = texture[:, 3] - np.where(single_repeat, first, 0.0)
    return np.concatenate([affine, constant[:, None]], axis=1), single_repeat
