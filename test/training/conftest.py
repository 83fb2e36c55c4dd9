"""Fixtures for training: one thread, runs of a small network, and a street of planes."""

import importlib.util
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch

from sfm_odometry.geometry.projection import backproject, transform_points
from sfm_odometry.inference.checkpoint import load_model
from training.data.sampler import FORMAT, VERSION
from training.train import main

REPOSITORY = Path(__file__).resolve().parents[2]

RECIPE = """
model:
  width: 64
  height: 32
  depth:
    {image_channels: 1, encoder_widths: [4, 8, 8], encoder_kernels: [3, 3, 3],
     decoder_widths: [8, 8, 4], scales: 2}
  pose:
    {image_channels: 1, encoder_widths: [4, 8, 8, 8, 8], pose_widths: [8],
     mask_widths: [8, 8, 8, 4, 4], mask_kernels: [3, 3, 3, 3, 3], mask_scales: 2}
objective: {scales: 2}
augment: {flip: true, noise: 0.01, brightness: 0.1}
steps: 6
batch_size: 2
log_every: 2
pictures_every: 0
checkpoint_every: 3
validation_scenes: ["held_out*"]
device: cpu
precision: float32
"""


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sets torch to one thread: on tiny layers several threads mostly wait for each other.

    The more so where another process uses the other core.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def planes():
    """The module planes.py: images of a slanted plane with truth, and a tiny model."""
    path = Path(__file__).with_name("planes.py")
    spec = importlib.util.spec_from_file_location("planes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TinyRuns:
    """Runs of a small network on two prepared scenes, `drive` and `held_out`.

    Each run has its own folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.recipe = folder / "recipe.yaml"
        for seed, name in enumerate(("drive", "held_out")):
            write_scene(self.data / name, seed)
        (self.data / "index.json").write_text(
            json.dumps({"format": FORMAT, "version": VERSION, "scenes": ["drive", "held_out"]})
        )
        self.recipe.write_text(RECIPE)

    def resize(self, width: int, height: int) -> None:
        """Writes the scenes anew, in another size."""
        for seed, name in enumerate(("drive", "held_out")):
            write_scene(self.data / name, seed, width, height)

    def arguments(self, run: str, *more: str) -> list[str]:
        """Returns the arguments of `python -m training.train`."""
        return [
            "--config",
            str(self.recipe),
            "--data",
            str(self.data),
            "--out",
            str(self.folder / run),
            *more,
        ]

    def train(self, run: str, *more: str) -> int:
        """Trains in this process; returns the exit code."""
        return main(self.arguments(run, *more))

    def start(
        self,
        run: str,
        *more: str,
        launcher: tuple[str, ...] = (),
        file_limit: int | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.Popen:
        """Trains in a process of its own, on one thread.

        file_limit: maximum size of its files in bytes.
        """
        command = [
            sys.executable,
            "-m",
            *launcher,
            *(["-m"] if launcher else []),
            "training.train",
            *self.arguments(run, *more),
        ]
        variables = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **environment}
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if file_limit is not None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_limit, file_limit))
        return process

    def log(self, run: str) -> list[dict]:
        """Reads the entries of a run's log."""
        return [
            json.loads(line) for line in (self.folder / run / "log.jsonl").read_text().splitlines()
        ]

    def losses(self, run: str) -> dict[int, float]:
        """Returns the loss by step."""
        return {entry["step"]: entry["loss"] for entry in self.log(run) if "loss" in entry}

    def weights(self, run: str, name: str = "latest") -> dict[str, torch.Tensor]:
        """Loads the weights of a run's model."""
        return load_model(self.folder / run / f"{name}.safetensors").state_dict()

    def add_truth(self, depth: np.ndarray, poses: np.ndarray) -> None:
        """Adds the same true depth and supervising poses to every scene, without moving objects.

        depth, poses: of all frames, or broadcast to them.
        """
        for path in self.data.glob("*/scene.json"):
            description = json.loads(path.read_text())
            count = len(description["frame_numbers"])
            names = ("has_depth", "has_motion_mask", "has_poses", "poses_supervise")
            path.write_text(json.dumps({**description, **dict.fromkeys(names, True)}))
            np.save(
                path.with_name("depth.npy"),
                np.broadcast_to(depth, (count, 32, 64)).astype(np.float16),
            )
            np.save(path.with_name("motion_mask.npy"), np.zeros((count, 32, 64), np.uint8))
            np.save(
                path.with_name("poses.npy"),
                np.broadcast_to(poses, (count, 4, 4)).astype(np.float64),
            )


def write_scene(folder: Path, seed: int, width: int = 64, height: int = 32) -> None:
    """Writes a prepared scene: a texture that moves by two pixels per frame."""
    texture = np.random.default_rng(seed).integers(0, 256, (height, width + 32, 1), np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(
        folder / "frames.npy",
        np.stack([texture[:, 2 * index : 2 * index + width] for index in range(10)]),
    )
    description = {
        "frame_numbers": list(range(10)),
        "width": width,
        "height": height,
        "channels": 1,
        "intrinsics": [[40.0, 0.0, 31.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]],
        "has_depth": False,
        "has_motion_mask": False,
        "has_poses": False,
        "poses_supervise": False,
        "resize_mode": "crop",
    }
    (folder / "scene.json").write_text(json.dumps(description))


@pytest.fixture
def runs(tmp_path: Path) -> TinyRuns:
    return TinyRuns(tmp_path)


class Street:
    """Textured street of planes, rendered by intersecting each pixel's ray with each plane."""

    height = 36
    width = 112
    intrinsics = torch.tensor([[65.0, 0.0, 55.0], [0.0, 65.0, 16.0], [0.0, 0.0, 1.0]])
    planes = (
        (0.0, 1.0, 0.0, 1.6),
        (1.0, 0.0, 0.0, -4.0),
        (1.0, 0.0, 0.0, 5.5),
        (0.0, 0.0, 1.0, 28.0),
        (0.6, 0.0, 0.8, 14.0),
    )
    """Planes n . x = d: ground, two house fronts, one across the end of the street, one oblique."""

    def depth(self, world_from_camera: torch.Tensor) -> torch.Tensor:
        """Renders the depth (M, 1, H, W) from poses (M, 4, 4)."""
        count = len(world_from_camera)
        rays = backproject(
            torch.ones(count, 1, self.height, self.width), self.intrinsics.expand(count, 3, 3)
        )
        directions = torch.einsum("mij,mjhw->mihw", world_from_camera[:, :3, :3], rays)
        hits = []
        for *normal, distance in self.planes:
            normal_tensor = torch.tensor(normal)
            height = (distance - world_from_camera[:, :3, 3] @ normal_tensor)[:, None, None]
            depth = height / torch.einsum("i,mihw->mhw", normal_tensor, directions)
            hits.append(torch.where(depth > 0, depth, torch.inf))
        return torch.stack(hits).amin(dim=0)[:, None]

    def cloud(self, world_from_camera: torch.Tensor) -> torch.Tensor:
        """Returns the points (M, 3, H, W) in the camera's frame."""
        return backproject(
            self.depth(world_from_camera), self.intrinsics.expand(len(world_from_camera), 3, 3)
        )

    def image(self, world_from_camera: torch.Tensor) -> torch.Tensor:
        """Renders images (M, 1, H, W) in [0, 1]: waves long enough for the camera at the origin."""
        x, y, z = transform_points(world_from_camera, self.cloud(world_from_camera)).unbind(1)
        paint = (
            torch.sin(1.1 * x + 0.7 * z)
            + torch.sin(2.3 * y - 0.5 * x)
            + torch.sin(0.9 * z - 1.3 * y)
        )
        return (0.5 + paint / 6)[:, None]


@pytest.fixture(scope="session")
def street() -> Street:
    return Street()
