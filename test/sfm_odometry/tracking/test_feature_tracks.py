"""Feature tracks over a synthetic street: motion, scale, and rejection without corners."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.tracking.feature_tracks import FeatureTracks
from sfm_odometry.tracking.noise_model import motion_information
from sfm_odometry.tracking.track_config import TrackConfig
from sfm_odometry.tracking.two_view_ba import MotionPrior

HEIGHT = 128
WIDTH = 416
K = np.array([[240.0, 0.0, 207.5], [0.0, 240.0, 63.5], [0.0, 0.0, 1.0]])
STEP = np.eye(4)
STEP[:3, :3] = se3.so3_exp(np.array([0.0, 0.008, 0.0]))
STEP[:3, 3] = (0.0, 0.0, 0.7)
NOISE = np.random.default_rng(0).normal(size=(512, 512))


@dataclass(frozen=True)
class Frame:
    grey: np.ndarray
    depth: np.ndarray

    depth_intrinsics = K

    def depth_pixels(self, keypoints):
        return keypoints


def texture(a, b):
    """Grey values 0 to 255 at plane coordinates: smooth value noise with a period of 512."""
    columns = np.floor(a).astype(int)
    rows = np.floor(b).astype(int)
    u = a - columns
    v = b - rows
    u = u * u * (3 - 2 * u)
    v = v * v * (3 - 2 * v)
    knots = [NOISE[(rows + dy) % 512, (columns + dx) % 512] for dy in (0, 1) for dx in (0, 1)]
    upper = knots[0] * (1 - u) + knots[1] * u
    lower = knots[2] * (1 - u) + knots[3] * u
    return np.clip(128 + 50 * (upper * (1 - v) + lower * v), 0, 255)


def street(world_from_camera, depth_factor=1.0):
    """Frame of a corridor of floor, walls and a far front, from a camera at that pose."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    rays = world_from_camera[:3, :3] @ np.stack(
        [(u - K[0, 2]) / 240.0, (v - K[1, 2]) / 240.0, np.ones(u.shape)]
    ).reshape(3, -1)
    centre = world_from_camera[:3, 3]
    depth = np.full(u.size, np.inf)
    grey = np.zeros(u.size)
    # Normal, distance, axes of the texture, and its frequency.
    planes = (
        ((0, 1, 0), 1.6, (0, 2), 2.5),
        ((1, 0, 0), 6.0, (1, 2), 1.5),
        ((-1, 0, 0), 5.0, (1, 2), 1.5),
        ((0, 0, 1), 60.0, (0, 1), 0.4),
    )
    for normal, distance, axes, frequency in planes:
        slope = np.array(normal) @ rays
        hit = np.where(
            slope > 1e-9, (distance - np.array(normal) @ centre) / np.maximum(slope, 1e-9), np.inf
        )
        nearer = hit < depth
        points = (centre[:, None] + hit * rays)[:, nearer]
        grey[nearer] = texture(points[axes[0]] * frequency, points[axes[1]] * frequency)
        depth[nearer] = hit[nearer]
    return Frame(
        grey.reshape(u.shape).astype(np.uint8),
        (depth.reshape(u.shape) * depth_factor).astype(np.float32),
    )


def tracked_step(tracks, previous, current, initial=STEP, length_sigma=0.2):
    """Estimate of one step, with a prior at the initial motion."""
    information = motion_information(
        initial, length=length_sigma, direction=0.2, floor=0.01, rotation_deg=1.0
    )
    tracks.prepare(previous)
    return tracks.track(previous, current, K, MotionPrior(initial, information))


def drive(tracks, frames, initial=STEP):
    """Estimates of all steps, with priors at the initial motion."""
    return [
        tracked_step(tracks, previous, current, initial) for previous, current in pairwise(frames)
    ]


@pytest.fixture(scope="module")
def poses():
    result = [np.eye(4)]
    for _ in range(8):
        result.append(result[-1] @ STEP)
    return result


@pytest.fixture(scope="module")
def frames(poses):
    return [street(pose) for pose in poses]


def error_deg(result, truth=STEP):
    rotation_error = truth[:3, :3].T @ result.previous_from_current[:3, :3]
    return np.degrees(np.linalg.norm(se3.so3_log(rotation_error)))


def length(result):
    return np.linalg.norm(result.previous_from_current[:3, 3])


def lengths(results):
    return np.array([length(result) for result in results])


