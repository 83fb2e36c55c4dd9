"""Load test of a running node: highest rate without loss, then latency and cost at an easy rate."""

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.node.harness import NodeHarness
from benchmarks.node.process_usage import process_seconds, resident_mib, thread_seconds
from benchmarks.node.rate_search import highest_sustained_rate
from demo.processes import Child

START_TIMEOUT_S = 120.0
MIN_RATE_HZ = 4.0
"""Lowest rate; below it every frame follows a gap, after which the window starts to fill anew."""
BASE_RATE_HZ = 20.0
"""Highest easy rate; latency and cost are measured at it, or at half the sustained rate."""
MAX_LOST_TO_RETRY = 0.05
"""Share of lost frames above which a rate is not tried a second time."""


@dataclass(frozen=True)
class LoadTestConfig:
    """Duration of a load test."""

    trial_s: float = 2.5
    """Seconds at each rate that is tried."""
    trials: int = 6
    """Most rates that are tried."""
    base_s: float = 5.0
    """Seconds at the easy rate, whose latency and cost are reported."""
    last_s: float = 1.0
    """Longest wait for the odometry of a run's last image, in seconds."""
    lead_in: int = 10
    """Uncounted frames at the start of a run.

    The window may have been flushed, and its first frames wait for it to fill.
    """


@dataclass(frozen=True)
class RateRun:
    """Images published at one constant rate, without those of the lead-in."""

    rate_hz: float
    stamps_ns: list[int]
    lost: int
    """Images whose odometry did not come."""
    latencies_ms: np.ndarray
    """Latency of each image whose odometry came, in ms."""
    seconds: tuple[float, float]
    """First and last time on the monotonic clock, in seconds."""


@dataclass(frozen=True)
class Load:
    """Rates, latencies and cost of a node under load.

    Rates in frames per second; latencies from publishing an image to receiving its odometry.
    held_*: at the highest rate without loss, None where there was none. easy_*: at the easy rate,
    as are processor time (ms) and memory (MiB).
    """

    held_hz: float | None
    held_latency_ms_median: float | None
    held_latency_ms_p99: float | None
    easy_hz: float
    easy_latency_ms_median: float
    easy_latency_ms_p99: float
    easy_frames: int
    easy_lost: int
    cpu_ms_per_frame: float
    cpu_ms_per_frame_by_thread: dict[str, float]
    resident_mib: float


def wait_until_tracking(harness: NodeHarness, node: Child) -> None:
    """Send images until the first odometry comes.

    Raises ChildError where the node ends, or takes longer than START_TIMEOUT_S.
    """
    deadline_s = time.monotonic() + START_TIMEOUT_S
    before = len(harness.received_ns)
    while len(harness.received_ns) == before:
        node.check_alive()
        if time.monotonic() > deadline_s:
            raise node.fail(f"published no odometry within {START_TIMEOUT_S:.0f} s")
        if harness.connected:
            harness.publish()
        time.sleep(0.1)


def measure_load(harness: NodeHarness, node: Child, config: LoadTestConfig) -> Load:
    """Find the highest rate without loss, and the cost of a frame at an easy rate.

    Raises ChildError where the node ends, or publishes no odometry at the easy rate.
    """
    # Search for the highest rate without loss.
    sustained = _find_sustained_run(harness, node, config)
    held_ms = None if sustained is None else sustained.latencies_ms

    # Measure latency, processor time and memory at an easy rate.
    easy_hz = min(BASE_RATE_HZ, max((sustained.rate_hz if sustained else 0.0) / 2, MIN_RATE_HZ))
    process_before_s = process_seconds(node.pid)
    threads_before_s = thread_seconds(node.pid)
    easy = run_at_rate(harness, easy_hz, config.base_s, config)
    used_s = process_seconds(node.pid) - process_before_s
    threads_s = thread_seconds(node.pid)
    if not len(easy.latencies_ms):
        raise node.fail(
            f"published no odometry of {len(easy.stamps_ns)} images at {easy_hz:.1f} Hz"
        )

    # Both together.
    frames = len(easy.stamps_ns) + config.lead_in
    return Load(
        held_hz=None if sustained is None else sustained.rate_hz,
        held_latency_ms_median=None if held_ms is None else float(np.median(held_ms)),
        held_latency_ms_p99=None if held_ms is None else float(np.percentile(held_ms, 99)),
        easy_hz=easy_hz,
        easy_latency_ms_median=float(np.median(easy.latencies_ms)),
        easy_latency_ms_p99=float(np.percentile(easy.latencies_ms, 99)),
        easy_frames=len(easy.stamps_ns),
        easy_lost=easy.lost,
        cpu_ms_per_frame=used_s / frames * 1e3,
        cpu_ms_per_frame_by_thread={
            kind: (seconds - threads_before_s.get(kind, 0.0)) / frames * 1e3
            for kind, seconds in threads_s.items()
        },
        resident_mib=resident_mib(node.pid),
    )


def _find_sustained_run(
    harness: NodeHarness, node: Child, config: LoadTestConfig
) -> RateRun | None:
    """Returns the run at the highest rate that lost no frame, or None where there was none."""
    sustained: dict[float, RateRun] = {}

    def sustains(rate_hz: float) -> bool:
        for _ in range(2):  # a few frames may be lost to another program, but not twice
            run = run_at_rate(harness, rate_hz, config.trial_s, config)
            node.check_alive()
            if run.lost == 0:
                sustained[rate_hz] = run
                return True
            if run.lost > MAX_LOST_TO_RETRY * len(run.stamps_ns):
                break
        return False

    start_hz = sequential_rate(harness, config.trial_s / 2)
    rate_hz = highest_sustained_rate(start_hz, sustains, config.trials)
    return sustained[rate_hz] if rate_hz else None


def sequential_rate(harness: NodeHarness, seconds: float) -> float:
    """Returns frames per second where each image waits for the odometry of the one before.

    The search for the highest rate starts from it.
    """
    started_s = time.monotonic()
    frames = 0
    while frames < 3 or time.monotonic() - started_s < seconds:
        harness.wait_for([harness.publish()], 1.0 / MIN_RATE_HZ)
        frames += 1
    return max(frames / (time.monotonic() - started_s), MIN_RATE_HZ)


def run_at_rate(
    harness: NodeHarness, rate_hz: float, seconds: float, config: LoadTestConfig
) -> RateRun:
    """Publish images at a constant rate for `seconds`, and wait for the last one's odometry.

    config: gives the lead-in, and the longest wait for the last one.
    """
    # Publish, the lead-in first.
    count = config.lead_in + max(round(rate_hz * seconds), 5)
    stamps_ns = []
    start_s = time.monotonic()
    for index in range(count):
        time.sleep(max(start_s + index / rate_hz - time.monotonic(), 0.0))
        stamps_ns.append(harness.publish())
    harness.wait_for(stamps_ns[-1:], config.last_s)

    # Evaluate without the lead-in.
    counted_ns = stamps_ns[config.lead_in :]
    span_s = (harness.published_ns[counted_ns[0]] * 1e-9, time.monotonic())
    latencies_ms = harness.latencies_ms(counted_ns)
    return RateRun(
        rate_hz=rate_hz,
        stamps_ns=counted_ns,
        lost=len(counted_ns) - len(latencies_ms),
        latencies_ms=latencies_ms,
        seconds=span_s,
    )
