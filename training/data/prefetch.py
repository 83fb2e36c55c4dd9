"""Batches drawn ahead of the training step, on threads of their own."""

import itertools
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from training.data.batch import Batch
from training.data.sampler import SnippetSampler


class Prefetcher:
    """Gives each step with its batch: `for step, batch in Prefetcher(sampler, first_step,
    stop_step): ...`

    Order and content are exactly those of `sampler.batch(step, rank, ranks)`. stop_step: the first
    step that is not given any more; None goes on without end. ahead: how many batches are drawn or
    ready while one is in use. Copying out of memory maps happens outside of Python's lock, so that
    `threads` go on while the main thread trains. What fails on a thread is raised where its step is
    asked for. The threads end with the loop, also when it is left by break or an error.
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
        self._sampler, self._rank, self._ranks = sampler, rank, ranks
        self._steps = (first_step, stop_step)
        self._threads, self._ahead = threads, ahead
        self.waited_s = 0.0
        """Seconds that the loop has waited for data so far."""

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        first, stop = self._steps
        steps = iter(itertools.count(first) if stop is None else range(first, stop))
        with ThreadPoolExecutor(self._threads, thread_name_prefix="prefetch") as pool:
            coming: deque[tuple[int, Future[Batch]]] = deque()
            try:
                while True:
                    missing = self._ahead - len(coming)
                    coming += [
                        (step, pool.submit(self._draw, step))
                        for step in itertools.islice(steps, missing)
                    ]
                    if not coming:
                        return
                    step, future = coming.popleft()
                    yield step, self._wait(future)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _draw(self, step: int) -> Batch:
        return self._sampler.batch(step, self._rank, self._ranks)

    def _wait(self, future: Future[Batch]) -> Batch:
        started_s = time.perf_counter()
        batch = future.result()
        self.waited_s += time.perf_counter() - started_s
        return batch
