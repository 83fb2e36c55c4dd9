"""Messages taken without an executor: each once, in order, raw if asked for; and the executor."""

import time
from types import SimpleNamespace

import pytest
import rclpy
from rclpy.serialization import deserialize_message
from std_msgs.msg import Int64, String

from sfm_odometry.nodes import subscription_waiter
from sfm_odometry.nodes.spinning import ReportingExecutor, StopRequested, spin
from sfm_odometry.nodes.subscription_waiter import SubscriptionWaiter, WaitSetUnavailable

WITHIN_S = 20.0


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("waiting", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def serve_until(waiter: SubscriptionWaiter, subscriptions: list, condition) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, "nothing came"
        waiter.serve(subscriptions, time.monotonic() + 0.1)


def test_every_message_comes_once_and_in_order(node) -> None:
    numbers = []
    words = []
    subscriptions = [
        node.create_subscription(
            Int64, "numbers", lambda message: numbers.append(message.data), 20
        ),
        node.create_subscription(
            String,
            "words",
            lambda data: words.append(deserialize_message(data, String).data),
            20,
            raw=True,
        ),
    ]
    number_publisher = node.create_publisher(Int64, "numbers", 20)
    word_publisher = node.create_publisher(String, "words", 20)
    for number in range(10):
        number_publisher.publish(Int64(data=number))
        word_publisher.publish(String(data=str(number)))
    serve_until(
        SubscriptionWaiter(node.context),
        subscriptions,
        lambda: len(numbers) >= 10 and len(words) >= 10,
    )
    assert numbers == list(range(10)) and words == list(map(str, range(10)))


def test_other_subscriptions_are_served_without_being_waited_for(node) -> None:
    words = []
    silent = node.create_subscription(Int64, "silent", lambda message: None, 1)
    other = node.create_subscription(
        String, "words", lambda message: words.append(message.data), 20
    )
    word_publisher = node.create_publisher(String, "words", 20)
    for word in ("a", "b", "c"):
        word_publisher.publish(String(data=word))
    serve_until(SubscriptionWaiter(node.context), [silent, other], lambda: words == ["a", "b", "c"])


def test_waiting_ends_at_the_deadline(node) -> None:
    subscription = node.create_subscription(Int64, "silent", lambda message: None, 1)
    started_s = time.monotonic()
    assert not SubscriptionWaiter(node.context).serve([subscription], started_s + 0.1)
    assert 0.09 < time.monotonic() - started_s < WITHIN_S
    assert not SubscriptionWaiter(node.context).serve(
        [subscription], started_s
    )  # a deadline in the past


def test_a_context_that_has_ended_is_not_waited_for(node) -> None:
    subscription = node.create_subscription(Int64, "silent", lambda message: None, 1)
    waiter = SubscriptionWaiter(node.context)
    rclpy.try_shutdown(context=node.context)
    started_s = time.monotonic()
    assert not waiter.serve([subscription], started_s + WITHIN_S)
    assert time.monotonic() - started_s < WITHIN_S / 2


def test_the_executor_reports_whether_it_served(node) -> None:
    executor = ReportingExecutor(context=node.context)
    executor.add_node(node)
    for _ in range(50):  # the node's own events come first
        executor.spin_once(timeout_sec=0.0)
        if not executor.served:
            break
    assert not executor.served
    done = []
    node.create_timer(0.01, lambda: done.append(True))
    deadline_s = time.monotonic() + WITHIN_S
    while not executor.served:
        assert time.monotonic() < deadline_s
        executor.spin_once(timeout_sec=0.1)
    assert done


@pytest.mark.parametrize(
    "implementation", [SimpleNamespace(), SimpleNamespace(WaitSet=lambda context: None)]
)
def test_without_wait_sets_the_executor_serves(node, monkeypatch, implementation) -> None:
    """Either without wait sets, or with another constructor of them."""
    monkeypatch.setattr(subscription_waiter, "rclpy_implementation", implementation)
    with pytest.raises(WaitSetUnavailable):
        SubscriptionWaiter(node.context)

    def stop(message: Int64) -> None:
        raise StopRequested(message.data)

    numbers = node.create_subscription(Int64, "numbers", stop, 1)
    publisher = node.create_publisher(Int64, "numbers", 1)
    executor = ReportingExecutor(context=node.context)
    executor.add_node(node)
    node.create_timer(0.05, lambda: publisher.publish(Int64(data=7)))
    with pytest.raises(StopRequested, match="7"):
        spin(node, lambda: [numbers])
    executor.shutdown()
