"""Rendered drives with truth, mixed into every batch: what the model knew is not forgotten."""

from dataclasses import dataclass
from importlib import import_module

import cv2
import numpy as np
import torch
from tqdm import tqdm

from sfm_odometry.networks.model import ModelConfig
from training.data.taught import TaughtBatch, taught_fields

FRAMES = 24
"""Frames of each drive."""
SEEDS = (8101, 8102, 8103)
"""Drives to learn from, then one to measure on."""


@dataclass(frozen=True, eq=False)
class RenderedDrive:
    """N frames with truth, at the networks' size."""

    frames: np.ndarray
    """(N, H, W, C) uint8."""
    depth: np.ndarray
    """(N, H, W) float16, metres; 0: unknown, inf: sky."""
    moving: np.ndarray
    """(N, H, W) uint8, 255 on moving objects."""
    poses: np.ndarray
    """(N, 4, 4) world_from_camera."""
    intrinsics: np.ndarray
    """(3, 3)."""


def render_drives(config: ModelConfig, frames: int = FRAMES) -> list[RenderedDrive]:
    """Render the drives of SEEDS at the size of the networks."""
    total = len(SEEDS) * frames
    with tqdm(total=total, desc="rendering drives", unit="frame", disable=None) as progress:
        return [render_drive(config, seed, frames, progress) for seed in SEEDS]


def render_drive(config: ModelConfig, seed: int, frames: int, progress: tqdm) -> RenderedDrive:
    """Render one drive."""
    # Imported here, as in training.prepare: the renderer's own imports are a long chain.
    spec = import_module("training.synthetic.drive").DriveSpec(
        frames, seed, config.width, config.height
    )
    renderer = import_module("training.synthetic.render").Renderer(seed, frames, spec.intrinsics())
    images, depths, moving = [], [], []
    for number in range(frames):
        frame = renderer.render(number)
        images.append(_channels(frame.image, config.image_channels))
        depths.append(frame.depth_m.astype(np.float16))
        moving.append(frame.moving.astype(np.uint8) * 255)
        progress.update()
    return RenderedDrive(
        np.stack(images),
        np.stack(depths),
        np.stack(moving),
        np.asarray(renderer.world_from_camera),
        spec.intrinsics().matrix(),
    )


def rendered_batch(
    drives: list[RenderedDrive], snippets: list[tuple[int, int]], length: int
) -> TaughtBatch:
    """Batch of snippets (drive, first frame) of `length` frames, with truth and without teacher."""
    middle = length // 2
    chosen = [(drives[drive], slice(first, first + length)) for drive, first in snippets]
    frames = np.stack([drive.frames[part] for drive, part in chosen])
    poses = [np.linalg.inv(each.poses[part][middle]) @ each.poses[part] for each, part in chosen]
    height, width = frames.shape[2:4]
    known = torch.ones(len(chosen), dtype=torch.bool)
    window = np.tile([0, 0, width - 1, height - 1], (len(chosen), 1))
    targets = [part.start + middle for _, part in chosen]
    truth = list(zip((drive for drive, _ in chosen), targets, strict=True))
    return TaughtBatch(
        frames=torch.from_numpy(frames).permute(0, 1, 4, 2, 3),
        intrinsics=torch.from_numpy(
            np.stack([drive.intrinsics for drive, _ in chosen]).astype(np.float32)
        ),
        camera=torch.zeros(len(chosen), dtype=torch.int64),
        depth=torch.from_numpy(np.stack([drive.depth[index] for drive, index in truth]))[:, None],
        moving=torch.from_numpy(np.stack([drive.moving[index] for drive, index in truth]))[:, None],
        camera_from_frame=torch.from_numpy(np.stack(poses).astype(np.float32)),
        has_depth=known,
        has_motion=known,
        **taught_fields([(None, np.arange(length), 1.0)] * len(chosen), window),
    )


def draw_rendered(
    drives: list[RenderedDrive], count: int, length: int, random: np.random.Generator
) -> TaughtBatch:
    """Draws a batch of the drives to learn from: all but the last."""
    snippets = [
        (
            int(random.integers(len(drives) - 1)),
            int(random.integers(len(drives[0].frames) - length + 1)),
        )
        for _ in range(count)
    ]
    return rendered_batch(drives, snippets, length)


def held_out_rendered(drives: list[RenderedDrive], length: int) -> list[TaughtBatch]:
    """Batches of the last drive, to measure on."""
    last = len(drives) - 1
    starts = range(0, len(drives[last].frames) - length + 1, 2)
    return [rendered_batch(drives, [(last, start)], length) for start in starts]


def joined(first: TaughtBatch, second: TaughtBatch) -> TaughtBatch:
    """The snippets of both batches as one."""
    return TaughtBatch(
        *(
            torch.cat([getattr(first, name), getattr(second, name)])
            for name in first.__dataclass_fields__
        )
    )


def _channels(image: np.ndarray, channels: int) -> np.ndarray:
    """The image (H, W, 3) RGB with 1 (grey) or 3 channels."""
    if channels == 3:
        return image
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
