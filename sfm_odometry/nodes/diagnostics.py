"""State of the node on ~/status and /diagnostics, and as a log line when it changes."""

import time
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from sfm_odometry.nodes.statistics import diagnostic_array
from sfm_odometry.scale import ScaleEstimate

SCALE_LOG_PERIOD_S = 5.0
"""Minimum time between two log lines about the scale."""

_LEVELS = {
    "tracking": DiagnosticStatus.OK,
    "filling_window": DiagnosticStatus.OK,
    "error": DiagnosticStatus.ERROR,
}
"""Level of each state; WARN for all others."""
_PROCESSING_STATES = ("tracking", "filling_window")


@dataclass(frozen=True)
class NodeState:
    """State of the node in one word, and the reason for it where it is not tracking."""

    name: str
    reason: str = ""
    level: bytes | None = None
    """Level of DiagnosticStatus; None: the usual one of the name."""
    doubts: tuple[str, ...] = ()
    """What is likely to be wrong although frames are tracked, in words."""

    @property
    def own_severity(self) -> bytes:
        """Level of DiagnosticStatus without regard to doubts."""
        usual = _LEVELS.get(self.name, DiagnosticStatus.WARN)
        return usual if self.level is None else self.level

    @property
    def severity(self) -> bytes:
        """Level of DiagnosticStatus; with a doubt it is never OK."""
        level = self.own_severity
        return max(level, DiagnosticStatus.WARN) if self.doubts else level

    @property
    def explanation(self) -> str:
        """The reason and the doubts, in words."""
        return "; ".join(text for text in (self.reason, *self.doubts) if text)

    def __str__(self) -> str:
        return f"{self.name}: {self.explanation}" if self.explanation else self.name


class DiagnosticsPublisher:
    """Publishes the state and the values of a node, and logs changes of state and scale.

    Messages are stamped by the node's own clock, which follows /clock.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers = [
            node.create_publisher(DiagnosticArray, topic, 10)
            for topic in ("~/status", "/diagnostics")
        ]
        self._logged_state: tuple[str, bytes, str] = ("", b"", "")
        self._logged_doubts: set[str] = set()
        self._logged_metric = False
        self._logged_metric_s = -SCALE_LOG_PERIOD_S

    def log_state(self, state: NodeState) -> bool:
        """Log the state if its name, level or missing input has changed; returns whether it has.

        As an error for the level ERROR, as a warning for `lost`, for a time without a pose and for
        an input that goes missing.
        """
        # The reason why an input is missing has no numbers that change all the time.
        is_waiting = state.name.startswith("waiting_")
        key = (state.name, state.own_severity, state.reason if is_waiting else "")
        if key == self._logged_state:
            return False
        before = self._logged_state[0]
        self._logged_state = key
        still_missing = before == state.name and state.level is not None
        missing_input = is_waiting and (before in _PROCESSING_STATES or still_missing)
        logger = self._node.get_logger()
        # rclpy allows only one level for each line of source.
        if state.own_severity == DiagnosticStatus.ERROR:
            logger.error(f"state: {state}")
        elif state.name in ("lost", "no_pose") or missing_input:
            logger.warning(f"state: {state}")
        else:
            logger.info(f"state: {state}")
        return True

    def log_doubt(self, kind: str, text: str) -> None:
        """Log a doubt once for each kind, which is one word."""
        if kind not in self._logged_doubts:
            self._logged_doubts.add(kind)
            self._node.get_logger().warning(text)

    def log_scale(self, scale: ScaleEstimate) -> None:
        """Log when lengths become metric or cease to be, at most every SCALE_LOG_PERIOD_S."""
        now_s = time.monotonic()
        if (
            scale.is_metric == self._logged_metric
            or now_s - self._logged_metric_s < SCALE_LOG_PERIOD_S
        ):
            return
        self._logged_metric = scale.is_metric
        self._logged_metric_s = now_s
        text = (
            f"metric, by {scale.source}: {scale.value:.3g} m for the model's unit"
            if scale.is_metric
            else f"not metric: {scale.reason}"
        )
        self._node.get_logger().info(f"scale: {text}")

    def publish(self, state: NodeState, values: dict[str, str], hardware_id: str) -> None:
        """Publish one status with the state and the values.

        hardware_id: name of the camera.
        """
        header = DiagnosticArray().header
        header.stamp = self._node.get_clock().now().to_msg()
        node_name = self._node.get_fully_qualified_name().lstrip("/")
        array = diagnostic_array(
            header,
            name=f"{node_name}: monocular odometry",
            hardware=hardware_id,
            level=state.severity,
            message=str(state),
            values={"state": state.name, "reason": state.explanation, **values},
        )
        for publisher in self._publishers:
            publisher.publish(array)
