"""What is known of one frame: its parent and its place there, over time or for good."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from .exceptions import ExtrapolationException
from .rigid import Rigid, interpolate


class Stored(NamedTuple):
    """One received transform."""

    stamp_ns: int
    parent: str
    parent_from_child: Rigid


def stamp_of(stored: Stored) -> int:
    return stored.stamp_ns


class StaticCache:
    """A transform that holds at all times; a newer one replaces it."""

    def __init__(self) -> None:
        self._stored = Stored(0, "", Rigid((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))

    def insert(self, stored: Stored) -> bool:
        self._stored = stored._replace(stamp_ns=0)
        return True

    def at(self, stamp_ns: int) -> Stored:
        return self._stored._replace(stamp_ns=stamp_ns)

    def latest(self) -> Stored:
        """The stamp 0 says that any time will do."""
        return self._stored

    def clear(self) -> None:
        """Static transforms outlive a jump in time."""


class TimeCache:
    """The transforms of the last `length_ns`, in the order of their stamps."""

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._stored: list[Stored] = []

    def insert(self, stored: Stored) -> bool:
        """Keep one more; False when it is older than all that is kept would be."""
        if self._stored:
            oldest_ns = self._stored[-1].stamp_ns - self._length_ns
            del self._stored[
                : next(i for i, kept in enumerate(self._stored) if kept.stamp_ns >= oldest_ns)
            ]
            if stored.stamp_ns < oldest_ns:
                return False
        place = bisect_right(self._stored, stored.stamp_ns, key=stamp_of)
        if (
            stored
            not in self._stored[bisect_left(self._stored, stored.stamp_ns, key=stamp_of) : place]
        ):
            self._stored.insert(place, stored)
        return True

    def at(self, stamp_ns: int) -> Stored:
        """The transform at a time, between two if need be; 0 is the latest. Raises
        ExtrapolationException outside what is stored."""
        if stamp_ns == 0 and self._stored:
            return self._stored[-1]
        self._check_covers(stamp_ns)
        if (
            stamp_ns == self._stored[0].stamp_ns < self._stored[-1].stamp_ns
        ):  # of several with the earliest stamp the first holds
            return self._stored[0]
        after = bisect_right(self._stored, stamp_ns, key=stamp_of)
        older = self._stored[after - 1]
        if older.stamp_ns == stamp_ns:
            return older
        newer = self._stored[after]
        if (
            newer.parent != older.parent
        ):  # moved to another parent in between: no path leads from one to the other
            return older
        ratio = (stamp_ns - older.stamp_ns) / (newer.stamp_ns - older.stamp_ns)
        return older._replace(
            parent_from_child=interpolate(older.parent_from_child, newer.parent_from_child, ratio)
        )

    def _check_covers(self, stamp_ns: int) -> None:
        asked = f"{stamp_ns / 1e9:.6f}"
        if len(self._stored) < 2:
            only_ns = self._stored[0].stamp_ns if self._stored else 0
            if not self._stored or only_ns != stamp_ns:
                reason = f"at time {asked}, but only time {only_ns / 1e9:.6f} is in the buffer"
                raise ExtrapolationException(f"Lookup would require extrapolation {reason}")
            return
        earliest_ns, latest_ns = self._stored[0].stamp_ns, self._stored[-1].stamp_ns
        if stamp_ns > latest_ns:
            reason = f"into the future.  Requested time {asked} but the latest data is at time {latest_ns / 1e9:.6f}"
            raise ExtrapolationException(f"Lookup would require extrapolation {reason}")
        if stamp_ns < earliest_ns:
            reason = f"into the past.  Requested time {asked} but the earliest data is at time {earliest_ns / 1e9:.6f}"
            raise ExtrapolationException(f"Lookup would require extrapolation {reason}")

    def latest(self) -> Stored | None:
        return self._stored[-1] if self._stored else None

    def clear(self) -> None:
        self._stored.clear()
