"""Behaviour of tf2_ros; where a ROS 2 is sourced, these tests run against the original."""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import (
    Buffer,
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    StaticTransformBroadcaster,
    TransformBroadcaster,
    TransformException,
    TransformListener,
)

LATEST = Time()


def transform(
    parent: str, child: str, stamp_s: float = 0.0, x: float = 0.0, yaw_rad: float = 0.0
) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = at(stamp_s).to_msg()
    message.transform.translation.x = x
    message.transform.rotation.z = math.sin(yaw_rad / 2)
    message.transform.rotation.w = math.cos(yaw_rad / 2)
    return message


def at(stamp_s: float) -> Time:
    return Time(nanoseconds=round(stamp_s * 1e9))


def stamp_s(message: TransformStamped) -> float:
    return Time.from_msg(message.header.stamp).nanoseconds / 1e9


def matrix(message: TransformStamped) -> np.ndarray:
    """Transform target_from_source (4, 4), by the textbook formula."""
    q = message.transform.rotation
    t = message.transform.translation
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), t.x],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), t.y],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), t.z],
            [0, 0, 0, 1],
        ]
    )


def random_transform(parent: str, child: str, generator: np.random.Generator) -> TransformStamped:
    message = transform(parent, child)
    rotation = generator.normal(size=4)
    q = message.transform.rotation
    t = message.transform.translation
    q.x, q.y, q.z, q.w = (rotation / np.linalg.norm(rotation)).tolist()
    t.x, t.y, t.z = generator.normal(size=3).tolist()
    return message


@pytest.fixture
def buffer() -> Buffer:
    return Buffer()


def test_transforms_along_a_tree_chain_and_invert(buffer: Buffer) -> None:
    # Tree: root - a - b, root - c - d.
    generator = np.random.default_rng(0)
    edges = {
        (p, c): random_transform(p, c, generator)
        for p, c in [("root", "a"), ("a", "b"), ("root", "c"), ("c", "d")]
    }
    for message in edges.values():
        buffer.set_transform_static(message, "test")
    root_from_b = matrix(edges["root", "a"]) @ matrix(edges["a", "b"])
    root_from_d = matrix(edges["root", "c"]) @ matrix(edges["c", "d"])
    # Down, up, and across the root.
    np.testing.assert_allclose(
        matrix(buffer.lookup_transform("root", "b", LATEST)), root_from_b, atol=1e-12
    )
    np.testing.assert_allclose(
        matrix(buffer.lookup_transform("b", "root", LATEST)), np.linalg.inv(root_from_b), atol=1e-12
    )
    np.testing.assert_allclose(
        matrix(buffer.lookup_transform("d", "b", LATEST)),
        np.linalg.inv(root_from_d) @ root_from_b,
        atol=1e-12,
    )
    assert buffer.lookup_transform("d", "b", LATEST).header.frame_id == "d"
    assert buffer.lookup_transform("d", "b", LATEST).child_frame_id == "b"


def test_interpolation_between_two_stamps(buffer: Buffer) -> None:
    buffer.set_transform(transform("odom", "base", 1.0, x=0.0, yaw_rad=0.0), "test")
    buffer.set_transform(transform("odom", "base", 2.0, x=4.0, yaw_rad=1.0), "test")
    found = buffer.lookup_transform("odom", "base", at(1.25))
    assert found.transform.translation.x == pytest.approx(1.0)
    assert 2 * math.atan2(found.transform.rotation.z, found.transform.rotation.w) == pytest.approx(
        0.25
    )
    assert stamp_s(found) == 1.25


def test_interpolation_takes_the_shorter_way_round(buffer: Buffer) -> None:
    buffer.set_transform(transform("odom", "base", 1.0, yaw_rad=3.0), "test")
    buffer.set_transform(transform("odom", "base", 2.0, yaw_rad=-3.0), "test")
    found = buffer.lookup_transform("odom", "base", at(1.5)).transform.rotation
    assert abs(2 * math.atan2(found.z, found.w)) == pytest.approx(math.pi)


def test_latest_is_the_latest_common_time(buffer: Buffer) -> None:
    for stamp in (1.0, 2.0, 3.0):
        buffer.set_transform(transform("odom", "base", stamp, x=stamp), "test")
    buffer.set_transform(transform("base", "arm", 1.0), "test")
    buffer.set_transform(transform("base", "arm", 2.5), "test")
    buffer.set_transform_static(transform("arm", "camera", 99.0), "test")
    found = buffer.lookup_transform("odom", "camera", LATEST)
    assert stamp_s(found) == 2.5
    assert found.transform.translation.x == pytest.approx(2.5)


def test_static_transforms_hold_at_any_time(buffer: Buffer) -> None:
    buffer.set_transform_static(transform("base", "camera", 5.0, x=1.0), "test")
    assert buffer.lookup_transform("base", "camera", at(123.0)).transform.translation.x == 1.0
    assert stamp_s(buffer.lookup_transform("base", "camera", at(123.0))) == 123.0
    assert stamp_s(buffer.lookup_transform("base", "camera", LATEST)) == 0.0


