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
MAX_JITTER = 0.25
"""Deviation of a stamp, in periods, up to which the frame rate counts as steady."""
ROUNDING = 1e-6
"""Share of a time that is left to rounding."""


def add_rate_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the mutually exclusive options --every and --rate."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--every", type=int, help="take every n-th frame")
    group.add_argument(
        "--rate",
        type=float,
        default=10.0,
        help="take frames so that about this many a second are left (default 10)",
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


def has_steady_stamps(stamps_s: Sequence[float], period_s: float) -> bool:
    """Returns whether all stamps are whole periods apart, to MAX_JITTER of a period."""
    steps = np.diff(stamps_s) / period_s
    return bool((np.abs(steps - np.round(steps)) <= MAX_JITTER).all())


def rate_text(steady: bool) -> str:
    """Returns what fingerprints say of a frame rate: nothing of a steady one."""
    return "" if steady else " by stamps"


class FrameCounter:
    """Selects frames that are about n periods apart, by their stamps, and numbers them.

    The frame nearest to the target time, n periods after the one taken last, is taken: at a steady
    rate it is every n-th, at a changing one as many as there can be. A target that no frame is near
    leaves a gap in the numbers.
    """

    def __init__(
        self, period_s: float, every: int | None, rate: float, steady: bool = True
    ) -> None:
        """Chooses n.

        period_s: usual time between frames in seconds.
        every: n, or None for the n that leaves about `rate` frames a second.
        steady: whether all frames are a period apart; otherwise `rate` itself is the target.

        Raises InputError if `every` or `rate` is out of range.
        """
        if every is not None and every < 1:
            raise InputError(f"--every {every}: expected 1 or more")
        if rate <= 0:
            raise InputError(f"--rate {rate:g}: expected more than 0")
        self.every = max(round(1 / (period_s * rate)), 1) if every is None else every
        by_rate = every is None and not steady
        self._target_s = max(1 / rate, period_s) if by_rate else period_s * self.every
        """Wanted time from one selected frame to the next, in seconds."""
        self.repeated = 0
        """Number of frames that had the stamp of the one before."""
        self._number = 0
        self._taken_s: float | None = None
        self._before_s = 0.0

    def next(self, stamp_s: float) -> int | None:
        """Returns the number of the next frame among the selected ones, or None if it is skipped.

        Time that runs backwards is a gap; a frame with the stamp of the one before is skipped.
        """
        if self._taken_s is None:
            self._taken_s = self._before_s = stamp_s
            return self._number
        since_taken_s = stamp_s - self._taken_s
        since_before_s = stamp_s - self._before_s
        # The next frame is expected as much later as this one is than the one before.
        is_nearest = since_taken_s + since_before_s / 2 >= self._target_s * (1 - ROUNDING)
        if since_before_s == 0 or (since_before_s > 0 and self.every > 1 and not is_nearest):
            self.repeated += since_before_s == 0
            self._before_s = stamp_s
            return None
        self._number += max(round(since_taken_s / self._target_s), 1) if since_before_s > 0 else 2
        self._taken_s = self._before_s = stamp_s
        return self._number
