"""The highest rate that something holds."""

import math
from collections.abc import Callable

RISE, FALL, CLOSE = 1.25, 0.8, 1.06


def highest_held(start_hz: float, holds: Callable[[float], bool], trials: int) -> float | None:
    """The highest rate that `holds` was true for, in at most `trials` calls: up or down from
    `start_hz`, then by bisection.

    It ends sooner where the lowest rate that was not held is less than 6 % above. None where no
    rate was held.
    """
    held, lost, rate = 0.0, math.inf, start_hz
    for _ in range(trials):
        if holds(rate):
            held = rate
        else:
            lost = rate
        if held and lost < CLOSE * held:
            break
        rate = held * RISE if lost == math.inf else math.sqrt(held * lost) if held else lost * FALL
    return held or None
