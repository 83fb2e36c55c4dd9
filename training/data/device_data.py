"""Sampler that keeps all frames in the device's memory.

Batches are gathered there; only a few numbers per snippet are copied from the host.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.collate import copy_channels, pinned, small_tensors, with_lesson
from training.data.sampler import SnippetSampler
from training.data.scenes import Scene

MAX_MEMORY_SHARE = 0.5
"""Maximum share of the device's free memory for frames with `auto`; the rest is for training."""


class DeviceSampler:
    """Sampler of the same batches as a :class:`training.data.sampler.SnippetSampler`, on a device.

    Frames are converted to the networks' channels on the host, as by the sampler, and uploaded
    once; so are true depth and motion masks where the sampler copies them.
    """

    def __init__(self, sampler: SnippetSampler, device: torch.device) -> None:
        self._sampler = sampler
        self._device = device
        scenes = sampler.scenes
        # Upload all frames; a scene's frames follow each other.
        self._first_frame = np.concatenate(
            [[0], np.cumsum([len(scene.frames) for scene in scenes])]
        )
        self._frames = _upload_frames(scenes, sampler.channels, device)
        # Upload the maps of scenes with truth; map 0 is that of snippets without truth.
        size = self._frames.shape[1:3]
        with_truth = [scene for scene in scenes if sampler.has_truth(scene)]
        counts = [len(scene.frames) if sampler.has_truth(scene) else 0 for scene in scenes]
        self._first_map = 1 + np.concatenate([[0], np.cumsum(counts)])
        self._depth = _upload_maps([scene.depth for scene in with_truth], size, np.float16, device)
        self._moving = _upload_maps(
            [scene.motion_mask for scene in with_truth], size, np.uint8, device
        )

    @property
    def nbytes(self) -> int:
        """Device memory of frames and maps, without the map for snippets without truth."""
        return sum(values.nbytes for values in (self._frames, self._depth[1:], self._moving[1:]))

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Returns the batch of `sampler.batch` on the device, without synchronisation."""
        return self.collate(self._sampler.draw(step, rank, ranks))

    def collate(self, snippets: np.ndarray) -> Batch:
        """Gathers a batch of snippets (B, 2): index of the scene, index of the first frame."""
        sampler = self._sampler
        scenes = sampler.scenes
        # Gather the frames.
        first = self._to_device(self._first_frame[snippets[:, 0]] + snippets[:, 1])
        indices = first[:, None] + torch.arange(sampler.length, device=self._device)
        frames = self._frames.index_select(0, indices.flatten()).unflatten(0, indices.shape)
        # Find the targets' maps.
        has_truth = np.array([sampler.has_truth(scenes[scene]) for scene, _ in snippets])
        target = self._first_map[snippets[:, 0]] + snippets[:, 1] + sampler.length // 2
        map_indices = self._to_device(np.where(has_truth, target, 0))
        # Copy the small tensors from the host.
        small = small_tensors(
            [(scenes[scene], int(start)) for scene, start in snippets], sampler.length
        )
        batch = Batch(
            frames=frames.permute(0, 1, 4, 2, 3),
            camera=self._to_device(sampler.camera_of(snippets)),
            depth=self._depth.index_select(0, map_indices)[:, None],
            moving=self._moving.index_select(0, map_indices)[:, None],
            has_depth=self._to_device(has_truth),
            **{name: value.to(self._device, non_blocking=True) for name, value in small.items()},
        )
        if not sampler.with_lessons:
            return batch
        return with_lesson(batch, [(scenes[scene], int(start)) for scene, start in snippets])

    def _to_device(self, values: np.ndarray) -> Tensor:
        """Copies values to the device asynchronously."""
        return pinned(torch.from_numpy(values)).to(self._device, non_blocking=True)


def _upload_frames(scenes: Sequence[Scene], channels: int, device: torch.device) -> Tensor:
    """Returns all frames (F, H, W, C), uint8, on the device, one scene after the other."""
    height, width = scenes[0].frames.shape[1:3]
    frames = torch.empty(
        sum(len(scene.frames) for scene in scenes),
        height,
        width,
        channels,
        dtype=torch.uint8,
        device=device,
    )
    first = 0
    for scene in scenes:
        converted = np.empty((*scene.frames.shape[:3], channels), np.uint8)
        copy_channels(np.ascontiguousarray(scene.frames), converted)
        frames[first : first + len(converted)].copy_(torch.from_numpy(converted))
        first += len(converted)
    return frames


def _upload_maps(
    maps: Sequence[np.ndarray | None],
    size: Sequence[int],
    dtype: type[np.generic],
    device: torch.device,
) -> Tensor:
    """Returns the maps (1 + M, H, W) of scenes with truth on the device; the first is zero."""
    parts = [
        np.zeros((1, *size), dtype),
        *(np.asarray(values) for values in maps if values is not None),
    ]
    result = torch.empty(
        sum(map(len, parts)), *size, dtype=torch.from_numpy(parts[0]).dtype, device=device
    )
    first = 0
    for part in parts:
        result[first : first + len(part)].copy_(torch.from_numpy(np.array(part)))
        first += len(part)
    return result


def bytes_on_device(sampler: SnippetSampler) -> int:
    """Returns the device memory that a :class:`DeviceSampler` will need for frames and maps."""
    pixels = [int(np.prod(scene.frames.shape[:3])) for scene in sampler.scenes]
    truth = [
        3 * count
        for count, scene in zip(pixels, sampler.scenes, strict=True)
        if sampler.has_truth(scene)
    ]
    return sum(pixels) * sampler.channels + sum(truth)


def device_sampler(
    sampler: SnippetSampler, config: TrainConfig, device: torch.device
) -> DeviceSampler | None:
    """Returns a sampler with its data on the device if configured and if it fits, else None.

    Raises InputError where `data_on_device: true` does not fit.
    """
    if config.data_on_device is False or (
        config.data_on_device == "auto" and device.type != "cuda"
    ):
        return None
    # Compare the data with the free memory.
    needed = bytes_on_device(sampler)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        if config.data_on_device is True and needed > free:
            raise InputError(
                f"setting 'data_on_device: true': frames take {needed:,} bytes, "
                f"of which {free:,} are free, expected auto"
            )
        if config.data_on_device == "auto" and needed > MAX_MEMORY_SHARE * free:
            return None
    return DeviceSampler(sampler, device)
