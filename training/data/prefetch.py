"""Batches sampled ahead of the training step, on background threads."""

import itertools
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from training.data.batch import Batch
from training.data.sampler import SnippetSampler


class Prefetcher:
    """Iterable of steps and their batches, sampled on background threads.

    `for step, batch in Prefetcher(sampler, first_step, stop_step): ...`

    Order and content are exactly those of `sampler.batch(step, rank, ranks)`. Copying out of memory
    maps releases Python's lock: the threads run while the main thread trains. An error on a thread
    is raised in the loop at its step. The threads end with the loop, also when it is left by break
    or an error.
    """

    def __init__(
        self,
        sampler: SnippetSampler,
        first_step: int = 0,
        stop_step: int | None = None,
        rank: int = 0,
        ranks: int = 1,
        threads: int = 1,
        ahead: int = 3,
    ) -> None:
        """stop_step: step after the last one; None: endless. rank, ranks: see `sampler.batch`.

        ahead: maximum number of batches being sampled or ready while one is in use.
        """
        self._sampler = sampler
        self._rank = rank
        self._ranks = ranks
        self._first_step = first_step
        self._stop_step = stop_step
        self._threads = threads
        self._ahead = ahead
        self.waited_s = 0.0
        """Time that the loop has waited for data so far."""

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        if self._stop_step is None:
            steps: Iterator[int] = itertools.count(self._first_step)
        else:
            steps = iter(range(self._first_step, self._stop_step))
        with ThreadPoolExecutor(self._threads, thread_name_prefix="prefetch") as pool:
            pending: deque[tuple[int, Future[Batch]]] = deque()
            try:
                while True:
                    # Keep the threads busy.
                    missing = self._ahead - len(pending)
                    pending += [
                        (step, pool.submit(self._sample, step))
                        for step in itertools.islice(steps, missing)
                    ]
                    # Hand over the oldest batch.
                    if not pending:
                        return
                    step, future = pending.popleft()
                    yield step, self._wait(future)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _sample(self, step: int) -> Batch:
        """Samples a batch, on a background thread."""
        return self._sampler.batch(step, self._rank, self._ranks)

    def _wait(self, future: Future[Batch]) -> Batch:
        """Waits for a batch and measures the time."""
        started_s = time.perf_counter()
        batch = future.result()
        self.waited_s += time.perf_counter() - started_s
        return batch
