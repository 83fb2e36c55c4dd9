"""Counters and measures of the node, and their diagnostics message."""

import threading
import time
from collections import Counter, deque

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from sfm_odometry.scale import ScaleEstimate

GAP_FACTOR = 1.5
"""Distance of two stamps, in usual distances, beyond which frames are missing between them."""
COUNTERS = (
    "frames_received",
    "frames_processed",
    "frames_published",
    "frames_dropped",
    "frames_refused",
    "frames_stale",
    "gaps",
    "clock_jumps",
    "camera_changes",
    "losses",
    "resets",
    "inference_errors",
)
"""Reported even where nothing was counted; the reasons for drops and refusals follow as they
occur."""


class MeanAndMax:
    """Mean and maximum of a quantity since the last report."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0.0
        self.maximum = 0.0

    def add(self, value: float) -> None:
        """Add one value."""
        self._count += 1
        self._sum += value
        self.maximum = max(self.maximum, value)

    def clear(self) -> None:
        """Remove all values."""
        self._count = 0
        self._sum = 0.0
        self.maximum = 0.0

    @property
    def mean(self) -> float:
        """Mean of the values; 0 without any."""
        return self._sum / self._count if self._count else 0.0


class MissingFrameCounter:
    """Counts frames that never arrived.

    The expected distance of two stamps is the median of the last distances.
    """

    def __init__(self) -> None:
        self.missing = 0
        """Number of frames that are missing up to now."""
        self._newest_ns: int | None = None
        self._distances_ns: deque[int] = deque(maxlen=15)

    def add(self, stamp_ns: int, clock_jumped: bool = False) -> None:
        """Add the stamp of a frame that arrived.

        clock_jumped: whether the stamps' clock was set since the frame before, which is no loss.
        """
        if clock_jumped:
            self._newest_ns = stamp_ns
            return
        distance_ns = stamp_ns - self._newest_ns if self._newest_ns is not None else 0
        self._newest_ns = stamp_ns
        if distance_ns <= 0:
            return
        usual_ns = (
            sorted(self._distances_ns)[len(self._distances_ns) // 2]
            if len(self._distances_ns) >= 3
            else distance_ns
        )
        if distance_ns > GAP_FACTOR * usual_ns:
            self.missing += round(distance_ns / usual_ns) - 1
        self._distances_ns.append(distance_ns)


class Statistics:
    """Counters since the activation of the node; rates and times since the last report.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        """Counters by name."""
        self.measures = {
            name: MeanAndMax()
            for name in ("preprocess_ms", "inference_ms", "total_ms", "latency_ms")
        }
        """Times since the last report, by name."""
        self.last_image = 0.0
        """Arrival of the newest image on the monotonic clock, seconds."""
        self._missing = MissingFrameCounter()
        self._reported_at = time.monotonic()
        self._reported_counts: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self.counts[name] += by

    def received(self, stamp_ns: int, clock_jumped: bool = False) -> None:
        """Count an image that arrived; clock_jumped: the stamps' clock was set before it."""
        with self._lock:
            self.counts["frames_received"] += 1
            self._missing.add(stamp_ns, clock_jumped)
            self.last_image = time.monotonic()

    def measure(self, **values: float) -> None:
        """Add values to the measures of these names."""
        with self._lock:
            for name, value in values.items():
                self.measures[name].add(value)

    def report(self) -> dict[str, str]:
        """All values as text by name; starts rates and measures anew."""
        with self._lock:
            now = time.monotonic()
            values = {
                "input_hz": self._rate("frames_received", now),
                "output_hz": self._rate("frames_published", now),
            }
            for name, measure in self.measures.items():
                values[f"{name}_mean"] = f"{measure.mean:.2f}"
                values[f"{name}_max"] = f"{measure.maximum:.2f}"
                measure.clear()
            values |= {name: str(self.counts[name]) for name in COUNTERS}
            values["frames_missing"] = str(self._missing.missing)
            # Reasons for drops and refusals, as far as they occurred.
            others = sorted(self.counts.keys() - set(COUNTERS))
            values |= {name: str(self.counts[name]) for name in others}
            self._reported_at = now
            self._reported_counts = self.counts.copy()
            return values

    def _rate(self, counter: str, now: float) -> str:
        """Mean rate of a counter since the last report, Hz."""
        elapsed_s = max(now - self._reported_at, 1e-6)
        return f"{(self.counts[counter] - self._reported_counts[counter]) / elapsed_s:.2f}"


def diagnostic_array(
    header: Header, name: str, hardware: str, level: bytes, message: str, values: dict[str, str]
) -> DiagnosticArray:
    """Returns the message of one status.

    level: of DiagnosticStatus. values: by key.
    """
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    status = DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware, values=pairs
    )
    return DiagnosticArray(header=header, status=[status])


def scale_values(scale: ScaleEstimate) -> dict[str, str]:
    """Returns the values of the status that describe the scale.

    `scale_reason`: why it is not metric; empty when it is.
    """
    return {
        "scale": f"{scale.value:.4g}",
        "scale_sigma": f"{scale.relative_sigma * scale.value:.2g}",
        "scale_source": scale.source,
        "scale_reason": scale.reason,
        "is_metric": str(scale.is_metric).lower(),
    }
