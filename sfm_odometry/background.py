"""Work that is started now and asked for later: depth is computed beside the motion, where there is a core for it."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Background:
    """One thread, where there are two cores or more; with one, nothing is computed before it is asked for. Results are the same."""

    def __init__(self, cores: int | None = None) -> None:
        """cores: that this process may use; None = as many as it finds."""
        beside = (cores or len(os.sched_getaffinity(0))) > 1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="depth") if beside else None

    def start(self, compute: Callable[[], Result]) -> "Later[Result]":
        """What `compute` will have returned, when it is asked for."""
        return Later(compute, None if self._thread is None else self._thread.submit(compute))


class Later(Generic[Result]):
    """A result that is perhaps still being computed; any thread may ask for it."""

    def __init__(self, compute: Callable[[], Result], running: "Future[Result] | None" = None) -> None:
        self._compute, self._running = compute, running
        self._found: list[Result] = []
        self._asking = threading.Lock()

    def wait(self) -> None:
        """Until it is not being computed any more, whatever came of it; what was not begun never will be."""
        if self._running is not None and not self._running.cancel():
            wait([self._running])

    def get(self) -> Result:
        """The result, waited for or computed now; an error is raised to whoever asks, and who asks again has it computed again."""
        with self._asking:
            if not self._found:
                running, self._running = self._running, None
                self._found.append(self._compute() if running is None else running.result())
            return self._found[0]
