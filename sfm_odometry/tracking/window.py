"""A sliding window of stamped frames, and what a gap, a repeated stamp or a stamp from the past
means."""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

FrameT = TypeVar("FrameT")

CLOCK_JUMP_NS = 1_000_000_000
"""A frame that is older than the newest by at least this much came after a clock jump or a bag's
restart; a less old one is merely late."""


class Arrival(Enum):
    """What adding a frame to the window did."""

    ADDED = "added"
    REFUSED = "refused"
    AFTER_GAP = "after gap"
    AFTER_CLOCK_JUMP = "after clock jump"


@dataclass(frozen=True)
class AddedFrame:
    """The outcome of :meth:`FrameWindow.add`; `since_newest_ns` is the time from the newest
    frame before to this one."""

    arrival: Arrival
    since_newest_ns: int
    reason: str = ""


class FrameWindow(Generic[FrameT]):
    """The newest `length` frames without a gap between them, oldest first."""

    def __init__(self, length: int, max_gap_ns: int) -> None:
        self.length = length
        self.max_gap_ns = max_gap_ns
        self._frames: deque[tuple[int, FrameT]] = deque(maxlen=length)
        self._newest_ns: int | None = None

    def add(self, frame: FrameT, stamp_ns: int) -> AddedFrame:
        """Take the frame, or refuse it for its stamp; a gap or a clock jump flushes the window
        first."""
        since_ns = stamp_ns - self._newest_ns if self._newest_ns is not None else 0
        if self._newest_ns is not None and -CLOCK_JUMP_NS < since_ns <= 0:
            return AddedFrame(
                Arrival.REFUSED, since_ns, "equal stamp" if since_ns == 0 else "older stamp"
            )
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
        """Drop the frames; stamps go on from the newest."""
        self._frames.clear()

    def reset(self) -> None:
        """Forget the frames and the stamps."""
        self._frames.clear()
        self._newest_ns = None

    @property
    def full(self) -> bool:
        """Whether the window holds `length` frames."""
        return len(self._frames) == self.length

    @property
    def frames(self) -> list[FrameT]:
        """The frames, oldest first."""
        return [frame for _, frame in self._frames]

    @property
    def stamps_ns(self) -> list[int]:
        """Their stamps, oldest first."""
        return [stamp_ns for stamp_ns, _ in self._frames]
