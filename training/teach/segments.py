"""Bundle adjustment of one segment of a video: its keyframes, then the frames between them."""

from dataclasses import dataclass, replace

import numpy as np

from training.teach.bundle import (
    Observations,
    Structure,
    adjust,
    cauchy,
    depth_information,
    linearise,
    pose_information,
    small_motions,
)

Table = tuple[np.ndarray, ...]
"""Observations: frame (M,), corner (M,), pixels (M, 2)."""
DEPTH_ALONE = (20.0, 10)
"""Threshold of Cauchy's norm in pixels, and iterations, of the first round: depths alone."""
ROUNDS = ((5.0, 12), (2.0, 12), (1.0, 12))
"""Threshold and iterations of each round of bundle adjustment."""
MAX_ERROR = 3.0
"""Greatest distance in pixels of an observation that is kept after the rounds."""
WINDOW = 60
"""Most keyframes that are adjusted together."""
OVERLAP = 15
"""Keyframes of the window before that the next one begins with; their poses stay."""
MIN_VIEWS = 3
"""Fewest keyframes that see a point, its host included."""
START_STEPS = 20.0
"""Depth of all points at the start, in lengths of the median step between keyframes."""
PIXEL_SIGMA = 0.7
"""Standard deviation of a keypoint in pixels, after some seconds of tracking."""
CORRELATED = 10.0
"""Number of points that err together as one, as in the odometry's tracks."""
MAX_SIGMA = 0.3
"""Greatest standard deviation of the logarithm of a depth that teaches."""
MIN_POSE_POINTS = 15
"""Fewest points that determine the pose of a frame between keyframes."""
POSE_ITERATIONS = 6


@dataclass(frozen=True, eq=False)
class Segment:
    """F frames with poses, and M points in them, in the odometry's unit of length."""

    posed: np.ndarray
    """(F,) indices of the frames."""
    poses: np.ndarray
    """(F, 4, 4) segment_from_camera."""
    covariance: np.ndarray
    """(F, 6, 6) of the poses, in the axes of the camera."""
    frame: np.ndarray
    """(M,) index of each point's frame."""
    pixels: np.ndarray
    """(M, 2)."""
    inverse_depth: np.ndarray
    """(M,)."""
    sigma: np.ndarray
    """(M,) of its logarithm."""

    def scaled(self, factor: float) -> "Segment":
        """The segment in a unit of length that is `factor` of its own."""
        lengths = np.diag([1 / factor] * 3 + [1.0] * 3)
        poses = self.poses.copy()
        poses[:, :3, 3] /= factor
        return replace(
            self,
            poses=poses,
            covariance=lengths @ self.covariance @ lengths,
            inverse_depth=self.inverse_depth * factor,
        )


def solve_segment(
    keyframes: np.ndarray, poses: np.ndarray, table: Table, intrinsics: np.ndarray
) -> Segment:
    """Adjust the keyframes (V,) of a segment from their first poses (V, 4, 4), then place all
    frames between them.

    intrinsics: (3, 3) of the images of the observations.
    """
    structure, seen, corners = _structure(keyframes, poses, table, intrinsics)
    structure, seen = _adjust_windows(structure, seen, intrinsics)
    sigma = _sigma(structure, seen, intrinsics)
    return _place_frames(keyframes, structure, corners, sigma, table, intrinsics)


