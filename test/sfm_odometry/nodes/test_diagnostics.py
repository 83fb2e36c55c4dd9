"""What the log says of a change of state, and how loudly."""

import pytest
from rclpy.node import Node

from sfm_odometry.nodes.diagnostics import Reporter, State

DRIVE = [
    (State("waiting_image", "nobody publishes /image"), "INFO"),
    (State("filling_window"), "INFO"),
    (State("tracking"), "INFO"),
    (State("waiting_image", "nobody publishes /image"), "WARN"),  # it was there
    (State("tracking"), "INFO"),
    (State("lost", "too dark"), "WARN"),
    (State("error", "out of memory"), "ERROR"),
    (State("paused"), "INFO"),
]


def test_what_needs_a_person_is_louder_than_what_passes_by_itself(ros: None, capfd: pytest.CaptureFixture[str]) -> None:
    node = Node("reporting")
    reporter = Reporter(node)
    assert [reporter.note(state) for state, _ in DRIVE] == [True] * len(DRIVE)
    assert not reporter.note(State("paused"))
    node.destroy_node()
    lines = [line for line in capfd.readouterr().err.splitlines() if "state: " in line]
    assert [line.split("]")[0].strip("[") for line in lines] == [level for _, level in DRIVE]
    assert [line.partition("state: ")[2] for line in lines] == [str(state) for state, _ in DRIVE]
