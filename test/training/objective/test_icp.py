import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sfm_odometry.geometry.projection import (
    backproject,
    invert_transform,
    rotation_angle,
    transform_from_vector,
    transform_points,
)
from training.objective.icp import (
    IcpResult,
    align_clouds,
    alignment_loss,
    solve_positive_definite,
)
from training.synthetic.drive import DriveSpec
from training.synthetic.render import Renderer

MOTIONS = {
    "forward": (0.0, 0.0, 0.3, 0.0, 0.0, 0.0),
    "aside": (0.2, -0.05, 0.0, 0.0, 0.0, 0.0),
    "yaw of 1 degree": (0.0, 0.0, 0.0, 0.0, math.radians(1), 0.0),
    "yaw of 2 degrees": (0.0, 0.0, 0.0, 0.0, math.radians(-2), 0.0),
    "everything": (0.05, 0.02, 0.3, 0.01, 0.025, -0.01),
}


def vector(*numbers):
    return transform_from_vector(torch.tensor(numbers))[None]


def align(street, points, reference, **options):
    everywhere = torch.ones(len(points), 1, street.height, street.width, dtype=torch.bool)
    return align_clouds(
        points,
        everywhere,
        reference,
        everywhere,
        street.intrinsics.expand(len(points), 3, 3),
        **options,
    )


def loss_of(street, target, source_from_target, source):
    everywhere = torch.ones(1, 1, street.height, street.width, dtype=torch.bool)
    return alignment_loss(
        target, source_from_target, source, street.intrinsics[None], everywhere
    ).sum()


def errors(estimated, true):
    """Returns the maximum distance and angle (degrees) between motions (M, 4, 4)."""
    difference = invert_transform(true) @ estimated
    return difference[:, :3, 3].norm(dim=-1).max().item(), math.degrees(
        rotation_angle(difference[:, :3, :3]).max().item()
    )


@pytest.fixture(scope="module")
def pair(street):
    """Target cloud, source cloud and source_from_target of the street.

    The views are 0.9 m and 1.5 degrees apart.
    """
    source_from_target = vector(0.03, 0.01, -0.9, 0.002, math.radians(1.5), 0.001)
    return street.cloud(source_from_target), street.cloud(torch.eye(4)[None]), source_from_target


def test_equal_clouds_need_no_motion(street):
    points = street.cloud(torch.eye(4)[None])
    found = align(street, points, points)
    torch.testing.assert_close(found.motion, torch.eye(4)[None], atol=1e-5, rtol=0)
    assert found.residuals.abs().max() < 1e-4
    assert found.matched.float().mean() > 0.9


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS.keys())
def test_the_motion_between_two_clouds_is_found(street, motion):
    reference, motion = street.cloud(torch.eye(4)[None]), vector(*motion)
    found = align(street, transform_points(invert_transform(motion), reference), reference)
    length, angle_deg = errors(found.motion, motion)
    assert length < 0.01
    assert angle_deg < 0.05
    assert found.residuals.abs().max() < 0.1


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS.keys())
def test_an_ego_motion_error_is_found_between_two_views(street, pair, motion):
    """The two views sample the street at different points and occlude different parts."""
    target, source, source_from_target = pair
    motion = vector(*motion)
    found = align(
        street, transform_points(invert_transform(motion) @ source_from_target, target), source
    )
    length, angle_deg = errors(found.motion, motion)
    assert length < 0.02
    assert angle_deg < 0.1


def test_an_ego_motion_error_is_found_on_a_rendered_drive():
    """Trees, cars and fences occlude one another."""
    spec = DriveSpec(frames=6, seed=3, width=208, height=64)
    renderer = Renderer(spec.seed, spec.frames, spec.intrinsics())
    depths = torch.tensor(
        np.stack([renderer.render(index).depth_m for index in (2, 3)]), dtype=torch.float32
    )[:, None]
    intrinsics = torch.tensor(spec.intrinsics().matrix(), dtype=torch.float32)[None]
    target, source = backproject(depths, intrinsics.expand(2, 3, 3)).split(1)
    poses = renderer.camera0_from_camera
    source_from_target = torch.tensor(np.linalg.inv(poses[3]) @ poses[2], dtype=torch.float32)[None]
    motion = vector(*MOTIONS["everything"])
    points = transform_points(invert_transform(motion) @ source_from_target, target)
    length, angle_deg = errors(
        align_clouds(points, depths[:1] > 0, source, depths[1:] > 0, intrinsics).motion, motion
    )
    assert length < 0.04
    assert angle_deg < 0.15


def test_residuals_end_at_points_of_the_reference(street):
    reference = street.cloud(torch.eye(4)[None])
    bumpy = reference * (
        1
        + 0.01
        * torch.randn(1, 1, street.height, street.width, generator=torch.Generator().manual_seed(0))
    )
    found = align(street, bumpy, reference)
    ends = (transform_points(found.motion, bumpy) + found.residuals).permute(0, 2, 3, 1)[
        found.matched[:, 0]
    ]
    assert (
        torch.cdist(ends, reference.flatten(2)[0].T, compute_mode="donot_use_mm_for_euclid_dist")
        .amin(dim=1)
        .max()
        < 1e-3
    )
    assert not found.residuals.permute(0, 2, 3, 1)[~found.matched[:, 0]].any()


