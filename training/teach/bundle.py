"""Bundle adjustment of many views: poses, and the inverse depths of points in their host views.

A point is a ray b = K^-1 [p, 1] of its host view h, the first that saw it, and an inverse depth
rho. In view t it lies at pi(K x) with x = R_th b + rho t_th and T_th = pose_t^-1 pose_h; points at
infinity need no special case. Levenberg-Marquardt minimises Cauchy's norm of the distances to the
tracked keypoints; the inverse depths, one a point, are eliminated by the Schur complement (Triggs
et al., Bundle adjustment: a modern synthesis, section 6.1), as in
:mod:`sfm_odometry.tracking.two_view_ba`, which does the same for two views.
"""

from dataclasses import dataclass, replace

import numpy as np

MIN_Z_SHARE = 0.05
"""Least depth at which points are projected, as a share of the depth in the host view."""
STARTING_DAMPING = 1e-3
"""Levenberg-Marquardt: share of the diagonal that is added to it, at the start."""
MAX_DAMPING = 1e3
STOP_DECREASE = 1e-4
"""Iteration ends where a step lowers the cost by less than this share."""
MAX_INVERSE_DEPTH_RATIO = 3.0
"""Greatest change of an inverse depth by one step, as a factor."""


@dataclass(frozen=True)
class Observations:
    """M keypoints, each of one point in one view, other than the point's host view."""

    view: np.ndarray
    """(M,) index of the view."""
    point: np.ndarray
    """(M,) index of the point."""
    pixels: np.ndarray
    """(M, 2) where the point was tracked."""

    def subset(self, kept: np.ndarray) -> "Observations":
        """The observations at (M,) bool."""
        return Observations(self.view[kept], self.point[kept], self.pixels[kept])


@dataclass(frozen=True)
class Structure:
    """V views and P points."""

    poses: np.ndarray
    """(V, 4, 4) world_from_camera."""
    host: np.ndarray
    """(P,) index of each point's host view."""
    rays: np.ndarray
    """(P, 3) K^-1 [u, v, 1] in the host view."""
    inverse_depth: np.ndarray
    """(P,) in the host view."""


@dataclass(frozen=True)
class Linearised:
    """Projections of M observations and their derivatives."""

    errors: np.ndarray
    """(M, 2) observed less projected pixels."""
    by_host: np.ndarray
    """(M, 2, 6) derivatives of the projection by a small motion of the host view."""
    by_view: np.ndarray
    """(M, 2, 6) by a small motion of the observing view."""
    by_depth: np.ndarray
    """(M, 2) by the inverse depth."""
    in_front: np.ndarray
    """(M,) bool: whether the point is in front of the observing view."""


def linearise(structure: Structure, seen: Observations, intrinsics: np.ndarray) -> Linearised:
    """Project the points into the views that saw them; intrinsics: (3, 3)."""
    # Points in the observing views, times their inverse depth.
    host = structure.host[seen.point]
    view_from_host = np.linalg.inv(structure.poses)[seen.view] @ structure.poses[host]
    rays = structure.rays[seen.point]
    rho = structure.inverse_depth[seen.point, None]
    rotation, translation = view_from_host[:, :3, :3], view_from_host[:, :3, 3]
    points = np.einsum("mij,mj->mi", rotation, rays) + rho * translation
    in_front = points[:, 2] > MIN_Z_SHARE
    z = np.maximum(points[:, 2], MIN_Z_SHARE)
    # Projections, and their derivatives by those points.
    focal = intrinsics[[0, 1], [0, 1]]
    projected = focal * points[:, :2] / z[:, None] + intrinsics[:2, 2]
    by_points = np.zeros((len(points), 2, 3))
    by_points[:, [0, 1], [0, 1]] = focal / z[:, None]
    by_points[:, :, 2] = -focal * points[:, :2] / z[:, None] ** 2
    # Derivatives of the points by small motions of either view, translation first, and by depth.
    by_host = np.concatenate([rho[..., None] * rotation, -rotation @ _hat(rays)], axis=2)
    by_view = np.concatenate([-rho[..., None] * np.eye(3), _hat(points)], axis=2)
    return Linearised(
        errors=seen.pixels - projected,
        by_host=by_points @ by_host,
        by_view=by_points @ by_view,
        by_depth=np.einsum("mij,mj->mi", by_points, translation),
        in_front=in_front,
    )


def cauchy(linearised: Linearised, threshold: float) -> tuple[float, np.ndarray]:
    """Cost by Cauchy's norm, and the weights (M,); points behind their view have none."""
    squares = (linearised.errors**2).sum(1) / threshold**2
    weights = np.where(linearised.in_front, 1.0 / (1.0 + squares), 0.0)
    return float(np.log1p(squares).sum() * threshold**2), weights


