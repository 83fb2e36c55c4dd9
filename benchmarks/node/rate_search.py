"""Search for the highest sustained rate."""

import math
from collections.abc import Callable

INCREASE = 1.25
"""Factor on the rate while none has failed."""
DECREASE = 0.8
"""Factor on the rate while none has been sustained."""
MAX_RATIO = 1.06
"""Ratio of the lowest failed to the highest sustained rate below which the search ends."""


def highest_sustained_rate(
    start_hz: float, sustains: Callable[[float], bool], trials: int
) -> float | None:
    """Returns the highest rate for which `sustains` was true, or None where there was none.

    Goes up or down from `start_hz`, then bisects, in at most `trials` calls. Ends sooner where the
    lowest rate that failed is less than 6 % above the highest that was sustained.
    """
    sustained = 0.0
    failed = math.inf
    rate = start_hz
    for _ in range(trials):
        if sustains(rate):
            sustained = rate
        else:
            failed = rate
        if sustained and failed < MAX_RATIO * sustained:
            break
        if failed == math.inf:
            rate = sustained * INCREASE
        elif sustained:
            rate = math.sqrt(sustained * failed)
        else:
            rate = failed * DECREASE
    return sustained or None
