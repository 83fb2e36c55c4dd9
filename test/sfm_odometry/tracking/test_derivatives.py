"""Analytic derivatives against finite differences, and the geometry of the points."""

import numpy as np
import pytest
import torch

from sfm_odometry.geometry import se3
from sfm_odometry.geometry.projection import backproject
from sfm_odometry.tracking.depth_deformation import DepthCorrection
from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.direct_solver import DirectSolver, SolverState
from sfm_odometry.tracking.photometric import (
    ImageView,
    image_gradient,
    mean_of_blocks,
    motion_jacobian,
    sample_points,
    select_points,
    smoothed,
)

CAMERA = (90.0, 80.0, 60.0, 22.0)
HEIGHT = 48
WIDTH = 120
TRUTH = np.eye(4)
TRUTH[:3, :3] = se3.so3_exp(np.array([0.01, -0.02, 0.03]))
TRUTH[:3, 3] = (0.1, -0.05, 0.4)


def small_motion(xi):
    matrix = np.eye(4)
    matrix[:3, :3] = se3.so3_exp(xi[3:])
    matrix[:3, 3] = xi[:3]
    return matrix


def projected(points):
    u = CAMERA[0] * points[0] / points[2] + CAMERA[2]
    v = CAMERA[1] * points[1] / points[2] + CAMERA[3]
    return u, v


def grey(u, v):
    """Analytic image."""
    return 0.5 + 0.2 * np.sin(0.21 * u + 0.05 * v) + 0.2 * np.cos(0.17 * v - 0.08 * u)


def plane_view(world_from_camera):
    """View of a textured plane n . X = 6 from a camera, and its inverse depth (H, W)."""
    normal = np.array([0.2, 0.3, 1.0])
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    rays = np.stack(
        [(u - CAMERA[2]) / CAMERA[0], (v - CAMERA[3]) / CAMERA[1], np.ones_like(u)]
    ).reshape(3, -1)
    rotation = world_from_camera[:3, :3]
    centre = world_from_camera[:3, 3]
    depth = (6.0 - normal @ centre) / (normal @ rotation @ rays)
    points = centre[:, None] + depth * (rotation @ rays)
    image = (
        0.5
        + 0.2 * np.sin(2.1 * points[0] + 0.6 * points[1])
        + 0.2 * np.cos(2.7 * points[1] - 1.1 * points[0])
    )
    view = ImageView(torch.from_numpy(image.reshape(HEIGHT, WIDTH)).float(), CAMERA)
    return view, torch.from_numpy((1.0 / depth).reshape(HEIGHT, WIDTH)).float()


