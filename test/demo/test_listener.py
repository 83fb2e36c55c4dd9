"""Listener: what it survives on its background thread."""

import threading
import time

import pytest
import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.waitable import NumberOfEntities, Waitable
from std_msgs.msg import String

from demo.listener import Listener

PATIENCE_S = 60.0


class Chat(Listener):
    """Listener that publishes to itself, and counts what arrives."""

    name = "chat"

    def _connect(self, node: Node) -> None:
        self.node = node
        self.heard: list[str] = []
        self.publisher = node.create_publisher(String, "chat", 10)
        node.create_subscription(
            String, "chat", lambda message: self.heard.append(message.data), 10
        )

    @property
    def thread(self) -> threading.Thread:
        return self._thread

    def hears(self, word: str) -> bool:
        """Whether a word that is said again and again arrives."""
        return holds(lambda: self.publisher.publish(String(data=word)) or word in self.heard)


class Saboteur(Waitable):
    """Destroys a subscription when the executor is about to wait for it, and itself."""

    def __init__(self, node: Node) -> None:
        super().__init__(ReentrantCallbackGroup())
        self._node = node
        self._victim = node.create_subscription(String, "victim", print, 10)
        self.struck = threading.Event()
        node.add_waitable(self)

    def __enter__(self) -> None:
        """Called while the executor gathers what it waits for."""
        self._node.destroy_subscription(self._victim)
        self._node.remove_waitable(self)
        self.struck.set()

    def __exit__(self, *_: object) -> None:
        pass

    def get_num_entities(self) -> NumberOfEntities:
        return NumberOfEntities()

    def add_to_wait_set(self, _: object) -> None:
        pass

    def is_ready(self, _: object) -> bool:
        return False


def holds(condition) -> bool:
    """Whether the condition comes true in time."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def test_a_subscription_may_vanish_while_the_executor_is_about_to_wait_for_it():
    with Chat() as chat:
        assert chat.hears("before")
        saboteur = Saboteur(chat.node)
        assert saboteur.struck.wait(PATIENCE_S)
        assert chat.hears("after")


def test_a_call_runs_on_the_background_thread():
    with Chat() as chat:
        subscription = chat.node.create_subscription(String, "other", print, 10)
        assert chat.call(threading.current_thread) is chat.thread
        assert chat.call(lambda: chat.call(threading.current_thread)) is chat.thread
        assert chat.call(lambda: chat.node.destroy_subscription(subscription))
        with pytest.raises(ZeroDivisionError):
            chat.call(lambda: 1 / 0)
        assert chat.hears("still there")


def test_the_thread_ends_quietly_when_the_context_is_shut_down():
    with Chat() as chat:
        assert chat.hears("before")
        rclpy.shutdown()
        chat.thread.join(PATIENCE_S)
        assert not chat.thread.is_alive()
        assert chat.call(lambda: 7) == 7
