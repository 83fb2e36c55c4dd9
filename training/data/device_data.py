"""Frames kept in the device's memory: batches are gathered there, and only a few numbers a
snippet cross to it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.collate import copy_channels, pinned, small_parts
from training.data.sampler import SnippetSampler
from training.data.scenes import Scene

LARGEST_SHARE = 0.5
"""Of the device's free memory that `auto` fills with frames: the rest is for training."""


class DeviceSampler:
    """Gives the batches of a :class:`training.data.sampler.SnippetSampler`, the same ones, on a
    device.

    Frames are converted to the networks' channels on the host, as the sampler does, and uploaded
    once. So are true depth and motion masks where the sampler copies them.
    """

    def __init__(self, sampler: SnippetSampler, device: torch.device) -> None:
        self._sampler, self._device = sampler, device
        scenes = sampler.scenes
        self._first_frame = np.concatenate(
            [[0], np.cumsum([len(scene.frames) for scene in scenes])]
        )
        self._frames = _upload_frames(scenes, sampler.channels, device)
        with_truth = [scene for scene in scenes if sampler.has_truth(scene)]
        counts = [len(scene.frames) if sampler.has_truth(scene) else 0 for scene in scenes]
        self._first_map = 1 + np.concatenate(
            [[0], np.cumsum(counts)]
        )  # map 0 is the one of snippets without truth
        self._depth = _upload_maps(
            [scene.depth for scene in with_truth], self._frames.shape[1:3], np.float16, device
        )
        self._moving = _upload_maps(
            [scene.motion_mask for scene in with_truth], self._frames.shape[1:3], np.uint8, device
        )

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """What `sampler.batch` gives, on the device; nothing is waited for."""
        return self.collate(self._sampler.choose(step, rank, ranks))

    def collate(self, snippets: np.ndarray) -> Batch:
        """One batch of snippets (B, 2), each the index of a scene and of a first frame."""
        sampler, scenes = self._sampler, self._sampler.scenes
        has_truth = np.array([sampler.has_truth(scenes[scene]) for scene, _ in snippets])
        maps = np.where(
            has_truth, self._first_map[snippets[:, 0]] + snippets[:, 1] + sampler.length // 2, 0
        )
        first = self._to_device(self._first_frame[snippets[:, 0]] + snippets[:, 1])
        indices = first[:, None] + torch.arange(sampler.length, device=self._device)
        frames = self._frames.index_select(0, indices.flatten()).unflatten(0, indices.shape)
        map_indices = self._to_device(maps)
        small = small_parts(
            [(scenes[scene], int(start)) for scene, start in snippets], sampler.length
        )
        return Batch(
            frames=frames.permute(0, 1, 4, 2, 3),
            camera=self._to_device(sampler.camera_of(snippets)),
            depth=self._depth.index_select(0, map_indices)[:, None],
            moving=self._moving.index_select(0, map_indices)[:, None],
            has_depth=self._to_device(has_truth),
            **{name: value.to(self._device, non_blocking=True) for name, value in small.items()},
        )

    def _to_device(self, values: np.ndarray) -> Tensor:
        return pinned(torch.from_numpy(values)).to(self._device, non_blocking=True)


def _upload_frames(scenes: Sequence[Scene], channels: int, device: torch.device) -> Tensor:
    """All frames (F, H, W, C) uint8, one scene after the other."""
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
    """Maps (1 + M, H, W) of the scenes with truth; the first is zero."""
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
    """What a :class:`DeviceSampler` takes of the device's memory."""
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
    """The sampler's data on the device where that is configured and fits; InputError where
    `data_on_device: true` does not fit."""
    if config.data_on_device is False or (
        config.data_on_device == "auto" and device.type != "cuda"
    ):
        return None
    needed = bytes_on_device(sampler)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        if config.data_on_device is True and needed > free:
            raise InputError(
                f"setting 'data_on_device: true': frames take {needed:,} bytes, of which {free:,} are free, expected auto"
            )
        if config.data_on_device == "auto" and needed > LARGEST_SHARE * free:
            return None
    return DeviceSampler(sampler, device)
