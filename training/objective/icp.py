"""The 3D loss of vid2depth (Mahjourian et al. 2018, section 3.3): batched ICP between the clouds of
two depth maps, on their own device.

One iteration serves all pairs at once: each point is projected into the reference's pixel grid, the
nearest 3D point of a small window there is its match, far matches are trimmed, and one Gauss-Newton
step of the point-to-plane error moves the whole cloud. The original ICP is point to point, which
slides along the planes of a street so slowly that ten iterations leave most of a yaw of 2 degrees;
here six leave a hundredth. Nothing waits for the device, and nothing inside the ICP is
differentiated.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sfm_odometry.geometry.projection import (
    MIN_PROJECTION_DEPTH,
    transform_from_vector,
    transform_points,
)

MOST_POINTS = 4096
"""Points of a cloud that the loss looks at; a larger grid is thinned out evenly."""
THIN_POINTS = 1024
"""Points that the first iterations look at; the last one sees all."""
TRIM = 3.0
"""Matches farther than this many times the cloud's median, both by their depth, are left out."""
LARGEST_REACH = 4
"""Spacing of the window in the first iterations, in pixels of the reference; it halves down to
1."""
DAMPING = 1e-5
"""Share of the normal equations' mean diagonal: a direction that nothing determines is not moved
along."""


@dataclass(frozen=True)
class IcpResult:
    """What ICP found for M pairs of clouds."""

    motion: Tensor
    """(M, 4, 4) T': moves the points onto the reference; the identity where there was nothing to
    match."""
    residuals: Tensor
    """(M, 3, h, w) r = Q - T'P: from each moved point to its match; 0 where unmatched."""
    matched: Tensor
    """(M, 1, h, w) bool: the point has a match that was not trimmed."""


