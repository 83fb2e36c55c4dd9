"""Pose error by turning magnitude."""

import numpy as np
import pytest

from training.evaluate.snippets import evaluate_mean_odometry, evaluate_snippets
from training.evaluate.turning import (
    SnippetErrors,
    mean_odometry_snippet_errors,
    snippet_errors,
    turning_edges_m,
)


def arc(count, yaw_rad, step=1.0):
    """Poses (count, 4, 4) of a camera that turns right by yaw_rad a frame (left where negative)."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    turn = np.eye(4)
    turn[:3, :3] = [
        [np.cos(yaw_rad), 0, np.sin(yaw_rad)],
        [0, 1, 0],
        [-np.sin(yaw_rad), 0, np.cos(yaw_rad)],
    ]
    turn[2, 3] = step
    for index in range(1, count):
        poses[index] = poses[index - 1] @ turn
    return poses


def test_turning_is_the_sideways_shift_in_the_first_cameras_frame():
    yaw = 0.1
    # Steps ahead of length 1 at headings 0, yaw, 2 yaw, 3 yaw.
    expected = sum(np.sin(k * yaw) for k in range(4))
    for sign in (1, -1):
        errors = snippet_errors(arc(9, sign * yaw), arc(9, 0.0))
        np.testing.assert_allclose(errors.turning_m, sign * expected, rtol=1e-9)
        assert (errors.ate > 0).all()


def test_mean_of_the_errors_is_the_score(winding):
    pred = winding.copy()
    pred[:, :3, 3] += np.random.default_rng(0).normal(size=(400, 3)) * 0.1
    errors = snippet_errors(winding, pred)
    assert errors.ate.mean() == pytest.approx(
        evaluate_snippets(winding, pred)["ate_sfmlearner_mean"], rel=1e-12
    )
    baseline = mean_odometry_snippet_errors(winding, [winding])
    assert baseline.ate.mean() == pytest.approx(
        evaluate_mean_odometry(winding, [winding])["ate_sfmlearner_mean"], rel=1e-12
    )
    assert np.array_equal(errors.turning_m, baseline.turning_m)


def test_baseline_error_grows_with_turning():
    straight = mean_odometry_snippet_errors(arc(30, 0.0), [arc(30, 0.0)]).ate.mean()
    gentle, sharp = (
        mean_odometry_snippet_errors(arc(30, yaw), [arc(30, 0.0)]).ate.mean()
        for yaw in (0.02, 0.08)
    )
    assert straight == pytest.approx(0, abs=1e-12) and 0 < gentle < sharp


def test_means_by_bin_by_hand():
    errors = SnippetErrors(
        np.array([-0.5] * 5 + [0.5] * 6 + [1.5] * 4),
        np.array([1, 2, 3, 4, 5] + [7.0] * 6 + [9] * 4),
    )
    means = errors.mean_by_turning(np.array([-1.0, 0.0, 1.0, 2.0]))
    assert means[:2].tolist() == [3.0, 7.0]
    assert np.isnan(means[2])  # four snippets are too few for a mean


@pytest.mark.parametrize(("count", "bins"), [(20, 5), (120, 9), (10_000, 15)])
def test_bins_are_symmetric_odd_and_as_many_as_the_snippets_allow(count, bins):
    errors = SnippetErrors(np.linspace(-0.2, 0.4, count), np.ones(count))
    edges = turning_edges_m([errors, errors])
    assert len(edges) - 1 == bins
    np.testing.assert_allclose(edges, -edges[::-1], atol=1e-12)
    assert np.mean(np.abs(errors.turning_m) <= edges[-1]) >= 0.95


def test_bins_of_a_straight_drive():
    assert np.all(np.diff(turning_edges_m([snippet_errors(arc(9, 0.0), arc(9, 0.0))])) > 0)
