"""Pacing of the players: reading ahead, waiting for listeners, and a clock to play by."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from sfm_odometry.nodes.conversions import NANOSECONDS, ns_to_stamp
from sfm_odometry.nodes.spinning import serve_once

Item = TypeVar("Item")

CLOCK_PERIOD_S = 0.01
"""Period of /clock: 100 Hz are enough, and each message costs every Python node some time."""
SETTLE_S = 0.3
"""Time from the discovery of a subscription until its node has discovered this one.

By then it has also received /tf_static.
"""


def read_ahead(items: Iterable[Item], count: int = 8) -> Iterator[Item]:
    """Yields the items, which a thread makes up to `count` ahead.

    An error in the thread is raised here after the items before it. The thread ends with the
    iterator: a thread within OpenCV at the end of the interpreter would abort the process.
    """
    producer = _Producer(items, count)
    try:
        yield from producer.items()
    finally:
        producer.stop()


class _Producer(Generic[Item]):
    """Thread that puts items into a queue of limited size."""

    def __init__(self, items: Iterable[Item], count: int) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(count)
        """Pairs of an item and None, at last None and an error; StopIteration after all items."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)
        self._thread.start()

    def items(self) -> Iterator[Item]:
        """Yields the items; raises an error of the thread in its turn."""
        while True:
            item, error = self._queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]

    def stop(self) -> None:
        """Stop the thread and wait for its end."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._items:
                self._put(item, None)
                if self._stopped.is_set():
                    return
            self._put(None, StopIteration())
        except BaseException as error:
            self._put(None, error)

    def _put(self, item: Item | None, error: BaseException | None) -> None:
        """Put a pair into the queue, unless the thread is stopped while the queue is full."""
        while not self._stopped.is_set():
            try:
                self._queue.put((item, error), timeout=0.1)
                break
            except queue.Full:
                continue


def wait_for_subscribers(
    node: Node,
    publishers: list[Publisher],
    timeout_s: float,
    enough: Callable[[Iterable[bool]], bool] = all,
) -> bool:
    """Serve the node until the publishers have subscriptions; returns False after the timeout.

    timeout_s: negative to wait for ever. enough: `all` or `any` of the publishers.
    """
    deadline_s = time.monotonic() + timeout_s if timeout_s >= 0 else float("inf")
    while not enough(publisher.get_subscription_count() > 0 for publisher in publishers):
        if time.monotonic() >= deadline_s:
            return False
        serve_once(node, 0.05)
    serve_until(node, time.monotonic() + SETTLE_S)
    return True


def serve_until(node: Node, deadline_s: float) -> None:
    """Serve the node's callbacks until `deadline_s` of the monotonic clock.

    Raises StopRequested after a signal that ends the process.
    """
    while (remaining_s := deadline_s - time.monotonic()) > 0:
        serve_once(node, remaining_s)


class Pacer:
    """Maps recorded time to the wall clock, and publishes it on /clock if asked to.

    rate: recorded seconds per second. clock: whether to publish /clock.
    """

    def __init__(self, node: Node, rate: float, clock: bool) -> None:
        self._node = node
        self.rate = rate
        self._clock = node.create_publisher(Clock, "/clock", 10) if clock else None
        self._start_s = 0.0
        self._start_ns = 0

    def start(self, recorded_ns: int) -> None:
        """Start playing: the recorded time is `recorded_ns` now."""
        self._start_s = time.monotonic()
        self._start_ns = recorded_ns

    def wait_until(self, recorded_ns: int) -> None:
        """Serve the node until the recorded time is reached."""
        deadline_s = self._start_s + (recorded_ns - self._start_ns) / NANOSECONDS / self.rate
        while self._clock is not None and deadline_s - time.monotonic() > CLOCK_PERIOD_S:
            self._publish_clock(self._now_ns())
            serve_until(self._node, time.monotonic() + CLOCK_PERIOD_S)
        serve_until(self._node, deadline_s)
        self._publish_clock(recorded_ns)

    def _now_ns(self) -> int:
        """Returns the recorded time now."""
        return self._start_ns + round((time.monotonic() - self._start_s) * self.rate * NANOSECONDS)

    def _publish_clock(self, recorded_ns: int) -> None:
        if self._clock is not None:
            self._clock.publish(Clock(clock=ns_to_stamp(recorded_ns)))
