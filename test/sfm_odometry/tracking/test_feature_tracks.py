"""Points followed over a made-up street: motion, scale and what is said when nothing can be
followed."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.tracking.direct_alignment import motion_information
from sfm_odometry.tracking.feature_tracks import PointTracks
from sfm_odometry.tracking.track_config import TrackConfig
from sfm_odometry.tracking.trajectory import invert_rigid, rotation_from_vector, rotation_vector

HEIGHT, WIDTH = 128, 416
K = np.array([[240.0, 0.0, 207.5], [0.0, 240.0, 63.5], [0.0, 0.0, 1.0]])
STEP = np.eye(4)
STEP[:3, :3], STEP[:3, 3] = rotation_from_vector(np.array([0.0, 0.008, 0.0])), (0.0, 0.0, 0.7)
SPOTS = np.random.default_rng(0).normal(size=(512, 512))


@dataclass(frozen=True)
class Frame:
    grey: np.ndarray
    depth: np.ndarray


def texture(a, b):
    """Grey values 0 to 255 on a plane, smooth between the knots of a grid, which repeats itself
    far away."""
    columns, rows = np.floor(a).astype(int), np.floor(b).astype(int)
    u, v = a - columns, b - rows
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    corners = [SPOTS[(rows + dy) % 512, (columns + dx) % 512] for dy in (0, 1) for dx in (0, 1)]
    mixed = (corners[0] * (1 - u) + corners[1] * u) * (1 - v) + (
        corners[2] * (1 - u) + corners[3] * u
    ) * v
    return np.clip(128 + 50 * mixed, 0, 255)


def street(world_from_camera, depth_factor=1.0):
    """A corridor of floor, walls and a far front, seen from a camera."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    rays = world_from_camera[:3, :3] @ np.stack(
        [(u - K[0, 2]) / 240.0, (v - K[1, 2]) / 240.0, np.ones(u.shape)]
    ).reshape(3, -1)
    centre = world_from_camera[:3, 3]
    depth, grey = np.full(u.size, np.inf), np.zeros(u.size)
    planes = (
        ((0, 1, 0), 1.6, (0, 2), 2.5),
        ((1, 0, 0), 6.0, (1, 2), 1.5),
        ((-1, 0, 0), 5.0, (1, 2), 1.5),
        ((0, 0, 1), 60.0, (0, 1), 0.4),
    )
    for normal, distance, axes, fineness in planes:
        slope = np.array(normal) @ rays
        hit = np.where(
            slope > 1e-9, (distance - np.array(normal) @ centre) / np.maximum(slope, 1e-9), np.inf
        )
        nearer = hit < depth
        points = (centre[:, None] + hit * rays)[:, nearer]
        grey[nearer] = texture(points[axes[0]] * fineness, points[axes[1]] * fineness)
        depth[nearer] = hit[nearer]
    return Frame(
        grey.reshape(u.shape).astype(np.uint8),
        (depth.reshape(u.shape) * depth_factor).astype(np.float32),
    )


def information(motion, length=0.2, rotation_deg=1.0):
    return motion_information(motion, length, 0.2, 0.01, rotation_deg)


def begun_step(tracks, before, after, *arguments):
    tracks.begin(before)
    return tracks.step(before, after, *arguments)


