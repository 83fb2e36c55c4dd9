"""Sliding window of stamped frames, with the handling of gaps, repeated and older stamps."""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

FrameT = TypeVar("FrameT")

CLOCK_JUMP_NS = 1_000_000_000
"""Least age, compared with the newest frame, of a frame after a clock jump or a bag's restart; a
frame of a lesser age is merely late."""


class Arrival(Enum):
    """Kinds of arrival of a frame at the window."""

    ADDED = "added"
    REFUSED = "refused"
    """Its stamp is equal to the newest or older; the window is unchanged."""
    AFTER_GAP = "after gap"
    """The window was flushed before it was added."""
    AFTER_CLOCK_JUMP = "after clock jump"
    """The window was flushed before it was added."""


@dataclass(frozen=True)
class AddedFrame:
    """Result of :meth:`FrameWindow.add`."""

    arrival: Arrival
    since_newest_ns: int
    """Time from the frame that was the newest before to this one; 0 for the first."""
    reason: str = ""
    """Reason for which the frame was refused; empty otherwise."""


class FrameWindow(Generic[FrameT]):
    """Newest `length` frames without a gap between them, oldest first."""

    def __init__(self, length: int, max_gap_ns: int) -> None:
        """max_gap_ns: greatest time between neighbouring frames of one window."""
        self.length = length
        self.max_gap_ns = max_gap_ns
        self._frames: deque[tuple[int, FrameT]] = deque(maxlen=length)
        self._newest_ns: int | None = None

    def add(self, frame: FrameT, stamp_ns: int) -> AddedFrame:
        """Add the frame, or refuse it for its stamp.

        A gap or a clock jump flushes the window first.
        """
        since_ns = stamp_ns - self._newest_ns if self._newest_ns is not None else 0
        if self._newest_ns is not None and -CLOCK_JUMP_NS < since_ns <= 0:
            reason = "equal stamp" if since_ns == 0 else "older stamp"
            return AddedFrame(Arrival.REFUSED, since_ns, reason)
        arrival = self._arrival(since_ns)
        if arrival is not Arrival.ADDED:
            self._frames.clear()
        self._frames.append((stamp_ns, frame))
        self._newest_ns = stamp_ns
        return AddedFrame(arrival, since_ns)

    def _arrival(self, since_ns: int) -> Arrival:
        if since_ns < 0:
            return Arrival.AFTER_CLOCK_JUMP
        return Arrival.AFTER_GAP if since_ns > self.max_gap_ns else Arrival.ADDED

    def flush(self) -> None:
        """Drop the frames; the next stamp must still be newer than the newest."""
        self._frames.clear()

    def reset(self) -> None:
        """Drop the frames and forget their stamps."""
        self._frames.clear()
        self._newest_ns = None

    @property
    def full(self) -> bool:
        """Whether the window holds `length` frames."""
        return len(self._frames) == self.length

    @property
    def frames(self) -> list[FrameT]:
        """Frames of the window, oldest first."""
        return [frame for _, frame in self._frames]

    @property
    def stamps_ns(self) -> list[int]:
        """Stamps of the frames, oldest first."""
        return [stamp_ns for stamp_ns, _ in self._frames]
