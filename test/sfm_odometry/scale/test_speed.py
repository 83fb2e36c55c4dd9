"""Scale from measured speed: integral, fit, slipping wheels, stops, late or missing messages."""

import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.run import _parser
from sfm_odometry.scale.arguments import read_speeds, scale_options
from sfm_odometry.scale.estimate import FramePair
from sfm_odometry.scale.speed import MIN_STEPS, SpeedBuffer, SpeedScale, fit_scale

SECOND = 1_000_000_000
STEP = SECOND // 10


def filled(*rows: tuple[float, float]) -> SpeedBuffer:
    buffer = SpeedBuffer()
    for time_s, speed in rows:
        buffer.add(round(time_s * SECOND), speed)
    return buffer


def test_the_distance_is_the_integral_of_the_lines_between_speeds():
    buffer = filled((0.0, 1.0), (0.2, 3.0), (0.4, 3.0), (0.6, 0.0))
    assert buffer.distance(0, 2 * STEP) == pytest.approx(0.4)
    assert buffer.distance(STEP, 3 * STEP) == pytest.approx(0.25 + 0.3)
    assert buffer.distance(0, 6 * STEP) == pytest.approx(0.4 + 0.6 + 0.3)
    assert buffer.distance(STEP // 2, STEP) == pytest.approx(0.05 * 1.75)


def test_backward_speeds_count_like_forward_ones():
    assert filled((0.0, -2.0), (0.5, -2.0)).distance(0, 5 * STEP) == pytest.approx(1.0)


def test_without_speeds_at_all_times_the_distance_is_unknown():
    buffer = filled((0.1, 1.0), (0.3, 1.0), (1.0, 1.0))
    assert buffer.distance(0, 2 * STEP) is None  # begins before them
    assert buffer.distance(9 * STEP, 11 * STEP) is None  # ends after them
    assert buffer.distance(2 * STEP, 4 * STEP) is None  # a hole of 0.7 s
    assert buffer.distance(STEP, 3 * STEP) == pytest.approx(0.2)


def test_bad_speeds_are_ignored_and_a_clock_that_jumps_back_clears_the_buffer():
    buffer = filled(
        (5.0, 1.0), (5.1, 1.0), (5.1, 9.0), (5.05, 9.0), (5.2, float("nan")), (5.2, 1.0)
    )
    assert buffer.distance(50 * STEP, 52 * STEP) == pytest.approx(0.2)
    buffer.add(SECOND, 2.0)
    buffer.add(SECOND + STEP, 2.0)
    assert buffer.newest_ns == SECOND + STEP
    assert buffer.distance(SECOND, SECOND + STEP) == pytest.approx(0.2)


def test_the_fit_is_exact_without_noise_and_robust_to_slip():
    lengths = np.linspace(0.3, 1.2, 20)
    metres = 0.85 * lengths
    assert np.exp(fit_scale(lengths, metres).log_value) == pytest.approx(0.85, rel=1e-9)
    metres[[3, 8, 14]] *= 2.5
    slipped = fit_scale(lengths, metres)
    assert np.exp(slipped.log_value) == pytest.approx(0.85, rel=1e-6) and slipped.agreed


def test_the_fits_sigma_is_the_spread_of_the_lengths():
    rng = np.random.default_rng(3)
    lengths = rng.uniform(0.5, 1.5, 400)
    measured = fit_scale(lengths * rng.normal(1.0, 0.05, 400), 0.85 * lengths)
    assert measured.sigma == pytest.approx(0.05, rel=0.25)


def test_lengths_unrelated_to_the_speed_do_not_agree():
    rng = np.random.default_rng(3)
    assert not fit_scale(rng.uniform(0.1, 2.0, 30), rng.uniform(0.1, 2.0, 30)).agreed


def drive(
    scale: SpeedScale,
    speeds_mps: list[float],
    unit: float = 0.8,
    start: int = 0,
    measured: bool = True,
    late: int = 0,
) -> list:
    """The scale after each step at 10 Hz.

    The speeds of the wheels are measured at 20 Hz, or not, and arrive `late` steps later.
    """
    estimates = []
    for index, speed in enumerate(speeds_mps, start=start):
        if measured:
            for time_ns in (
                (index - late) * STEP + 1,
                (index - late) * STEP + STEP // 2,
                (index - late + 1) * STEP,
            ):
                scale.add_speed(time_ns, speed)
        motion = np.eye(4)
        motion[2, 3] = speed * 0.1 / unit
        # The images are not used.
        scale.observe(FramePair(None, None, motion, index * STEP, (index + 1) * STEP))
        estimates.append(scale.estimate((index + 1) * STEP))
    return estimates


def test_speed_gives_the_scale_once_enough_steps_agree():
    estimates = drive(SpeedScale("odometry"), [8.0] * 30)
    first = [estimate.is_metric for estimate in estimates].index(True)
    assert first in (MIN_STEPS - 1, MIN_STEPS)  # the first step begins before the first speed
    assert all(estimate.is_metric for estimate in estimates[first:])
    assert "expected at least 10" in estimates[first - 1].reason
    assert estimates[-1].value == pytest.approx(0.8, rel=1e-6)
    assert (estimates[-1].source, estimates[-1].relative_sigma) == ("odometry", pytest.approx(0.02))


def test_speeds_that_come_late_are_waited_for():
    estimates = drive(SpeedScale("twist"), [8.0] * 30, late=3)
    assert estimates[-1].value == pytest.approx(0.8, rel=1e-6) and estimates[-1].is_metric


def test_a_stop_neither_changes_nor_ages_the_scale():
    scale = SpeedScale("odometry")
    moving = drive(scale, [8.0] * 30)[-1]
    stopped = drive(scale, [0.0] * 900, start=30)[-1]
    assert (stopped.value, stopped.is_metric) == (moving.value, True)
    assert stopped.relative_sigma == pytest.approx(moving.relative_sigma, abs=1e-3)


def test_missing_speeds_age_the_scale():
    scale = SpeedScale("odometry")
    moving = drive(scale, [8.0] * 30)[-1]
    silent = drive(scale, [8.0] * 320, start=30, measured=False)
    assert moving.relative_sigma < silent[20].relative_sigma < silent[200].relative_sigma
    assert silent[200].is_metric and not silent[-1].is_metric
    assert "no speed for the last" in silent[-1].reason
    assert silent[-1].value == moving.value


def test_a_unit_that_changes_is_followed_slowly():
    scale = SpeedScale("odometry")
    drive(scale, [8.0] * 40)
    values = [estimate.value for estimate in drive(scale, [8.0] * 60, unit=1.0, start=40)]
    assert np.abs(np.diff(np.log(values))).max() < 0.0201
    assert values[-1] == pytest.approx(1.0, rel=1e-3)


def test_without_any_speed_the_reason_is_given():
    estimate = SpeedScale("twist").estimate(0)
    assert (estimate.is_metric, estimate.reason) == (
        False,
        "no speed on the move yet (scale.mode twist)",
    )


def test_reset_discards_the_scale():
    scale = SpeedScale("odometry")
    drive(scale, [8.0] * 30)
    scale.reset()
    assert not scale.estimate(0).is_metric
    assert drive(scale, [8.0] * 30, unit=2.0)[-1].value == pytest.approx(2.0, rel=1e-6)


def options(*words: str) -> dict:
    return scale_options(
        _parser().parse_args(["--images", "i", "--calib", "c", "--out", "o", *words])
    )


def test_the_option_selects_the_mode(tmp_path):
    assert options() == {"scale_mode": "none"}
    assert options("--scale", "0.8") == {"scale_mode": "fixed", "scale_value": 0.8}
    assert options("--camera-height", "1.65") == {
        "scale_mode": "camera_height",
        "scale_camera_height": 1.65,
    }
    assert options("--speeds", "s.txt") == {"scale_mode": "odometry"}
    assert options("--scale-mode", "twist", "--speeds", "s.txt") == {"scale_mode": "twist"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--scale-mode", "camera_height"],
            "--scale-mode camera_height takes --camera-height, got none",
        ),
        (
            ["--scale-mode", "none", "--scale", "2"],
            "--scale-mode none takes no option, got --scale",
        ),
        (
            ["--scale-mode", "odometry", "--camera-height", "2"],
            "takes --speeds, got --camera-height",
        ),
        (["--scale", "2", "--speeds", "s.txt"], "--scale and --speeds exclude each other"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(words, message):
    with pytest.raises(InputError, match=message):
        options(*words)


def test_a_file_of_speeds(tmp_path):
    path = tmp_path / "speeds.txt"
    path.write_text("# time speed\n0.0 8.0\n0.05, -7.5\n")
    assert read_speeds(path) == [(0, 8.0), (50_000_000, -7.5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.0 1.0 2.0\n", "line 1: 3 numbers, expected 2"),
        ("1.0 1\n0.5 1\n", "line 2: time 0.5 s, expected one after 1 s"),
        ("", "no row"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, message):
    path = tmp_path / "speeds.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_speeds(path)
