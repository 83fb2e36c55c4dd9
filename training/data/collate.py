"""Snippets of memory-mapped scenes copied into one batch, each byte once."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.batch import Batch
from training.data.scenes import Scene

Snippet = tuple[Scene, int]
"""A scene and the index of the first frame in it."""


def collate(
    snippets: Sequence[Snippet], cameras: np.ndarray, length: int, channels: int, with_truth: bool
) -> Batch:
    """B snippets of `length` frames with 1 (grey) or 3 (RGB) channels; all scenes must have one
    image size.

    cameras: (B,) int64, for `Batch.camera`. with_truth: copy depth and motion masks where a scene
    has both. Frames lie in memory with the channels last, as on disk and as convolutions like them
    best. The memory is pinned where there is CUDA, so that copies to the device need not wait.
    """
    has_truth = [with_truth and scene.has_truth for scene, _ in snippets]
    return Batch(
        frames=_copy_frames(snippets, length, channels).permute(0, 1, 4, 2, 3),
        camera=pinned(torch.from_numpy(cameras)),
        depth=_copy_target_maps(
            [scene.depth for scene, _ in snippets], snippets, length, has_truth, np.float16
        ),
        moving=_copy_target_maps(
            [scene.motion_mask for scene, _ in snippets], snippets, length, has_truth, np.uint8
        ),
        has_depth=pinned(torch.tensor(has_truth)),
        **small_parts(snippets, length),
    )


def small_parts(snippets: Sequence[Snippet], length: int) -> dict[str, Tensor]:
    """Intrinsics, poses and their use of snippets, by the names of :class:`Batch`, in the host's
    memory."""
    supervised = [scene.poses is not None and scene.poses_supervise for scene, _ in snippets]
    return {
        "intrinsics": pinned(
            torch.from_numpy(np.array([scene.intrinsics for scene, _ in snippets], np.float32))
        ),
        "camera_from_frame": pinned(_motions(snippets, length)),
        "has_motion": pinned(torch.tensor(supervised)),
    }


def pinned(values: Tensor) -> Tensor:
    """The values in memory from which a GPU copies without being waited for; as they are where
    there is none."""
    return values.pin_memory() if torch.cuda.is_available() else values


def _copy_frames(snippets: Sequence[Snippet], length: int, channels: int) -> Tensor:
    """(B, N, H, W, C) uint8."""
    height, width = snippets[0][0].frames.shape[1:3]
    frames = _host_tensor((len(snippets), length, height, width, channels), np.uint8)
    for out, (scene, start) in zip(frames.numpy(), snippets, strict=True):
        copy_channels(scene.frames[start : start + length], out)
    return frames


def copy_channels(frames: np.ndarray, out: np.ndarray) -> None:
    """Copy frames (N, H, W, C) as the grey or RGB that the networks want; grey as the
    preprocessor makes it."""
    if frames.shape == out.shape:
        np.copyto(out, frames)
        return
    code = cv2.COLOR_GRAY2RGB if out.shape[-1] == 3 else cv2.COLOR_RGB2GRAY
    rows, width = -1, frames.shape[2]  # one tall image
    cv2.cvtColor(
        frames.reshape(rows, width, frames.shape[-1]),
        code,
        dst=out.reshape(rows, width, out.shape[-1]),
    )


def _copy_target_maps(
    maps: Sequence[np.ndarray | None],
    snippets: Sequence[Snippet],
    length: int,
    wanted: Sequence[bool],
    dtype: type[np.generic],
) -> Tensor:
    """True depth or motion (B, 1, H, W) of the target frames, zeros where there is none."""
    height, width = snippets[0][0].frames.shape[1:3]
    result = _host_tensor((len(snippets), 1, height, width), dtype)
    for out, values, (_, start), is_wanted in zip(
        result.numpy(), maps, snippets, wanted, strict=True
    ):
        out[0] = values[start + length // 2] if is_wanted and values is not None else 0
    return result


def _host_tensor(shape: tuple[int, ...], dtype: type[np.generic]) -> Tensor:
    """Memory to be filled through numpy: torch would wake its threads even to write zeros, and
    these are at work on the training step.

    numpy asks the system for large pages, whose first touch is far cheaper.
    """
    if torch.cuda.is_available():
        return torch.empty(shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype, pin_memory=True)
    return torch.from_numpy(np.empty(shape, dtype))


def _motions(snippets: Sequence[Snippet], length: int) -> Tensor:
    """Poses (B, N, 4, 4) relative to each snippet's middle frame, so that float32 keeps their
    precision; the identity where unknown."""
    motions = torch.eye(4).repeat(len(snippets), length, 1, 1)
    for out, (scene, start) in zip(motions.numpy(), snippets, strict=True):
        if scene.poses is not None:
            out[:] = (
                np.linalg.inv(scene.poses[start + length // 2])
                @ scene.poses[start : start + length]
            )
    return motions
