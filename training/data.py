"""Prepared data sets: memory-mapped uint8 frames, one folder a scene, one small index; and snippets drawn from them."""

import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch

from sfm_odometry.errors import InputError
from training.batch import Batch

FORMAT = "sfm_odometry prepared data"
VERSION = 1


@dataclass(frozen=True)
class Scene:
    """One drive of one camera; N frames, arrays memory-mapped."""

    name: str
    frames: np.ndarray
    """(N, H, W, C) uint8."""
    frame_numbers: np.ndarray
    """(N,) int, increasing; neighbours are frames whose numbers follow each other."""
    intrinsics: np.ndarray
    """(3, 3) of the prepared size."""
    depth: np.ndarray | None
    """(N, H, W) float16 in metres, 0 = unknown, inf = sky; only where the source has truth."""
    motion_mask: np.ndarray | None
    """(N, H, W) uint8, 255 = a moving object; only where the source has truth."""
    poses: np.ndarray | None
    """(N, 4, 4) camera0_from_camera; KITTI's are for validation alone, a rendered drive's may supervise a warm start."""
    poses_supervise: bool
    """Whether the poses may be used in training."""
    resize_mode: str
    """How the source's images became this size: crop, stretch or pad."""

    def snippet_starts(self, length: int) -> np.ndarray:
        """Indices of first frames of all snippets of `length` consecutive frame numbers."""
        if len(self.frame_numbers) < length:
            return np.empty(0, np.int64)
        span = self.frame_numbers[length - 1 :] - self.frame_numbers[: len(self.frame_numbers) - length + 1]
        return np.flatnonzero(span == length - 1)


def open_data(folder: Path) -> list[Scene]:
    """The scenes of a prepared data set; raises InputError naming the file that is missing, foreign or truncated."""
    index_path = folder / "index.json"
    index = _read_json(index_path)
    if index.get("format") != FORMAT or index.get("version") != VERSION:
        raise InputError(f"{index_path}: not an index of version {VERSION} written by training.prepare")
    return [_open_scene(folder / name) for name in index["scenes"]]


def _open_scene(folder: Path) -> Scene:
    description = _read_json(folder / "scene.json")
    count = len(description["frame_numbers"])
    size = (count, description["height"], description["width"])
    optional = {
        name: _map_array(folder / f"{name}.npy", shape) if description[f"has_{name}"] else None
        for name, shape in (("depth", size), ("motion_mask", size), ("poses", (count, 4, 4)))
    }
    return Scene(
        name=folder.name,
        frames=_map_array(folder / "frames.npy", (*size, description["channels"])),
        frame_numbers=np.asarray(description["frame_numbers"]),
        intrinsics=np.asarray(description["intrinsics"], np.float64),
        poses_supervise=description["poses_supervise"],
        resize_mode=description["resize_mode"],
        **optional,
    )


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected data written by training.prepare") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}), expected data written by training.prepare") from error


def _map_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be mapped ({error}), expected an array of shape {shape}") from error
    if array.shape != shape:
        raise InputError(f"{path}: array of shape {array.shape}, expected {shape} by scene.json")
    return array


