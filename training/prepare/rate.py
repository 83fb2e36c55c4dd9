"""Thinning of video of any rate to about 10 frames a second, numbered by its stamps.

10 frames a second is about the rate that the methods are used to.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError

PERIOD_SAMPLE_FRAMES = 100
"""Number of frames on which the period is measured."""


def add_rate_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the mutually exclusive options --every and --rate."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--every", type=int, help="take every n-th frame")
    group.add_argument(
        "--rate",
        type=float,
        default=10.0,
        help="take every n-th so that about this many a second are left (default 10)",
    )


def median_period_s(stamps_s: Sequence[float], path: Path) -> float:
    """Returns the median time from one frame of a file to the next, in seconds.

    Raises InputError naming the file if its stamps do not increase.
    """
    period = float(np.median(np.diff(stamps_s))) if len(stamps_s) > 1 else 0.0
    if period <= 0:
        raise InputError(
            f"{path}: {len(stamps_s)} frames whose stamps do not increase, expected a video"
        )
    return period


class FrameCounter:
    """Numbers frames by their stamps and selects every n-th of them.

    A dropped frame leaves a gap in the numbers.
    """

    def __init__(self, period_s: float, every: int | None, rate: float) -> None:
        """Chooses n.

        period_s: usual time between frames in seconds.
        every: n, or None for the n that leaves about `rate` frames a second.

        Raises InputError if `every` or `rate` is out of range.
        """
        if every is not None and every < 1:
            raise InputError(f"--every {every}: expected 1 or more")
        if rate <= 0:
            raise InputError(f"--rate {rate:g}: expected more than 0")
        self.every = max(round(1 / (period_s * rate)), 1) if every is None else every
        self._period_s = period_s
        self._number = 0
        self._stamp_s = -np.inf

    def next(self, stamp_s: float) -> int | None:
        """Returns the number of the next frame among the selected ones, or None if it is skipped.

        Time that runs backwards is a gap.
        """
        steps = (stamp_s - self._stamp_s) / self._period_s
        if np.isfinite(steps):
            self._number += max(round(steps), 1) if steps > 0 else 2 * self.every
        self._stamp_s = stamp_s
        number, remainder = divmod(self._number, self.every)
        return None if remainder else number
