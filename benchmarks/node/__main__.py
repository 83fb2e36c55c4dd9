"""Cost of the odometry node on this machine: `make bench`, or `python -m benchmarks.node`.

Sends images of KITTI's size over DDS to the real node in a process of its own. Measures the highest
rate without loss, the latency from image to odometry, and processor time by stage. Also times the
papers' networks, and plain eager ones, without the node.
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
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.cores is not None and arguments.cores < 1:
        parser.error(f"--cores must be at least 1, got {arguments.cores}")
    # SIGTERM ends the benchmark like Ctrl-C, and the node with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return run_cli(lambda: run(arguments, Progress()))


def run(arguments: argparse.Namespace, progress: Progress) -> None:
    """Measure everything, print the tables and write the JSON file where one is asked for."""
    started_s = time.monotonic()
    load_before = os.getloadavg()[0]
    if arguments.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    os.environ.update(ros_environment())
    # Imported late: these need ROS's environment.
    from benchmarks.node.corridor import CAMERA
    from benchmarks.node.suite import measure_all
    from benchmarks.node.table import Results
    from demo.environment import machine_facts

    # Measure in a folder for logs and the papers' model.
    with tempfile.TemporaryDirectory(prefix="sfm_odometry_bench_") as folder:
        nodes, stages, networks = measure_all(arguments, Path(folder), progress)

    # Print and write the results.
    results = Results(
        machine=machine_facts(load_before),
        image=f"{CAMERA.width}x{CAMERA.height} rgb8",
        nodes=nodes,
        stages=stages,
        networks=networks,
        seconds=time.monotonic() - started_s,
    )
    progress.say(results.text())
    if arguments.out is not None:
        write_text(arguments.out, json.dumps(results.as_json(), indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
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
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