def adjust(
    structure: Structure,
    seen: Observations,
    intrinsics: np.ndarray,
    free: np.ndarray,
    threshold: float,
    iterations: int,
) -> Structure:
    """Adjust all inverse depths, and the poses of the views that are `free` (V,) bool.

    threshold: of Cauchy's norm, pixels. The unit of length is not determined where no two poses are
    fixed; the damping keeps it near where it was.
    """
    damping = STARTING_DAMPING
    linearised = linearise(structure, seen, intrinsics)
    cost, weights = cauchy(linearised, threshold)
    for _ in range(iterations):
        step = _solve(structure, seen, linearised, weights, free, damping)
        moved = _moved(structure, *step)
        candidate = linearise(moved, seen, intrinsics)
        new_cost, new_weights = cauchy(candidate, threshold)
        # Take the step, or try a shorter one.
        if not new_cost < cost:
            damping *= 10.0
            if damping > MAX_DAMPING:
                break
            continue
        decrease = cost - new_cost
        structure, linearised, cost, weights = moved, candidate, new_cost, new_weights
        damping = max(damping / 5.0, 1e-7)
        if decrease < STOP_DECREASE * cost:
            break
    return structure


def depth_information(
    structure: Structure, seen: Observations, intrinsics: np.ndarray, threshold: float
) -> np.ndarray:
    """Information (P,) of the inverse depths where the poses are known, in 1 / pixels^2 errors."""
    linearised = linearise(structure, seen, intrinsics)
    _, weights = cauchy(linearised, threshold)
    values = weights * (linearised.by_depth**2).sum(1)
    return np.bincount(seen.point, values, minlength=len(structure.inverse_depth))


def pose_information(linearised: Linearised, weights: np.ndarray) -> np.ndarray:
    """Information (6, 6) of the pose of the one view that made all observations."""
    jacobian = linearised.by_view
    return np.einsum("m,mij,mik->jk", weights, jacobian, jacobian)


def _solve(
    structure: Structure,
    seen: Observations,
    linearised: Linearised,
    weights: np.ndarray,
    free: np.ndarray,
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Step of the poses (V, 6) and of the inverse depths (P,)."""
    # Normal equations of the inverse depths alone.
    points, views = len(structure.host), len(structure.poses)
    weighted = weights[:, None] * linearised.by_depth
    own = np.bincount(seen.point, (weighted * linearised.by_depth).sum(1), points)
    g_d = np.bincount(seen.point, (weighted * linearised.errors).sum(1), points)
    h_dd = own * (1.0 + damping) + 1e-9 * max(float(own.max(initial=0.0)), 1e-12)
    if not free.any():
        return np.zeros((views, 6)), g_d / h_dd
    # Normal equations of the poses, and the mixed ones.
    host = structure.host[seen.point]
    jacobians = ((host, linearised.by_host), (seen.view, linearised.by_view))
    h_pp = np.zeros((views, views, 6, 6))
    g_p = np.zeros((views, 6))
    h_pd = np.zeros((views, points, 6))
    for rows, left in jacobians:
        np.add.at(g_p, rows, np.einsum("m,mij,mi->mj", weights, left, linearised.errors))
        np.add.at(h_pd, (rows, seen.point), np.einsum("mij,mi->mj", left, weighted))
        for columns, right in jacobians:
            block = np.einsum("m,mij,mik->mjk", weights, left, right)
            np.add.at(h_pp, (rows, columns), block)
    # Eliminate the inverse depths and solve for the free poses.
    which = np.repeat(free, 6)
    mixed = h_pd.transpose(0, 2, 1).reshape(6 * views, points)[which]
    full = h_pp.transpose(0, 2, 1, 3).reshape(6 * views, 6 * views)[np.ix_(which, which)]
    full[np.diag_indices(len(full))] *= 1.0 + damping
    schur = full - (mixed / h_dd) @ mixed.T
    schur[np.diag_indices(len(schur))] += 1e-9 * np.trace(full) / len(full)
    gradient = g_p.reshape(-1)[which] - mixed @ (g_d / h_dd)
    steps = np.zeros(6 * views)
    steps[which] = np.linalg.solve(schur, gradient)
    return steps.reshape(views, 6), (g_d - mixed.T @ steps[which]) / h_dd


def _moved(structure: Structure, pose_steps: np.ndarray, depth_steps: np.ndarray) -> Structure:
    """The structure after a step; inverse depths stay positive."""
    rho = structure.inverse_depth
    stepped = np.clip(
        rho + depth_steps, rho / MAX_INVERSE_DEPTH_RATIO, rho * MAX_INVERSE_DEPTH_RATIO
    )
    return replace(
        structure, poses=structure.poses @ small_motions(pose_steps), inverse_depth=stepped
    )


def small_motions(vectors: np.ndarray) -> np.ndarray:
    """Rigid motions (V, 4, 4) of vectors (V, 6): translation, then rotation vector (Rodrigues)."""
    angles = np.linalg.norm(vectors[:, 3:], axis=1)[:, None, None]
    matrix = _hat(vectors[:, 3:])
    small = np.maximum(angles, 1e-12)
    result = np.tile(np.eye(4), (len(vectors), 1, 1))
    result[:, :3, :3] += (
        np.sin(small) / small * matrix + (1 - np.cos(small)) / small**2 * matrix @ matrix
    )
    result[:, :3, 3] = vectors[:, :3]
    return result


def _hat(vectors: np.ndarray) -> np.ndarray:
    """Skew-symmetric matrices (M, 3, 3) of vectors (M, 3)."""
    result = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    result[:, 0, 1], result[:, 0, 2], result[:, 1, 2] = -z, y, -x
    result[:, 1, 0], result[:, 2, 0], result[:, 2, 1] = z, -y, x
    return result
