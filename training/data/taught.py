"""Batch of snippets with what a teacher says about them: motions, how sure, and sparse depth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.batch import Batch
from training.data.lesson import Lesson

MAX_POINTS = 320
"""Points of a snippet's target; of more, as many are drawn evenly."""


@dataclass(frozen=True)
class TaughtBatch(Batch):
    """Batch with a teacher's motions and points; snippets without a teacher weigh 0."""

    taught_poses: Tensor
    """Poses (B, N, 4, 4) by the teacher in one common camera frame, the depth network's unit."""
    taught_weight: Tensor
    """(B,) how sure the motions are, 0 to 1; 0: none."""
    points: Tensor
    """(B, MAX_POINTS, 4) points of the target: u, v, inverse depth, weight; 0 fills up."""
    window: Tensor
    """(B, 4) first column and row, last column and row of the frames that show the image; the rest
    are margins of the resize mode pad."""


def relative_poses(lesson: Lesson, frames: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) of a snippet's frames relative to its middle one."""
    poses = lesson.poses[frames]
    return np.linalg.inv(poses[len(frames) // 2]) @ poses


def target_points(lesson: Lesson, frame: int) -> np.ndarray:
    """Points (MAX_POINTS, 4) of a frame."""
    points = lesson.points(frame)
    if len(points) > MAX_POINTS:
        points = points[np.linspace(0, len(points) - 1, MAX_POINTS).round().astype(int)]
    result = np.zeros((MAX_POINTS, 4), np.float32)
    result[: len(points)] = points
    return result


def taught_fields(
    lessons: Sequence[tuple[Lesson | None, np.ndarray, float]], windows: np.ndarray
) -> dict[str, Tensor]:
    """Returns the fields that :class:`TaughtBatch` has beyond Batch, in host memory.

    lessons: for each snippet the lesson, its frames (N,) and its focal length. windows: (B, 4).
    """
    poses, weights, points = [], [], []
    for lesson, frames, focal in lessons:
        poses.append(np.tile(np.eye(4), (len(frames), 1, 1)))
        weights.append(0.0)
        points.append(np.zeros((MAX_POINTS, 4), np.float32))
        if lesson is not None and (weight := lesson.weight(frames, focal)) > 0.0:
            poses[-1] = relative_poses(lesson, frames)
            weights[-1] = weight
        if lesson is not None:
            points[-1] = target_points(lesson, int(frames[len(frames) // 2]))
    return {
        "taught_poses": torch.from_numpy(np.stack(poses).astype(np.float32)),
        "taught_weight": torch.tensor(weights, dtype=torch.float32),
        "points": torch.from_numpy(np.stack(points)),
        "window": torch.from_numpy(windows.astype(np.float32)),
    }


def zoomed_fields(
    batch: TaughtBatch, zoom: Tensor, offset: Tensor, mirrored: Tensor, poses: Tensor
) -> dict[str, Tensor]:
    """Returns points, window and poses of the zoomed and mirrored frames.

    zoom, mirrored: (B,); offset: (B, 2), u_in = u_out / zoom + offset before mirroring. poses: (B,
    N, 4, 4) the mirrored motions of all snippets.
    """
    width, height = batch.frames.shape[-1], batch.frames.shape[-2]
    flip = mirrored[:, None]
    pixels = (batch.points[..., :2] - offset[:, None]) * zoom[:, None, None]
    u, v = pixels.unbind(-1)
    u = torch.where(flip, width - 1 - u, u)
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    points = torch.stack([u, v, batch.points[..., 2], batch.points[..., 3] * inside], dim=-1)
    first = (batch.window[:, :2] - offset) * zoom[:, None]
    last = (batch.window[:, 2:] - offset) * zoom[:, None]
    left = torch.where(mirrored, width - 1 - last[:, 0], first[:, 0])
    right = torch.where(mirrored, width - 1 - first[:, 0], last[:, 0])
    window = torch.stack([left, first[:, 1], right, last[:, 1]], dim=1)
    taught = torch.where(flip[..., None, None], poses, batch.taught_poses)
    return {"points": points, "window": window, "taught_poses": taught}


def black_margins(frames: Tensor, window: Tensor) -> Tensor:
    """Returns frames (B, N, C, H, W) that are black outside their windows (B, 4)."""
    return frames * visible_pixels(window, *frames.shape[-2:])[:, None]


def visible_pixels(window: Tensor, height: int, width: int) -> Tensor:
    """Returns the mask (B, 1, H, W) of the pixels inside windows (B, 4)."""
    u = torch.arange(width, device=window.device)
    v = torch.arange(height, device=window.device)
    left, top, right, bottom = (window[:, index, None] for index in range(4))
    columns = (u >= left - 0.5) & (u <= right + 0.5)
    rows = (v >= top - 0.5) & (v <= bottom + 0.5)
    return (rows[:, :, None] & columns[:, None])[:, None]
