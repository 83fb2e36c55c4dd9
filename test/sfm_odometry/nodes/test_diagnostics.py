"""What the log says of a change of state, and how loudly."""

import pytest
from rclpy.node import Node

from sfm_odometry.nodes.diagnostics import NodeState, Reporter

DRIVE = [
    (NodeState("waiting_image", "nobody publishes /image"), "INFO"),
    (NodeState("filling_window"), "INFO"),
    (NodeState("tracking"), "INFO"),
    (NodeState("waiting_image", "nobody publishes /image"), "WARN"),  # it was there
    (NodeState("tracking"), "INFO"),
    (NodeState("lost", "too dark"), "WARN"),
    (NodeState("error", "out of memory"), "ERROR"),
    (NodeState("paused"), "INFO"),
]


def test_what_needs_a_person_is_louder_than_what_passes_by_itself(
    ros: None, capfd: pytest.CaptureFixture[str]
) -> None:
    node = Node("reporting")
    reporter = Reporter(node)
    assert [reporter.note(state) for state, _ in DRIVE] == [True] * len(DRIVE)
    assert not reporter.note(NodeState("paused"))
    node.destroy_node()
    lines = [line for line in capfd.readouterr().err.splitlines() if "state: " in line]
    assert [line.split("]")[0].strip("[") for line in lines] == [level for _, level in DRIVE]
    assert [line.partition("state: ")[2] for line in lines] == [str(state) for state, _ in DRIVE]