class SnippetSampler:
    """Draws batches of snippets; which ones depends on the seed and the step alone, so a resumed run sees what it would have seen."""

    def __init__(
        self, groups: list[list[Scene]], length: int, channels: int, batch_size: int, seed: int, weights: tuple[float, ...] = ()
    ) -> None:
        """groups: the scenes of each data set; weights: how often each data set is drawn, default by its number of snippets."""
        self.length, self.channels, self.batch_size, self.seed = length, channels, batch_size, seed
        self._snippets = [[(scene, int(start)) for scene in scenes for start in scene.snippet_starts(length)] for scenes in groups]
        counts = np.array([len(snippets) for snippets in self._snippets], float)
        if counts.sum() == 0:
            raise InputError(f"the data has no snippet of {length} consecutive frames")
        if weights and len(weights) != len(groups):
            raise InputError(f"data_weights has {len(weights)} values for {len(groups)} data sets")
        share = (np.asarray(weights) if weights else counts) * (counts > 0)
        self._share = share / share.sum()

    def __len__(self) -> int:
        return sum(len(snippets) for snippets in self._snippets)

    def batch(self, step: int) -> Batch:
        """The batch of training step `step`."""
        random = np.random.default_rng([self.seed, step])
        groups = random.choice(len(self._snippets), self.batch_size, p=self._share)
        return collate([self._draw(random, group) for group in groups], self.length, self.channels)

    def _draw(self, random: np.random.Generator, group: int) -> tuple[Scene, int]:
        snippets = self._snippets[group]
        return snippets[random.integers(len(snippets))]

    def in_order(self, batch_size: int) -> list[Batch]:
        """All snippets once, in order, for validation."""
        snippets = [snippet for group in self._snippets for snippet in group]
        return [collate(snippets[i : i + batch_size], self.length, self.channels) for i in range(0, len(snippets), batch_size)]


def collate(snippets: list[tuple[Scene, int]], length: int, channels: int) -> Batch:
    """Copy snippets out of their scenes into one batch; all scenes must have one image size."""
    sizes = {scene.frames.shape[1:3] for scene, _ in snippets}
    if len(sizes) != 1:
        raise InputError(f"scenes of different sizes cannot be mixed in a batch: {sorted(sizes)}")
    frames = torch.stack([torch.from_numpy(_channels(scene.frames[s : s + length], channels)) for scene, s in snippets])
    supervised = [scene.poses is not None and scene.poses_supervise for scene, _ in snippets]
    return Batch(
        frames=frames.permute(0, 1, 4, 2, 3).float() / 255.0,
        intrinsics=torch.stack([torch.from_numpy(scene.intrinsics).float() for scene, _ in snippets]),
        depth=torch.stack([_map(scene.depth, scene, start + length // 2) for scene, start in snippets]),
        moving=torch.stack([_map(scene.motion_mask, scene, start + length // 2) for scene, start in snippets]) / 255.0,
        camera_from_frame=torch.stack([_motions(scene, start, length) for scene, start in snippets]),
        has_depth=torch.tensor([scene.depth is not None and scene.motion_mask is not None for scene, _ in snippets]),
        has_motion=torch.tensor(supervised),
    )


def _channels(frames: np.ndarray, channels: int) -> np.ndarray:
    """Grey or RGB as the networks want it; grey by the weights that cv2 and the preprocessor use."""
    if frames.shape[-1] == channels:
        return np.array(frames)
    if channels == 3:
        return np.repeat(frames, 3, axis=-1)
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(frames.astype(np.float32) @ weights)[..., None].astype(np.uint8)


def _map(maps: np.ndarray | None, scene: Scene, index: int) -> torch.Tensor:
    """One frame of true depth or motion (1, H, W), zeros where the scene has none."""
    if maps is None:
        return torch.zeros(1, *scene.frames.shape[1:3])
    return torch.from_numpy(np.array(maps[index])).float()[None]


def _motions(scene: Scene, start: int, length: int) -> torch.Tensor:
    """Poses relative to the snippet's middle frame, so that float32 keeps their precision."""
    if scene.poses is None:
        return torch.eye(4).expand(length, 4, 4)
    poses = np.asarray(scene.poses[start : start + length], np.float64)
    return torch.from_numpy(np.linalg.inv(poses[length // 2]) @ poses).float()


def split_scenes(scenes: list[Scene], validation_patterns: tuple[str, ...]) -> tuple[list[Scene], list[Scene]]:
    """Training and validation scenes: those whose name matches one of the patterns are kept for validation."""
    validation = [scene for scene in scenes if any(fnmatch(scene.name, pattern) for pattern in validation_patterns)]
    return [scene for scene in scenes if scene not in validation], validation
