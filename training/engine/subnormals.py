"""Subnormal numbers, which training on a processor does without."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def flush_subnormals() -> Iterator[None]:
    """Let this thread, and those that it starts, compute with zero in place of numbers smaller than
    1e-38.

    Gradients of saturated masks and Adam's moments fade into that range, where many processors
    compute in microcode: the papers' recipe then trains at less than half of its speed. Enter it
    before torch has started its threads.
    """
    for dtype in (np.float32, np.float64):
        _ = np.finfo(dtype).smallest_subnormal  # numpy warns if it has to look this up later
    flushed = torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if flushed:
            torch.set_flush_denormal(False)
