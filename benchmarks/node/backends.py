"""The backends of the node's networks, batch 1: `python -m benchmarks.node.backends [--drive D]
[--devices cuda cpu]`, one table.

Needs no ROS. Of each model, device and backend: the time of depth and motion of one new frame, the
ratio to eager of interleaved minima, and how much depth changes; with a drive, also the odometry's
time a frame with and without refinement.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.node.networks import sliding, write_papers_model
from sfm_odometry.backends.names import BACKEND_NAMES
from sfm_odometry.backends.processor import describe_device
from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from sfm_odometry.inference.estimator import Estimator, use_threads
from sfm_odometry.io.kitti import open_sequence, read_image
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.params import OdometryParams

SLOW = ("compiled",)
"""Backends whose preparation takes minutes: they come last."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node.backends", description=__doc__)
    parser.add_argument(
        "--drive",
        type=Path,
        help="a drive in KITTI odometry layout, to time the whole odometry with",
    )
    parser.add_argument(
        "--devices", nargs="+", default=["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    )
    parser.add_argument(
        "--backends", nargs="+", default=[name for name in BACKEND_NAMES if name != "auto"]
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=60,
        help="turns, of which the fastest counts (default: %(default)s)",
    )
    parser.add_argument(
        "--limit-s",
        type=float,
        default=float("inf"),
        help="seconds after which nothing slow is begun",
    )
    arguments = parser.parse_args(argv)
    return run_cli(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Print the table row by row."""
    started = time.monotonic()
    use_threads(0)
    for device in arguments.devices:
        print(f"{device}: {describe_device(torch.device(device))}", flush=True)
    print(
        "\n| model | device | backend | ready after s | ms a frame | x eager | change of depth | unrefined odometry, ms | refined, ms |"
    )
    print("|" + "---|" * 9, flush=True)
    with tempfile.TemporaryDirectory(prefix="sfm_odometry_backends_") as folder:
        papers = Path(folder) / "papers.safetensors"
        write_papers_model(papers)
        models = (("default", DEFAULT_MODEL), ("papers'", papers))
        quick = [name for name in arguments.backends if name not in (*SLOW, "eager")]
        slow = [name for name in arguments.backends if name in SLOW]
        for backends in (quick, slow) if slow else (quick,):
            for device, (name, path) in itertools.product(arguments.devices, models):
                if backends is slow and time.monotonic() - started > arguments.limit_s:
                    return
                for row in _rows(path, device, backends, arguments):
                    print(f"| {name} | {device} | {row} |", flush=True)


def _rows(
    path: Path, device: str, backends: Sequence[str], arguments: argparse.Namespace
) -> list[str]:
    """Eager's row and those of the other backends, timed in turns."""
    ready: dict[str, tuple[Estimator, float]] = {}
    missing: list[str] = []
    for backend in ("eager", *backends):
        started = time.monotonic()
        try:
            estimator = Estimator.from_file(path, device, backend)
        except InputError as error:
            missing.append(f"{backend} | {str(error)[:60]} | | | | | ")
            continue
        ready[backend] = (estimator, time.monotonic() - started)
    least = _least_ms([estimator for estimator, _ in ready.values()], arguments.frames)
    eager = ready["eager"][0]
    rows = []
    for (backend, (estimator, seconds)), milliseconds in zip(ready.items(), least, strict=True):
        odometry = (
            _odometry_ms(estimator, arguments.drive) if arguments.drive is not None else ("", "")
        )
        figures = (
            f"{seconds:.1f}",
            f"{milliseconds:.2f}",
            f"{least[0] / milliseconds:.2f}",
            f"{_depth_change(eager, estimator):.5f}",
        )
        rows.append(" | ".join((backend, *figures, *odometry)))
    return [*rows, *missing]


def _least_ms(estimators: Sequence[Estimator], frames: int) -> list[float]:
    """Milliseconds of depth and motion of one new frame, the least of turns that all take in
    order."""
    works = [sliding(estimator) for estimator in estimators]
    least = [float("inf")] * len(works)
    for turn in range(frames + 3):
        for index, work in enumerate(works):
            started = time.perf_counter()
            work()
            if turn >= 3:  # the first ones allocate
                least[index] = min(least[index], 1e3 * (time.perf_counter() - started))
    return least


def _depth_change(eager: Estimator, other: Estimator) -> float:
    """Mean relative difference in depth on a picture of waves."""
    width, height = eager.input_size
    waves = 127 + 120 * np.sin(np.arange(width) / 9)[None] * np.cos(np.arange(height) / 7)[:, None]
    frame = np.repeat(waves.astype(np.uint8)[..., None], eager.model.config.image_channels, axis=2)
    return float(np.abs(eager.depth(frame) / other.depth(frame) - 1).mean())


def _odometry_ms(estimator: Estimator, drive: Path) -> tuple[str, str]:
    """Median milliseconds a frame of the whole odometry, without and with refinement."""
    sequence = open_sequence(drive, None)
    images = [read_image(path) for path in sequence.image_paths[:40]]
    results = []
    for refine in (False, True):
        odometry, times = MonocularOdometry(estimator, OdometryParams(refine=refine)), []
        for index, image in enumerate(images):
            started = time.perf_counter()
            odometry.process(image, sequence.intrinsics, index * 100_000_000, False, False)
            times.append(1e3 * (time.perf_counter() - started))
        results.append(f"{np.median(times[len(times) // 3 :]):.1f}")
    return results[0], results[1]


if __name__ == "__main__":
    sys.exit(main())
