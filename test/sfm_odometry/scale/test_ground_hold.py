"""Scale held by the ground: a flat road seen from a constant height, in a drifting unit."""

import dataclasses
import itertools
import math

import cv2
import numpy as np
import pytest

from sfm_odometry.scale import scale_source
from sfm_odometry.scale.estimate import ConstantScale, FramePair
from sfm_odometry.scale.ground_height import GroundHeightMeter
from sfm_odometry.scale.ground_hold import MAX_JUMPS, STRIDE, GroundHold
from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.lazy import LazyFuture

WIDTH, HEIGHT = 208, 64
INTRINSICS = np.array([[120.0, 0.0, 103.5], [0.0, 120.0, 25.0], [0.0, 0.0, 1.0]])
TEXTURE = cv2.GaussianBlur(
    np.random.default_rng(3).integers(0, 256, (400, 4000), np.uint8), (0, 0), 1.5
)
TEXTURE = cv2.normalize(TEXTURE, None, 0, 255, cv2.NORM_MINMAX)
TEXELS_PER_M = 20.0


def road_view(ahead_m: float, height_m: float, zoom: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Image and depth in metres of a camera over the road, `zoom` times the usual size."""
    u, v = np.meshgrid(np.arange(WIDTH * zoom), np.arange(HEIGHT * zoom))
    intrinsics = enlarged(zoom)
    x = (u - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (v - intrinsics[1, 2]) / intrinsics[1, 1]
    z_m = np.where(y > 1e-3, height_m / np.maximum(y, 1e-3), 1e3)
    map_x = ((z_m + ahead_m) * TEXELS_PER_M).astype(np.float32)
    map_y = (x * z_m * TEXELS_PER_M + 200).astype(np.float32)
    road = cv2.remap(TEXTURE, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.where(z_m < 100, road, 128).astype(np.uint8), np.minimum(z_m, 80.0)


def enlarged(zoom: int) -> np.ndarray:
    """Camera matrix of the larger image, whose pixels' corners are those of the smaller one."""
    intrinsics = INTRINSICS * zoom
    intrinsics[:2, 2] += (zoom - 1) / 2
    intrinsics[2, 2] = 1.0
    return intrinsics


def frame_at(
    ahead_m: float, height_m: float = 1.6, unit_m: float = 1.0, zoom: int = 1, blur: float = 0.0
) -> Frame:
    """A camera at `height_m` over the road, `ahead_m` along it, in a unit of `unit_m` metres.

    zoom: size of the image that is tracked. blur: of the networks' image, pixels.
    """
    grey, depth_m = road_view(ahead_m, height_m)
    if blur:
        grey = cv2.GaussianBlur(grey, (0, 0), blur)
    depth = (depth_m / unit_m).astype(np.float32)
    return Frame(
        LazyFuture(lambda: grey[..., None]),
        INTRINSICS,
        lambda _: depth,
        AlignmentConfig(),
        (road_view(ahead_m, height_m, zoom)[0], enlarged(zoom)) if zoom > 1 else None,
    )


def pair(previous: Frame, current: Frame, step_m: float, unit_m: float, climb_m: float = 0.0):
    motion = np.eye(4)
    motion[2, 3] = step_m / unit_m
    motion[1, 3] = -climb_m / unit_m
    return FramePair(previous, current, motion, 0, 100_000_000)


def drive(source, units, step_m=0.5, heights=None, climb_m=0.0, start=0):
    """Drive in units of length that change from step to step; returns the scale after each."""
    scales = []
    heights = np.full(len(units) + 1, 1.6) if heights is None else heights
    for index, unit_m in enumerate(units):
        at = (start + index) * step_m
        previous = frame_at(at, heights[index], unit_m)
        current = frame_at(at + step_m, heights[index + 1], unit_m)
        source.observe(pair(previous, current, step_m, unit_m, climb_m))
        scales.append(source.estimate(0).value)
    return np.array(scales)


def test_the_height_is_that_of_the_camera() -> None:
    meter = GroundHeightMeter()
    frames = [frame_at(0.5 * index) for index in range(3)]
    meter.observe(pair(frames[0], frames[1], 0.5, 1.0))
    measured = meter.observe(pair(frames[1], frames[2], 0.5, 1.0))
    assert math.exp(measured.log_height) == pytest.approx(1.6, rel=0.02)
    assert measured.median_climb == pytest.approx(0.0, abs=0.01)


def test_the_larger_image_determines_the_height() -> None:
    """The networks' image is too blurred for it, and the depth is wrong by a tenth."""
    errors = []
    for zoom in (1, 3):
        meter = GroundHeightMeter()
        frames = [frame_at(0.5 * index, 1.6, 1.1, zoom, blur=2.0) for index in range(3)]
        meter.observe(pair(frames[0], frames[1], 0.5, 1.0))
        measured = meter.observe(pair(frames[1], frames[2], 0.5, 1.0))
        errors.append(abs(measured.log_height - math.log(1.6)))
    assert errors[1] < 0.02 < errors[0]


@pytest.mark.parametrize("known_depth_only", [False, True])
def test_frames_whose_depth_is_not_known_are_measured_unless_they_are_to_be_left_out(
    known_depth_only,
) -> None:
    """The camera's height measures the depth of every frame, the hold only what tracking had."""
    meter = GroundHeightMeter(known_depth_only=known_depth_only)
    frames = [frame_at(0.5 * index) for index in range(4)]
    without_depth = dataclasses.replace(pair(frames[1], frames[2], 0.5, 1.0), start_has_depth=False)
    meter.observe(pair(frames[0], frames[1], 0.5, 1.0))
    measured = meter.observe(without_depth)
    assert (measured is None) == known_depth_only
    assert meter.observe(pair(frames[2], frames[3], 0.5, 1.0)) is not None


def test_a_slow_camera_is_measured_over_as_many_frames_as_it_takes() -> None:
    source = scale_source("camera_height", 1.0, 1.6)
    step_m = 0.01  # the ground moves by a tenth of a pixel a frame
    frames = [frame_at(step_m * index) for index in range(160)]
    for previous, current in itertools.pairwise(frames):
        source.observe(pair(previous, current, step_m, 1.0))
    estimate = source.estimate(0)
    assert estimate.is_metric and estimate.value == pytest.approx(1.0, rel=0.03)


def test_drift_of_the_unit_is_taken_back() -> None:
    units = np.exp(np.linspace(0.0, 0.2, 90))  # a metre becomes shorter in the unit: 20 %
    scales = drive(GroundHold(ConstantScale.unknown()), units)
    lengths_m = scales / units  # published length of a metre
    assert abs(math.log(lengths_m[-1] / lengths_m[0])) < 0.05


def test_a_steady_unit_is_left_alone() -> None:
    scales = drive(GroundHold(ConstantScale.unknown()), np.ones(40))
    assert np.abs(np.log(scales)).max() < 0.02


def test_hold_is_not_metric_and_keeps_a_fixed_value() -> None:
    held = GroundHold(ConstantScale.fixed(2.0))
    drive(held, np.ones(20))
    estimate = held.estimate(0)
    assert estimate.source == "fixed" and estimate.value == pytest.approx(2.0, rel=0.02)
    assert not scale_source("none", 1.0, 0.0, "auto").estimate(0).is_metric


def test_a_camera_that_climbs_has_no_constant_height() -> None:
    held = GroundHold(ConstantScale.unknown())
    heights = 1.6 + 0.05 * np.arange(61)
    scales = drive(held, np.ones(60), heights=heights, climb_m=0.05)
    assert np.abs(np.log(scales)).max() < 0.05


def test_planes_askew_to_the_motion_do_not_move_the_scale() -> None:
    """Their heights change with the unit, but a camera on a road moves along the ground."""
    units = np.exp(np.linspace(0.0, 0.2, 60))
    heights = 1.6 + 0.018 * np.arange(61)  # 2 degrees
    scales = drive(GroundHold(ConstantScale.unknown()), units, heights=heights, climb_m=0.018)
    assert np.allclose(scales, 1.0)


def test_a_plane_at_another_height_does_not_move_the_scale() -> None:
    held = GroundHold(ConstantScale.unknown())
    drive(held, np.ones(20))
    table = drive(held, np.ones(STRIDE * (MAX_JUMPS + 8)), heights=np.full(99, 0.8), start=20)
    assert np.abs(np.log(table)).max() < 0.03
    # The new plane is the reference from now on: its drift is taken back.
    units = np.exp(np.linspace(0.0, 0.15, 60))
    scales = drive(held, units, heights=np.full(61, 0.8), start=80)
    assert abs(math.log(scales[-1] / units[-1] / scales[0])) < 0.06


def test_heights_that_the_images_do_not_confirm_do_not_move_the_scale() -> None:
    """A road without texture: the heights are those of a depth that is wrong by a fifth."""
    held = GroundHold(ConstantScale.unknown())
    drive(held, np.ones(30))
    before = held.estimate(0).value
    grey = np.full((HEIGHT, WIDTH), 128, np.uint8)
    depth = (1.2 * road_view(0.0, 1.6)[1]).astype(np.float32)
    bare = Frame(
        LazyFuture(lambda: grey[..., None]), INTRINSICS, lambda _: depth, AlignmentConfig()
    )
    for _ in range(30):
        held.observe(pair(bare, bare, 0.5, 1.0))
    assert held.estimate(0).value == pytest.approx(before, rel=0.005)


def test_without_ground_nothing_changes() -> None:
    held = GroundHold(ConstantScale.unknown())
    grey, _ = road_view(0.0, 1.6)
    depth = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    wall = Frame(
        LazyFuture(lambda: grey[..., None]), INTRINSICS, lambda _: depth, AlignmentConfig()
    )
    for _ in range(20):
        held.observe(pair(wall, wall, 0.1, 1.0))
    assert held.estimate(0).value == 1.0 and held.factor == 1.0


def test_reset_starts_anew() -> None:
    held = GroundHold(ConstantScale.unknown())
    drive(held, np.exp(np.linspace(0.0, 0.2, 60)))
    assert held.factor != 1.0
    held.reset()
    assert held.factor == 1.0


def test_pairs_are_composed() -> None:
    first, second = (
        pair(frame_at(0), frame_at(1), 0.5, 1.0),
        pair(frame_at(1), frame_at(2), 0.25, 1.0),
    )
    both = first.followed_by(second)
    assert both.previous is first.previous and both.current is second.current
    assert np.allclose(both.previous_from_current[:3, 3], (0, 0, 0.75))