def _structure(
    keyframes: np.ndarray, poses: np.ndarray, table: Table, intrinsics: np.ndarray
) -> tuple[Structure, Observations, np.ndarray]:
    """Points that enough keyframes see, their observations, and their corners (P,)."""
    # Observations by keyframes, of corners that enough of them see.
    frame, corner, pixels = table
    view = np.searchsorted(keyframes, frame).clip(max=len(keyframes) - 1)
    is_key = keyframes[view] == frame
    view, corner, pixels = view[is_key], corner[is_key], pixels[is_key]
    corners, counts = np.unique(corner, return_counts=True)
    corners = corners[counts >= MIN_VIEWS]
    kept = np.isin(corner, corners)
    view, pixels = view[kept], pixels[kept]
    point = np.searchsorted(corners, corner[kept])
    # The first of them is the host.
    host = np.full(len(corners), len(keyframes))
    np.minimum.at(host, point, view)
    is_host = view == host[point]
    rays = np.ones((len(corners), 3))
    rays[point[is_host], :2] = (pixels[is_host] - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    start = 1.0 / (START_STEPS * max(float(np.median(steps)), 1e-9))
    structure = Structure(poses, host, rays, np.full(len(corners), start))
    return structure, Observations(view[~is_host], point[~is_host], pixels[~is_host]), corners


def _adjust_windows(
    structure: Structure, seen: Observations, intrinsics: np.ndarray
) -> tuple[Structure, Observations]:
    """Adjust the keyframes window by window; observations that do not agree are dropped."""
    views = len(structure.poses)
    kept = np.ones(len(seen.view), bool)
    first = 0
    while True:
        # Points whose host and views are in the window.
        last = min(first + WINDOW, views)
        fixed = OVERLAP if first else 1
        host = structure.host[seen.point]
        inside = (host >= first) & (host < last) & (seen.view < last) & (seen.view >= first)
        if inside.any():
            part, points = _part(structure, seen.subset(inside), first, last)
            observations = _renumbered(seen.subset(inside), points, first)
            # The new views continue from the adjusted ones.
            part, agrees = _adjust_rounds(part, observations, intrinsics, fixed)
            moved = part.poses[-1] @ np.linalg.inv(structure.poses[last - 1])
            structure.poses[last:] = moved @ structure.poses[last:]
            structure.poses[first:last] = part.poses
            structure.inverse_depth[points] = part.inverse_depth
            kept[np.flatnonzero(inside)[~agrees]] = False
        if last == views:
            return structure, seen.subset(kept)
        first = last - OVERLAP


def _part(
    structure: Structure, seen: Observations, first: int, last: int
) -> tuple[Structure, np.ndarray]:
    """Views first to last and the points that `seen` has, with the points' indices."""
    points = np.unique(seen.point)
    part = Structure(
        structure.poses[first:last].copy(),
        structure.host[points] - first,
        structure.rays[points],
        structure.inverse_depth[points].copy(),
    )
    return part, points


def _renumbered(seen: Observations, points: np.ndarray, first: int) -> Observations:
    """The observations with views from `first` and points of the list counted from 0."""
    return Observations(seen.view - first, np.searchsorted(points, seen.point), seen.pixels)


def _adjust_rounds(
    part: Structure, seen: Observations, intrinsics: np.ndarray, fixed: int
) -> tuple[Structure, np.ndarray]:
    """Adjust from coarse to fine; returns the structure and which observations agree (M,)."""
    free = np.arange(len(part.poses)) >= fixed
    part = adjust(part, seen, intrinsics, np.zeros_like(free), *DEPTH_ALONE)
    for threshold, iterations in ROUNDS:
        part = adjust(part, seen, intrinsics, free, threshold, iterations)
    agrees = np.linalg.norm(linearise(part, seen, intrinsics).errors, axis=1) < MAX_ERROR
    if agrees.any():
        part = adjust(part, seen.subset(agrees), intrinsics, free, *ROUNDS[-1])
    return part, agrees


def _sigma(structure: Structure, seen: Observations, intrinsics: np.ndarray) -> np.ndarray:
    """Standard deviation (P,) of the logarithm of each inverse depth; inf where few views agree."""
    information = depth_information(structure, seen, intrinsics, threshold=1.0)
    views = np.bincount(seen.point, minlength=len(structure.host))
    sigma = PIXEL_SIGMA / np.sqrt(np.maximum(information, 1e-12)) / structure.inverse_depth
    return np.where(views >= MIN_VIEWS - 1, sigma, np.inf)


def _place_frames(
    keyframes: np.ndarray,
    structure: Structure,
    corners: np.ndarray,
    sigma: np.ndarray,
    table: Table,
    intrinsics: np.ndarray,
) -> Segment:
    """Poses of all frames by the points in them, and the points' depths there."""
    # Observations of points of known depth, in all frames.
    frame, corner, pixels = table
    point = np.searchsorted(corners, corner).clip(max=max(len(corners) - 1, 0))
    known = (corners[point] == corner) & (sigma[point] < MAX_SIGMA) if len(corners) else []
    known = np.flatnonzero(known)
    frame, point, pixels = frame[known], point[known], pixels[known]
    posed: list[int] = []
    poses: list[np.ndarray] = []
    covariances: list[np.ndarray] = []
    columns: list[tuple[np.ndarray, ...]] = []
    for index in range(int(keyframes[0]), int(keyframes[-1]) + 1):
        rows = slice(*np.searchsorted(frame, [index, index + 1]))
        if rows.stop - rows.start < MIN_POSE_POINTS:
            continue
        # The pose, from that of the keyframe before.
        key = int(np.searchsorted(keyframes, index, side="right")) - 1
        seen = Observations(np.full(rows.stop - rows.start, -1), point[rows], pixels[rows])
        start = poses[-1] if posed and posed[-1] == index - 1 else structure.poses[key]
        pose, covariance, agrees, inverse_depth = _place(structure, seen, start, intrinsics)
        if agrees.sum() < MIN_POSE_POINTS:
            continue
        posed.append(index)
        poses.append(pose)
        covariances.append(covariance)
        values = (np.full(agrees.sum(), index), seen.pixels[agrees], inverse_depth[agrees])
        columns.append((*values, sigma[point[rows]][agrees]))
    return _segment(posed, poses, covariances, columns)


def _segment(
    posed: list[int],
    poses: list[np.ndarray],
    covariances: list[np.ndarray],
    columns: list[tuple[np.ndarray, ...]],
) -> Segment:
    """The segment of frames, their poses and covariances, and the columns of points of each."""
    parts = [np.concatenate(column) for column in zip(*columns, strict=True)]
    empty = [np.zeros(0, int), np.zeros((0, 2)), np.zeros(0), np.zeros(0)]
    return Segment(
        np.array(posed, int),
        np.array(poses).reshape(-1, 4, 4),
        np.array(covariances).reshape(-1, 6, 6),
        *(parts or empty),
    )


def _place(
    structure: Structure, seen: Observations, pose: np.ndarray, intrinsics: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pose of a frame by its points: pose, covariance, which agree (M,), inverse depths (M,).

    The points are as known as they are: only the pose is adjusted.
    """
    for iteration in range(POSE_ITERATIONS):
        with_frame = replace(structure, poses=np.concatenate([structure.poses, pose[None]]))
        linearised = linearise(with_frame, seen, intrinsics)
        _, weights = cauchy(linearised, 3.0 if iteration < POSE_ITERATIONS // 2 else 1.0)
        information = pose_information(linearised, weights) + 1e-9 * np.eye(6)
        gradient = np.einsum("m,mij,mi->j", weights, linearised.by_view, linearised.errors)
        pose = pose @ small_motions(np.linalg.solve(information, gradient)[None])[0]
    # Depths in the frame, and how well all agree.
    points = structure.rays[seen.point] / structure.inverse_depth[seen.point, None]
    hosts = structure.poses[structure.host[seen.point]]
    world = np.einsum("mij,mj->mi", hosts[:, :3, :3], points) + hosts[:, :3, 3]
    z = (world - pose[:3, 3]) @ pose[:3, 2]
    agrees = (np.linalg.norm(linearised.errors, axis=1) < MAX_ERROR) & (z > 0)
    covariance = np.linalg.inv(information) * PIXEL_SIGMA**2 * CORRELATED
    return pose, covariance, agrees, 1.0 / np.where(z > 0, z, np.inf)
