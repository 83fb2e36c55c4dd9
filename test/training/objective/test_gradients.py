"""Gradients against finite differences, in float64.

Of every loss, of view synthesis and its geometry, and of whole objectives.
"""

import inspect

import numpy as np
import pytest
import torch
from torch.func import functional_call

from sfm_odometry.geometry import projection as geometry
from sfm_odometry.geometry.projection import transform_from_vector
from sfm_odometry.geometry.view_synthesis import sample_at, scaled_intrinsics, synthesise_view
from training.data.batch import Batch
from training.data.scenes import Camera
from training.engine.learned_cameras import LearnedCameras
from training.objective import losses
from training.objective.objective import objective
from training.objective.objective_config import ObjectiveConfig
from training.objective.predictions import Predictions

HEIGHT, WIDTH = 5, 7


def draw(seed, *shape, low=0.0, high=1.0):
    """Draws numbers between low and high, which avoid kinks such as an error of zero."""
    generator = torch.Generator().manual_seed(seed)
    return (
        low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)
    ).requires_grad_()


def image(seed, channels=1, count=2):
    return draw(seed, count, channels, HEIGHT, WIDTH)


def motion_numbers(seed, *shape):
    return draw(seed, *shape, 6, low=-0.2, high=0.2)


def camera_matrix(numbers):
    """Returns camera matrices (B, 3, 3) of fx, fy, cx, cy (B, 4)."""
    zero = torch.zeros_like(numbers[:, 0])
    one = torch.ones_like(numbers[:, 0])
    fx, fy, cx, cy = numbers.unbind(1)
    return torch.stack([fx, zero, cx, zero, fy, cy, zero, zero, one], dim=1).view(-1, 3, 3)


def camera_numbers():
    return torch.tensor(
        [[6.0, 5.5, 3.1, 2.2], [7.0, 7.5, 2.8, 1.9]], dtype=torch.float64, requires_grad=True
    )


HALF = torch.arange(HEIGHT * WIDTH).view(1, 1, HEIGHT, WIDTH) % 3 > 0
TRUE_DEPTH = torch.where(HALF, draw(9, 2, 1, HEIGHT, WIDTH, low=2.0, high=30.0).detach(), 0.0)

LOSSES = {
    "item_mean": (losses.item_mean, (image(0),)),
    "masked_mean": (lambda values: losses.masked_mean(values, HALF), (image(0),)),
    "l1_error": (losses.l1_error, (image(0, 3), image(1, 3))),
    "ssim_error": (losses.ssim_error, (image(0, 3), image(1, 3))),
    "photometric_error": (
        lambda a, b: losses.photometric_error(a, b, 0.15),
        (image(0, 3), image(1, 3)),
    ),
    "divided_by_mean": (losses.divided_by_mean, (image(0),)),
    "second_order_smoothness": (losses.second_order_smoothness, (image(0),)),
    "edge_aware_smoothness": (losses.edge_aware_smoothness, (image(0), image(1, 3))),
    "mask_log_odds": (losses.mask_log_odds, (draw(0, 2, 2, 2, HEIGHT, WIDTH),)),
    "explainability_regulariser": (
        losses.explainability_regulariser,
        (draw(0, 2, 2, 1, HEIGHT, WIDTH, low=-3.0, high=3.0),),
    ),
    "depth_inconsistency": (
        losses.depth_inconsistency,
        tuple(draw(seed, 2, 1, HEIGHT, WIDTH, low=1.0, high=9.0) for seed in range(2)),
    ),
    "mask_error": (
        lambda logits: losses.mask_error(logits, HALF.double().expand(2, -1, -1, -1)),
        (draw(0, 2, 2, 2, HEIGHT, WIDTH),),
    ),
    "log_depth_error of the shape": (
        lambda rho: losses.log_depth_error(rho, TRUE_DEPTH, 0.05, scale_weight=0.2),
        (draw(0, 2, 1, HEIGHT, WIDTH, low=0.05, high=0.5),),
    ),
    "log_depth_error": (
        lambda rho: losses.log_depth_error(rho, TRUE_DEPTH, 0.05),
        (draw(0, 2, 1, HEIGHT, WIDTH, low=0.05, high=0.5),),
    ),
    "motion_error": (
        lambda a, b: losses.motion_error(transform_from_vector(a), transform_from_vector(b), 10.0),
        (motion_numbers(0, 2, 3), motion_numbers(1, 2, 3)),
    ),
}
"""Each loss by its name, and inputs that ask for gradients."""


def test_every_loss_is_checked():
    public = {
        name
        for name, value in inspect.getmembers(losses, inspect.isfunction)
        if value.__module__ == losses.__name__
    }
    checked = {name.split()[0] for name in LOSSES}
    assert {name for name in public if not name.startswith("_")} == checked


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_losses(name):
    loss, inputs = LOSSES[name]
    assert torch.autograd.gradcheck(loss, inputs)


def test_gradient_of_plain_l1():
    assert torch.autograd.gradcheck(
        lambda a, b: losses.photometric_error(a, b, 0.0), (image(0), image(1))
    )


def test_gradients_of_view_synthesis():
    """With respect to source, depth, the motion's six numbers and the camera's four."""

    def view(source, depth, motion, camera):
        result = synthesise_view(
            source, depth, transform_from_vector(motion), camera_matrix(camera)
        )
        return result.image, result.pixels, result.depth

    depth = draw(1, 2, 1, HEIGHT, WIDTH, low=3.0, high=9.0)
    assert torch.autograd.gradcheck(
        view, (image(0, 2), depth, motion_numbers(2, 2), camera_numbers())
    )


