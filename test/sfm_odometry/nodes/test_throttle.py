"""Throttled warnings: each kind is logged at once, then once a period with a count."""

from sfm_odometry.nodes.throttle import ThrottledWarnings


class ManualClock:
    """Clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_kind_is_logged_once_a_period_with_the_number_of_suppressed_ones() -> None:
    lines: list[str] = []
    clock = ManualClock()
    warnings = ThrottledWarnings(lines.append, period_s=5.0, now_s=clock)
    for _ in range(50):  # five seconds at 10 Hz
        warnings.warn("stamp", "frame refused: equal stamp")
        clock.now_s += 0.1
    assert lines == ["frame refused: equal stamp"]
    clock.now_s = 105.0
    warnings.warn("stamp", "frame refused: equal stamp")
    assert lines[1:] == ["frame refused: equal stamp (49 more like it went unsaid)"]
    clock.now_s = 111.0
    warnings.warn("stamp", "frame refused: equal stamp")
    assert lines[2:] == ["frame refused: equal stamp"]


def test_a_flood_of_one_kind_does_not_hide_another() -> None:
    lines: list[str] = []
    warnings = ThrottledWarnings(lines.append, now_s=ManualClock())
    for _ in range(3):
        warnings.warn("stamp", "equal stamp")
    warnings.warn("encoding", "encoding '64FC9' is not accepted")
    assert lines == ["equal stamp", "encoding '64FC9' is not accepted"]
