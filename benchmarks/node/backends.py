"""Comparison of the network backends at batch 1: `python -m benchmarks.node.backends`.

Needs no ROS. Prints one table: for each model, device and backend the time of depth and motion of
one new frame, the ratio to eager of interleaved minima, and the change of depth. With --drive, also
the time per frame of the whole odometry, with and without refinement.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.node.networks import WARM_UPS, sliding_window, write_papers_model
from sfm_odometry.backends.names import BACKEND_NAMES
from sfm_odometry.backends.processor import describe_device
from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from sfm_odometry.inference.estimator import Estimator, use_threads
from sfm_odometry.io.kitti import open_sequence, read_image
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.params import OdometryParams

SLOW_BACKENDS = ("compiled",)
"""Backends whose preparation takes minutes; they are measured last."""
COLUMNS = (
    "model",
    "device",
    "backend",
    "ready after s",
    "ms a frame",
    "x eager",
    "change of depth",
    "unrefined odometry, ms",
    "refined, ms",
)
ODOMETRY_FRAMES = 40
FRAME_PERIOD_NS = 100_000_000


@dataclass(frozen=True)
class PreparedBackend:
    """Estimator of one backend, and the seconds that its preparation took."""

    name: str
    estimator: Estimator
    prepared_s: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Print the table row by row."""
    started = time.monotonic()
    use_threads(0)

    # Print the devices and the head of the table.
    for device in arguments.devices:
        print(f"{device}: {describe_device(torch.device(device))}", flush=True)
    print(f"\n| {' | '.join(COLUMNS)} |")
    print("|" + "---|" * len(COLUMNS), flush=True)

    # Print the rows, slow backends after all others.
    with tempfile.TemporaryDirectory(prefix="sfm_odometry_backends_") as folder:
        papers_model = Path(folder) / "papers.safetensors"
        write_papers_model(papers_model)
        models = (("default", DEFAULT_MODEL), ("papers'", papers_model))
        for backends in _backend_groups(arguments.backends):
            slow = any(name in SLOW_BACKENDS for name in backends)
            for device, (name, path) in itertools.product(arguments.devices, models):
                if slow and time.monotonic() - started > arguments.limit_s:
                    return
                for row in _rows(path, device, backends, arguments):
                    print(f"| {name} | {device} | {row} |", flush=True)


def _backend_groups(names: Sequence[str]) -> Iterator[list[str]]:
    """Yields the backends other than eager that are prepared quickly, then the slow ones."""
    yield [name for name in names if name not in (*SLOW_BACKENDS, "eager")]
    if slow := [name for name in names if name in SLOW_BACKENDS]:
        yield slow


def _rows(
    path: Path, device: str, backends: Sequence[str], arguments: argparse.Namespace
) -> list[str]:
    """Returns eager's row and those of the other backends, timed in turns."""
    # Prepare the backends.
    prepared: list[PreparedBackend] = []
    missing: list[str] = []
    for name in ("eager", *backends):
        started = time.monotonic()
        try:
            estimator = Estimator.from_file(path, device, name)
        except InputError as error:
            missing.append(f"{name} | {str(error)[:60]} | | | | | ")
            continue
        prepared.append(PreparedBackend(name, estimator, time.monotonic() - started))

    # Time them against eager, which is the first.
    times_ms = _min_times_ms([backend.estimator for backend in prepared], arguments.frames)
    eager = prepared[0].estimator
    rows = []
    for backend, time_ms in zip(prepared, times_ms, strict=True):
        odometry = ("", "")
        if arguments.drive is not None:
            odometry = _odometry_ms(backend.estimator, arguments.drive)
        figures = (
            f"{backend.prepared_s:.1f}",
            f"{time_ms:.2f}",
            f"{times_ms[0] / time_ms:.2f}",
            f"{_depth_change(eager, backend.estimator):.5f}",
        )
        rows.append(" | ".join((backend.name, *figures, *odometry)))
    return [*rows, *missing]


def _min_times_ms(estimators: Sequence[Estimator], frames: int) -> list[float]:
    """Returns each estimator's shortest time for depth and motion of one new frame, in ms.

    The estimators take turns.
    """
    works = [sliding_window(estimator) for estimator in estimators]
    min_ms = [float("inf")] * len(works)
    for turn in range(frames + WARM_UPS):
        for index, work in enumerate(works):
            started = time.perf_counter()
            work()
            if turn >= WARM_UPS:
                min_ms[index] = min(min_ms[index], 1e3 * (time.perf_counter() - started))
    return min_ms


def _depth_change(eager: Estimator, other: Estimator) -> float:
    """Returns the mean relative difference in depth on an image of waves."""
    width, height = eager.input_size
    waves = 127 + 120 * np.sin(np.arange(width) / 9)[None] * np.cos(np.arange(height) / 7)[:, None]
    frame = np.repeat(waves.astype(np.uint8)[..., None], eager.model.config.image_channels, axis=2)
    return float(np.abs(eager.depth(frame) / other.depth(frame) - 1).mean())


def _odometry_ms(estimator: Estimator, drive: Path) -> tuple[str, str]:
    """Returns the median ms per frame of the whole odometry, without and with refinement."""
    sequence = open_sequence(drive, None)
    images = [read_image(path) for path in sequence.image_paths[:ODOMETRY_FRAMES]]
    results = []
    for refine in (False, True):
        odometry = MonocularOdometry(estimator, OdometryParams(refine=refine))
        times_ms = []
        for index, image in enumerate(images):
            started = time.perf_counter()
            odometry.process(
                image,
                sequence.intrinsics,
                stamp_ns=index * FRAME_PERIOD_NS,
                want_depth=False,
                want_mask=False,
            )
            times_ms.append(1e3 * (time.perf_counter() - started))
        results.append(f"{np.median(times_ms[len(times_ms) // 3 :]):.1f}")
    return results[0], results[1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.node.backends",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
