"""One thread that does the slow work, and the queue in front of it."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FrameQueue(Generic[Item]):
    """Frames that wait for the worker. Where the newest wins only one waits; otherwise up to
    `capacity`, and the oldest falls out.

    Frames wait as long as the queue is held: until it is known, for example, how the camera sits on
    the robot.
    """

    def __init__(self, capacity: int, newest_wins: bool) -> None:
        self.capacity, self.newest_wins = capacity, newest_wins
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._held = False
        self._closed = False

    def put(self, item: Item) -> int:
        """Add the newest frame; returns how many older ones fell out for it."""
        with self._changed:
            self._items.append(item)
            dropped = max(len(self._items) - (1 if self.newest_wins else self.capacity), 0)
            for _ in range(dropped):
                self._items.popleft()
            self._changed.notify()
            return dropped

    def take(self) -> Item | None:
        """The oldest waiting frame; blocks until there is one and the queue is not held. None
        once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (bool(self._items) and not self._held))
            return None if self._closed else self._items.popleft()

    def hold(self, held: bool) -> None:
        """Keep frames waiting, or let them go."""
        with self._changed:
            self._held = held
            self._changed.notify()

    def clear(self) -> int:
        """Forget the waiting frames; returns how many they were."""
        with self._changed:
            count = len(self._items)
            self._items.clear()
            return count

    def close(self) -> None:
        """Let `take` return None, now and for ever."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)


class Worker(Generic[Item]):
    """A thread that calls `work` for each frame of the queue; `work` deals with its own errors."""

    def __init__(self, queue: FrameQueue[Item], work: Callable[[Item], None]) -> None:
        self._queue, self._work = queue, work
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the queue and wait for the frame in work to end."""
        self._queue.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.take()) is not None:
            self._work(item)
