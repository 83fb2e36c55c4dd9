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

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.reason else self.name


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
        self._logged_state = ""
        self._logged_metric = False
        self._logged_metric_s = -SCALE_LOG_PERIOD_S

    def log_state(self, state: NodeState) -> bool:
        """Log the state if it has changed; returns whether it has.

        As an error for `error`, as a warning for `lost` and for an input that goes missing.
        """
        if state.name == self._logged_state:
            return False
        before = self._logged_state
        self._logged_state = state.name
        missing_input = before in _PROCESSING_STATES and state.name.startswith("waiting_")
        logger = self._node.get_logger()
        # rclpy allows only one level for each line of source.
        if state.name == "error":
            logger.error(f"state: {state}")
        elif state.name == "lost" or missing_input:
            logger.warning(f"state: {state}")
        else:
            logger.info(f"state: {state}")
        return True

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

    def publish(self, state: NodeState, values: dict[str, str]) -> None:
        """Publish one status with the state and the values."""
        header = DiagnosticArray().header
        header.stamp = self._node.get_clock().now().to_msg()
        node_name = self._node.get_fully_qualified_name().lstrip("/")
        array = diagnostic_array(
            header,
            name=f"{node_name}: monocular odometry",
            hardware="camera",
            level=_LEVELS.get(state.name, DiagnosticStatus.WARN),
            message=str(state),
            values={"state": state.name, "reason": state.reason, **values},
        )
        for publisher in self._publishers:
            publisher.publish(array)
