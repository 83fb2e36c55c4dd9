"""Mounts of the camera that are unlikely: axes of a body in place of optical ones."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from tf2_ros import StaticTransformBroadcaster

from sfm_odometry.nodes.mount_check import MIN_STEPS, MountCheck
from sfm_odometry.nodes.tf_conversions import BASE_FROM_OPTICAL

FORWARD = np.array([0.05, 0.02, 1.0])
UP = np.eye(4)
"""Axes of the body: the optical axis is the body's z."""
LEFT = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
DOWN = np.array([[0.0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])


def checked(mount: np.ndarray, step: np.ndarray, count: int = MIN_STEPS) -> str:
    check = MountCheck(mount, "base_link", "camera_link")
    for _ in range(count):
        check.add_step(step)
    return check.problem


def test_a_camera_that_looks_to_the_sky_is_named_at_once() -> None:
    words = "the camera looks straight up in base_link: is camera_link an optical frame"
    assert checked(UP, FORWARD, count=0).startswith(words)


@pytest.mark.parametrize(("mount", "words"), [(LEFT, "to the left"), (DOWN, "straight down")])
def test_a_camera_that_drives_where_it_looks_is_named(mount: np.ndarray, words: str) -> None:
    assert words in checked(mount, FORWARD)
    assert checked(mount, FORWARD, count=MIN_STEPS - 1) == ""
    assert checked(mount, np.array([1.0, 0.0, 0.1])) == ""  # a drone's, or a camera for the kerb
    assert checked(mount, -FORWARD) == ""


@pytest.mark.parametrize("pitch_deg", [0, 20, 50, -30])
def test_cameras_that_look_ahead_are_fine(pitch_deg: float) -> None:
    c, s = np.cos(np.radians(pitch_deg)), np.sin(np.radians(pitch_deg))
    pitch = np.array([[1.0, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    assert checked(BASE_FROM_OPTICAL @ pitch, FORWARD) == ""


def test_a_base_that_is_an_optical_frame_is_meant_so() -> None:
    assert MountCheck(UP, "camera_optical_frame", "camera_optical_frame").problem == ""
    assert "is base_link an optical frame" in MountCheck(UP, "base_link", "base_link").problem


def test_a_mount_by_parameter_is_named_by_the_parameter(rig) -> None:
    rig.start(**{"camera.base_from_camera": [0.0, 0.0, 1.2, 0.0, 0.0, 0.0, 1.0]})
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: "looks straight up" in str(rig.node.state))
    assert "camera.base_from_camera must be" in str(rig.node.state)


def test_a_body_frame_on_tf_is_a_warning_in_status_and_log(rig) -> None:
    rig.start(send_tf=False, base_frame="base_link", camera_frame="camera_link")
    transform = TransformStamped()
    transform.header.frame_id, transform.child_frame_id = "base_link", "camera_link"
    transform.transform.rotation.w = 1.0
    rig.tf = StaticTransformBroadcaster(rig.camera)
    rig.tf.sendTransform(transform)
    for index in range(6):
        rig.send(index)
    words = "the camera looks straight up in base_link: is camera_link an optical frame"

    def warnings() -> list[str]:
        """Lines of the log with the words, but for those of the state."""
        return [line for line in rig.whole_log() if words in line and "state:" not in line]

    rig.spinner.until(warnings, "the warning in the log")
    rig.spinner.until(
        lambda: any(
            words in array.status[0].message and array.status[0].level == DiagnosticStatus.WARN
            for array in rig.received.status
        )
    )
    assert len(warnings()) == 1
