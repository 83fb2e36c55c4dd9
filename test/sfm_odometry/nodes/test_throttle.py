"""Warnings: the first of a kind at once, then one in a while with the number of those between,
each kind by itself."""

from sfm_odometry.nodes.throttle import ThrottledWarnings


class Ticking:
    """A clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_kind_is_said_once_in_a_while_with_the_number_of_the_others() -> None:
    said: list[str] = []
    clock = Ticking()
    warnings = ThrottledWarnings(said.append, period_s=5.0, now_s=clock)
    for _ in range(50):  # five seconds at 10 Hz
        warnings.warn("stamp", "frame refused: equal stamp")
        clock.now_s += 0.1
    assert said == ["frame refused: equal stamp"]
    clock.now_s = 105.0
    warnings.warn("stamp", "frame refused: equal stamp")
    assert said[1:] == ["frame refused: equal stamp (49 more like it went unsaid)"]
    clock.now_s = 111.0
    warnings.warn("stamp", "frame refused: equal stamp")
    assert said[2:] == ["frame refused: equal stamp"]


def test_a_flood_of_one_kind_does_not_hide_another() -> None:
    said: list[str] = []
    warnings = ThrottledWarnings(said.append, now_s=Ticking())
    for _ in range(3):
        warnings.warn("stamp", "equal stamp")
    warnings.warn("encoding", "encoding '64FC9' is not accepted")
    assert said == ["equal stamp", "encoding '64FC9' is not accepted"]
