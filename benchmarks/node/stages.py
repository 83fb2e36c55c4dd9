"""The odometry node with a clock on its stages: the same process, which says at its end what each
frame cost its threads.

python -m benchmarks.node.stages FILE --ros-args ... : the node, and a JSON list of [started_ns,
{stage: processor ms}] of its frames.
"""

import functools
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STAGES = {
    "decode the message": ("sfm_odometry.nodes.pipeline", "decode_image"),
    "rectify": ("sfm_odometry.io.ros_camera_info", "Rectifier.__call__"),
    "resize to the network's input": ("sfm_odometry.geometry.preprocess", "Preprocessor.__call__"),
    "depth network": ("sfm_odometry.inference.estimator", "Estimator.depth"),
    "pose network": ("sfm_odometry.inference.estimator", "Estimator.motion"),
    "pyramid, points, depth's limits": ("sfm_odometry.tracking.lazy", "LazyFuture.get"),
    "corners of the next step": ("sfm_odometry.tracking.feature_tracks", "PointTracks.begin"),
    "refine and fuse": ("sfm_odometry.odometry", "refined_step"),
    "window, trajectory, scale": ("sfm_odometry.odometry", "MonocularOdometry.process"),
    "odometry and TF": ("sfm_odometry.nodes.outputs", "Outputs.publish_motion"),
    "depth, its colours and cloud": ("sfm_odometry.nodes.image_outputs", "DepthOutput.publish"),
    "mask": ("sfm_odometry.nodes.image_outputs", "MaskOutput.publish"),
}
FRAME = ("bookkeeping", "sfm_odometry.nodes.pipeline", "Pipeline.process")
"""What is around them all; the time of one stage within another counts for the inner one."""
TAKING = "taking messages, services, timers"
"""All that the main thread does from one frame to the next. Not everything in it comes with each
frame, so this one is a mean."""
OVERHEAD = (
    "decode the message",
    "rectify",
    "odometry and TF",
    "depth, its colours and cloud",
    "mask",
    "bookkeeping",
    TAKING,
)
"""Conversions, publishing and bookkeeping: what ROS costs beside the odometry."""


class _Thread(threading.local):
    """The stages that a thread is in, and when it last told its time."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.since_ns = 0


class StageClock:
    """Processor time of the calling thread by stage, a dictionary for each frame; other threads'
    counts for the frame that is worked on."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, dict[str, float]]] = []
        self._ms: dict[str, float] = defaultdict(float)
        self._thread = _Thread()
        self._main_ns = 0

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The function with its time, without that of stages within it, added to the stage."""

        @functools.wraps(work)
        def call(*arguments: Any, **named: Any) -> Any:
            self._charge()
            self._thread.open.append(stage)
            try:
                return work(*arguments, **named)
            finally:
                self._charge()
                self._thread.open.pop()

        return call

    def framed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The function as a stage that is a whole frame."""
        timed = self.timed(stage, work)

        @functools.wraps(work)
        def call(*arguments: Any, **named: Any) -> Any:
            started_ns, self._ms = time.monotonic_ns(), defaultdict(float)
            self._charge_main()
            try:
                return timed(*arguments, **named)
            finally:
                self.frames.append((started_ns, self._ms))

        return call

    def _charge_main(self) -> None:
        """Give what the main thread did since the frame before to this one, if that is another
        thread."""
        main = threading.main_thread()
        if main is threading.current_thread() or main.ident is None:
            return
        now_ns = time.clock_gettime_ns(time.pthread_getcpuclockid(main.ident))
        self._ms[TAKING], self._main_ns = (now_ns - self._main_ns) * 1e-6, now_ns

    def _charge(self) -> None:
        """Give the time that has passed to the innermost stage."""
        now_ns, thread = time.thread_time_ns(), self._thread
        if thread.open:
            self._ms[thread.open[-1]] += (now_ns - thread.since_ns) * 1e-6
        thread.since_ns = now_ns


def install(clock: StageClock) -> None:
    """Put the clock around the node's stages, in this process."""
    for stage, (module, name) in STAGES.items():
        _wrap(module, name, functools.partial(clock.timed, stage))
    _wrap(*FRAME[1:], functools.partial(clock.framed, FRAME[0]))


def _wrap(
    module: str, name: str, wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    __import__(module)
    *owners, attribute = name.split(".")
    owner = functools.reduce(getattr, owners, sys.modules[module])
    setattr(owner, attribute, wrapped(getattr(owner, attribute)))


def median_ms(
    frames: list[tuple[int, dict[str, float]]], seconds: tuple[float, float]
) -> dict[str, float]:
    """Median processor time by stage of the frames that began between two times of the monotonic
    clock; stages of no time are left out."""
    inside = [
        stages for started_ns, stages in frames if seconds[0] <= started_ns * 1e-9 <= seconds[1]
    ]
    if not inside:
        return {}
    names = [*STAGES, FRAME[0], TAKING]
    typical = {name: np.mean if name == TAKING else np.median for name in names}
    times = {
        name: float(typical[name]([stages.get(name, 0.0) for stages in inside])) for name in names
    }
    return {name: value for name, value in times.items() if value > 0.0}


def read_frames(path: Path) -> list[tuple[int, dict[str, float]]]:
    """What a node with the clock wrote."""
    return [
        (started_ns, stages) for started_ns, stages in json.loads(path.read_text(encoding="utf-8"))
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the node; returns its exit code."""
    path, *ros_arguments = sys.argv[1:] if argv is None else argv
    clock = StageClock()
    install(clock)
    from sfm_odometry.nodes import odometry_node

    try:
        return odometry_node.main(ros_arguments)
    finally:
        Path(path).write_text(json.dumps(clock.frames), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
