"""Order of the rows of a trajectory: sorted by time, each moment once."""

import itertools
from collections.abc import Callable

import numpy as np

from sfm_odometry.errors import InputError

RESTART_ROWS = 10
"""Minimum number of rows in order, in the midst of the time of others, that are another run."""


def order_rows(
    name: str, keys: np.ndarray, text: Callable[[int], str], lines: list[int] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Indices of the rows in order of their keys (N,) int64, each key once, and notes.

    Of rows with the same key the first is kept. name: of the file, for the notes. text: words of
    a key. lines: line numbers of the rows. Raises InputError where the keys start anew in the time
    of earlier rows: then the file holds two trajectories, and sorting would mix them.
    """
    where = (lambda row: f"line {lines[row]}") if lines else (lambda row: f"row {row + 1}")
    _check_restart(name, keys, text, where)
    notes = []
    # Sort.
    backward = np.flatnonzero(np.diff(keys) < 0) + 1
    order = np.argsort(keys, kind="stable")
    if len(backward):
        row = int(backward[0])
        notes.append(
            f"{name}: rows are not in order of time and are sorted ({len(backward)} go back, first "
            f"{where(row)}: {text(int(keys[row]))} after {text(int(keys[row - 1]))})"
        )
    # Drop repeats.
    repeated = np.concatenate([[False], np.diff(keys[order]) == 0])
    if repeated.any():
        row = int(order[repeated].min())
        count = int(repeated.sum())
        notes.append(
            f"{name}: {count} of {len(keys)} rows {'repeats' if count == 1 else 'repeat'} an "
            f"earlier row's and {'is' if count == 1 else 'are'} left out "
            f"(first {where(row)}: {text(int(keys[row]))})"
        )
    return order[~repeated], notes


def _check_restart(
    name: str, keys: np.ndarray, text: Callable[[int], str], where: Callable[[int], str]
) -> None:
    """Raises InputError where two long runs of rows in order lie in the same time."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(keys) < 0) + 1, [len(keys)]])
    runs = [
        (int(keys[start]), int(keys[end - 1]), int(start))
        for start, end in itertools.pairwise(starts)
        if end - start >= RESTART_ROWS
    ]
    newest = None
    for run in sorted(runs):
        if newest is not None and run[0] < newest[1]:
            late = max(run, newest, key=lambda other: other[2])
            before = int(keys[late[2] - 1])
            raise InputError(
                f"{name}, {where(late[2])}: {text(late[0])} after {text(before)}, a second "
                "trajectory of the same time, expected one trajectory in a file"
            )
        newest = run if newest is None or run[1] > newest[1] else newest