@pytest.mark.parametrize("requested_s, word", [(0.5, "past"), (2.5, "future")])
def test_extrapolation_is_refused(buffer: Buffer, requested_s: float, word: str) -> None:
    buffer.set_transform(transform("odom", "base", 1.0), "test")
    buffer.set_transform(transform("odom", "base", 2.0), "test")
    with pytest.raises(ExtrapolationException, match=f"into the {word}"):
        buffer.lookup_transform("odom", "base", at(requested_s))


def test_single_transform_holds_at_its_own_stamp_only(buffer: Buffer) -> None:
    buffer.set_transform(transform("odom", "base", 1.0), "test")
    buffer.lookup_transform("odom", "base", at(1.0))
    with pytest.raises(ExtrapolationException, match=r"only time 1\.0"):
        buffer.lookup_transform("odom", "base", at(1.1))


def test_transforms_older_than_the_cache_are_dropped() -> None:
    buffer = Buffer(cache_time=Duration(seconds=2))
    for stamp in (1.0, 2.0, 5.0, 5.5):
        buffer.set_transform(transform("odom", "base", stamp), "test")
    with pytest.raises(ExtrapolationException):
        buffer.lookup_transform("odom", "base", at(2.0))
    buffer.set_transform(transform("odom", "base", 3.0), "test")  # too old to be kept
    with pytest.raises(ExtrapolationException):
        buffer.lookup_transform("odom", "base", at(3.0))


def test_each_failure_has_its_exception(buffer: Buffer) -> None:
    buffer.set_transform_static(transform("a", "b"), "test")
    buffer.set_transform_static(transform("c", "d"), "test")
    failures = [
        ("a", "d", ConnectivityException),
        ("a", "nowhere", LookupException),
        ("", "a", InvalidArgumentException),
    ]
    for target, source, error in failures:
        with pytest.raises(error):
            buffer.lookup_transform(target, source, LATEST)
        assert issubclass(error, TransformException)
        assert not buffer.can_transform(target, source, LATEST)


def test_loop_is_an_error(buffer: Buffer) -> None:
    buffer.set_transform_static(transform("a", "b"), "test")
    buffer.set_transform_static(transform("b", "a"), "test")
    buffer.set_transform_static(transform("c", "d"), "test")
    with pytest.raises(LookupException, match="loop"):
        buffer.lookup_transform("c", "a", LATEST)


def test_invalid_transforms_are_dropped(buffer: Buffer) -> None:
    for message in (
        transform("a", "a"),
        transform("", "b"),
        transform("a", ""),
        transform("a", "b", x=math.nan),
    ):
        buffer.set_transform_static(message, "test")
    assert not buffer.can_transform("a", "b", LATEST)


def test_transform_of_a_frame_to_itself_is_the_identity(buffer: Buffer) -> None:
    np.testing.assert_array_equal(matrix(buffer.lookup_transform("any", "any", LATEST)), np.eye(4))


def test_clear_keeps_the_static_transforms(buffer: Buffer) -> None:
    buffer.set_transform_static(transform("base", "camera"), "test")
    buffer.set_transform(transform("odom", "base", 1.0), "test")
    buffer.clear()
    assert buffer.can_transform("base", "camera", LATEST)
    assert not buffer.can_transform("odom", "base", LATEST)


def test_waiting_ends_at_the_timeout_with_the_reason(buffer: Buffer) -> None:
    started = time.monotonic()
    timeout = Duration(seconds=0.1)
    result = buffer.can_transform("a", "b", LATEST, timeout, return_debug_tuple=True)
    assert result[0] in (False, 0)
    assert 0.08 < time.monotonic() - started < 1.0


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node, SingleThreadedExecutor]]:
    """Sending node, listening node, and the executor of both."""
    context = rclpy.Context()
    context.init()
    executor = SingleThreadedExecutor(context=context)
    sender, listener = (rclpy.create_node(name, context=context) for name in ("sender", "listener"))
    executor.add_node(sender)
    executor.add_node(listener)
    yield sender, listener, executor
    executor.shutdown()
    sender.destroy_node()
    listener.destroy_node()
    context.shutdown()


def spin_until(
    executor: SingleThreadedExecutor, done: Callable[[], bool], timeout_s: float = 10.0
) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not done() and time.monotonic() < deadline_s:
        executor.spin_once(timeout_sec=0.02)
    return done()


def test_round_trip_over_broadcasters_and_a_late_listener(
    nodes: tuple[Node, Node, SingleThreadedExecutor],
) -> None:
    sender, listener, executor = nodes
    static = StaticTransformBroadcaster(sender)
    static.sendTransform(transform("base", "camera", x=1.0))
    static.sendTransform([transform("base", "lidar", x=2.0)])
    buffer = Buffer()
    subscription = TransformListener(buffer, listener)
    # Both arrive, although one message is kept.
    assert spin_until(executor, lambda: buffer.can_transform("camera", "lidar", LATEST))

    dynamic = TransformBroadcaster(sender)
    assert spin_until(executor, lambda: sender.count_subscribers("/tf") > 0)
    dynamic.sendTransform([transform("odom", "base", 7.0, x=3.0), transform("map", "odom", 7.0)])
    assert spin_until(executor, lambda: buffer.can_transform("map", "lidar", at(7.0)))
    assert buffer.lookup_transform("map", "lidar", at(7.0)).transform.translation.x == 5.0
    subscription.unregister()
