"""Another sender of the transform that the node sends."""

import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from sfm_odometry.nodes import tf_watch


def transform(parent: str, child: str, x: float = 1.0) -> TransformStamped:
    result = TransformStamped()
    result.header.frame_id, result.child_frame_id = parent, child
    result.header.stamp.sec = 5
    result.transform.translation.x = x
    result.transform.rotation.w = 1.0
    return result


@pytest.fixture(autouse=True)
def always_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf_watch, "LISTEN_S", 1e6)


@pytest.mark.parametrize("parent", ["odom", "map"])
def test_another_sender_of_the_child_is_named(rig, parent: str) -> None:
    rig.start()
    other = rclpy.create_node("ekf_filter_node")
    rig.spinner.add(other)
    broadcaster = TransformBroadcaster(other)
    other.create_timer(0.02, lambda: broadcaster.sendTransform(transform(parent, "base_link")))
    for index in range(6):
        rig.send(index)
    words = f"another node (/ekf_filter_node) sends {parent} -> base_link on /tf"
    rig.spinner.until(lambda: words in str(rig.node.state), "the other sender")
    rig.spinner.until(lambda: rig.logged(words))


def test_a_static_sender_is_named(rig) -> None:
    rig.start()
    other = rclpy.create_node("static_odom")
    rig.spinner.add(other)
    StaticTransformBroadcaster(other).sendTransform(transform("odom", "base_link"))
    for index in range(6):
        rig.send(index)
    words = "sends odom -> base_link on /tf_static"
    rig.spinner.until(lambda: words in str(rig.node.state), "the other sender")


def test_other_frames_and_our_own_are_no_conflict(rig) -> None:
    rig.start()
    other = rclpy.create_node("robot_state_publisher")
    rig.spinner.add(other)
    broadcaster = TransformBroadcaster(other)
    sent: list[int] = []
    other.create_timer(
        0.02,
        lambda: (
            sent.append(1),
            broadcaster.sendTransform(transform("base_link", "base_link_wheel")),
        ),
    )
    watch = rig.node.session._transforms
    rig.send(0)
    for index in range(1, 6):
        rig.send(index)
    rig.spinner.until(lambda: watch._subscriptions, "listening")
    for index in range(6, 12):
        rig.send(index)
    rig.spinner.until(lambda: sum(watch._received.values()) >= 3, "our own transforms")
    assert watch.problem == ""


def test_without_our_transform_nobody_listens(rig) -> None:
    rig.start(publish_tf=False)
    other = rclpy.create_node("ekf_filter_node")
    rig.spinner.add(other)
    broadcaster = TransformBroadcaster(other)
    other.create_timer(0.02, lambda: broadcaster.sendTransform(transform("odom", "base_link")))
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    rig.status()
    assert rig.node.session._transforms._subscriptions == []
    assert "transforms" not in rig.node.session.doubts
