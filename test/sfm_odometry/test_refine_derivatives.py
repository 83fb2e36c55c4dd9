"""The hand-written derivatives against finite differences, and the geometry of the points."""

import numpy as np
import pytest
import torch

from sfm_odometry.alignment import Alignment, Pair, State
from sfm_odometry.geometry import backproject
from sfm_odometry.photometric import View, image_gradient, motion_jacobian, sample_points, select_points, smoothed
from sfm_odometry.refine_config import RefineConfig
from sfm_odometry.trajectory import invert_rigid, rotation_from_vector

CAMERA = (90.0, 80.0, 60.0, 22.0)
HEIGHT, WIDTH = 48, 120
TRUTH = np.eye(4)
TRUTH[:3, :3] = rotation_from_vector(np.array([0.01, -0.02, 0.03]))
TRUTH[:3, 3] = (0.1, -0.05, 0.4)


def small(step):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation_from_vector(step[3:]), step[:3]
    return matrix


def projected(points):
    return CAMERA[0] * points[0] / points[2] + CAMERA[2], CAMERA[1] * points[1] / points[2] + CAMERA[3]


def grey(u, v):
    return 0.5 + 0.2 * np.sin(0.21 * u + 0.05 * v) + 0.2 * np.cos(0.17 * v - 0.08 * u)


def plane_view(world_from_camera):
    """Image and inverse depth of a textured plane n . X = 6, seen from a camera."""
    normal = np.array([0.2, 0.3, 1.0])
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    rays = np.stack([(u - CAMERA[2]) / CAMERA[0], (v - CAMERA[3]) / CAMERA[1], np.ones_like(u)]).reshape(3, -1)
    rotation, centre = world_from_camera[:3, :3], world_from_camera[:3, 3]
    depth = (6.0 - normal @ centre) / (normal @ rotation @ rays)
    points = centre[:, None] + depth * (rotation @ rays)
    image = 0.5 + 0.2 * np.sin(2.1 * points[0] + 0.6 * points[1]) + 0.2 * np.cos(2.7 * points[1] - 1.1 * points[0])
    as_tensor = [torch.from_numpy(values.reshape(HEIGHT, WIDTH)).float() for values in (image, 1.0 / depth)]
    return View(as_tensor[0], as_tensor[1], None, CAMERA)


def test_jacobian_of_the_motion_is_that_of_finite_differences():
    """Exact derivatives of an analytic image under exp(xi), float64."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-2, -1, 3], [2, 1, 20], (50, 3)).T
    u, v = projected(points)
    h = 1e-6
    gradient = np.stack([(grey(u + h, v) - grey(u - h, v)) / (2 * h), (grey(u, v + h) - grey(u, v - h)) / (2 * h)])
    jacobian = motion_jacobian(torch.from_numpy(gradient), torch.from_numpy(points), CAMERA).numpy()
    for index in range(6):
        moved = [small(np.eye(6)[index] * sign * h) for sign in (1, -1)]
        there, back = (grey(*projected(matrix[:3, :3] @ points + matrix[:3, 3:])) for matrix in moved)
        assert np.allclose(jacobian[index], (there - back) / (2 * h), atol=1e-6 * (1 + abs(jacobian[index]).max()))


@pytest.mark.parametrize("backward", [False, True])
def test_jacobian_of_a_pair_is_that_of_finite_differences(backward):
    """The errors themselves, through sampling, under a step in the current camera's axes; at the solution, where it is used."""
    current, previous = plane_view(TRUTH), plane_view(np.eye(4))
    target, source = (previous, current) if backward else (current, previous)
    pair = Pair(select_points(target, 2, 0.004), source, backward)
    alignment = Alignment([pair], TRUTH, np.zeros((6, 6)), RefineConfig())
    state = State(TRUTH, np.zeros((1, 2)))
    inside = alignment.errors(state)[0].weights > 0
    jacobian = (pair.target.jacobian.T @ torch.from_numpy(pair.target_step(TRUTH)).float())[inside].numpy()
    for index in range(6):
        step = np.zeros(8)
        step[index] = 0.004 if index < 3 else 0.0008
        there, back = (alignment.errors(state.moved(sign * step))[0].errors[inside].numpy() for sign in (1, -1))
        # Bilinear sampling and central differences each smooth the waves a little.
        numeric = (there - back) / (2 * step[index])
        assert np.linalg.norm(numeric - jacobian[:, index]) < 0.12 * np.linalg.norm(numeric)


