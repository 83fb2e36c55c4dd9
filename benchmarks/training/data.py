"""How fast snippets come out of prepared data: random frames written the way
:mod:`training.prepare` does."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.training.contenders import HEIGHT, WIDTH
from training.data.prefetch import Prefetcher
from training.data.sampler import FORMAT, VERSION, SnippetSampler, open_data

SCENES, SCENE_FRAMES = 2, 100
BATCH = 32


def snippets_per_s(length: int, seconds: float = 2.0) -> float:
    """Snippets of RGB frames a second, drawn on as many threads as there are cores."""
    with random_sampler(length, 3, BATCH) as sampler:
        batches = iter(Prefetcher(sampler, threads=len(os.sched_getaffinity(0))))
        for _ in range(2 * SCENES * SCENE_FRAMES // BATCH):  # until the files are in memory
            next(batches)
        count, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds:
            _, batch = next(batches)
            count += len(batch.frames)
        batches.close()  # type: ignore[attr-defined]
    return count / passed


@contextmanager
def random_sampler(length: int, channels: int, batch: int) -> Iterator[SnippetSampler]:
    """A sampler of prepared data that lies in a temporary folder."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="sfm_odometry_bench_") as name:
        folder = Path(name)
        names = [f"scene_{index}" for index in range(SCENES)]
        for scene in names:
            (folder / scene).mkdir()
            np.save(
                folder / scene / "frames.npy",
                random.integers(0, 256, (SCENE_FRAMES, HEIGHT, WIDTH, 3), np.uint8),
            )
            (folder / scene / "scene.json").write_text(json.dumps(_description()))
        (folder / "index.json").write_text(
            json.dumps({"format": FORMAT, "version": VERSION, "scenes": names})
        )
        yield SnippetSampler([open_data(folder)], length, channels, batch, seed=0)


def _description() -> dict[str, object]:
    return {
        "frame_numbers": list(range(SCENE_FRAMES)),
        "width": WIDTH,
        "height": HEIGHT,
        "channels": 3,
        "intrinsics": [[241.67, 0.0, 203.7], [0.0, 246.28, 58.65], [0.0, 0.0, 1.0]],
        "has_depth": False,
        "has_motion_mask": False,
        "has_poses": False,
        "poses_supervise": False,
        "resize_mode": "stretch",
    }
