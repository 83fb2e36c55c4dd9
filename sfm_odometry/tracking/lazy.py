"""Lazily computed results, and a background thread that computes them ahead of time.

Depth is computed in parallel with the motion where a spare core exists.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class BackgroundThread:
    """Thread that computes lazy results ahead of time, on machines with two cores or more.

    With one core it does nothing, and a result is computed when it is asked for. Results are the
    same.
    """

    def __init__(self, cores: int | None = None) -> None:
        """cores: number of cores that this process may use; None = its CPU affinity."""
        has_spare_core = (cores or len(os.sched_getaffinity(0))) > 1
        self._executor = (
            ThreadPoolExecutor(1, thread_name_prefix="depth") if has_spare_core else None
        )

    def submit(self, future: "LazyFuture[Any]") -> None:
        """Start to compute a result in the background; does nothing without a spare core."""
        if self._executor is not None:
            future.start(self._executor)


class LazyFuture(Generic[Result]):
    """Result that is computed once: when it is asked for, or earlier by a background thread.

    Any thread may ask for it. `compute` must not refer to the object that holds the future: a cycle
    of references keeps images alive until Python's garbage collector runs.
    """

    def __init__(self, compute: Callable[[], Result]) -> None:
        self._compute = compute
        self._future: Future[Result] | None = None
        self._cached: list[Result] = []
        """The result; empty until it is computed."""
        self._lock = threading.Lock()

    def start(self, executor: ThreadPoolExecutor) -> None:
        """Start to compute the result in the executor."""
        self._future = executor.submit(self._compute)

    def wait(self) -> None:
        """Wait until a started computation has ended, with a result or an error.

        A computation that the executor has not begun is cancelled.
        """
        if self._future is not None and not self._future.cancel():
            wait([self._future])

    def get(self) -> Result:
        """Wait for the result, or compute it now.

        An error of the computation is raised here, and the next call computes the result again.
        """
        with self._lock:
            if not self._cached:
                future = self._future
                self._future = None
                self._cached.append(self._compute() if future is None else future.result())
            return self._cached[0]
