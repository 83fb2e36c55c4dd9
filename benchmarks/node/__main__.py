"""What the node costs on this machine: `make bench`, or `python -m benchmarks.node`.

The real node in a process of its own gets images of KITTI's size over DDS: how many a second it
takes without losing one, how long each takes until its odometry is received, and where the
processor's time goes. The papers' networks and plain eager ones are measured beside it.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from pathlib import Path

from demo.processes import ros_environment
from demo.progress import Progress
from sfm_odometry.cli import run_cli
from sfm_odometry.io.text import write_text


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.node",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, help="model file (default: the packaged one)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument(
        "--cores", type=int, metavar="N", help="run everything on N cores (default: all)"
    )
    parser.add_argument(
        "--out", "--json", type=Path, metavar="FILE", help="write the numbers as JSON"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="some seconds, to see that it works: the numbers mean little",
    )
    arguments = parser.parse_args(argv)
    if arguments.cores is not None and arguments.cores < 1:
        parser.error(f"--cores must be at least 1, got {arguments.cores}")
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # an order to terminate ends like Ctrl-C, the node with it
    return run_cli(lambda: run(arguments, Progress()))


def run(arguments: argparse.Namespace, progress: Progress) -> None:
    """Measure everything and print it."""
    started_s, load_before = time.monotonic(), os.getloadavg()[0]
    if arguments.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    os.environ.update(ros_environment())
    # Imported late: these need ROS's environment.
    from benchmarks.node.corridor import CAMERA
    from benchmarks.node.plan import measure_all
    from benchmarks.node.table import Results
    from demo.environment import machine_facts

    with tempfile.TemporaryDirectory(prefix="sfm_odometry_bench_") as folder:
        nodes, stages, networks = measure_all(arguments, Path(folder), progress)
    image = f"{CAMERA.width}x{CAMERA.height} rgb8"
    results = Results(
        machine_facts(load_before), image, nodes, stages, networks, time.monotonic() - started_s
    )
    progress.say(results.text())
    if arguments.out is not None:
        write_text(arguments.out, json.dumps(results.as_json(), indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
