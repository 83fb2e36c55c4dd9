"""Intrinsics that change in flight: autofocus, two cameras on one topic."""

import pytest
from sensor_msgs.msg import CameraInfo

from sfm_odometry.io.ros_camera_info import Calibration
from sfm_odometry.nodes.alternation import Alternation
from sfm_odometry.nodes.calibrations import CalibrationHistory


def info(focal: float) -> CameraInfo:
    p = [focal, 0, 211.5, 0, 0, focal, 67.5, 0, 0, 0, 1, 0]
    return CameraInfo(width=424, height=136, p=[float(value) for value in p])


def calibration(focal: float) -> Calibration:
    return Calibration.from_message(info(focal))


def test_a_frame_has_the_calibration_of_its_own_stamp() -> None:
    history = CalibrationHistory()
    assert history.at(5) is None
    for stamp in (10, 20, 30):
        history.add(stamp, calibration(100.0 + stamp))
    focals = [history.at(stamp).p[0] for stamp in (5, 10, 19, 20, 99)]
    assert focals == [130.0, 110.0, 110.0, 120.0, 130.0]  # before all of them: the newest
    history.add(0, calibration(200.0))  # a camera_info without a stamp, or another time
    assert [history.at(stamp).p[0] for stamp in (5, 25)] == [200.0, 200.0]
    history.clear()
    assert history.at(5) is None


@pytest.mark.parametrize(
    ("values", "pair"),
    [
        ("abababab", ("b", "a")),
        ("aabbaabb", None),  # three changes may be accidents
        ("aabbaabbaa", ("a", "b")),
        ("abcabcabc", None),
        ("aaaaaaaa", None),
        ("abababab" + "b" * 20, None),
    ],
)
def test_two_values_that_alternate_are_found(values: str, pair: tuple[str, str] | None) -> None:
    alternation: Alternation[str] = Alternation()
    for value in values:
        alternation.add(value)
    assert alternation.pair == pair


def send(rig, focals: list[float]) -> None:
    for index, focal in enumerate(focals):
        rig.other_info = info(focal)
        rig.send(index)
        rig.spinner.until(lambda count=index + 1: rig.count("frames_received") == count)


@pytest.mark.parametrize(
    "focals",
    [
        [300.0 + 0.5 * index for index in range(10)],  # focus that drifts
        [300.0 + (-1) ** index for index in range(10)],  # breathing between two values
        [300.0, 304.0, 301.0, 305.0, 300.0, 302.0, 306.0, 299.0, 303.0, 300.0],
    ],
)
def test_autofocus_is_one_camera(rig, focals: list[float]) -> None:
    rig.start()
    send(rig, focals)
    rig.spinner.until(lambda: len(rig.received.odom) == 10)
    assert rig.count("camera_changes") == 0


def test_without_tolerance_every_change_is_a_camera(rig) -> None:
    rig.start(**{"camera.max_intrinsics_change": 0.0})
    send(rig, [300.0, 300.5, 301.0])
    rig.spinner.until(lambda: rig.count("camera_changes") == 2)


@pytest.mark.parametrize("other", [200.0, 450.0])
def test_two_cameras_on_one_topic_are_named(rig, other: float) -> None:
    rig.start(**{"diagnostics.warn_after": 0.3, "diagnostics.error_after": 0.6})
    send(rig, [300.0, other] * 5)
    words = "two cameras alternate on one topic: focal lengths"
    rig.spinner.until(lambda: words in str(rig.node.state), f"is {rig.node.state}")
    rig.spinner.until(lambda: rig.logged("intrinsics changed"))


def test_two_frames_on_one_topic_are_named(rig) -> None:
    rig.start(**{"camera.base_from_camera": [0.0, 0.0, 1.2, -0.5, 0.5, -0.5, 0.5]})
    for index in range(8):
        header = rig.frames[index].image.header
        header.frame_id = "left" if index % 2 else "right"
        rig.send(index)
    rig.spinner.until(lambda: "images of right and left alternate" in str(rig.node.state))


@pytest.mark.parametrize("publishers", [1, 2])
def test_two_senders_of_similar_intrinsics_are_named(rig, publishers: int) -> None:
    """One sender whose autofocus hunts is one camera."""
    rig.start(**{"camera.base_from_camera": [0.0, 0.0, 1.2, -0.5, 0.5, -0.5, 0.5]})
    senders = [rig.info]
    if publishers == 2:
        senders.append(rig.camera.create_publisher(CameraInfo, "camera_info", 50))
        rig.spinner.until(senders[1].get_subscription_count)
    for index in range(10):
        rig.other_info = info(300.0 + 2 * (index % 2))
        rig.info = senders[index % publishers]
        rig.send(index)
        rig.spinner.until(lambda count=index + 1: rig.count("frames_received") == count)
    rig.spinner.until(lambda: len(rig.received.odom) == 10)
    rig.info = senders[0]
    said = "2 publishers of /camera_info alternate: focal lengths 30"
    if publishers == 2:
        rig.spinner.until(lambda: said in str(rig.node.state), f"is {rig.node.state}")
        rig.spinner.until(lambda: rig.logged(said))
    else:
        assert "alternate" not in str(rig.node.state)
