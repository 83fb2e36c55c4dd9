"""A node under load: rising rates until frames are lost, then latency and cost at an easy one."""

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.node.process_cost import process_seconds, resident_mib, thread_seconds
from benchmarks.node.rate_search import highest_held
from benchmarks.node.rig import Rig
from demo.processes import Child

START_TIMEOUT_S = 120.0
LEAD_IN = 10
"""Frames at the start of a stretch that are not counted: the window may have been flushed, and
its first frames wait for it to fill."""
LAST_WORD_S = 1.0
SLOWEST_HZ, EASY_HZ = 4.0, 20.0
"""Slower than this and every frame comes after a gap, from which the window starts to fill anew."""


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    stretch_s: float = 2.5
    trials: int = 6
    easy_s: float = 5.0
    """Of the stretch at an easy rate, whose latency and cost are reported."""


@dataclass(frozen=True)
class Stretch:
    """Images at one rate: their stamps, without those of the lead-in, and from when to when, in
    seconds of the monotonic clock."""

    rate_hz: float
    stamps_ns: list[int]
    lost: int
    latencies_ms: np.ndarray
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Load:
    """What the node did under load. Rates in frames a second; latencies from publishing an image
    to receiving its odometry."""

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


def wait_until_tracking(rig: Rig, node: Child) -> None:
    """Send images until the first odometry comes; raises ChildError when the node ends, or that
    takes too long."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    before = len(rig.received_ns)
    while len(rig.received_ns) == before:
        node.check_alive()
        if time.monotonic() > deadline_s:
            raise node.fail(f"published no odometry within {START_TIMEOUT_S:.0f} s")
        if rig.connected:
            rig.publish()
        time.sleep(0.1)


def measure_load(rig: Rig, node: Child, effort: Effort) -> Load:
    """Find the rate that is held, and what a frame costs at an easy rate."""
    held: dict[float, Stretch] = {}

    def holds(rate_hz: float) -> bool:
        for _ in range(2):  # a few frames may be lost to another program, but not twice
            stretch = drive(rig, rate_hz, effort.stretch_s)
            node.check_alive()
            if stretch.lost == 0:
                held[rate_hz] = stretch
                return True
            if stretch.lost > 0.05 * len(stretch.stamps_ns):
                break
        return False

    rate_hz = highest_held(one_by_one(rig, effort.stretch_s / 2), holds, effort.trials)
    easy_hz = min(EASY_HZ, max((rate_hz or 0.0) / 2, SLOWEST_HZ))
    before_s, threads_before_s = process_seconds(node.pid), thread_seconds(node.pid)
    easy = drive(rig, easy_hz, effort.easy_s)
    used_s, threads_s = process_seconds(node.pid) - before_s, thread_seconds(node.pid)
    if not len(easy.latencies_ms):
        raise node.fail(
            f"published no odometry of {len(easy.stamps_ns)} images at {easy_hz:.1f} Hz"
        )
    frames = len(easy.stamps_ns) + LEAD_IN
    at_held = held[rate_hz].latencies_ms if rate_hz else None
    return Load(
        held_hz=rate_hz,
        held_latency_ms_median=None if at_held is None else float(np.median(at_held)),
        held_latency_ms_p99=None if at_held is None else float(np.percentile(at_held, 99)),
        easy_hz=easy_hz,
        easy_latency_ms_median=float(np.median(easy.latencies_ms)),
        easy_latency_ms_p99=float(np.percentile(easy.latencies_ms, 99)),
        easy_frames=len(easy.stamps_ns),
        easy_lost=easy.lost,
        cpu_ms_per_frame=used_s / frames * 1e3,
        cpu_ms_per_frame_by_thread={
            kind: (s - threads_before_s.get(kind, 0.0)) / frames * 1e3
            for kind, s in threads_s.items()
        },
        resident_mib=resident_mib(node.pid),
    )


def one_by_one(rig: Rig, seconds: float) -> float:
    """Frames a second where each image is published when the odometry of the one before has
    come: a rate to begin with."""
    started_s, frames = time.monotonic(), 0
    while frames < 3 or time.monotonic() - started_s < seconds:
        rig.wait_for([rig.publish()], 1.0 / SLOWEST_HZ)
        frames += 1
    return max(frames / (time.monotonic() - started_s), SLOWEST_HZ)


def drive(rig: Rig, rate_hz: float, seconds: float) -> Stretch:
    """Publish evenly for so long, and wait for the last odometry."""
    count = LEAD_IN + max(round(rate_hz * seconds), 5)
    stamps_ns, start_s = [], time.monotonic()
    for index in range(count):
        time.sleep(max(start_s + index / rate_hz - time.monotonic(), 0.0))
        stamps_ns.append(rig.publish())
    rig.wait_for(stamps_ns[-1:], LAST_WORD_S)
    counted = stamps_ns[LEAD_IN:]
    span_s = (rig.published_ns[counted[0]] * 1e-9, time.monotonic())
    latencies_ms = rig.latencies_ms(counted)
    return Stretch(rate_hz, counted, len(counted) - len(latencies_ms), latencies_ms, span_s)
