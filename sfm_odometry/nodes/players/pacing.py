"""What the players share: reading ahead, waiting for listeners, and a clock to play by."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from sfm_odometry.nodes.conversions import NANOSECONDS, ns_to_stamp
from sfm_odometry.nodes.spinning import serve_once

Item = TypeVar("Item")

CLOCK_PERIOD_S = 0.01
"""100 Hz of /clock are enough; each message costs every Python node on the machine its share."""
SETTLE_S = 0.3
"""After a subscription was seen here, so long until the other side has seen us too, and has
heard /tf_static."""


def read_ahead(items: Iterable[Item], count: int = 8) -> Iterator[Item]:
    """The items, made in a thread up to `count` ahead; an error there is raised here when its turn
    comes.

    The thread ends with the iterator: one that is left within OpenCV while the interpreter ends
    would abort the process.
    """
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=count)
    ended = threading.Event()

    def put(item: Item | None, error: BaseException | None) -> None:
        while not ended.is_set():
            try:
                ready.put((item, error), timeout=0.1)
                break
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for item in items:
                put(item, None)
                if ended.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=produce, name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        ended.set()
        thread.join()


def wait_for_subscribers(
    node: Node,
    publishers: list[Publisher],
    timeout_s: float,
    enough: Callable[[Iterable[bool]], bool] = all,
) -> bool:
    """Serve the node until all (or any) of the publishers have a subscription; False when that took
    longer than `timeout_s`.

    A negative time is for ever.
    """
    deadline = time.monotonic() + timeout_s if timeout_s >= 0 else float("inf")
    while not enough(publisher.get_subscription_count() > 0 for publisher in publishers):
        if time.monotonic() >= deadline:
            return False
        serve_once(node, 0.05)
    serve_until(node, time.monotonic() + SETTLE_S)
    return True


def serve_until(node: Node, deadline_s: float) -> None:
    """Serve the node's callbacks until the monotonic clock shows `deadline_s`; raises
    StopRequested when the process is to end."""
    while (remaining_s := deadline_s - time.monotonic()) > 0:
        serve_once(node, remaining_s)


class Pacer:
    """Maps recorded time to the wall: `rate` recorded seconds pass in one. With `clock` it is
    told on /clock as it passes."""

    def __init__(self, node: Node, rate: float, clock: bool) -> None:
        self._node, self.rate = node, rate
        self._clock = node.create_publisher(Clock, "/clock", 10) if clock else None
        self._start_s, self._start_ns = 0.0, 0

    def start(self, recorded_ns: int) -> None:
        """From now on `recorded_ns` is now."""
        self._start_s, self._start_ns = time.monotonic(), recorded_ns

    def wait_until(self, recorded_ns: int) -> None:
        """Serve the node until the recorded time has come."""
        deadline_s = self._start_s + (recorded_ns - self._start_ns) / NANOSECONDS / self.rate
        while self._clock is not None and deadline_s - time.monotonic() > CLOCK_PERIOD_S:
            self._tick(self._now_ns())
            serve_until(self._node, time.monotonic() + CLOCK_PERIOD_S)
        serve_until(self._node, deadline_s)
        self._tick(recorded_ns)

    def _now_ns(self) -> int:
        return self._start_ns + round((time.monotonic() - self._start_s) * self.rate * NANOSECONDS)

    def _tick(self, recorded_ns: int) -> None:
        if self._clock is not None:
            self._clock.publish(Clock(clock=ns_to_stamp(recorded_ns)))
