"""View synthesis."""

import pytest
import torch

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.projection import transform_from_vector
from sfm_odometry.geometry.view_synthesis import sample_at, scaled_intrinsics, synthesise_view

K = torch.tensor([[[40.0, 0.0, 15.5], [0.0, 40.0, 11.5], [0.0, 0.0, 1.0]]])


def smooth_texture(height, width):
    """A band-limited function of pixel coordinates, for which bilinear sampling is nearly exact."""
    v, u = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return texture_at(torch.stack([u, v]))


def texture_at(pixels):
    u, v = pixels
    return 0.5 + 0.2 * torch.sin(0.21 * u + 0.3) + 0.2 * torch.cos(0.17 * v + 0.1 * u)


def test_integer_pixels_sample_the_image_itself():
    image = torch.rand(1, 2, 5, 8)
    v, u = torch.meshgrid(torch.arange(5.0), torch.arange(8.0), indexing="ij")
    assert torch.allclose(sample_at(image, torch.stack([u, v])[None]), image, atol=1e-5)


def test_a_shift_of_one_pixel_shifts_by_exactly_one_pixel():
    """A camera that moves right by Z / fx shifts the scene one pixel to the left."""
    target_depth = torch.full((1, 1, 24, 32), 8.0)
    source = torch.rand(1, 1, 24, 32)
    source_from_target = transform_from_vector(
        torch.tensor([[8.0 / 40.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    )
    view = synthesise_view(source, target_depth, source_from_target, K)
    assert torch.allclose(view.image[..., :-1], source[..., 1:], atol=1e-4)
    assert not view.valid[..., -1].any()
    assert view.valid[..., :-1].all()


def test_true_depth_and_motion_reproduce_the_target():
    """A textured plane, Z = 6 + 0.05 u, rendered in closed form from a second camera's pixels."""
    motion = transform_from_vector(torch.tensor([[0.15, -0.05, 0.3, 0.01, -0.02, 0.015]]))
    u = torch.arange(32.0).expand(24, 32)
    depth = (6 + 0.05 * u)[None, None]
    view = synthesise_view(smooth_texture(24, 32)[None, None], depth, motion, K)
    target = texture_at(view.pixels[0])[None, None]
    assert (view.image - target)[view.valid].abs().max() < 0.01
    unmoved = (smooth_texture(24, 32)[None, None] - target)[view.valid].abs().mean()
    assert (view.image - target)[view.valid].abs().mean() < unmoved / 10


def test_points_behind_the_source_are_not_valid():
    backwards = transform_from_vector(torch.tensor([[0.0, 0.0, -10.0, 0.0, 0.0, 0.0]]))
    view = synthesise_view(torch.rand(1, 1, 24, 32), torch.full((1, 1, 24, 32), 8.0), backwards, K)
    assert not view.valid.any()
    assert torch.isfinite(view.image).all()


def test_results_do_not_depend_on_the_batch():
    source = torch.rand(3, 1, 24, 32)
    depth = torch.rand(3, 1, 24, 32) * 5 + 3
    motion = transform_from_vector(torch.randn(3, 6) * 0.05)
    whole_batch = synthesise_view(source, depth, motion, K.expand(3, 3, 3)).image
    alone = synthesise_view(source[1:2], depth[1:2], motion[1:2], K).image
    assert torch.allclose(whole_batch[1:2], alone, atol=1e-6)


def test_gradients_match_finite_differences():
    source = smooth_texture(24, 32)[None, None].double()
    depth = (torch.rand(1, 1, 4, 4, dtype=torch.float64) + 6).requires_grad_()
    vector = torch.tensor(
        [[0.11, -0.04, 0.2, 0.01, -0.02, 0.015]], dtype=torch.float64, requires_grad=True
    )

    def image(depth, vector):
        return synthesise_view(source, depth, transform_from_vector(vector), K.double()).image

    assert torch.autograd.gradcheck(image, (depth, vector), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_scaled_intrinsics_agree_with_the_camera(level):
    camera = Intrinsics(241.0, 246.0, 204.0, 59.0, 416, 128)
    expected = camera.resized(416 >> level, 128 >> level).matrix()
    scaled = scaled_intrinsics(torch.from_numpy(camera.matrix()), 0.5**level, 0.5**level)
    assert torch.allclose(scaled, torch.from_numpy(expected))


def test_a_motion_of_nan_makes_no_pixel_valid():
    motion = torch.full((1, 4, 4), torch.nan)
    view = synthesise_view(torch.rand(1, 1, 24, 32), torch.full((1, 1, 24, 32), 8.0), motion, K)
    assert not view.valid.any()
    assert torch.isfinite(view.image).all()
