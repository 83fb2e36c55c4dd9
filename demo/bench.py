"""How fast the parts are, one by one and without ROS: `make bench`, or `python -m demo.bench`.

The demo measures the whole way of an image through real processes; this tells where its time goes.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from demo.processes import Child, child_environment, python_command
from sfm_odometry.camera import Intrinsics
from sfm_odometry.cli import run_cli
from sfm_odometry.estimator import Estimator
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.params import OdometryParams

CAMERA = Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375)  # KITTI's colour cameras of 2011-09-26, rectified
FRAME_PERIOD_NS = 100_000_000


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model file (default: the packaged one)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--frames", type=int, default=100, help="frames to time (default: 100)")
    arguments = parser.parse_args(argv)
    return run_cli(lambda: run(arguments.model, arguments.device, max(arguments.frames, 1)))


def run(model: Path | None, device: str, frames: int) -> None:
    """Time everything and print a line for each."""
    estimator = Estimator.from_file(model, device)
    estimator.warm_up()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load {load:.2f} before the start, torch {torch.__version__} with {torch.get_num_threads()} threads")
    width, height = estimator.input_size
    print(f"model {estimator.model_name} ({estimator.model_sha256[:12]}) at {width}x{height} on {estimator.device}")
    for name, milliseconds in (network_times(estimator, frames) | odometry_times(estimator, frames)).items():
        print(f"  {name:<46}{np.median(milliseconds):8.2f} ms median {np.percentile(milliseconds, 99):8.2f} ms 99th percentile")
    rate = rendering_rate(frames)
    print(f"  {'rendering a drive at 416x128':<46}{rate:8.1f} frames/s with start and files")


def network_times(estimator: Estimator, frames: int) -> dict[str, np.ndarray]:
    """Milliseconds (frames,) of each network on input of its own size."""
    width, height = estimator.input_size
    frame = next(noise(height, width, estimator.model.config.image_channels))
    window = [frame] * estimator.window_length
    return {
        "depth network": timed(lambda: estimator.depth(frame), frames),
        "pose network, without the mask": timed(lambda: estimator.motion(window, want_mask=False), frames),
        "pose network, with the mask": timed(lambda: estimator.motion(window), frames),
    }


def odometry_times(estimator: Estimator, frames: int) -> dict[str, np.ndarray]:
    """Milliseconds (frames,) of one native colour frame through the whole core, once its window is full."""
    odometry = MonocularOdometry(estimator, OdometryParams(max_speed=1e9, max_turn_rate_deg=1e9))  # noise moves as it likes
    images = noise(CAMERA.height, CAMERA.width, 3)
    results = [odometry.process(next(images), CAMERA, FRAME_PERIOD_NS * (k + 1)) for k in range(frames + estimator.window_length)]
    steady = results[estimator.window_length :]
    preprocess_ms = np.array([result.preprocess_ms for result in steady])
    whole_ms = preprocess_ms + np.array([result.inference_ms for result in steady])
    size = f"{CAMERA.width}x{CAMERA.height}"
    return {f"odometry of a {size} frame: preprocessing": preprocess_ms, f"odometry of a {size} frame: all": whole_ms}


def rendering_rate(frames: int) -> float:
    """Frames in a second that the renderer writes to disk."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        command = python_command(
            "training.synthetic", "--out", str(out / "drive"), "--frames", str(frames), "--seed", "1", "--size", "416x128"
        )
        started_s = time.perf_counter()
        with Child("renderer", command, out / "renderer.log", child_environment()) as renderer:
            renderer.wait(600.0)
            renderer.check_success()
        return frames / (time.perf_counter() - started_s)


def timed(work: Callable[[], object], count: int) -> np.ndarray:
    """Milliseconds (count,) of each call."""
    milliseconds = np.empty(count)
    for index in range(count):
        started_s = time.perf_counter()
        work()
        milliseconds[index] = (time.perf_counter() - started_s) * 1e3
    return milliseconds


def noise(height: int, width: int, channels: int) -> Iterator[np.ndarray]:
    """Random uint8 images (height, width, channels): what they show does not change the time."""
    generator = np.random.default_rng(0)
    while True:
        yield generator.integers(0, 256, (height, width, channels), dtype=np.uint8)


if __name__ == "__main__":
    raise SystemExit(main())
