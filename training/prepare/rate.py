"""Video of any rate thinned out to about what the methods are used to, 10 frames a second, and
numbered by its stamps."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError

SAMPLE = 100
"""Frames that the period is measured on."""


def add_rate_arguments(parser: argparse.ArgumentParser) -> None:
    """--every and --rate, one of them."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--every", type=int, help="take every n-th frame")
    group.add_argument(
        "--rate",
        type=float,
        default=10.0,
        help="take every n-th so that about this many a second are left (default 10)",
    )


def typical_period_s(stamps_s: Sequence[float], path: Path) -> float:
    """The median time from one frame of a file to the next; raises InputError naming it where
    the stamps do not increase."""
    period = float(np.median(np.diff(stamps_s))) if len(stamps_s) > 1 else 0.0
    if period <= 0:
        raise InputError(
            f"{path}: {len(stamps_s)} frames whose stamps do not increase, expected a video"
        )
    return period


class FrameCounter:
    """Numbers frames by their stamps, so that a dropped frame leaves a gap, and says which to take.

    period_s: the usual time between frames. every: take every n-th; default as many as leave about
    `rate` a second.
    """

    def __init__(self, period_s: float, every: int | None, rate: float) -> None:
        if every is not None and every < 1:
            raise InputError(f"--every {every}: expected 1 or more")
        if rate <= 0:
            raise InputError(f"--rate {rate:g}: expected more than 0")
        self.every = max(round(1 / (period_s * rate)), 1) if every is None else every
        self._period_s = period_s
        self._number, self._stamp_s = 0, -np.inf

    def next(self, stamp_s: float) -> int | None:
        """The number of the next frame among those that are taken, or None where it is not; time
        that runs backwards is a gap."""
        steps = (stamp_s - self._stamp_s) / self._period_s
        if np.isfinite(steps):
            self._number += max(round(steps), 1) if steps > 0 else 2 * self.every
        self._stamp_s = stamp_s
        number, left = divmod(self._number, self.every)
        return None if left else number
