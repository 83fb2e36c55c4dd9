"""Messages taken without an executor: each once, in order, raw where that is asked for; and the
executor goes on beside it."""

import time
from types import SimpleNamespace

import pytest
import rclpy
from rclpy.serialization import deserialize_message
from std_msgs.msg import Int64, String

from sfm_odometry.nodes import subscription_waiter as prompt_messages
from sfm_odometry.nodes.spinning import StopRequested, TellingExecutor, spin
from sfm_odometry.nodes.subscription_waiter import PromptMessages, Unavailable

WITHIN_S = 20.0


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("prompt", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def serve_until(messages: PromptMessages, subscriptions: list, condition) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, "nothing came"
        messages.serve(subscriptions, time.monotonic() + 0.1)


def test_every_message_comes_once_and_in_order(node) -> None:
    numbers, words = [], []
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
    to_numbers, to_words = (
        node.create_publisher(Int64, "numbers", 20),
        node.create_publisher(String, "words", 20),
    )
    for number in range(10):
        to_numbers.publish(Int64(data=number))
        to_words.publish(String(data=str(number)))
    serve_until(
        PromptMessages(node.context), subscriptions, lambda: len(numbers) >= 10 and len(words) >= 10
    )
    assert numbers == list(range(10)) and words == list(map(str, range(10)))


def test_what_is_not_waited_for_is_heard_all_the_same(node) -> None:
    words = []
    silent = node.create_subscription(Int64, "silent", lambda message: None, 1)
    heard = node.create_subscription(
        String, "words", lambda message: words.append(message.data), 20
    )
    to_words = node.create_publisher(String, "words", 20)
    for word in ("a", "b", "c"):
        to_words.publish(String(data=word))
    serve_until(PromptMessages(node.context), [silent, heard], lambda: words == ["a", "b", "c"])


def test_it_waits_no_longer_than_it_was_told(node) -> None:
    subscription = node.create_subscription(Int64, "silent", lambda message: None, 1)
    started_s = time.monotonic()
    assert not PromptMessages(node.context).serve([subscription], started_s + 0.1)
    assert 0.09 < time.monotonic() - started_s < WITHIN_S
    assert not PromptMessages(node.context).serve(
        [subscription], started_s
    )  # a time that has passed


def test_a_context_that_has_ended_is_not_waited_for(node) -> None:
    subscription = node.create_subscription(Int64, "silent", lambda message: None, 1)
    messages = PromptMessages(node.context)
    rclpy.try_shutdown(context=node.context)
    started_s = time.monotonic()
    assert not messages.serve([subscription], started_s + WITHIN_S)
    assert time.monotonic() - started_s < WITHIN_S / 2


def test_the_executor_tells_whether_it_served(node) -> None:
    executor = TellingExecutor(context=node.context)
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
def test_an_rclpy_of_another_make_serves_by_its_executor(node, monkeypatch, implementation) -> None:
    """One without wait sets, or whose wait sets are made another way."""
    monkeypatch.setattr(prompt_messages, "rclpy_implementation", implementation)
    with pytest.raises(Unavailable):
        PromptMessages(node.context)

    def stop(message: Int64) -> None:
        raise StopRequested(message.data)

    numbers = node.create_subscription(Int64, "numbers", stop, 1)
    publisher = node.create_publisher(Int64, "numbers", 1)
    executor = TellingExecutor(context=node.context)
    executor.add_node(node)
    node.create_timer(0.05, lambda: publisher.publish(Int64(data=7)))
    with pytest.raises(StopRequested, match="7"):
        spin(node, lambda: [numbers])
    executor.shutdown()
