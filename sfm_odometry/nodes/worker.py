"""Worker thread for the slow work, and the queue of frames in front of it."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FrameQueue(Generic[Item]):
    """Queue of frames that wait for the worker; drops the oldest ones when it is full.

    latest_only: keep only the newest frame; otherwise up to `capacity`. Frames also wait while the
    queue is held, for example until the camera's extrinsics are known.
    """

    def __init__(self, capacity: int, latest_only: bool) -> None:
        self.capacity = capacity
        self.latest_only = latest_only
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._held = False
        self._closed = False

    def put(self, item: Item) -> int:
        """Add the newest frame; returns the number of older ones that were dropped."""
        with self._changed:
            self._items.append(item)
            dropped = max(len(self._items) - (1 if self.latest_only else self.capacity), 0)
            for _ in range(dropped):
                self._items.popleft()
            self._changed.notify()
            return dropped

    def get(self) -> Item | None:
        """Remove and return the oldest frame; None once the queue is closed.

        Blocks while the queue is empty or held.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (bool(self._items) and not self._held))
            return None if self._closed else self._items.popleft()

    def set_held(self, held: bool) -> None:
        """Hold the waiting frames, or release them."""
        with self._changed:
            self._held = held
            self._changed.notify()

    def clear(self) -> int:
        """Drop the waiting frames; returns their number."""
        with self._changed:
            count = len(self._items)
            self._items.clear()
            return count

    def close(self) -> None:
        """Make `get` return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)


class Worker(Generic[Item]):
    """Thread that calls `work` for each frame of the queue; `work` handles its own errors."""

    def __init__(self, queue: FrameQueue[Item], work: Callable[[Item], None]) -> None:
        self._queue = queue
        self._work = work
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Close the queue and wait until the current frame is finished."""
        self._queue.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            self._work(item)