def alignment_loss(
    target_points: Tensor,
    source_from_target: Tensor,
    source_points: Tensor,
    intrinsics: Tensor,
    valid: Tensor,
    iterations: int = 6,
) -> Tensor:
    """(M,): |T' - I|_1 + |r|_1 of ICP from P = `source_from_target` (M, 4, 4) applied to
    `target_points` (M, 3, h, w), to `source_points`.

    source_points: (M, 3, H, W) organised cloud of the source frame; intrinsics: (M, 3, 3) of its
    grid; valid: (M, 1, h, w) bool, the points of the target that count. As released, |T' - I|_1 is
    the mean over the six numbers of T' (translation, rotation vector) and |r|_1 the mean over the
    coordinates of the matched points.

    The value is that of the true T' and r; the gradients are the paper's approximation. T' corrects
    the ego-motion and r = Q - T'P corrects the points, and what is corrected need not be corrected
    again: dT'/d(source_from_target) = -I and dr/dP = -I. Q has no gradient.
    """
    step = _stride(target_points, MOST_POINTS)
    target_points, valid = (
        grid[..., step // 2 :: step, step // 2 :: step] for grid in (target_points, valid)
    )
    points = transform_points(source_from_target.detach(), target_points)
    reference = source_points.detach()
    found = align_clouds(
        points.detach(),
        valid,
        reference,
        reference[:, 2:] > MIN_PROJECTION_DEPTH,
        intrinsics.detach(),
        iterations,
    )
    # Zero in the forward pass, minus one times the incoming gradient in the backward pass.
    motion = found.motion - (source_from_target - source_from_target.detach())
    residuals = torch.where(found.matched, found.residuals - (points - points.detach()), 0.0)
    count = found.matched.sum(dim=(1, 2, 3)).clamp_min(1)
    return _six_numbers(motion).abs().mean(dim=1) + residuals.abs().sum(dim=(1, 2, 3)) / (3 * count)


def _stride(grid: Tensor, most: int) -> int:
    """The least step that thins a grid (..., h, w) out to at most so many points."""
    height, width = grid.shape[-2:]
    step = 1
    while -(-height // step) * -(-width // step) > most:
        step += 1
    return step


def _six_numbers(motion: Tensor) -> Tensor:
    """(M, 6) of small motions (M, 4, 4): translation, and vee((R - R^T) / 2), which is the
    rotation vector to second order."""
    half = (motion[:, :3, :3] - motion[:, :3, :3].transpose(1, 2)) / 2
    return torch.cat(
        [motion[:, :3, 3], torch.stack([half[:, 2, 1], half[:, 0, 2], half[:, 1, 0]], dim=1)], dim=1
    )


@torch.compiler.disable  # unrolled over iterations and scales it would take minutes to compile
@torch.no_grad()
def align_clouds(
    points: Tensor,
    valid: Tensor,
    reference: Tensor,
    reference_valid: Tensor,
    intrinsics: Tensor,
    iterations: int = 6,
    window: int = 3,
) -> IcpResult:
    """The small motions that move M clouds onto their references, and what is left.

    points: (M, 3, h, w) in the reference's frame, valid: (M, 1, h, w) bool; any grid, all of it is
    used. reference: (M, 3, H, W) organised cloud, reference_valid: (M, 1, H, W) bool, intrinsics:
    (M, 3, 3) of its grid.
    """
    surface = _Surface(reference, reference_valid, intrinsics)
    counted = valid & (points[:, 2:] > MIN_PROJECTION_DEPTH) & (points[:, 2:] < torch.inf)
    cloud, unit = torch.where(counted, points, 0.0), _mean_depth(points, counted)
    thin = _stride(points, THIN_POINTS)
    motion = torch.eye(4, device=points.device, dtype=points.dtype).repeat(len(points), 1, 1)
    for iteration in range(iterations):
        reach = min(2 ** max(iterations // 2 - iteration, 0), LARGEST_REACH)
        step = thin if iteration < iterations - 1 else 1
        moved = _moved(motion, cloud[..., ::step, ::step])
        motion = (
            _step(
                moved,
                surface.match(moved, counted[..., ::step, ::step].flatten(1), window, reach),
                unit,
            )
            @ motion
        )
    matches = surface.match(_moved(motion, cloud), counted.flatten(1), window, 1)
    return IcpResult(motion, matches.to_match.view(points.shape), matches.kept.view(valid.shape))


def _mean_depth(points: Tensor, counted: Tensor) -> Tensor:
    """(M,); 1 where nothing counts."""
    total, count = (
        torch.where(counted, points[:, 2:], 0.0).sum(dim=(1, 2, 3)),
        counted.sum(dim=(1, 2, 3)),
    )
    return torch.where(count > 0, total / count.clamp_min(1), 1.0)


def _moved(motion: Tensor, cloud: Tensor) -> Tensor:
    """Clouds (M, 3, h, w) moved by (M, 4, 4), as (M, 3, n)."""
    return motion[:, :3, :3] @ cloud.flatten(2) + motion[:, :3, 3:]


@dataclass(frozen=True)
class _Matches:
    """Of n points a cloud, all 0 where not kept."""

    to_match: Tensor
    """(M, 3, n) from the points to their matches."""
    normals: Tensor
    """(M, 3, n) of the reference's surface at the matches."""
    kept: Tensor
    """(M, n) bool."""


class _Surface:
    """M organised clouds to match against."""

    def __init__(self, reference: Tensor, valid: Tensor, intrinsics: Tensor) -> None:
        self.height, self.width = reference.shape[-2:]
        # A missing point is infinitely far away, so that it is never the nearest, and its
        # neighbours' normals are not finite.
        self.coordinates = [
            torch.where(valid[:, 0], values, torch.inf).flatten() for values in reference.unbind(1)
        ]
        self.first = torch.arange(len(reference), device=reference.device)[:, None] * (
            self.height * self.width
        )
        self.focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=1)[..., None]
        self.centre = intrinsics[:, :2, 2:]

    def match(self, moved: Tensor, counted: Tensor, window: int, reach: int) -> _Matches:
        """The matches of points (M, 3, n); counted: (M, n) bool."""
        z = moved[:, 2:].clamp_min(MIN_PROJECTION_DEPTH)
        u, v = (moved[:, :2] / z * self.focal + self.centre).round().nan_to_num().unbind(1)
        inside = (
            counted
            & (moved[:, 2] > MIN_PROJECTION_DEPTH)
            & (u >= 0)
            & (u < self.width)
            & (v >= 0)
            & (v < self.height)
        )
        # Clamped before the conversion: an address must be one.
        u, v = u.clamp(0, self.width - 1).long(), v.clamp(0, self.height - 1).long()
        u, v, squared = self._nearest(moved, u, v, window, reach)
        normals = self._normals(u, v)
        inside = inside & normals[:, 0].isfinite() & squared.isfinite()
        relative = torch.where(inside, squared.sqrt() / z[:, 0], torch.nan)
        kept = relative <= TRIM * relative.nanmedian(dim=1, keepdim=True).values
        return _Matches(
            torch.where(kept[:, None], self._at(u, v) - moved, 0.0),
            torch.where(kept[:, None], normals, 0.0),
            kept,
        )

    def _at(self, u: Tensor, v: Tensor) -> Tensor:
        """Points (..., M, 3, n) at pixels (..., M, n), clamped to the grid."""
        index = self.first + v.clamp(0, self.height - 1) * self.width + u.clamp(0, self.width - 1)
        return torch.stack(
            [
                values.index_select(0, index.flatten()).view(index.shape)
                for values in self.coordinates
            ],
            dim=-2,
        )

    def _nearest(
        self, moved: Tensor, u: Tensor, v: Tensor, window: int, reach: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The pixel of the window around (u, v) whose point is nearest, and its squared
        distance, each (M, n)."""
        steps = torch.arange(-(window // 2), window // 2 + 1, device=moved.device) * reach
        all_u = (u + steps[:, None, None]).expand(window, window, *u.shape).flatten(0, 1)
        all_v = (v + steps[:, None, None, None]).expand(window, window, *v.shape).flatten(0, 1)
        x, y, z = (self._at(all_u, all_v) - moved).square_().unbind(-2)
        squared, best = (x + y + z).min(dim=0)
        return all_u.gather(0, best[None])[0], all_v.gather(0, best[None])[0], squared

    def _normals(self, u: Tensor, v: Tensor) -> Tensor:
        """Normals (M, 3, n): cross products of the differences between opposite neighbours; not
        finite where a neighbour is missing."""
        right, left, above, below = self._at(
            torch.stack([u + 1, u - 1, u, u]), torch.stack([v, v, v - 1, v + 1])
        )
        across = torch.linalg.cross(right - left, below - above, dim=1)
        # F.normalize takes ten times as long over a dimension in the middle.
        return across * across.square().sum(dim=1, keepdim=True).rsqrt()


def _step(moved: Tensor, matches: _Matches, unit: Tensor) -> Tensor:
    """(M, 4, 4): one Gauss-Newton step of sum w (n . (Q - T P))^2 (Chen and Medioni 1992), w = 1 /
    z^2 as errors of depth grow with it.

    Lengths are counted in `unit` (M,), the cloud's mean depth, so that nothing depends on the scale
    of the scene.
    """
    unit = unit[:, None, None]
    scaled = moved / unit
    offset = (matches.to_match / unit * matches.normals).sum(dim=1, keepdim=True)
    rows = torch.cat(
        [matches.normals, torch.linalg.cross(scaled, matches.normals, dim=1), offset], dim=1
    )
    rows = rows / scaled[:, 2:].clamp_min(MIN_PROJECTION_DEPTH)
    products = rows @ rows.transpose(1, 2)
    information, gradient = products[:, :6, :6], products[:, :6, 6]
    damping = (
        DAMPING * information.diagonal(dim1=1, dim2=2).mean(dim=1) + torch.finfo(moved.dtype).tiny
    )
    eye = torch.eye(6, device=moved.device, dtype=moved.dtype)
    solution = _solved(information + damping[:, None, None] * eye, gradient)
    return transform_from_vector(torch.cat([solution[:, :3] * unit[:, 0], solution[:, 3:]], dim=1))


def _solved(matrices: Tensor, right: Tensor) -> Tensor:
    """x (M, n) of A x = b, A (M, n, n) symmetric and positive definite, by Gauss and Jordan; no
    pivots are needed for such matrices.

    torch's solvers ask libraries that may wait for the device, or that no CUDA graph can hold.
    """
    rows = torch.cat([matrices, right[..., None]], dim=2)
    eye = torch.eye(rows.shape[1], device=rows.device, dtype=rows.dtype)
    for index in range(rows.shape[1]):
        pivot = rows[:, index] / rows[:, index, index, None]
        # Row `index` becomes the pivot's, and all others lose their share of it.
        rows = rows - (rows[:, :, index] - eye[index])[..., None] * pivot[:, None]
    return rows[..., -1]
