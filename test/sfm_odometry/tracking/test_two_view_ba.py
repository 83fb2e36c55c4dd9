"""The bundle adjustment of one step against finite differences and made-up tracks."""

import numpy as np
import pytest

from sfm_odometry.tracking.trajectory import invert_rigid, rotation_from_vector, rotation_vector
from sfm_odometry.tracking.two_view_ba import (
    Correspondences,
    TrackPrior,
    _linearised,
    _moved,
    _rays,
    align_tracks,
    inverse_depth_after,
    project,
)

K = np.array([[240.0, 0.0, 208.0], [0.0, 230.0, 64.0], [0.0, 0.0, 1.0]])
TRUTH = np.eye(4)
TRUTH[:3, :3], TRUTH[:3, 3] = (
    rotation_from_vector(np.array([0.004, 0.02, -0.006])),
    (0.03, -0.02, 0.8),
)
NOTHING = np.eye(6) * 1e-6
NORMS = {"robust_threshold": 1.0, "robust_depth": 2.5, "noise_floor": 0.05}


@pytest.fixture
def tracks():
    rng = np.random.default_rng(0)
    places = rng.uniform([10, 10], [400, 120], (300, 2))
    return places, 1.0 / rng.uniform(5.0, 40.0, 300)


def error_of(motion):
    """Angle in degrees and length of what is left."""
    change = invert_rigid(TRUTH) @ motion
    return np.degrees(np.linalg.norm(rotation_vector(change[:3, :3]))), np.linalg.norm(
        change[:3, 3]
    )


def test_derivatives_are_those_of_finite_differences(tracks):
    places, inverse_depth = tracks
    _, by_motion, by_depth = _linearised(
        _rays(places, K), inverse_depth, project(places, inverse_depth, TRUTH, K).T, TRUTH, K
    )
    for index in range(6):
        step = np.eye(6)[index] * 1e-6
        there, back = (
            -project(places, inverse_depth, _moved(TRUTH, sign * step), K) for sign in (1, -1)
        )
        assert np.allclose((there - back).T / 2e-6, by_motion[index], rtol=1e-5, atol=1e-4)
    there, back = (-project(places, inverse_depth + sign * 1e-7, TRUTH, K) for sign in (1, -1))
    assert np.allclose((there - back).T / 2e-7, by_depth, rtol=1e-5, atol=1e-3)


def test_inverse_depth_after_a_step_is_that_of_the_moved_point(tracks):
    places, inverse_depth = tracks
    points = (_rays(places, K) / inverse_depth).T
    current_from_previous = invert_rigid(TRUTH)
    moved = points @ current_from_previous[:3, :3].T + current_from_previous[:3, 3]
    after, variance = inverse_depth_after(places, inverse_depth, np.full(300, 1e-4), TRUTH, K)
    assert np.allclose(after, 1.0 / moved[:, 2])
    nudged, _ = inverse_depth_after(places, inverse_depth + 1e-6, np.zeros(300), TRUTH, K)
    assert np.allclose(np.sqrt(variance), np.abs(nudged - after) / 1e-6 * 1e-2, rtol=1e-3)


def test_known_depths_give_rotation_direction_and_length(tracks):
    places, inverse_depth = tracks
    seen = Correspondences(
        places, project(places, inverse_depth, TRUTH, K), inverse_depth, 0.01 * inverse_depth
    )
    given = np.eye(4)
    given[2, 3] = 0.6
    moved = align_tracks(seen, K, TrackPrior(given, NOTHING), **NORMS)
    angle_deg, length = error_of(moved.previous_from_current)
    assert angle_deg < 1e-3 and length < 1e-4


def test_unknown_depths_give_rotation_and_direction_and_are_found_up_to_the_given_length(tracks):
    places, inverse_depth = tracks
    wrong = inverse_depth * np.exp(0.5 * np.random.default_rng(1).normal(size=300))
    seen = Correspondences(
        places, project(places, inverse_depth, TRUTH, K), wrong, 3.0 * inverse_depth
    )
    information = np.zeros((6, 6))
    along = TRUTH[:3, :3].T @ TRUTH[:3, 3]
    information[:3, :3] = np.outer(along, along) / (along @ along) / 0.001**2
    moved = align_tracks(seen, K, TrackPrior(TRUTH, information + NOTHING), **NORMS)
    angle_deg, length = error_of(moved.previous_from_current)
    assert angle_deg < 0.01 and length < 0.01
    assert np.median(np.abs(np.log(moved.inverse_depth / inverse_depth))) < 0.02