def test_items_of_a_batch_are_aligned_independently(street):
    references = street.cloud(
        torch.cat(
            [
                torch.eye(4)[None],
                vector(0.5, 0.0, 2.0, 0.0, 0.1, 0.0),
                vector(-0.5, 0.0, 4.0, 0.0, -0.2, 0.0),
            ]
        )
    )
    points = transform_points(
        torch.cat(
            [vector(*MOTIONS[name]) for name in ("forward", "yaw of 2 degrees", "everything")]
        ),
        references,
    )
    together = align(street, points, references)
    for index in range(3):
        alone = align(street, points[index : index + 1], references[index : index + 1])
        torch.testing.assert_close(
            alone.motion, together.motion[index : index + 1], atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            alone.residuals, together.residuals[index : index + 1], atol=1e-4, rtol=1e-4
        )


def test_moving_objects_are_trimmed(street, pair):
    target, source, source_from_target = pair
    car = torch.zeros(1, 1, street.height, street.width, dtype=torch.bool)
    car[..., 14:28, 42:60] = True
    target = torch.where(car, target + torch.tensor([1.0, -1.0, -3.0])[:, None, None], target)
    motion = vector(*MOTIONS["everything"])
    found = align(
        street, transform_points(invert_transform(motion) @ source_from_target, target), source
    )
    length, angle_deg = errors(found.motion, motion)
    assert length < 0.03
    assert angle_deg < 0.15
    assert found.matched[car].float().mean() < 0.2


def test_the_scale_of_the_scene_does_not_matter(street, pair):
    target, source, source_from_target = pair
    points = transform_points(vector(0.0, 0.0, 0.2, 0.0, 0.02, 0.0) @ source_from_target, target)
    metric = align(street, points, source)
    small = align(street, points * 0.01, source * 0.01)
    torch.testing.assert_close(small.motion[:, :3, :3], metric.motion[:, :3, :3], atol=1e-4, rtol=0)
    torch.testing.assert_close(
        small.motion[:, :3, 3] * 100, metric.motion[:, :3, 3], atol=5e-3, rtol=0
    )