def drive(tracks, frames, given=STEP):
    return [
        begun_step(tracks, before, after, K, given, information(given))
        for before, after in pairwise(frames)
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


def error_deg(result):
    return np.degrees(
        np.linalg.norm(rotation_vector(STEP[:3, :3].T @ result.previous_from_current[:3, :3]))
    )


def lengths(results):
    return np.array([np.linalg.norm(result.previous_from_current[:3, 3]) for result in results])


def test_steps_are_found_from_a_rough_guess(frames):
    given = STEP.copy()
    given[:3, :3], given[2, 3] = np.eye(3), 0.6
    results = drive(PointTracks(), frames, given)
    assert all(not result.reason and result.points > 100 for result in results)
    assert max(error_deg(result) for result in results) < 0.06
    assert (
        np.abs(lengths(results) - 0.7).max() < 0.04
    )  # the guess, 0.6 to a fifth of it, is believed a little
    assert all(np.linalg.eigvalsh(result.covariance).min() > 0 for result in results)


def test_scale_of_one_depth_map_does_not_change_the_length_of_its_step(frames, poses):
    """From the fifth frame on, all depth is predicted 30 % too large: the tracks give way
    slowly, and know by how much they differ."""
    changed = [*frames[:5], *(street(pose, 1.3) for pose in poses[5:])]
    tracks = PointTracks()
    results = drive(tracks, changed)
    assert np.abs(lengths(results) - 0.7).max() < 0.06
    assert tracks.unit == pytest.approx(1.0 / 1.3, rel=0.25) and tracks.unit < 0.95


def test_unit_goes_with_the_depth(frames, poses):
    """Depth in another unit, lengths guessed in it: translations come out in it too, and `unit`
    stays near 1."""
    tracks, given = PointTracks(), STEP.copy()
    given[2, 3] = 1.4
    results = drive(tracks, [street(pose, 2.0) for pose in poses], given)
    assert lengths(results) == pytest.approx(1.4, rel=0.05)
    assert tracks.unit == pytest.approx(1.0, rel=0.05)


def test_standing_still_and_turning_on_the_spot_go_nowhere(frames):
    turn = np.eye(4)
    turn[:3, :3] = rotation_from_vector(np.array([0.0, 0.02, 0.0]))
    for motion in (np.eye(4), turn):
        tracks = PointTracks()
        drive(tracks, frames[:4])
        current = street(invert_rigid(np.eye(4)) @ np.linalg.matrix_power(STEP, 3) @ motion)
        result = begun_step(tracks, frames[3], current, K, motion, information(motion))
        assert not result.reason
        assert np.linalg.norm(result.previous_from_current[:3, 3]) < 0.01
        assert (
            np.degrees(
                np.linalg.norm(
                    rotation_vector(motion[:3, :3].T @ result.previous_from_current[:3, :3])
                )
            )
            < 0.05
        )


def covered(frame, drive_frame, columns):
    """The frame with a truck's side over the left `columns`, which slides forwards by 6 pixels a
    frame."""
    truck = np.clip(128 + 45 * np.random.default_rng(7).normal(size=(HEIGHT // 4, 200)), 0, 255)
    side = np.kron(truck, np.ones((4, 4)))[:, 400 - 6 * drive_frame :]
    grey = frame.grey.copy()
    grey[:, :columns] = side[:, :columns]
    return Frame(grey, frame.depth)


@pytest.mark.parametrize("guess_turned_deg", [0.0, 1.5])
def test_a_truck_over_half_of_the_image_is_not_believed(guess_turned_deg):
    """Not even where the guess of the motion, by an alignment that the truck has led astray,
    follows it."""
    tracks, pose, before = PointTracks(), np.eye(4), street(np.eye(4))
    errors = []
    for index in range(1, 21):
        pose = pose @ STEP
        clean, given = index < 10, STEP.copy()
        if not clean:
            given[:3, :3] = STEP[:3, :3] @ rotation_from_vector(
                np.radians([0.0, guess_turned_deg, 0.0])
            )
        current = (
            street(pose)
            if clean
            else covered(street(pose), index, min(60 * (index - 9), WIDTH // 2 + 20))
        )
        result = begun_step(tracks, before, current, K, given, information(given))
        errors.append(
            (
                error_deg(result),
                abs(np.linalg.norm(result.previous_from_current[:3, 3]) - 0.7),
                result.reason,
            )
        )
        before = current
    degrees, metres, reasons = zip(*errors, strict=True)
    assert not any(reasons)
    assert max(degrees) < 0.5 and max(metres) < 0.1


def test_images_without_corners_keep_the_given_motion(frames):
    grey = Frame(np.full((HEIGHT, WIDTH), 90, np.uint8), frames[0].depth)
    result = begun_step(PointTracks(), grey, grey, K, STEP, information(STEP))
    assert "only 0 points could be followed, expected at least 40" in result.reason
    assert np.array_equal(result.previous_from_current, STEP)


def test_unknown_depth_starts_no_points(frames):
    blind = Frame(frames[0].grey, np.full((HEIGHT, WIDTH), np.nan, np.float32))
    assert (
        "only 0 points"
        in begun_step(PointTracks(), blind, frames[1], K, STEP, information(STEP)).reason
    )


def test_another_previous_frame_starts_new_tracks(frames):
    tracks = PointTracks()
    drive(tracks, frames[:3])
    result = begun_step(tracks, frames[5], frames[6], K, STEP, information(STEP))
    fresh = PointTracks()
    fresh._log_unit = tracks._log_unit
    assert not result.reason and np.linalg.norm(
        result.previous_from_current[:3, 3]
    ) == pytest.approx(0.7, abs=0.03)


def test_the_same_frames_give_the_same_steps(frames):
    first, second = drive(PointTracks(), frames), drive(PointTracks(), frames)
    assert all(
        np.array_equal(a.previous_from_current, b.previous_from_current)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("points", 0), ("noise_floor", 0.0), ("patch", 0), ("depth_near", float("nan"))],
)
def test_config_refuses_values_out_of_range(name, value):
    with pytest.raises(InputError, match=name):
        TrackConfig(**{name: value})
