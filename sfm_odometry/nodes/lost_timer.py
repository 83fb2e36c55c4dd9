"""How long the odometry has been lost."""

from sfm_odometry.nodes.conversions import NANOSECONDS
from sfm_odometry.nodes.diagnostics import NodeState
from sfm_odometry.odometry import OdometryResult, TrackingState


class Loss:
    """From the first frame whose motion was not believed to the first that is; between them the
    window refills, but nothing is known."""

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._newest_ns = 0
        self._reason = ""

    def state(self, result: OdometryResult, stamp_ns: int) -> NodeState:
        """The state that the result of the frame leaves; lost until the odometry tracks again."""
        if result.state is TrackingState.TRACKING:
            self._since_ns = None
        elif result.state is TrackingState.LOST:
            self._since_ns = min(self._since_ns or stamp_ns, stamp_ns)
            self._reason = result.event.removeprefix("lost: ")
        self._newest_ns = stamp_ns
        return (
            NodeState(result.state.value, result.event)
            if self._since_ns is None
            else NodeState("lost", self._reason)
        )

    def lasts(self, limit_s: float) -> bool:
        """Whether it has lasted for the limit, by the stamps; 0 is no limit."""
        return (
            limit_s > 0.0
            and self._since_ns is not None
            and self._newest_ns - self._since_ns >= limit_s * NANOSECONDS
        )
