"""Log lines of state changes, and their levels."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
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
    (NodeState("waiting_image", "nobody publishes /image"), "INFO"),
    (NodeState("waiting_image", "/image has a publisher"), "INFO"),  # a camera that starts
    (NodeState("waiting_image", "/image publishes another type", DiagnosticStatus.WARN), "WARN"),
    (NodeState("waiting_image", "...", DiagnosticStatus.ERROR), "ERROR"),
    (NodeState("tracking", doubts=("the camera looks up",)), "INFO"),  # doubts have their own line
    (NodeState("no_pose", "no new pose for 2 s", DiagnosticStatus.WARN), "WARN"),
    (NodeState("no_pose", "no new pose for 9 s", DiagnosticStatus.ERROR), "ERROR"),
]


def test_log_level_of_state_changes(ros: None, capfd: pytest.CaptureFixture[str]) -> None:
    node = Node("reporting")
    diagnostics = DiagnosticsPublisher(node)
    assert [diagnostics.log_state(state) for state, _ in DRIVE] == [True] * len(DRIVE)
    again = NodeState("no_pose", "no new pose for 10 s", DiagnosticStatus.ERROR)
    assert not diagnostics.log_state(again)
    node.destroy_node()
    lines = [line for line in capfd.readouterr().err.splitlines() if "state: " in line]
    assert [line.split("]")[0].strip("[") for line in lines] == [level for _, level in DRIVE]
    assert [line.partition("state: ")[2] for line in lines] == [str(state) for state, _ in DRIVE]


def test_a_doubt_is_never_ok_and_never_hides_an_error() -> None:
    ok, warn, error = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
    assert NodeState("tracking").severity == ok
    doubtful = NodeState("tracking", doubts=("a", "b"))
    assert (doubtful.severity, str(doubtful)) == (warn, "tracking: a; b")
    assert NodeState("error", "out of memory", doubts=("a",)).severity == error
    assert NodeState("lost", "dark", error).severity == error
