"""3D loss of vid2depth (Mahjourian et al. 2018, section 3.3): batched ICP of depth maps.

One iteration serves all pairs of clouds at once: each point is projected into the reference's pixel
grid, the nearest 3D point of a small window there is its match, far matches are trimmed, and one
Gauss-Newton step of the point-to-plane error moves the whole cloud. The original ICP is point to
point, which slides along the planes of a street so slowly that ten iterations leave most of a yaw
of 2 degrees; point to plane, six iterations leave a hundredth. Everything stays on the device of
the depth maps without synchronisation, and nothing inside the ICP is differentiated.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sfm_odometry.geometry.projection import (
    MIN_PROJECTION_DEPTH,
    transform_from_vector,
    transform_points,
)

MAX_POINTS = 4096
"""Maximum number of points of a cloud in the loss; a larger grid is subsampled evenly."""
MAX_COARSE_POINTS = 1024
"""Maximum number of points of a cloud in all iterations but the last, which takes all points."""
TRIM = 3.0
"""Maximum distance of a match over its depth, as a multiple of the cloud's median."""
MAX_WINDOW_SPACING = 4
"""Spacing of the window's pixels in the first iterations; it halves down to 1."""
DAMPING = 1e-5
"""Damping as a share of the normal equations' mean diagonal.

It keeps the motion at zero along directions that the matches do not determine.
"""


@dataclass(frozen=True)
class IcpResult:
    """Result of ICP for M pairs of clouds."""

    motion: Tensor
    """Motion T' (M, 4, 4) of the points onto the reference; identity where no point matched."""
    residuals: Tensor
    """Residuals r = Q - T'P (M, 3, h, w) from each moved point to its match; 0 where unmatched."""
    matched: Tensor
    """(M, 1, h, w) bool: whether the point has a match that was not trimmed."""


def alignment_loss(
    target_points: Tensor,
    source_from_target: Tensor,
    source_points: Tensor,
    intrinsics: Tensor,
    valid: Tensor,
    iterations: int = 6,
) -> Tensor:
    """Computes the 3D loss (M,): |T' - I|_1 + |r|_1 (Mahjourian et al. 2018, equation 7).

    target_points: (M, 3, h, w). source_from_target: (M, 4, 4) motion, from which ICP starts:
    P = source_from_target target_points. source_points: (M, 3, H, W) organised cloud Q of the
    source frame. intrinsics: (M, 3, 3) of its grid. valid: (M, 1, h, w) bool, mask of the target's
    points. As in the released code, |T' - I|_1 is the mean over the six numbers of T' (translation,
    rotation vector) and |r|_1 the mean over the coordinates of the matched points.

    The value is that of the true T' and r; the gradients are the paper's approximation. T' corrects
    the ego-motion and r = Q - T'P corrects the points, and each correction is made once:
    dT'/d(source_from_target) = -I and dr/dP = -I. Q has no gradient.
    """
    # Subsample the target's points and move them into the source frame.
    stride = _stride(target_points, MAX_POINTS)
    target_points = _subsampled(target_points, stride)
    valid = _subsampled(valid, stride)
    points = transform_points(source_from_target.detach(), target_points)
    # Align them with the source's points.
    reference = source_points.detach()
    in_front = reference[:, 2:] > MIN_PROJECTION_DEPTH
    found = align_clouds(
        points.detach(), valid, reference, in_front, intrinsics.detach(), iterations=iterations
    )
    motion = found.motion - _gradient_only(source_from_target)
    residuals = torch.where(found.matched, found.residuals - _gradient_only(points), 0.0)
    # Average over numbers and points.
    count = found.matched.sum(dim=(1, 2, 3)).clamp_min(1)
    residual_norm = residuals.abs().sum(dim=(1, 2, 3)) / (3 * count)
    return _vector_from_motion(motion).abs().mean(dim=1) + residual_norm


def _gradient_only(values: Tensor) -> Tensor:
    """Zeros that have the gradient of `values`."""
    return values - values.detach()