@pytest.mark.parametrize("backward", [False, True])
def test_gradient_of_the_cost_is_that_of_finite_differences(backward):
    """Of the whole cost, robust norm, prior, gain and offset with it, a little off the solution."""
    current, previous = plane_view(TRUTH), plane_view(np.eye(4))
    target, source = (previous, current) if backward else (current, previous)
    prior = np.diag([9.0, 8.0, 7.0, 60.0, 50.0, 40.0])
    alignment = Alignment([Pair(select_points(target, 1, 0.004), source, backward)], TRUTH, prior, RefineConfig())
    state = State(TRUTH @ small(np.array([0.01, -0.01, 0.02, 0.002, -0.001, 0.001])), np.array([[0.02, -0.01]]))
    alignment.weigh(state, alignment.errors(state))
    _, gradient = alignment.normal_equations(state, alignment.errors(state))
    numeric = np.zeros(8)
    for index, size in enumerate([1e-3] * 3 + [2e-4] * 3 + [1e-3] * 2):
        step = np.eye(8)[index] * size
        there, back = (state.moved(step), state.moved(-step))
        numeric[index] = (alignment.cost(there, alignment.errors(there)) - alignment.cost(back, alignment.errors(back))) / (2 * size)
    assert np.linalg.norm(numeric - gradient) < 0.1 * np.linalg.norm(numeric)
    # Gain and offset enter linearly: their derivatives do not lean on the target's gradient.
    assert np.allclose(numeric[6:], gradient[6:], rtol=0.02)


def test_state_moves_by_its_step_and_difference_takes_it_back():
    view = plane_view(np.eye(4))
    alignment = Alignment([Pair(select_points(view, 2, 0.004), view, False)], TRUTH, np.zeros((6, 6)), RefineConfig())
    step = np.array([0.03, -0.02, 0.1, 0.01, -0.02, 0.005, 0.1, -0.2])
    state = State(TRUTH, np.zeros((1, 2))).moved(step)
    assert np.allclose(alignment.difference(state), step[:6], atol=1e-12)
    assert np.allclose(state.brightness, [step[6:]])


def test_step_of_the_inverse_is_the_inverse_of_the_step():
    view = plane_view(np.eye(4))
    pair = Pair(select_points(view, 2, 0.004), view, True)
    xi = np.array([2e-4, -1e-4, 3e-4, 1e-4, 2e-4, -1e-4])
    inverse = invert_rigid(TRUTH @ small(xi))
    assert np.allclose(inverse, pair.source_from_target(TRUTH) @ small(pair.target_step(TRUTH) @ xi), atol=1e-6)


def test_points_are_back_projected_pixels():
    view = plane_view(np.eye(4))
    target = select_points(view, 1, 0.0)
    k = torch.tensor([[CAMERA[0], 0.0, CAMERA[2]], [0.0, CAMERA[1], CAMERA[3]], [0.0, 0.0, 1.0]])
    whole = backproject((1.0 / view.inverse_depth)[None, None], k[None])[0]
    assert target.points.shape[1] == (HEIGHT - 2) * (WIDTH - 2)
    assert np.isin(np.round(target.points[2].numpy(), 4), np.round(whole[2].numpy(), 4)).all()
    u, v = projected(target.points.numpy())
    assert np.allclose(view.image[np.round(v).astype(int), np.round(u).astype(int)], target.values)


def test_each_block_gives_its_steepest_pixel():
    image = torch.full((9, 9), 0.5)
    image[4, 3] = 0.9
    target = select_points(View(image, torch.ones(9, 9), None, CAMERA), 3, 0.1)
    assert target.values.numel() == 2  # Beside the spot: in its own block, and in the block to its left.
    assert torch.all(target.values == 0.5)


def test_smaller_view_keeps_the_rays():
    """The centre of a block of pixels is the pixel of the smaller view, with the same ray and the mean inverse depth."""
    small_view = plane_view(np.eye(4)).reduced(1)
    fx, fy, cx, cy = small_view.camera
    assert ((3 - cx) / fx, (5 - cy) / fy) == pytest.approx(((6.5 - CAMERA[2]) / CAMERA[0], (10.5 - CAMERA[3]) / CAMERA[1]))
    assert small_view.image.shape == (HEIGHT // 2, WIDTH // 2)


def test_unknown_depth_stays_unknown_in_the_smaller_view():
    view = plane_view(np.eye(4))
    view.inverse_depth[10, 20] = torch.nan
    assert torch.isnan(view.reduced(2).inverse_depth).sum() == 1


def test_sampling_at_the_identity_returns_the_image_and_knows_its_edge():
    view = plane_view(np.eye(4))
    target = select_points(view, 1, 0.0)
    values, inside = sample_points(view, target.points, torch.eye(4))
    assert inside.all() and torch.allclose(values, target.values, atol=1e-4)
    behind = torch.eye(4)
    behind[2, 3] = -100.0
    assert not sample_points(view, target.points, behind)[1].any()


def test_gradient_of_a_ramp_is_its_slope():
    v, u = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    gradient = image_gradient(0.3 * u - 0.2 * v)
    assert torch.allclose(gradient[:, 1:-1, 1:-1], torch.tensor([0.3, -0.2])[:, None, None].expand(2, 4, 5), atol=1e-6)


def test_smoothing_keeps_ramps_and_spreads_a_spot():
    v, u = torch.meshgrid(torch.arange(5.0), torch.arange(5.0), indexing="ij")
    assert torch.allclose(smoothed(0.3 * u - 0.2 * v), 0.3 * u - 0.2 * v, atol=1e-6)
    spot = torch.zeros(5, 5)
    spot[2, 2] = 16.0
    assert smoothed(spot)[1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