def test_depths_that_are_all_too_large_do_not_turn_the_camera(tracks):
    """Half of the image is predicted 40 % too far: the points' own places are believed."""
    places, inverse_depth = tracks
    wrong = np.where(places[:, 0] > 208, inverse_depth / 1.4, inverse_depth)
    seen = Correspondences(
        places, project(places, inverse_depth, TRUTH, K), wrong, 0.3 * inverse_depth
    )
    moved = align_tracks(seen, K, TrackPrior(TRUTH, NOTHING), **NORMS)
    assert error_of(moved.previous_from_current)[0] < 0.02


def test_doubtful_depths_do_not_make_the_step_longer(tracks):
    """Depths that are better than their sigmas say: the mean length over many draws is the true
    one."""
    places, inverse_depth = tracks
    rng, lengths = np.random.default_rng(3), []
    for _ in range(60):
        doubt, noise = (
            0.2 * rng.normal(size=300) * inverse_depth,
            0.15 * rng.normal(size=places.shape),
        )
        current = project(places, inverse_depth, TRUTH, K) + noise
        seen = Correspondences(
            places, current, np.maximum(inverse_depth + doubt, 1e-3), 0.6 * inverse_depth
        )
        lengths.append(
            np.linalg.norm(
                align_tracks(seen, K, TrackPrior(TRUTH, NOTHING), **NORMS).previous_from_current[
                    :3, 3
                ]
            )
        )
    assert np.mean(lengths) == pytest.approx(np.linalg.norm(TRUTH[:3, 3]), rel=0.015)


def test_points_that_move_by_themselves_are_outvoted(tracks):
    places, inverse_depth = tracks
    current = project(places, inverse_depth, TRUTH, K)
    current[:90] += (4.0, 1.0)
    seen = Correspondences(places, current, inverse_depth, 0.2 * inverse_depth)
    moved = align_tracks(seen, K, TrackPrior(TRUTH, NOTHING), **NORMS)
    angle_deg, _ = error_of(moved.previous_from_current)
    assert angle_deg < 0.02
    assert np.all(moved.errors[:90] > 10 * np.median(moved.errors[90:]))


def test_a_point_of_twice_the_trust_is_two_points(tracks):
    places, inverse_depth = tracks
    current = project(places, inverse_depth, TRUTH, K) + 0.5 * np.random.default_rng(4).normal(
        size=places.shape
    )
    prior, twice = TrackPrior(TRUTH, NOTHING), np.r_[:300, :100]
    trust = np.where(np.arange(300) < 100, 2.0, 1.0)
    trusted = align_tracks(
        Correspondences(places, current, inverse_depth, 0.2 * inverse_depth, trust),
        K,
        prior,
        **NORMS,
    )
    seen = Correspondences(
        places[twice], current[twice], inverse_depth[twice], 0.2 * inverse_depth[twice]
    )
    doubled = align_tracks(seen, K, prior, **NORMS)
    assert trusted.previous_from_current == pytest.approx(doubled.previous_from_current, abs=1e-6)
    assert trusted.information == pytest.approx(doubled.information, rel=1e-4, abs=1.0)
    assert trusted.variance == pytest.approx(doubled.variance[:300], rel=1e-4)


def test_most_of_the_points_are_outvoted_by_those_that_count(tracks):
    places, inverse_depth = tracks
    current = project(places, inverse_depth, TRUTH, K)
    current[:200] += (4.0, 1.0)
    errors_deg = []
    for newcomer in (1.0, 0.02):
        seen = Correspondences(
            places,
            current,
            inverse_depth,
            0.2 * inverse_depth,
            np.where(np.arange(300) < 200, newcomer, 1.0),
        )
        errors_deg.append(
            error_of(
                align_tracks(seen, K, TrackPrior(TRUTH, NOTHING), **NORMS).previous_from_current
            )[0]
        )
    assert errors_deg[0] > 0.3 and errors_deg[1] < 0.02


def test_information_tells_the_errors_of_noisy_points(tracks):
    places, inverse_depth = tracks
    rng = np.random.default_rng(2)
    squared = []
    for _ in range(40):
        noise, doubt = 0.2 * rng.normal(size=places.shape), np.exp(0.1 * rng.normal(size=300))
        seen = Correspondences(
            places,
            project(places, inverse_depth, TRUTH, K) + noise,
            inverse_depth * doubt,
            0.1 * inverse_depth,
        )
        moved = align_tracks(
            seen,
            K,
            TrackPrior(TRUTH, NOTHING),
            robust_threshold=10.0,
            robust_depth=10.0,
            noise_floor=0.05,
        )
        change = invert_rigid(TRUTH) @ moved.previous_from_current
        error = np.concatenate([change[:3, 3], rotation_vector(change[:3, :3])])
        squared.append(error @ moved.information @ error / 6)
    # Above 1: a free depth takes up part of each error, so that the scale of the errors comes out
    # small.
    assert 0.6 < np.mean(squared) < 3.0