def test_gradients_of_sampling():
    pixels = draw(1, 2, 2, 4, 4, low=-1.0, high=6.0)
    assert torch.autograd.gradcheck(sample_at, (image(0, 2), pixels))


def test_gradients_of_geometry():
    points = draw(0, 2, 3, HEIGHT, WIDTH, low=1.0, high=5.0)
    depth = draw(1, 2, 1, HEIGHT, WIDTH, low=1.0, high=5.0)
    assert torch.autograd.gradcheck(
        lambda p, camera: geometry.project(p, camera_matrix(camera)), (points, camera_numbers())
    )
    assert torch.autograd.gradcheck(
        lambda d, camera: geometry.backproject(d, camera_matrix(camera)), (depth, camera_numbers())
    )
    assert torch.autograd.gradcheck(
        lambda v: geometry.invert_transform(transform_from_vector(v)), (motion_numbers(2, 3),)
    )
    assert torch.autograd.gradcheck(
        lambda v, p: geometry.transform_points(transform_from_vector(v), p),
        (motion_numbers(2, 2), points),
    )
    assert torch.autograd.gradcheck(
        lambda a: geometry.rotation_angle(geometry.rotation_from_euler(a)), (draw(3, 4, 3),)
    )
    assert torch.autograd.gradcheck(
        lambda camera: scaled_intrinsics(camera_matrix(camera), 0.5, 0.25), (camera_numbers(),)
    )


def test_gradients_of_learned_cameras():
    matrix = np.array([[50.0, 0.0, 31.5], [0.0, 50.0, 15.5], [0.0, 0.0, 1.0]])
    cameras = LearnedCameras(
        [Camera("known", matrix, True), Camera("phone", matrix, False)], 64, 32
    ).double()
    names = [name for name, _ in cameras.named_parameters()]

    def matrices(*values):
        return functional_call(
            cameras, dict(zip(names, values, strict=True)), (batch(count=2, height=8, width=12),)
        ).intrinsics

    assert torch.autograd.gradcheck(
        matrices, (draw(0, 1, 2, low=-0.2, high=0.2), draw(1, 1, 2, low=-0.1, high=0.1))
    )


def batch(count, height, width, frames=3):
    """Returns a batch of smooth images: synthesised views resemble their targets."""
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    phase = draw(3, count, frames, 1, 1, 1, high=0.5).detach()
    return Batch(
        frames=0.5
        + 0.2 * torch.sin(0.7 * u + phase)
        + 0.2 * torch.cos(0.9 * v - 0.3 * u + 2 * phase),
        intrinsics=torch.tensor(
            [[9.0, 0.0, 5.3], [0.0, 8.5, 3.7], [0.0, 0.0, 1.0]], dtype=torch.float64
        ).expand(count, 3, 3),
        camera=torch.ones(count, dtype=torch.int64),
        depth=draw(4, count, 1, height, width, low=2.0, high=20.0).detach(),
        moving=(draw(5, count, 1, height, width).detach() > 0.7).double(),
        camera_from_frame=transform_from_vector(motion_numbers(6, count, frames).detach()),
        has_depth=torch.ones(count, dtype=torch.bool),
        has_motion=torch.ones(count, dtype=torch.bool),
    )


OBJECTIVES = {
    "sfmlearner": ObjectiveConfig(scales=2),
    "vid2depth, but for the 3D loss": ObjectiveConfig(
        scales=2,
        pairs="adjacent",
        depth_frames="all",
        ssim_weight=0.15,
        explainability=0.0,
        smoothness_kind="edge_aware",
    ),
    "all switches": ObjectiveConfig(
        scales=2,
        depth_frames="all",
        ssim_weight=0.85,
        full_size=True,
        minimum_over_sources=True,
        auto_mask=True,
        smoothness_kind="edge_aware",
        normalised_smoothness=True,
        geometry_consistency=0.5,
        forward_backward=1.0,
        composed_motion=1.0,
        depth_supervision=1.0,
        motion_supervision=1.0,
        mask_supervision=1.0,
    ),
}
"""Without the 3D loss, whose approximate gradients are checked in test_icp.py."""


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_of_whole_objectives(name):
    config = OBJECTIVES[name]
    height = 8
    width = 12
    images = batch(2, height, width)
    frames = 3 if config.depth_frames == "all" else 1

    def loss(fine, coarse, motion, reversed_motion, two_steps, fine_mask, coarse_mask):
        predictions = Predictions(
            inverse_depth=[fine, coarse],
            frame_from_target=transform_from_vector(motion),
            mask_logits=[fine_mask, coarse_mask],
            reversed_frame_from_target=transform_from_vector(reversed_motion),
            two_steps=transform_from_vector(two_steps),
        )
        return sum(objective(images, predictions, config).values())

    depths = [
        draw(seed, 2, frames, 1, height // 2**seed, width // 2**seed, low=0.1, high=0.3)
        for seed in range(2)
    ]
    motions = [motion_numbers(2, 2, 3), motion_numbers(3, 2, 3), motion_numbers(4, 2, 1)]
    masks = [draw(5 + seed, 2, 2, 2, height // 2**seed, width // 2**seed) for seed in range(2)]
    assert torch.autograd.gradcheck(loss, (*depths, *motions, *masks), fast_mode=True)
