"""What the node counts and measures, and the diagnostics message that says it."""

import threading
import time
from collections import Counter, deque

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from sfm_odometry.scale import ScaleEstimate

GAP_FACTOR = 1.5
"""Stamps further apart than this many of their usual distances have frames missing between them."""
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


class Measure:
    """Mean and maximum of a quantity since the last report."""

    def __init__(self) -> None:
        self._count, self._sum, self.maximum = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        """Take one value."""
        self._count, self._sum, self.maximum = (
            self._count + 1,
            self._sum + value,
            max(self.maximum, value),
        )

    def clear(self) -> None:
        """Start anew."""
        self._count, self._sum, self.maximum = 0, 0.0, 0.0

    @property
    def mean(self) -> float:
        """The mean, or 0 of nothing."""
        return self._sum / self._count if self._count else 0.0


class MissingFrames:
    """Counts frames that never came, from the stamps' own rate: the median of the last
    distances."""

    def __init__(self) -> None:
        self.missing = 0
        self._newest_ns: int | None = None
        self._distances_ns: deque[int] = deque(maxlen=15)

    def add(self, stamp_ns: int) -> None:
        """Take the stamp of a frame that arrived."""
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
    """Counters since the node was activated, rates and times since the last report. Callbacks
    and the worker add to it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.measures = {
            name: Measure() for name in ("preprocess_ms", "inference_ms", "total_ms", "latency_ms")
        }
        self._missing = MissingFrames()
        self._since = time.monotonic()
        self._before: Counter[str] = Counter()
        self.last_image = 0.0

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self.counts[name] += by

    def received(self, stamp_ns: int) -> None:
        """An image arrived."""
        with self._lock:
            self.counts["frames_received"] += 1
            self._missing.add(stamp_ns)
            self.last_image = time.monotonic()

    def measure(self, **values: float) -> None:
        """Add to the measures of these names."""
        with self._lock:
            for name, value in values.items():
                self.measures[name].add(value)

    def report(self) -> dict[str, str]:
        """All values by name; rates and measures start anew with it."""
        with self._lock:
            now = time.monotonic()
            elapsed = max(now - self._since, 1e-6)
            values = {}
            for rate, counter in (
                ("input_hz", "frames_received"),
                ("output_hz", "frames_published"),
            ):
                values[rate] = f"{(self.counts[counter] - self._before[counter]) / elapsed:.2f}"
            for name, measure in self.measures.items():
                values[f"{name}_mean"], values[f"{name}_max"] = (
                    f"{measure.mean:.2f}",
                    f"{measure.maximum:.2f}",
                )
                measure.clear()
            values |= {name: str(self.counts[name]) for name in COUNTERS}
            values["frames_missing"] = str(self._missing.missing)
            values |= {
                name: str(count)
                for name, count in sorted(self.counts.items())
                if name not in COUNTERS
            }
            self._since, self._before = now, self.counts.copy()
            return values


def diagnostic_array(
    header: Header, name: str, hardware: str, level: bytes, message: str, values: dict[str, str]
) -> DiagnosticArray:
    """One status of the given level as a message."""
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    status = DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware, values=pairs
    )
    return DiagnosticArray(header=header, status=[status])


def scale_values(scale: ScaleEstimate) -> dict[str, str]:
    """What the status says of the scale; `scale_reason` is why it is not metric."""
    return {
        "scale": f"{scale.value:.4g}",
        "scale_sigma": f"{scale.relative_sigma * scale.value:.2g}",
        "scale_source": scale.source,
        "scale_reason": scale.reason,
        "is_metric": str(scale.is_metric).lower(),
    }