def _stride(grid: Tensor, max_points: int) -> int:
    """Returns the smallest stride that leaves at most `max_points` of a grid (..., h, w)."""
    height, width = grid.shape[-2:]
    stride = 1
    while -(-height // stride) * -(-width // stride) > max_points:
        stride += 1
    return stride


def _subsampled(grid: Tensor, stride: int) -> Tensor:
    """Returns every `stride`-th row and column of a grid (..., h, w), from half a stride on."""
    return grid[..., stride // 2 :: stride, stride // 2 :: stride]


def _vector_from_motion(motion: Tensor) -> Tensor:
    """Returns translation and rotation vector (M, 6) of small motions (M, 4, 4).

    The rotation is vee((R - R^T) / 2), which is the rotation vector to second order.
    """
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
    """Aligns M clouds with their references by ICP, for small motions.

    points: (M, 3, h, w) in the reference's frame, on any grid; all are used. valid: (M, 1, h, w)
    bool. reference: (M, 3, H, W) organised cloud. reference_valid: (M, 1, H, W) bool. intrinsics:
    (M, 3, 3) of the reference's grid. window: side length in pixels of the search window.
    """
    surface = _OrganisedCloud(reference, reference_valid, intrinsics)
    # Leave out points behind the camera or at infinity.
    valid_points = valid & (points[:, 2:] > MIN_PROJECTION_DEPTH) & (points[:, 2:] < torch.inf)
    cloud = torch.where(valid_points, points, 0.0)
    unit = _mean_depth(points, valid_points)
    coarse_stride = _stride(points, MAX_COARSE_POINTS)
    motion = torch.eye(4, device=points.device, dtype=points.dtype).repeat(len(points), 1, 1)
    for iteration in range(iterations):
        # Match a subset of the points in a window that narrows; the last iteration takes all.
        spacing = min(2 ** max(iterations // 2 - iteration, 0), MAX_WINDOW_SPACING)
        stride = coarse_stride if iteration < iterations - 1 else 1
        moved = _move_cloud(motion, cloud[..., ::stride, ::stride])
        mask = valid_points[..., ::stride, ::stride].flatten(1)
        matches = surface.match(moved, mask, window, spacing)
        # Take a Gauss-Newton step.
        motion = _gauss_newton_step(moved, matches, unit) @ motion
    # Match all points at the final motion for the residuals.
    matches = surface.match(_move_cloud(motion, cloud), valid_points.flatten(1), window, 1)
    return IcpResult(
        motion=motion,
        residuals=matches.offsets.view(points.shape),
        matched=matches.matched.view(valid.shape),
    )


def _mean_depth(points: Tensor, valid: Tensor) -> Tensor:
    """Returns the mean depth (M,) of the valid points; 1 where there are none."""
    total = torch.where(valid, points[:, 2:], 0.0).sum(dim=(1, 2, 3))
    count = valid.sum(dim=(1, 2, 3))
    return torch.where(count > 0, total / count.clamp_min(1), 1.0)


def _move_cloud(motion: Tensor, cloud: Tensor) -> Tensor:
    """Returns clouds (M, 3, h, w) moved by (M, 4, 4), as (M, 3, n)."""
    return motion[:, :3, :3] @ cloud.flatten(2) + motion[:, :3, 3:]


@dataclass(frozen=True)
class _Matches:
    """Matches of n points of each cloud; vectors are 0 where a point is unmatched."""

    offsets: Tensor
    """Vectors (M, 3, n) from the points to their matches."""
    normals: Tensor
    """Normals (M, 3, n) of the reference's surface at the matches."""
    matched: Tensor
    """(M, n) bool: whether the point has a match that was not trimmed."""


class _OrganisedCloud:
    """M organised clouds, one point per pixel, in which points find their matches."""

    def __init__(self, reference: Tensor, valid: Tensor, intrinsics: Tensor) -> None:
        """reference: (M, 3, H, W); valid: (M, 1, H, W) bool; intrinsics: (M, 3, 3)."""
        self.height, self.width = reference.shape[-2:]
        # A missing point is set to infinity: it is never the nearest, and its neighbours' normals
        # are not finite.
        self.coordinates = [
            torch.where(valid[:, 0], values, torch.inf).flatten() for values in reference.unbind(1)
        ]
        self.first_index = torch.arange(len(reference), device=reference.device)[:, None] * (
            self.height * self.width
        )
        self.focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=1)[..., None]
        self.centre = intrinsics[:, :2, 2:]

    def match(self, points: Tensor, mask: Tensor, window: int, spacing: int) -> _Matches:
        """Finds the matches of points (M, 3, n).

        mask: (M, n) bool, points to match. window: side length of the search window in pixels.
        spacing: pixels between neighbours in the window.
        """
        # Project the points into the pixel grid.
        z = points[:, 2:].clamp_min(MIN_PROJECTION_DEPTH)
        u, v = (points[:, :2] / z * self.focal + self.centre).round().nan_to_num().unbind(1)
        inside = (
            mask
            & (points[:, 2] > MIN_PROJECTION_DEPTH)
            & (u >= 0)
            & (u < self.width)
            & (v >= 0)
            & (v < self.height)
        )
        # Clamp before the conversion to integers: every index must lie in the grid.
        u = u.clamp(0, self.width - 1).long()
        v = v.clamp(0, self.height - 1).long()
        # Search the window for the nearest point.
        u, v, squared_distance = self._nearest(points, u, v, window, spacing)
        normals = self._normals(u, v)
        inside = inside & normals[:, 0].isfinite() & squared_distance.isfinite()
        # Trim matches whose distance over depth is far above the median.
        relative = torch.where(inside, squared_distance.sqrt() / z[:, 0], torch.nan)
        matched = relative <= TRIM * relative.nanmedian(dim=1, keepdim=True).values
        return _Matches(
            offsets=torch.where(matched[:, None], self._points_at(u, v) - points, 0.0),
            normals=torch.where(matched[:, None], normals, 0.0),
            matched=matched,
        )

    def _points_at(self, u: Tensor, v: Tensor) -> Tensor:
        """Returns the points (..., M, 3, n) at pixels (..., M, n), clamped to the grid."""
        row = v.clamp(0, self.height - 1)
        index = self.first_index + row * self.width + u.clamp(0, self.width - 1)
        return torch.stack(
            [
                values.index_select(0, index.flatten()).view(index.shape)
                for values in self.coordinates
            ],
            dim=-2,
        )

    def _nearest(
        self, points: Tensor, u: Tensor, v: Tensor, window: int, spacing: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Finds the nearest point in the window around each pixel (u, v).

        Returns its pixel u, v and the squared distance, each (M, n).
        """
        steps = torch.arange(-(window // 2), window // 2 + 1, device=points.device) * spacing
        all_u = (u + steps[:, None, None]).expand(window, window, *u.shape).flatten(0, 1)
        all_v = (v + steps[:, None, None, None]).expand(window, window, *v.shape).flatten(0, 1)
        x, y, z = (self._points_at(all_u, all_v) - points).square_().unbind(-2)
        squared_distance, best = (x + y + z).min(dim=0)
        return all_u.gather(0, best[None])[0], all_v.gather(0, best[None])[0], squared_distance

    def _normals(self, u: Tensor, v: Tensor) -> Tensor:
        """Returns the normals (M, 3, n) at pixels (M, n); not finite where a neighbour is missing.

        They are cross products of the differences between opposite neighbours.
        """
        right, left, above, below = self._points_at(
            torch.stack([u + 1, u - 1, u, u]), torch.stack([v, v, v - 1, v + 1])
        )
        across = torch.linalg.cross(right - left, below - above, dim=1)
        # F.normalize takes ten times as long over a dimension in the middle.
        return across * across.square().sum(dim=1, keepdim=True).rsqrt()


def _gauss_newton_step(points: Tensor, matches: _Matches, unit: Tensor) -> Tensor:
    """Computes the motion (M, 4, 4) of one Gauss-Newton step of the point-to-plane error.

    The error is sum w (n . (Q - T P))^2 (Chen and Medioni 1992), with w = 1 / z^2 as errors of
    depth grow with the depth. Lengths are in units of `unit` (M,), the cloud's mean depth: the
    result does not depend on the scale of the scene.
    """
    # Rows [n, P x n, n . (Q - P)] of the weighted linear system.
    unit = unit[:, None, None]
    scaled = points / unit
    offset = (matches.offsets / unit * matches.normals).sum(dim=1, keepdim=True)
    rows = torch.cat(
        [matches.normals, torch.linalg.cross(scaled, matches.normals, dim=1), offset], dim=1
    )
    rows = rows / scaled[:, 2:].clamp_min(MIN_PROJECTION_DEPTH)
    # Damped normal equations.
    products = rows @ rows.transpose(1, 2)
    information = products[:, :6, :6]
    gradient = products[:, :6, 6]
    damping = (
        DAMPING * information.diagonal(dim1=1, dim2=2).mean(dim=1) + torch.finfo(points.dtype).tiny
    )
    eye = torch.eye(6, device=points.device, dtype=points.dtype)
    solution = solve_positive_definite(information + damping[:, None, None] * eye, gradient)
    return transform_from_vector(torch.cat([solution[:, :3] * unit[:, 0], solution[:, 3:]], dim=1))


def solve_positive_definite(matrices: Tensor, right: Tensor) -> Tensor:
    """Solves A x = b by Gauss-Jordan elimination; returns x (M, n).

    matrices: A (M, n, n), symmetric and positive definite, which needs no pivoting. right: b
    (M, n). The solvers of torch call libraries that may synchronise with the device, or that a CUDA
    graph cannot capture.
    """
    rows = torch.cat([matrices, right[..., None]], dim=2)
    eye = torch.eye(rows.shape[1], device=rows.device, dtype=rows.dtype)
    for index in range(rows.shape[1]):
        pivot_row = rows[:, index] / rows[:, index, index, None]
        # Row `index` becomes the pivot row; all others subtract their multiple of it.
        rows = rows - (rows[:, :, index] - eye[index])[..., None] * pivot_row[:, None]
    return rows[..., -1]