def test_motion_is_estimated_from_a_rough_prior(frames):
    initial = STEP.copy()
    initial[:3, :3] = np.eye(3)
    initial[2, 3] = 0.6
    results = drive(FeatureTracks(), frames, initial)
    assert all(not result.reason and result.points > 100 for result in results)
    assert max(error_deg(result) for result in results) < 0.06
    # The prior's length, 0.6 with a sigma of a fifth of it, has some influence.
    assert np.abs(lengths(results) - 0.7).max() < 0.04
    assert all(np.linalg.eigvalsh(result.covariance).min() > 0 for result in results)


def test_scale_error_of_the_depth_hardly_changes_the_length_of_a_step(frames, poses):
    """From the fifth frame on, all depth is predicted 30 % too large.

    The scale of the tracks follows slowly, and their unit measures the difference.
    """
    changed = [*frames[:5], *(street(pose, 1.3) for pose in poses[5:])]
    tracks = FeatureTracks()
    results = drive(tracks, changed)
    assert np.abs(lengths(results) - 0.7).max() < 0.06
    assert tracks.unit == pytest.approx(1.0 / 1.3, rel=0.25) and tracks.unit < 0.95


def test_translations_are_in_the_unit_of_depth_and_prior(poses):
    """With depth and prior in another unit, so are the translations, and `unit` stays near 1."""
    tracks = FeatureTracks()
    initial = STEP.copy()
    initial[2, 3] = 1.4
    results = drive(tracks, [street(pose, 2.0) for pose in poses], initial)
    assert lengths(results) == pytest.approx(1.4, rel=0.05)
    assert tracks.unit == pytest.approx(1.0, rel=0.05)


def test_no_translation_at_a_standstill_or_in_a_turn_on_the_spot(frames):
    turn = np.eye(4)
    turn[:3, :3] = se3.so3_exp(np.array([0.0, 0.02, 0.0]))
    for motion in (np.eye(4), turn):
        tracks = FeatureTracks()
        drive(tracks, frames[:4])
        current = street(np.linalg.matrix_power(STEP, 3) @ motion)
        result = tracked_step(tracks, frames[3], current, motion)
        assert not result.reason
        assert length(result) < 0.01
        assert error_deg(result, motion) < 0.05


