"""Odometry node with a clock on its processing stages.

`python -m benchmarks.node.stages FILE --ros-args ...` runs the node in this process and writes FILE
when it ends: a JSON list of [started_ns, {stage: processor ms}] of its frames.
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
    "resize to the network's input": ("sfm_odometry.geometry.preprocess", "Preprocessor.resize"),
    "depth network": ("sfm_odometry.inference.estimator", "Estimator.depth"),
    "pose network": ("sfm_odometry.inference.estimator", "Estimator.motion"),
    "pyramid, points, depth's limits": ("sfm_odometry.tracking.lazy", "LazyFuture.get"),
    "corners of the next step": ("sfm_odometry.tracking.feature_tracks", "FeatureTracks.prepare"),
    "refine and fuse": ("sfm_odometry.tracking.motion_refiner", "MotionRefiner.refine"),
    "window, trajectory, scale": ("sfm_odometry.odometry", "MonocularOdometry.process"),
    "odometry and TF": ("sfm_odometry.nodes.outputs", "Outputs.publish_motion"),
    "depth, its colours and cloud": ("sfm_odometry.nodes.image_outputs", "DepthOutput.publish"),
    "mask": ("sfm_odometry.nodes.image_outputs", "MaskOutput.publish"),
}
"""Module and function of each stage; time of a nested stage counts for the inner one."""
FRAME_STAGE = "bookkeeping"
"""Stage of a whole frame, around all others."""
FRAME_FUNCTION = ("sfm_odometry.nodes.pipeline", "Pipeline.process")
MAIN_THREAD_STAGE = "taking messages, services, timers"
"""Work of the main thread from one frame to the next."""
OCCASIONAL_STAGES = (
    "resize to the network's input",
    "depth network",
    "pose network",
    "pyramid, points, depth's limits",
    "corners of the next step",
    MAIN_THREAD_STAGE,
)
"""Stages that not every frame needs; their mean is reported, not their median."""
OVERHEAD_STAGES = (
    "decode the message",
    "rectify",
    "odometry and TF",
    "depth, its colours and cloud",
    "mask",
    FRAME_STAGE,
    MAIN_THREAD_STAGE,
)
"""Conversions, publishing and bookkeeping: the cost of ROS in addition to the odometry."""

FrameTimes = tuple[int, dict[str, float]]
"""Start of a frame on the monotonic clock in ns, and its processor time in ms by stage."""


class _ThreadState(threading.local):
    """Stages that a thread is in, and its processor time when it was last charged."""

    def __init__(self) -> None:
        self.open_stages: list[str] = []
        self.charged_ns = 0


class StageClock:
    """Processor time by stage of each frame.

    Measures the calling thread. The main thread, where it is another one, counts for the frame that
    is being processed.
    """

    def __init__(self) -> None:
        self.frames: list[FrameTimes] = []
        self._stages_ms: dict[str, float] = defaultdict(float)
        self._thread = _ThreadState()
        self._main_thread_ns = 0

    def time_stage(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function with its processor time added to the stage.

        Time of stages within it is not included.
        """

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            self._charge()
            self._thread.open_stages.append(stage)
            try:
                return function(*arguments, **named)
            finally:
                self._charge()
                self._thread.open_stages.pop()

        return call

    def time_frame(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function as a stage whose every call is a frame of its own."""
        timed = self.time_stage(stage, function)

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            started_ns = time.monotonic_ns()
            self._stages_ms = defaultdict(float)
            self._charge_main_thread()
            try:
                return timed(*arguments, **named)
            finally:
                self.frames.append((started_ns, self._stages_ms))

        return call

    def _charge_main_thread(self) -> None:
        """Charge this frame for the main thread's work since the last frame.

        Does nothing on the main thread itself.
        """
        main = threading.main_thread()
        if main is threading.current_thread() or main.ident is None:
            return
        now_ns = time.clock_gettime_ns(time.pthread_getcpuclockid(main.ident))
        self._stages_ms[MAIN_THREAD_STAGE] = (now_ns - self._main_thread_ns) * 1e-6
        self._main_thread_ns = now_ns

    def _charge(self) -> None:
        """Charge the innermost stage for the time since the last charge."""
        now_ns = time.thread_time_ns()
        thread = self._thread
        if thread.open_stages:
            self._stages_ms[thread.open_stages[-1]] += (now_ns - thread.charged_ns) * 1e-6
        thread.charged_ns = now_ns


def install(clock: StageClock) -> None:
    """Wrap the functions of the node's stages, in this process."""
    for stage, (module, name) in STAGES.items():
        _wrap(module, name, functools.partial(clock.time_stage, stage))
    _wrap(*FRAME_FUNCTION, functools.partial(clock.time_frame, FRAME_STAGE))


def _wrap(
    module: str, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Replace a function of a module, or a method of one of its classes, by the wrapped one."""
    __import__(module)
    *owners, attribute = name.split(".")
    owner = functools.reduce(getattr, owners, sys.modules[module])
    setattr(owner, attribute, wrapper(getattr(owner, attribute)))


def median_ms(frames: list[FrameTimes], span_s: tuple[float, float]) -> dict[str, float]:
    """Returns median processor time in ms by stage of the frames that began within a time span.

    span_s: two times of the monotonic clock in seconds. Stages without time are left out.
    OCCASIONAL_STAGES have their mean.
    """
    stages_of_frames = [
        stages for started_ns, stages in frames if span_s[0] <= started_ns * 1e-9 <= span_s[1]
    ]
    if not stages_of_frames:
        return {}
    times = {}
    for name in (*STAGES, FRAME_STAGE, MAIN_THREAD_STAGE):
        average = np.mean if name in OCCASIONAL_STAGES else np.median
        times[name] = float(average([stages.get(name, 0.0) for stages in stages_of_frames]))
    return {name: value for name, value in times.items() if value > 0.0}


def read_frames(path: Path) -> list[FrameTimes]:
    """Returns the frames of a file that a node with a stage clock wrote."""
    return [
        (started_ns, stages) for started_ns, stages in json.loads(path.read_text(encoding="utf-8"))
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the node and write the times of its stages; returns the node's exit code."""
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
