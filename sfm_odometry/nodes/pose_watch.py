"""Watch over new poses: how long none came, and what kept them from coming."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from sfm_odometry.nodes.conversions import NANOSECONDS
from sfm_odometry.nodes.diagnostics import NodeState

RECENT_OBSTACLES = 10
"""Number of newest obstacles, of which the most frequent kind is the reason."""
_WITHOUT_OBSTACLE = {
    "filling_window": "the first frames are being processed, and the window is not full yet",
    "tracking": "frames come, but none of them was finished",
}
"""States in which frames are processed, and the reason where nothing kept them from a pose."""


class DrivingClock:
    """Clock that drives the node: /clock with simulated time, the steady clock otherwise.

    Simulated time that has not begun is the steady clock, too. node: owner of the clock.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    def simulated_s(self) -> float | None:
        """Seconds on /clock; None where it does not drive the node, or has not begun."""
        if not self._node.get_parameter("use_sim_time").value:
            return None
        now_ns = self._node.get_clock().now().nanoseconds
        return now_ns / NANOSECONDS if now_ns > 0 else None

    def now_s(self) -> float:
        """Seconds from any start."""
        simulated_s = self.simulated_s()
        return time.monotonic() if simulated_s is None else simulated_s


class PoseWatch:
    """Measures the time since the newest pose, and collects what kept others from coming.

    Safe to use from several threads.

    simulated_s: simulated time in seconds, None where the steady clock drives the node.
    steady_s: the steady clock.
    """

    def __init__(
        self,
        simulated_s: Callable[[], float | None],
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._simulated_s = simulated_s
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._obstacles: deque[tuple[str, str]] = deque(maxlen=RECENT_OBSTACLES)
        self._elapsed_s = 0.0
        self._newest_received = 0
        self.start()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the newest pose or the start, as of the last `advance`."""
        return self._elapsed_s

    @property
    def reason(self) -> str:
        """Newest obstacle of the most frequent kind since the newest pose; empty without any."""
        with self._lock:
            if not self._obstacles:
                return ""
            kinds = Counter(kind for kind, _ in reversed(self._obstacles))
            usual, _ = kinds.most_common(1)[0]
            return next(detail for kind, detail in reversed(self._obstacles) if kind == usual)

    def add_obstacle(self, kind: str, detail: str) -> None:
        """Add what kept a frame from having a pose. kind: one word; detail: for people."""
        with self._lock:
            self._obstacles.append((kind, detail))

    def start(self) -> None:
        """Start to measure; the time before does not count."""
        self.restart()
        self._newest_steady_s = self._steady_s()
        self._newest_simulated_s = self._simulated_s()

    def restart(self) -> None:
        """Start the time anew: a pose came, or none is expected."""
        with self._lock:
            self._obstacles.clear()
            self._elapsed_s = 0.0

    def advance(self, frames_received: int, max_step_s: float) -> None:
        """Advance the time; to be called several times a second.

        Simulated time counts while it goes on; time on the steady clock counts without it, and
        where frames come in spite of it. frames_received: number up to now. max_step_s: limit of
        one step, as a clock that jumps forward is no time without a pose.
        """
        steady_s, simulated_s = self._steady_s(), self._simulated_s()
        steady_step_s = steady_s - self._newest_steady_s
        with self._lock:
            if simulated_s is None or self._newest_simulated_s is None:
                step_s = steady_step_s
            else:
                step_s = max(simulated_s - self._newest_simulated_s, 0.0)
                if frames_received > self._newest_received:
                    step_s = max(step_s, steady_step_s)
            self._elapsed_s += min(step_s, max_step_s)
        self._newest_steady_s, self._newest_simulated_s = steady_s, simulated_s
        self._newest_received = frames_received

    def judge(self, state: NodeState, warn_after_s: float, error_after_s: float) -> NodeState:
        """State of an active node, with the level and the reason of a time without a new pose."""
        elapsed_s = self.elapsed_s
        if elapsed_s < warn_after_s:
            return state
        level = DiagnosticStatus.ERROR if elapsed_s >= error_after_s else DiagnosticStatus.WARN
        reason = self.reason
        if state.name in _WITHOUT_OBSTACLE:
            cause = reason or state.reason or _WITHOUT_OBSTACLE[state.name]
            text = f"no new pose for {elapsed_s:.0f} s: {cause}"
            return NodeState("no_pose", text, level, state.doubts)
        if state.name == "waiting_image" and reason:
            text = f"{state.reason}; before that: {reason}"
            return NodeState(state.name, text, level, state.doubts)
        return NodeState(state.name, state.reason, level, state.doubts)