def test_motion_jacobian_equals_finite_differences():
    """Derivatives of an analytic image under exp(xi), float64."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-2, -1, 3], [2, 1, 20], (50, 3)).T
    u, v = projected(points)
    h = 1e-6
    gradient = np.stack(
        [(grey(u + h, v) - grey(u - h, v)) / (2 * h), (grey(u, v + h) - grey(u, v - h)) / (2 * h)]
    )
    jacobian = motion_jacobian(torch.from_numpy(gradient), torch.from_numpy(points), CAMERA).numpy()
    for index in range(6):
        motions = [small_motion(np.eye(6)[index] * sign * h) for sign in (1, -1)]
        plus, minus = (
            grey(*projected(matrix[:3, :3] @ points + matrix[:3, 3:])) for matrix in motions
        )
        tolerance = 1e-6 * (1 + abs(jacobian[index]).max())
        assert np.allclose(jacobian[index], (plus - minus) / (2 * h), atol=tolerance)


def solver_of(block, prior_information, **config):
    """Solver for points of the view at TRUTH, sought in the one at the origin."""
    target, inverse_depth = plane_view(TRUTH)
    source, _ = plane_view(np.eye(4))
    settings = AlignmentConfig(**config)
    correction = DepthCorrection(
        settings.correction_grid, settings.correction_near, settings.correction_far, 6.0
    )
    points = select_points(target, inverse_depth, None, block, 0.004)
    basis = correction.basis(points)
    return DirectSolver(points, basis, source, TRUTH, prior_information, settings)


def test_error_jacobian_equals_finite_differences():
    """Errors through bilinear sampling, under a step in the target camera's axes.

    At the solution, where the inverse compositional Jacobian holds.
    """
    solver = solver_of(2, np.zeros((6, 6)), correction_grid=(2, 2))
    state = SolverState(TRUTH, np.zeros(4), np.zeros(2))
    residuals = solver.residuals(state)
    solver.update_weights(state, residuals)
    inside = residuals.weights > 0
    jacobian = solver.jacobian[:, inside].numpy()
    for index in range(10):
        step = np.zeros(12)
        step[index] = 0.004 if index < 3 else 0.0008 if index < 6 else 0.02
        plus, minus = (
            solver.residuals(state.updated(sign * step)).errors[inside].numpy() for sign in (1, -1)
        )
        # Bilinear sampling and central differences each smooth the waves a little.
        numeric = (plus - minus) / (2 * step[index])
        assert np.linalg.norm(numeric - jacobian[index]) < 0.2 * np.linalg.norm(numeric)


def test_cost_gradient_equals_finite_differences():
    """Whole cost, with robust norm, prior, corrections, gain and offset, near the solution."""
    solver = solver_of(1, np.diag([9.0, 8.0, 7.0, 60.0, 50.0, 40.0]), correction_grid=(1, 2))
    motion = TRUTH @ small_motion(np.array([0.01, -0.01, 0.02, 0.002, -0.001, 0.001]))
    state = SolverState(motion, np.array([0.05, -0.03]), np.array([0.02, -0.01]))
    solver.update_weights(state, solver.residuals(state))
    _, gradient = solver.normal_equations(state, solver.residuals(state))
    numeric = np.zeros(10)
    for index, size in enumerate([1e-3] * 3 + [2e-4] * 3 + [5e-3] * 2 + [1e-3] * 2):
        step = np.eye(10)[index] * size
        plus, minus = (
            solver.cost(changed, solver.residuals(changed))
            for changed in (state.updated(step), state.updated(-step))
        )
        numeric[index] = (plus - minus) / (2 * size)
    assert np.linalg.norm(numeric[:8] - gradient[:8]) < 0.1 * np.linalg.norm(numeric[:8])
    # Gain and offset enter linearly: their derivatives do not depend on the target's gradient.
    assert np.allclose(numeric[8:], gradient[8:], rtol=0.02)


def test_difference_inverts_the_update_of_a_state():
    solver = solver_of(2, np.zeros((6, 6)), correction_grid=(1, 1))
    step = np.array([0.03, -0.02, 0.1, 0.01, -0.02, 0.005, 0.3, 0.1, -0.2])
    state = SolverState(TRUTH, np.zeros(1), np.zeros(2)).updated(step)
    assert np.allclose(solver.difference(state), step[:6], atol=1e-12)
    assert np.allclose(state.correction, step[6:7])
    assert np.allclose(state.brightness, step[7:9])


def test_correction_of_the_depth_map_equals_that_of_the_points():
    """The basis functions add up to one standard deviation at every pixel."""
    view, inverse_depth = plane_view(np.eye(4))
    target = select_points(view, inverse_depth, None, 1, 0.0)
    correction = DepthCorrection((3, 4), 0.2, 0.3, 6.0)
    basis = correction.basis(target)
    assert torch.allclose(basis.sum(0), correction.sigma(target.points[2]), rtol=1e-5)
    coefficients = np.random.default_rng(0).normal(size=12)
    depth = (1.0 / inverse_depth).numpy()
    of_map = torch.from_numpy(np.log(correction.corrected(depth, coefficients) / depth))
    size = torch.tensor([[WIDTH - 1], [HEIGHT - 1]])
    u, v = (target.relative_pixels * size).round().long().unbind(0)
    assert torch.allclose(of_map[v, u], torch.from_numpy(coefficients).float() @ basis, atol=1e-5)


def test_points_are_back_projected_pixels():
    view, inverse_depth = plane_view(np.eye(4))
    target = select_points(view, inverse_depth, None, 1, 0.0)
    k = torch.tensor([[CAMERA[0], 0.0, CAMERA[2]], [0.0, CAMERA[1], CAMERA[3]], [0.0, 0.0, 1.0]])
    whole = backproject((1.0 / inverse_depth)[None, None], k[None])[0]
    assert target.points.shape[1] == (HEIGHT - 2) * (WIDTH - 2)
    assert np.isin(np.round(target.points[2].numpy(), 4), np.round(whole[2].numpy(), 4)).all()
    u, v = projected(target.points.numpy())
    assert np.allclose(view.image[np.round(v).astype(int), np.round(u).astype(int)], target.values)


def test_steepest_pixel_of_each_block_is_selected():
    image = torch.full((9, 9), 0.5)
    image[4, 3] = 0.9
    target = select_points(ImageView(image, CAMERA), torch.ones(9, 9), None, 3, 0.1)
    # Neighbours of the spot: one in its own block, one in the block to its left.
    assert target.values.numel() == 2
    assert torch.all(target.values == 0.5)


def test_reduced_view_keeps_the_rays():
    """The centre of a block of pixels and its pixel in the reduced view have the same ray."""
    reduced_view = plane_view(np.eye(4))[0].reduced(1)
    fx, fy, cx, cy = reduced_view.camera
    assert ((3 - cx) / fx, (5 - cy) / fy) == pytest.approx(
        ((6.5 - CAMERA[2]) / CAMERA[0], (10.5 - CAMERA[3]) / CAMERA[1])
    )
    assert reduced_view.image.shape == (HEIGHT // 2, WIDTH // 2)


def test_unknown_depth_stays_unknown_in_a_reduced_map():
    _, inverse_depth = plane_view(np.eye(4))
    inverse_depth[10, 20] = torch.nan
    assert torch.isnan(mean_of_blocks(inverse_depth, 4)).sum() == 1


def test_sampling_at_the_identity_returns_the_image_and_masks_points_behind():
    view, inverse_depth = plane_view(np.eye(4))
    target = select_points(view, inverse_depth, None, 1, 0.0)
    values, inside = sample_points(view, target.points, torch.eye(4))
    assert inside.all() and torch.allclose(values, target.values, atol=1e-4)
    behind_camera = torch.eye(4)
    behind_camera[2, 3] = -100.0
    assert not sample_points(view, target.points, behind_camera)[1].any()


def test_gradient_of_a_ramp_is_its_slope():
    v, u = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    gradient = image_gradient(0.3 * u - 0.2 * v)
    assert torch.allclose(
        gradient[:, 1:-1, 1:-1], torch.tensor([0.3, -0.2])[:, None, None].expand(2, 4, 5), atol=1e-6
    )


def test_smoothing_keeps_ramps_and_spreads_a_spot():
    v, u = torch.meshgrid(torch.arange(5.0), torch.arange(5.0), indexing="ij")
    assert torch.allclose(smoothed(0.3 * u - 0.2 * v), 0.3 * u - 0.2 * v, atol=1e-6)
    spot = torch.zeros(5, 5)
    spot[2, 2] = 16.0
    assert smoothed(spot)[1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
