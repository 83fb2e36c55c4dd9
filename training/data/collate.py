"""Collation of snippets of memory-mapped scenes into a batch; each byte is copied once."""

import functools
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.batch import Batch
from training.data.scenes import Scene
from training.data.taught import TaughtBatch, taught_fields

Snippet = tuple[Scene, int]
"""Scene and index of the first frame in it."""
MARGIN_FRAMES = 20
"""Frames in which the black margins of a scene are looked for."""


def collate(
    snippets: Sequence[Snippet],
    cameras: np.ndarray,
    length: int,
    channels: int,
    with_truth: bool,
    with_lessons: bool = False,
) -> Batch:
    """Copies B snippets of `length` frames with 1 (grey) or 3 (RGB) channels into a batch.

    All scenes must have one image size. cameras: (B,) int64, for `Batch.camera`. with_truth:
    whether to copy depth and motion masks where a scene has both. with_lessons: whether to
    return a :class:`TaughtBatch`, with what a teacher said of the scenes that have a lesson. Frames
    are stored with the channels last, as on disk and as is fastest for convolutions. The memory is
    pinned where CUDA is available: copies to the device are then asynchronous.
    """
    has_truth = [with_truth and scene.has_truth for scene, _ in snippets]
    batch = Batch(
        frames=_copy_frames(snippets, length, channels).permute(0, 1, 4, 2, 3),
        camera=pinned(torch.from_numpy(cameras)),
        depth=_copy_target_maps(
            [scene.depth for scene, _ in snippets], snippets, length, has_truth, np.float16
        ),
        moving=_copy_target_maps(
            [scene.motion_mask for scene, _ in snippets], snippets, length, has_truth, np.uint8
        ),
        has_depth=pinned(torch.tensor(has_truth)),
        **small_tensors(snippets, length),
    )
    return with_lesson(batch, snippets) if with_lessons else batch


def with_lesson(batch: Batch, snippets: Sequence[Snippet]) -> TaughtBatch:
    """Returns the batch of these snippets with what a teacher said of them, on its device."""
    length = batch.frames.shape[1]
    taught = taught_fields(
        [
            (scene.lesson, start + np.arange(length), float(scene.intrinsics[0, 0]))
            for scene, start in snippets
        ],
        np.stack([visible_window(scene) for scene, _ in snippets]),
    )
    device = batch.frames.device
    taught = {name: pinned(value).to(device, non_blocking=True) for name, value in taught.items()}
    return TaughtBatch(**{**vars(batch), **taught})


@functools.cache
def visible_window(scene: Scene) -> np.ndarray:
    """Returns first column and row, last column and row (4,) that show the image.

    Margins of the resize mode pad are black in every frame.
    """
    height, width = scene.frames.shape[1:3]
    whole = np.array([0, 0, width - 1, height - 1], np.float32)
    if scene.resize_mode != "pad":
        return whole
    chosen = np.linspace(0, len(scene.frames) - 1, MARGIN_FRAMES).astype(int)
    rows, columns = np.nonzero(scene.frames[np.unique(chosen)].max(axis=(0, 3)))
    if not len(rows):
        return whole
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float32)


def small_tensors(snippets: Sequence[Snippet], length: int) -> dict[str, Tensor]:
    """Returns `intrinsics`, `camera_from_frame` and `has_motion` of a batch, in host memory."""
    supervised = [scene.poses is not None and scene.poses_supervise for scene, _ in snippets]
    intrinsics = np.array([scene.intrinsics for scene, _ in snippets], np.float32)
    return {
        "intrinsics": pinned(torch.from_numpy(intrinsics)),
        "camera_from_frame": pinned(_relative_poses(snippets, length)),
        "has_motion": pinned(torch.tensor(supervised)),
    }


def pinned(values: Tensor) -> Tensor:
    """Returns the values in pinned memory, for asynchronous copies; unchanged without CUDA."""
    return values.pin_memory() if torch.cuda.is_available() else values


def _copy_frames(snippets: Sequence[Snippet], length: int, channels: int) -> Tensor:
    """Returns the frames (B, N, H, W, C), uint8."""
    height, width = snippets[0][0].frames.shape[1:3]
    frames = _host_tensor((len(snippets), length, height, width, channels), np.uint8)
    for out, (scene, start) in zip(frames.numpy(), snippets, strict=True):
        copy_channels(scene.frames[start : start + length], out)
    return frames


def copy_channels(frames: np.ndarray, out: np.ndarray) -> None:
    """Copies frames (N, H, W, C), converted to the channels of `out`: grey or RGB.

    The conversion to grey is the preprocessor's.
    """
    if frames.shape == out.shape:
        np.copyto(out, frames)
        return
    code = cv2.COLOR_GRAY2RGB if out.shape[-1] == 3 else cv2.COLOR_RGB2GRAY
    # OpenCV converts all frames at once as one tall image.
    width = frames.shape[2]
    cv2.cvtColor(
        frames.reshape(-1, width, frames.shape[-1]),
        code,
        dst=out.reshape(-1, width, out.shape[-1]),
    )


def _copy_target_maps(
    maps: Sequence[np.ndarray | None],
    snippets: Sequence[Snippet],
    length: int,
    has_truth: Sequence[bool],
    dtype: type[np.generic],
) -> Tensor:
    """Returns true depth or motion masks (B, 1, H, W) of the targets; zeros without truth."""
    height, width = snippets[0][0].frames.shape[1:3]
    result = _host_tensor((len(snippets), 1, height, width), dtype)
    for out, values, (_, start), known in zip(
        result.numpy(), maps, snippets, has_truth, strict=True
    ):
        out[0] = values[start + length // 2] if known and values is not None else 0
    return result


def _host_tensor(shape: tuple[int, ...], dtype: type[np.generic]) -> Tensor:
    """Returns uninitialised memory, to be filled through numpy.

    torch would use its threads even to write zeros, while they are busy with the training step.
    numpy requests large pages from the system, whose first access is far cheaper.
    """
    if torch.cuda.is_available():
        return torch.empty(shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype, pin_memory=True)
    return torch.from_numpy(np.empty(shape, dtype))


def _relative_poses(snippets: Sequence[Snippet], length: int) -> Tensor:
    """Returns the poses (B, N, 4, 4) relative to each snippet's middle frame.

    Relative poses keep their precision in float32. Unknown poses are identities.
    """
    relative = torch.eye(4).repeat(len(snippets), length, 1, 1)
    for out, (scene, start) in zip(relative.numpy(), snippets, strict=True):
        if scene.poses is not None:
            poses = scene.poses[start : start + length]
            out[:] = np.linalg.inv(scene.poses[start + length // 2]) @ poses
    return relative
