"""Growth of the odometry's cost with the size of the images: `python -m benchmarks.growth`.

One camera after the other drives through the same corridor, with the same field of view and more
pixels each time. The sizes take turns, and the shortest of several rounds counts. Processor time of
all threads, without ROS, for the motion alone and with depth of every frame.
"""

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks.node.corridor import render_corridor
from sfm_odometry.backends.processor import describe_device
from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.odometry import MonocularOdometry

SIZES = ("640x480", "1280x720", "1920x1080", "3840x2160")
FOCAL_SHARE = 0.58
"""Focal length as a share of the width, KITTI's."""
IMAGES = 8
"""Images of each camera, shown again and again: the last one leads to the first."""
WARM_UP = 12
"""Frames before the first measurement."""
FRAME_NS = 100_000_000


@dataclass
class Camera:
    """One camera's images, and the odometry that tracks them."""

    size: str
    intrinsics: Intrinsics
    images: list[np.ndarray]
    odometry: MonocularOdometry
    frames: int = 0
    ms: dict[bool, float] = field(default_factory=dict)
    """Least processor time of a frame, by whether depth is wanted in every frame."""

    def process(self, count: int, want_depth: bool) -> float:
        """Track the next images; returns processor seconds."""
        started = time.process_time()
        for _ in range(count):
            image = self.images[self.frames % len(self.images)]
            self.odometry.process(
                image, self.intrinsics, self.frames * FRAME_NS, want_depth, want_mask=False
            )
            self.frames += 1
        return time.process_time() - started


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Measure all sizes in turns, and print a table."""
    intrinsics = [parse_size(size) for size in arguments.sizes]
    estimator = Estimator.from_file(backend="auto")
    cameras = [
        Camera(size, each, render_corridor(each, IMAGES), MonocularOdometry(estimator))
        for size, each in zip(arguments.sizes, intrinsics, strict=True)
    ]
    for camera in cameras:
        camera.process(WARM_UP, False)
    for _ in range(arguments.rounds):
        for camera in cameras:
            for want_depth in (False, True):
                ms = 1e3 * camera.process(arguments.frames, want_depth) / arguments.frames
                camera.ms[want_depth] = min(ms, camera.ms.get(want_depth, ms))
    print(f"{describe_device(torch.device('cpu'))}, backend {estimator.backend}\n")
    print("\n".join(table(cameras)))


def parse_size(size: str) -> Intrinsics:
    """Camera of a size as 640x480; raises InputError."""
    match = re.fullmatch(r"(\d+)x(\d+)", size)
    if not match or min(int(match[1]), int(match[2])) < 64:
        raise InputError(f"--sizes {size}: expected WIDTHxHEIGHT of at least 64, such as 640x480")
    width, height = int(match[1]), int(match[2])
    focal = FOCAL_SHARE * width
    return Intrinsics(focal, focal, width / 2 - 0.5, height / 2 - 0.5, width, height)


def table(cameras: Sequence[Camera]) -> list[str]:
    """Lines of the table: time by size, and in proportion to the first size."""
    lines = [
        "| images | pixels | odometry, CPU ms a frame | of the first | with depth of every frame |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    first = cameras[0]
    for camera in cameras:
        pixels = camera.intrinsics.width * camera.intrinsics.height
        relative = pixels / (first.intrinsics.width * first.intrinsics.height)
        lines.append(
            f"| {camera.size} | x{relative:.1f} | {camera.ms[False]:.1f} | "
            f"x{camera.ms[False] / first.ms[False]:.2f} | {camera.ms[True]:.1f} |"
        )
    return lines


def _parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH")
    parser.add_argument("--frames", type=int, default=24, help="of each size and round")
    parser.add_argument("--rounds", type=int, default=4)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
