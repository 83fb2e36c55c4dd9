"""Caches of the transforms of one frame to its parent, over time or static."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from .exceptions import ExtrapolationException
from .rigid import IDENTITY, RigidTransform, interpolate


class StoredTransform(NamedTuple):
    """Received transform of a frame to its parent."""

    stamp_ns: int
    parent: str
    parent_from_child: RigidTransform


def _stamp_ns(stored: StoredTransform) -> int:
    """Sort key."""
    return stored.stamp_ns


class StaticCache:
    """Transform that holds at all times; a newer one replaces it."""

    def __init__(self) -> None:
        self._stored = StoredTransform(0, "", IDENTITY)

    def insert(self, stored: StoredTransform) -> bool:
        """Store a transform in place of the one before; returns True."""
        self._stored = stored._replace(stamp_ns=0)
        return True

    def at(self, stamp_ns: int) -> StoredTransform:
        """Transform at any time."""
        return self._stored._replace(stamp_ns=stamp_ns)

    def latest(self) -> StoredTransform:
        """Transform with the stamp 0, which stands for any time."""
        return self._stored

    def clear(self) -> None:
        """Keep the transform: static ones outlive a jump in time."""


class TimeCache:
    """Transforms of the last `length_ns`, in the order of their stamps."""

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._stored: list[StoredTransform] = []

    def insert(self, stored: StoredTransform) -> bool:
        """Store a transform; False where it is older than the cache reaches."""
        if self._stored:
            oldest_ns = self._stored[-1].stamp_ns - self._length_ns
            del self._stored[
                : next(i for i, kept in enumerate(self._stored) if kept.stamp_ns >= oldest_ns)
            ]
            if stored.stamp_ns < oldest_ns:
                return False
        start = bisect_left(self._stored, stored.stamp_ns, key=_stamp_ns)
        end = bisect_right(self._stored, stored.stamp_ns, key=_stamp_ns)
        if stored not in self._stored[start:end]:
            self._stored.insert(end, stored)
        return True

    def at(self, stamp_ns: int) -> StoredTransform:
        """Transform at a time, interpolated between two stamps; 0 is the latest.

        Raises ExtrapolationException outside of the stored stamps.
        """
        if stamp_ns == 0 and self._stored:
            return self._stored[-1]
        self._check_covers(stamp_ns)
        # Of several transforms with the earliest stamp the first counts.
        if stamp_ns == self._stored[0].stamp_ns < self._stored[-1].stamp_ns:
            return self._stored[0]
        # Neighbours in time.
        after = bisect_right(self._stored, stamp_ns, key=_stamp_ns)
        older = self._stored[after - 1]
        if older.stamp_ns == stamp_ns:
            return older
        newer = self._stored[after]
        # After a change of parent the two are transforms to different frames.
        if newer.parent != older.parent:
            return older
        ratio = (stamp_ns - older.stamp_ns) / (newer.stamp_ns - older.stamp_ns)
        return older._replace(
            parent_from_child=interpolate(older.parent_from_child, newer.parent_from_child, ratio)
        )

    def _check_covers(self, stamp_ns: int) -> None:
        """Raise ExtrapolationException where the time is outside of the stored stamps."""
        # One stamp or none.
        requested = f"{stamp_ns / 1e9:.6f}"
        if len(self._stored) < 2:
            only_ns = self._stored[0].stamp_ns if self._stored else 0
            if not self._stored or only_ns != stamp_ns:
                raise ExtrapolationException(
                    f"Lookup would require extrapolation at time {requested}, "
                    f"but only time {only_ns / 1e9:.6f} is in the buffer"
                )
            return
        # A range of stamps.
        earliest_ns = self._stored[0].stamp_ns
        latest_ns = self._stored[-1].stamp_ns
        if stamp_ns > latest_ns:
            raise ExtrapolationException(
                f"Lookup would require extrapolation into the future.  Requested time {requested} "
                f"but the latest data is at time {latest_ns / 1e9:.6f}"
            )
        if stamp_ns < earliest_ns:
            raise ExtrapolationException(
                f"Lookup would require extrapolation into the past.  Requested time {requested} "
                f"but the earliest data is at time {earliest_ns / 1e9:.6f}"
            )

    def latest(self) -> StoredTransform | None:
        """Newest transform; None where nothing is stored."""
        return self._stored[-1] if self._stored else None

    def clear(self) -> None:
        """Remove all transforms."""
        self._stored.clear()
