"""Tells the world how the node is: ~/status, /diagnostics, and a log line when the state
changes."""

import time
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from sfm_odometry.nodes.statistics import diagnostic_array
from sfm_odometry.scale import ScaleEstimate

METRIC_LINE_EVERY_S = 5.0

_LEVELS = {
    "tracking": DiagnosticStatus.OK,
    "filling_window": DiagnosticStatus.OK,
    "error": DiagnosticStatus.ERROR,
}
_AT_WORK = ("tracking", "filling_window")


@dataclass(frozen=True)
class NodeState:
    """What the node is doing, in one word, and why where it is not tracking."""

    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.reason else self.name


class Reporter:
    """Publishes the node's state and values. Stamps are of the node's own clock, so that they
    follow /clock."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers = [
            node.create_publisher(DiagnosticArray, topic, 10)
            for topic in ("~/status", "/diagnostics")
        ]
        self._logged = ""
        self._metric = False
        self._metric_since_s = -METRIC_LINE_EVERY_S

    def note(self, state: NodeState) -> bool:
        """Log the state if it is another one than before; returns whether it is."""
        if state.name == self._logged:
            return False
        before, self._logged = self._logged, state.name
        logger = self._node.get_logger()  # rclpy wants a line of the source for each level
        if state.name == "error":
            logger.error(f"state: {state}")
        elif state.name == "lost" or (before in _AT_WORK and state.name.startswith("waiting_")):
            logger.warning(f"state: {state}")
        else:
            logger.info(f"state: {state}")
        return True

    def note_scale(self, scale: ScaleEstimate) -> None:
        """Log that lengths are metres from now on, or that they are not any more; a source that
        wavers is not followed line by line."""
        now_s = time.monotonic()
        if scale.is_metric == self._metric or now_s - self._metric_since_s < METRIC_LINE_EVERY_S:
            return
        self._metric, self._metric_since_s = scale.is_metric, now_s
        what = (
            f"metric, by {scale.source}: {scale.value:.3g} m for the model's unit"
            if scale.is_metric
            else f"not metric: {scale.reason}"
        )
        self._node.get_logger().info(f"scale: {what}")

    def publish(self, state: NodeState, values: dict[str, str]) -> None:
        """Send one status with `values`."""
        message = DiagnosticArray().header
        message.stamp = self._node.get_clock().now().to_msg()
        name = f"{self._node.get_fully_qualified_name().lstrip('/')}: monocular odometry"
        level = _LEVELS.get(state.name, DiagnosticStatus.WARN)
        array = diagnostic_array(
            message,
            name,
            "camera",
            level,
            str(state),
            {"state": state.name, "reason": state.reason, **values},
        )
        for publisher in self._publishers:
            publisher.publish(array)