def occluded(frame, drive_frame, columns):
    """Frame with the side of a truck over its left `columns`; it moves by 6 pixels a frame."""
    truck = np.clip(128 + 45 * np.random.default_rng(7).normal(size=(HEIGHT // 4, 200)), 0, 255)
    side = np.kron(truck, np.ones((4, 4)))[:, 400 - 6 * drive_frame :]
    grey = frame.grey.copy()
    grey[:, :columns] = side[:, :columns]
    return Frame(grey, frame.depth)


@pytest.mark.parametrize("prior_error_deg", [0.0, 1.5])
def test_a_truck_over_half_of_the_image_does_not_determine_the_motion(prior_error_deg):
    """Not even where the prior, by an alignment of the truck's side, agrees with it."""
    tracks = FeatureTracks()
    pose = np.eye(4)
    previous = street(pose)
    errors = []
    for index in range(1, 21):
        pose = pose @ STEP
        current = street(pose)
        initial = STEP.copy()
        if index >= 10:
            current = occluded(current, index, min(60 * (index - 9), WIDTH // 2 + 20))
            turn = se3.so3_exp(np.radians([0.0, prior_error_deg, 0.0]))
            initial[:3, :3] = STEP[:3, :3] @ turn
        result = tracked_step(tracks, previous, current, initial)
        errors.append((error_deg(result), abs(length(result) - 0.7), result.reason))
        previous = current
    degrees, metres, reasons = zip(*errors, strict=True)
    assert not any(reasons)
    assert max(degrees) < 0.5 and max(metres) < 0.1


def test_images_without_corners_keep_the_initial_motion(frames):
    blank = Frame(np.full((HEIGHT, WIDTH), 90, np.uint8), frames[0].depth)
    result = tracked_step(FeatureTracks(), blank, blank)
    assert "only 0 points could be followed, expected at least 40" in result.reason
    assert np.array_equal(result.previous_from_current, STEP)


def test_unknown_depth_starts_no_tracks(frames):
    without_depth = Frame(frames[0].grey, np.full((HEIGHT, WIDTH), np.nan, np.float32))
    assert "only 0 points" in tracked_step(FeatureTracks(), without_depth, frames[1]).reason


def test_another_previous_frame_starts_new_tracks(frames):
    tracks = FeatureTracks()
    drive(tracks, frames[:3])
    result = tracked_step(tracks, frames[5], frames[6])
    assert not result.reason
    assert length(result) == pytest.approx(0.7, abs=0.03)


def test_the_same_frames_give_the_same_motions(frames):
    first = drive(FeatureTracks(), frames)
    second = drive(FeatureTracks(), frames)
    assert all(
        np.array_equal(a.previous_from_current, b.previous_from_current)
        for a, b in zip(first, second, strict=True)
    )


def test_steady_tracks_determine_the_motion_without_a_prior(frames):
    tracks = FeatureTracks()
    drive(tracks, frames[:5])
    tracks.prepare(frames[4])
    result = tracks.track_steadily(frames[4], frames[5], K, length=0.6)
    assert result is not None and not result.reason
    assert error_deg(result) < 0.06
    assert length(result) == pytest.approx(0.7, abs=0.04)


def test_new_tracks_are_not_steady(frames):
    tracks = FeatureTracks()
    drive(tracks, frames[:2])
    tracks.prepare(frames[1])
    assert tracks.track_steadily(frames[1], frames[2], K, length=0.7) is None


def test_tracks_that_are_not_found_are_not_steady_and_stay_as_they_are(frames):
    tracks = FeatureTracks()
    drive(tracks, frames[:5])
    tracks.prepare(frames[4])
    blank = Frame(np.full((HEIGHT, WIDTH), 90, np.uint8), frames[0].depth)
    assert tracks.track_steadily(frames[4], blank, K, length=0.7) is None
    result = tracks.track_steadily(frames[4], frames[5], K, length=0.7)
    assert result is not None and error_deg(result) < 0.06


def test_corners_that_all_leave_the_image_are_lost(frames):
    tracks = FeatureTracks()
    drive(tracks, frames[:3])
    away = STEP.copy()
    away[:3, :3] = se3.so3_exp(np.array([0.0, np.radians(80.0), 0.0]))
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    result = tracked_step(tracks, frames[2], Frame(noise, frames[2].depth), away)
    assert "points" in result.reason


@pytest.mark.parametrize(
    ("refill_share", "expected"),
    [(0.0, [1, 0, 0, 1, 0, 0, 1, 0]), (1.0, [1, 1, 1, 1, 1, 0, 0, 1])],
    ids=["few corners lost", "always many lost"],
)
def test_steady_tracks_ask_for_depth_every_third_step(frames, refill_share, expected):
    tracks = FeatureTracks(TrackConfig(refill_share=refill_share))
    predicted = []
    for step, (previous, current) in enumerate(pairwise(frames)):
        if step < 4:
            tracked_step(tracks, previous, current)
        else:
            tracks.prepare(previous)
            assert tracks.track_steadily(previous, current, K, length=0.7) is not None
        predicted.append(tracks.depth_predicted)
    assert predicted == [bool(value) for value in expected]


def test_corners_between_predictions_start_at_the_depth_moved_to_their_frame(frames):
    """Corners are on the left at first, and on the right from the third frame on, which has no
    depth of its own; those on the left are covered in the fourth."""

    def left_only(frame):
        grey = frame.grey.copy()
        grey[:, 200:] = 90
        return Frame(grey, frame.depth)

    unknown = np.full((HEIGHT, WIDTH), np.nan)
    first, second = left_only(frames[0]), left_only(frames[1])
    third = Frame(frames[2].grey, unknown)
    left_covered = frames[3].grey.copy()
    left_covered[:, :220] = np.random.default_rng(1).integers(0, 256, (HEIGHT, 220))
    tracks = FeatureTracks(TrackConfig(refill_share=1.0, steady_age=0))
    assert not tracked_step(tracks, first, second).reason
    tracks.prepare(second)
    assert tracks.track_steadily(second, third, K, length=0.7) is not None
    fourth = Frame(left_covered, unknown)
    shorter = se3.with_length(STEP, 0.55)
    result = tracked_step(tracks, third, fourth, initial=shorter, length_sigma=1.0)
    assert not result.reason and length(result) == pytest.approx(0.7, rel=0.05)


@pytest.mark.parametrize(
    ("name", "value"),
    [("points", 0), ("noise_floor", 0.0), ("patch", 0), ("depth_near", float("nan"))],
)
def test_config_refuses_values_out_of_range(name, value):
    with pytest.raises(InputError, match=name):
        TrackConfig(**{name: value})
