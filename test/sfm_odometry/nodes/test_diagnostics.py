"""Log lines of state changes, and their levels."""

import pytest
from rclpy.node import Node

from sfm_odometry.nodes.diagnostics import DiagnosticsPublisher, NodeState

DRIVE = [
    (NodeState("waiting_image", "nobody publishes /image"), "INFO"),
    (NodeState("filling_window"), "INFO"),
    (NodeState("tracking"), "INFO"),
    (NodeState("waiting_image", "nobody publishes /image"), "WARN"),  # an input went missing
    (NodeState("tracking"), "INFO"),
    (NodeState("lost", "too dark"), "WARN"),
    (NodeState("error", "out of memory"), "ERROR"),
    (NodeState("paused"), "INFO"),
]


def test_log_level_of_state_changes(ros: None, capfd: pytest.CaptureFixture[str]) -> None:
    node = Node("reporting")
    diagnostics = DiagnosticsPublisher(node)
    assert [diagnostics.log_state(state) for state, _ in DRIVE] == [True] * len(DRIVE)
    assert not diagnostics.log_state(NodeState("paused"))
    node.destroy_node()
    lines = [line for line in capfd.readouterr().err.splitlines() if "state: " in line]
    assert [line.split("]")[0].strip("[") for line in lines] == [level for _, level in DRIVE]
    assert [line.partition("state: ")[2] for line in lines] == [str(state) for state, _ in DRIVE]
