"""Work that is started now and asked for later: depth is computed beside the motion, where there
is a core for it."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Background:
    """One thread, where there are two cores or more; with one, nothing is computed before it is
    asked for. Results are the same."""

    def __init__(self, cores: int | None = None) -> None:
        """cores: that this process may use; None = as many as it finds."""
        beside = (cores or len(os.sched_getaffinity(0))) > 1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="depth") if beside else None

    def begin(self, later: "LazyFuture[Any]") -> None:
        """Have the result computed now, if there is a thread for it."""
        if self._thread is not None:
            later.run(self._thread)


class LazyFuture(Generic[Result]):
    """A result that is computed when it is asked for, or was begun with before; any thread may ask
    for it.

    `compute` must not hold who holds the result: a cycle of references keeps images until Python
    happens to look for cycles.
    """

    def __init__(self, compute: Callable[[], Result]) -> None:
        self._compute = compute
        self._running: Future[Result] | None = None
        self._found: list[Result] = []
        self._asking = threading.Lock()

    def run(self, thread: ThreadPoolExecutor) -> None:
        """Compute it there."""
        self._running = thread.submit(self._compute)

    def wait(self) -> None:
        """Until it is not being computed any more, whatever came of it; what was not begun never
        will be."""
        if self._running is not None and not self._running.cancel():
            wait([self._running])

    def get(self) -> Result:
        """The result, waited for or computed now; an error is raised to whoever asks, and who
        asks again has it computed again."""
        with self._asking:
            if not self._found:
                running, self._running = self._running, None
                self._found.append(self._compute() if running is None else running.result())
            return self._found[0]
