"""Timer of how long the odometry has been lost."""

from sfm_odometry.nodes.conversions import NANOSECONDS
from sfm_odometry.nodes.diagnostics import NodeState
from sfm_odometry.results import EventKind, OdometryResult, TrackingState


class LostTimer:
    """Tracks how long the odometry has been lost, by the stamps of the frames.

    It is lost from a frame whose motion was not plausible until the next frame that is tracked; the
    frames between them refill the window.
    """

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._newest_ns = 0
        self._reason = ""

    def update(self, result: OdometryResult, stamp_ns: int) -> NodeState:
        """Add the result of a frame; returns the state of the node after it."""
        if result.state is TrackingState.TRACKING:
            self._since_ns = None
        elif result.state is TrackingState.LOST:
            self._since_ns = min(self._since_ns or stamp_ns, stamp_ns)
            self._reason = "; ".join(
                event.detail for event in result.events if event.kind is EventKind.LOST
            )
        self._newest_ns = stamp_ns
        if self._since_ns is not None:
            return NodeState(TrackingState.LOST.value, self._reason)
        return NodeState(result.state.value, "; ".join(str(event) for event in result.events))

    def exceeds(self, limit_s: float) -> bool:
        """Whether the odometry has been lost for at least the limit; a limit of 0 is never met."""
        if limit_s <= 0.0 or self._since_ns is None:
            return False
        return self._newest_ns - self._since_ns >= limit_s * NANOSECONDS
