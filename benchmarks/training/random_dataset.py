"""Prepared dataset of random frames, in the format of :mod:`training.prepare`, and its sampling.

For the throughput of preparing and sampling real images, see :mod:`benchmarks.data`.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.training.steps import HEIGHT, INTRINSICS, WIDTH
from training.data.prefetch import Prefetcher
from training.data.sampler import FORMAT, VERSION, SnippetSampler, open_data

SCENES = 2
SCENE_FRAMES = 100
BATCH = 32


def snippets_per_s(length: int, seconds: float = 2.0) -> float:
    """Returns snippets of RGB frames per second, drawn on as many threads as there are cores."""
    with random_sampler(length, 3, BATCH) as sampler:
        batches = iter(Prefetcher(sampler, threads=len(os.sched_getaffinity(0))))
        for _ in range(2 * SCENES * SCENE_FRAMES // BATCH):  # until the files are in memory
            next(batches)
        count = 0
        started = time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            _, batch = next(batches)
            count += len(batch.frames)
        batches.close()  # type: ignore[attr-defined]
    return count / elapsed


@contextmanager
def random_sampler(length: int, channels: int, batch: int) -> Iterator[SnippetSampler]:
    """Yields a sampler of random prepared data, which lies in a folder removed afterwards."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="sfm_odometry_bench_") as name:
        folder = Path(name)
        scenes = [f"scene_{index}" for index in range(SCENES)]
        for scene in scenes:
            (folder / scene).mkdir()
            np.save(
                folder / scene / "frames.npy",
                random.integers(0, 256, (SCENE_FRAMES, HEIGHT, WIDTH, 3), np.uint8),
            )
            (folder / scene / "scene.json").write_text(json.dumps(_scene_description()))
        (folder / "index.json").write_text(
            json.dumps({"format": FORMAT, "version": VERSION, "scenes": scenes})
        )
        yield SnippetSampler([open_data(folder)], length, channels, batch, seed=0)


def _scene_description() -> dict[str, object]:
    """Returns the content of scene.json."""
    return {
        "frame_numbers": list(range(SCENE_FRAMES)),
        "width": WIDTH,
        "height": HEIGHT,
        "channels": 3,
        "intrinsics": INTRINSICS,
        "has_depth": False,
        "has_motion_mask": False,
        "has_poses": False,
        "poses_supervise": False,
        "resize_mode": "stretch",
    }
