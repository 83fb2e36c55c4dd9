"""Rigid motions and the pinhole projection in torch."""

import math

import pytest
import torch

from sfm_odometry.geometry.projection import (
    backproject,
    inverse_intrinsics,
    invert_transform,
    project,
    rotation_angle,
    rotation_from_euler,
    transform_from_vector,
    transform_points,
)

K = torch.tensor([[[50.0, 0.0, 20.3], [0.0, 60.0, 9.7], [0.0, 0.0, 1.0]]], dtype=torch.float64)


def random_vectors(count, seed=0):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rotation_is_the_product_of_the_three_axes():
    angles = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64)
    one_axis = [
        rotation_from_euler(angles * torch.eye(3, dtype=torch.float64)[axis]) for axis in range(3)
    ]
    assert torch.allclose(rotation_from_euler(angles), one_axis[0] @ one_axis[1] @ one_axis[2])


@pytest.mark.parametrize(
    ("axis", "start", "end"),
    [(0, (0, 1, 0), (0, 0, 1)), (1, (0, 0, 1), (1, 0, 0)), (2, (1, 0, 0), (0, 1, 0))],
)
def test_a_quarter_turn_takes_one_axis_to_the_next(axis, start, end):
    angles = torch.zeros(3, dtype=torch.float64)
    angles[axis] = math.pi / 2
    turned = rotation_from_euler(angles) @ torch.tensor(start, dtype=torch.float64)
    assert torch.allclose(turned, torch.tensor(end, dtype=torch.float64), atol=1e-12)


def test_inverse_undoes_the_motion():
    motion = transform_from_vector(random_vectors(8))
    assert torch.allclose(
        invert_transform(motion) @ motion,
        torch.eye(4, dtype=torch.float64).expand(8, 4, 4),
        atol=1e-12,
    )


def test_rotation_angle_is_accurate_near_zero():
    angles = torch.tensor([[1e-7, 0.0, 0.0], [0.0, 2.0, 0.0]], dtype=torch.float64)
    assert rotation_angle(rotation_from_euler(angles)).tolist() == pytest.approx(
        [1e-7, 2.0], rel=1e-6
    )


def test_closed_form_inverse_of_intrinsics():
    assert torch.allclose(inverse_intrinsics(K), torch.linalg.inv(K))


def test_projection_undoes_backprojection():
    depth = torch.rand(1, 1, 7, 11, dtype=torch.float64) * 10 + 1
    v, u = torch.meshgrid(torch.arange(7.0), torch.arange(11.0), indexing="ij")
    assert torch.allclose(
        project(backproject(depth, K), K)[0], torch.stack([u, v]).double(), atol=1e-9
    )


def test_depth_lies_along_the_optical_axis():
    depth = torch.full((1, 1, 3, 3), 4.0, dtype=torch.float64)
    assert torch.equal(backproject(depth, K)[:, 2:], depth)


def test_points_behind_the_camera_project_to_finite_pixels():
    points = torch.tensor([0.0, 0.0, -5.0], dtype=torch.float64).view(1, 3, 1, 1)
    assert torch.isfinite(project(points, K)).all()


def test_forward_motion_moves_pixels_outwards():
    """source_from_target of a car that drives forward moves points away by the step.

    The source is the earlier frame, from which the target's points are farther away.
    """
    earlier_from_later = transform_from_vector(
        torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    )
    point = torch.tensor([2.0, 1.0, 9.0], dtype=torch.float64).view(1, 3, 1, 1)
    in_earlier = transform_points(earlier_from_later, point)
    assert in_earlier.flatten().tolist() == pytest.approx([2.0, 1.0, 10.0])
    centre = K[0, :2, 2]
    now = project(point, K).flatten() - centre
    before = project(in_earlier, K).flatten() - centre
    assert (now.abs() > before.abs()).all()


def test_gradients_match_finite_differences():
    depth = (torch.rand(1, 1, 2, 3, dtype=torch.float64) + 2).requires_grad_()
    vector = (random_vectors(1, seed=3) * 0.1).requires_grad_()

    def pixels(depth, vector):
        return project(transform_points(transform_from_vector(vector), backproject(depth, K)), K)

    assert torch.autograd.gradcheck(pixels, (depth, vector))
