"""Rate limit on the frames of cameras with other rates."""

import numpy as np
import pytest

from sfm_odometry.nodes.rate_limit import RateLimiter

START_NS = 1_700_000_000_000_000_000


def accepted(rate_hz: float, stamps_ns: list[int]) -> list[int]:
    limiter = RateLimiter()
    return [stamp_ns for stamp_ns in stamps_ns if limiter.accepts(stamp_ns, rate_hz)]


@pytest.mark.parametrize("camera_hz", [10.0, 13.3, 25.0, 29.97, 30.0, 60.0])
def test_the_mean_rate_is_kept_with_jitter(camera_hz: float) -> None:
    jitter_ns = np.random.default_rng(1).uniform(-4e6, 4e6, 600)
    stamps = [
        START_NS + round(index * 1e9 / camera_hz + jitter) for index, jitter in enumerate(jitter_ns)
    ]
    kept = accepted(10.0, stamps)
    rate = (len(kept) - 1) / (kept[-1] - kept[0]) * 1e9
    assert rate == pytest.approx(10.0, rel=0.03)
    assert np.diff(kept).max() < 2.2e8


def test_a_slower_camera_and_no_limit_lose_nothing() -> None:
    stamps = [START_NS + index * 200_000_000 for index in range(50)]
    assert accepted(10.0, stamps) == stamps
    assert accepted(0.0, stamps) == stamps


def test_a_pause_is_not_made_up_for() -> None:
    stamps = [START_NS + round(seconds * 1e9) for seconds in (0.0, 60.0, 60.03, 60.06, 60.1)]
    assert accepted(10.0, stamps) == [stamps[0], stamps[1], stamps[4]]


def test_equal_and_older_stamps_pass_and_a_clock_jump_starts_anew() -> None:
    limiter = RateLimiter()
    assert limiter.accepts(START_NS, 10.0)
    assert (
        limiter.accepts(START_NS, 10.0)
        and limiter.accepts(START_NS - 1, 10.0)
        and limiter.accepts(0, 10.0)
    )
    back_ns = START_NS - 5_000_000_000
    assert [limiter.accepts(back_ns + step, 10.0) for step in (0, 30_000_000, 100_000_000)] == [
        True,
        False,
        True,
    ]