def test_an_undetermined_motion_is_zero(street):
    """The position along an endless wall cannot be determined."""
    wall = backproject(
        torch.full((1, 1, street.height, street.width), 6.0), street.intrinsics[None]
    )
    found = align(street, transform_points(vector(0.5, 0.0, 0.2, 0.0, 0.0, 0.0), wall), wall)
    torch.testing.assert_close(
        found.motion, vector(0.0, 0.0, -0.2, 0.0, 0.0, 0.0), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(
    "spoil", ["nothing valid", "no reference", "behind", "not a number", "infinite", "elsewhere"]
)
def test_clouds_without_matches_have_neither_motion_nor_gradient(street, spoil):
    source = street.cloud(torch.eye(4)[None])
    everywhere = torch.ones(1, 1, street.height, street.width, dtype=torch.bool)
    nothing = {"nothing valid": everywhere & False}.get(spoil, everywhere)
    factors = {"behind": -1.0, "not a number": torch.nan, "infinite": torch.inf}
    target = (
        source * factors.get(spoil, 1.0) + (1000.0 if spoil == "elsewhere" else 0.0)
    ).requires_grad_()
    reference = source * torch.nan if spoil == "no reference" else source
    motion = torch.eye(4)[None].requires_grad_()
    found = align_clouds(target, nothing, reference, reference[:, 2:] > 0, street.intrinsics[None])
    assert torch.equal(found.motion, torch.eye(4)[None])
    assert not found.matched.any()
    loss = alignment_loss(target, motion, reference, street.intrinsics[None], nothing)
    loss.sum().backward()
    assert loss.item() == 0
    assert not motion.grad.any()


def test_the_loss_does_not_synchronise_with_the_device():
    """Tensors of the meta device have no values: reading one raises an error."""

    def empty(*shape, dtype=torch.float32):
        return torch.empty(*shape, dtype=dtype, device="meta")

    valid = empty(2, 1, 32, 104, dtype=torch.bool)
    loss = alignment_loss(
        empty(2, 3, 32, 104), empty(2, 4, 4), empty(2, 3, 64, 208), empty(2, 3, 3), valid
    )
    assert loss.shape == (2,)


def test_the_loss_sums_motion_and_residuals(street, pair, monkeypatch):
    target, source, source_from_target = pair
    motion = vector(0.1, -0.2, 0.3, 0.0, 0.0, 0.0)
    residuals = torch.zeros(1, 3, street.height, street.width)
    residuals[..., :2] = torch.tensor([0.3, 0.0, -0.6])[None, :, None, None]
    matched = torch.zeros(1, 1, street.height, street.width, dtype=torch.bool)
    matched[..., :4] = True
    monkeypatch.setattr(
        "training.objective.icp.align_clouds",
        lambda *clouds, iterations: IcpResult(motion, residuals, matched),
    )
    loss = loss_of(street, target, source_from_target, source)
    assert loss.item() == pytest.approx(0.6 / 6 + 0.9 / 3 / 2)


def test_the_truth_has_the_smallest_loss(street, pair):
    target, source, source_from_target = pair
    truth = loss_of(street, target, source_from_target, source)
    for motion in MOTIONS.values():
        assert loss_of(street, target, vector(*motion) @ source_from_target, source) > 1.05 * truth
    assert loss_of(street, target * 1.1, source_from_target, source) > 2 * truth


def test_gradients_are_minus_those_of_motion_and_residuals(street, pair):
    """dT'/d(ego-motion) = -I and dr/dP = -I, Q has none (section 3.3)."""
    target, source, source_from_target = (tensor.clone().requires_grad_() for tensor in pair)
    with torch.no_grad():
        source_from_target += torch.tensor([0.1, 0.0, 0.2, 0.0])[:, None] * torch.tensor(
            [0.0, 0.0, 0.0, 1.0]
        )
        target[..., 8:16, 70:90] *= 1.01
    loss_of(street, target, source_from_target, source).backward()
    assert source.grad is None
    found = align(street, transform_points(source_from_target, target).detach(), source.detach())
    torch.testing.assert_close(
        source_from_target.grad[:, :3, 3], -found.motion[:, :3, 3].sign() / 6
    )
    pulled = torch.einsum(
        "mij,mihw->mjhw",
        source_from_target.detach()[:, :3, :3],
        -found.residuals.sign() / (3 * found.matched.sum()),
    )
    torch.testing.assert_close(target.grad, pulled)


def test_descending_on_the_ego_motion_finds_the_truth(street, pair):
    target, source, source_from_target = pair
    floor = loss_of(street, target, source_from_target, source).item()
    wrong = torch.tensor([[0.15, -0.05, -0.6, 0.0, math.radians(0.5), 0.0]])
    true = torch.tensor([[0.03, 0.01, -0.9, 0.002, math.radians(1.5), 0.001]])
    estimate = wrong.clone().requires_grad_()
    losses = []
    for step in range(40):
        loss = loss_of(street, target, transform_from_vector(estimate), source)
        (gradient,) = torch.autograd.grad(loss, estimate)
        losses.append(loss.item())
        with torch.no_grad():
            # The gradients of all six numbers have the magnitude 1 / 6: lengths get longer steps.
            estimate -= gradient * torch.tensor([0.3, 0.3, 0.3, 0.03, 0.03, 0.03]) * 0.93**step
    assert losses[-1] - floor < 0.1 * (losses[0] - floor)
    assert ((estimate - true).abs() < 0.15 * (wrong - true).abs() + 0.005).all()


def test_descending_on_the_depth_finds_the_surface(street, pair):
    """The depth changes in patches, as with a network.

    The loss falls less than the misfit, because trimmed points become matched.
    """
    target, source, source_from_target = pair
    true = target[:, 2:].log()
    correction = 0.1 * torch.randn(1, 1, 5, 14, generator=torch.Generator().manual_seed(1))
    correction.requires_grad_()
    losses = []
    misfits = []
    for step in range(60):
        log_depth = true + F.interpolate(
            correction, size=(street.height, street.width), mode="bilinear", align_corners=True
        )
        loss = loss_of(
            street,
            backproject(log_depth.exp(), street.intrinsics[None]),
            source_from_target,
            source,
        )
        (gradient,) = torch.autograd.grad(loss, correction)
        losses.append(loss.item())
        misfits.append((log_depth - true).abs().mean().item())
        with torch.no_grad():
            correction -= 0.4 * gradient * 0.96**step
    assert losses[-1] < 0.8 * losses[0]
    assert misfits[-1] < 0.6 * misfits[0]


def test_larger_grids_are_subsampled(street, pair):
    """With four times the points, the loss is nearly the same; only some points have gradients."""
    target, source, source_from_target = pair
    finer = F.interpolate(
        target, scale_factor=2, mode="bilinear", align_corners=True
    ).requires_grad_()
    motion = vector(*MOTIONS["everything"]) @ source_from_target
    loss = alignment_loss(
        finer,
        motion,
        source,
        street.intrinsics[None],
        torch.ones_like(finer[:, :1], dtype=torch.bool),
    ).sum()
    torch.testing.assert_close(loss, loss_of(street, target, motion, source), rtol=0.1, atol=0)
    loss.backward()
    assert 0 < finer.grad.any(dim=1).float().mean() < 0.2


def test_the_solver_is_accurate_for_badly_scaled_systems():
    random = torch.Generator().manual_seed(0)
    factors = torch.randn(50, 6, 20, generator=random) * torch.logspace(-1, 1, 6)[:, None]
    matrices = factors @ factors.transpose(1, 2)
    right = torch.randn(50, 6, generator=random)
    exact = torch.linalg.solve(matrices.double(), right.double())
    error = (solve_positive_definite(matrices, right) - exact).norm(dim=1)
    assert float((error / exact.norm(dim=1)).max()) < 1e-4
