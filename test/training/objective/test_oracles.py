"""Geometry and losses against independent implementations: kornia, scikit-image and SciPy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

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
from sfm_odometry.geometry.view_synthesis import sample_at, synthesise_view
from training.evaluate.alignment import umeyama
from training.objective.icp import align_clouds
from training.objective.losses import edge_aware_smoothness, ssim_error

# With a sourced ROS 2 they are not installed (see tools/setup_environment.py for the reason).
kornia = pytest.importorskip("kornia", reason="kornia is not installed")
skimage_metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
skimage_transform = pytest.importorskip("skimage.transform", reason="scikit-image is not installed")
scipy_ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
scipy_spatial = pytest.importorskip("scipy.spatial", reason="SciPy is not installed")

HEIGHT, WIDTH = 24, 40
DEGREE = torch.pi / 180


@pytest.fixture
def random():
    return torch.Generator().manual_seed(7)


@pytest.fixture
def views(random):
    """A smooth source (B, 3, H, W), depth, motion and two different cameras."""
    source = F.interpolate(
        torch.rand(2, 3, 8, 10, generator=random), size=(HEIGHT, WIDTH), mode="bicubic"
    )
    depth = 4 + 10 * F.interpolate(
        torch.rand(2, 1, 4, 5, generator=random), size=(HEIGHT, WIDTH), mode="bilinear"
    )
    motion = transform_from_vector(
        torch.tensor([[0.1, -0.05, 0.6, 0.01, 0.04, -0.02], [-0.3, 0.1, -0.9, 0.0, -0.05, 0.03]])
    )
    wide = [[30.0, 0.0, 19.0], [0.0, 32.0, 11.0], [0.0, 0.0, 1.0]]
    narrow = [[45.0, 0.0, 21.5], [0.0, 44.0, 12.5], [0.0, 0.0, 1.0]]
    return source, depth, motion, torch.tensor([wide, narrow])


def test_view_synthesis_equals_kornias(views):
    source, depth, motion, intrinsics = views
    ours = synthesise_view(source, depth, motion, intrinsics)
    theirs = kornia.geometry.depth.warp_frame_depth(source, depth, motion, intrinsics)
    valid = ours.valid.expand_as(theirs)
    assert 0.5 < valid.float().mean() < 0.99
    torch.testing.assert_close(ours.image[valid], theirs[valid], atol=1e-5, rtol=1e-5)


def test_gradients_of_view_synthesis_equal_kornias(views):
    source, depth, motion, intrinsics = views
    valid = synthesise_view(source, depth, motion, intrinsics).valid
    gradients = []
    for warp in (
        lambda *view: synthesise_view(*view).image,
        kornia.geometry.depth.warp_frame_depth,
    ):
        inputs = [tensor.clone().requires_grad_() for tensor in (source, depth, motion, intrinsics)]
        gradients.append(torch.autograd.grad((warp(*inputs) * valid).square().sum(), inputs))
    for name, ours, theirs in zip(("source", "depth", "motion"), *gradients, strict=False):
        torch.testing.assert_close(
            ours, theirs, atol=1e-3, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )
    for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)):
        torch.testing.assert_close(
            gradients[0][3][:, row, column], gradients[1][3][:, row, column], atol=1e-3, rtol=1e-3
        )


def test_points_and_pixels_equal_kornias(views):
    _, depth, motion, intrinsics = views
    points = transform_points(motion, backproject(depth, intrinsics))
    grid = kornia.utils.create_meshgrid(HEIGHT, WIDTH, normalized_coordinates=False).expand(
        2, -1, -1, -1
    )
    cameras = intrinsics[:, None, None]
    theirs = kornia.geometry.camera.unproject_points(grid, depth.permute(0, 2, 3, 1), cameras)
    theirs = kornia.geometry.linalg.transform_points(motion[:, None], theirs)
    torch.testing.assert_close(points.permute(0, 2, 3, 1), theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        project(points, intrinsics).permute(0, 2, 3, 1),
        kornia.geometry.camera.project_points(theirs, cameras),
        atol=1e-4,
        rtol=1e-5,
    )


def test_inverses_equal_kornias_and_linear_algebra(views):
    _, _, motion, intrinsics = views
    torch.testing.assert_close(
        invert_transform(motion), kornia.geometry.linalg.inverse_transformation(motion)
    )
    torch.testing.assert_close(inverse_intrinsics(intrinsics), torch.linalg.inv(intrinsics))


def test_euler_angles_turn_about_x_then_y_then_z_of_the_turned_axes(random):
    angles = (torch.rand(50, 3, generator=random) - 0.5) * 100 * DEGREE
    about = [
        kornia.geometry.axis_angle_to_rotation_matrix(angles * torch.eye(3)[axis])
        for axis in range(3)
    ]
    torch.testing.assert_close(
        rotation_from_euler(angles), about[0] @ about[1] @ about[2], atol=1e-5, rtol=0
    )
    # kornia's roll, pitch and yaw are Rz Ry Rx: the transpose of ours with the angles' signs turned
    # round.
    quaternion = torch.stack(
        kornia.geometry.conversions.quaternion_from_euler(*(-angles).unbind(1)), dim=1
    )
    theirs = kornia.geometry.conversions.quaternion_to_rotation_matrix(quaternion)
    torch.testing.assert_close(
        rotation_from_euler(angles), theirs.transpose(1, 2), atol=1e-5, rtol=0
    )


def test_rotation_angles_equal_kornias(random):
    rotation = rotation_from_euler((torch.rand(50, 3, generator=random) - 0.5) * 2)
    theirs = kornia.geometry.conversions.rotation_matrix_to_axis_angle(rotation).norm(dim=1)
    torch.testing.assert_close(rotation_angle(rotation), theirs, atol=1e-5, rtol=1e-5)


def test_sampling_equals_scipys(random):
    image = torch.rand(1, 1, HEIGHT, WIDTH, generator=random, dtype=torch.float64)
    pixels = (
        torch.rand(1, 2, 30, 30, generator=random, dtype=torch.float64)
        * torch.tensor([WIDTH + 3, HEIGHT + 3])[:, None, None]
        - 2
    )
    theirs = scipy_ndimage.map_coordinates(
        image[0, 0].numpy(), pixels[0].flip(0).numpy(), order=1, mode="nearest"
    )
    np.testing.assert_allclose(sample_at(image, pixels)[0, 0].numpy(), theirs, atol=1e-9)


def test_ssim_equals_scikit_images(random):
    """With 3x3 box means and the windows' own variances; only our border is reflected."""
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=random, dtype=torch.float64)
    other = (image + 0.2 * torch.randn(image.shape, generator=random, dtype=torch.float64)).clamp(
        0, 1
    )
    options = {
        "win_size": 3,
        "gaussian_weights": False,
        "use_sample_covariance": False,
        "data_range": 1.0,
        "full": True,
    }
    maps = [
        skimage_metrics.structural_similarity(image[0, c].numpy(), other[0, c].numpy(), **options)[
            1
        ]
        for c in range(3)
    ]
    theirs = np.clip((1 - np.stack(maps)) / 2, 0, 1).mean(axis=0)
    np.testing.assert_allclose(
        ssim_error(image, other)[0, 0, 1:-1, 1:-1].numpy(), theirs[1:-1, 1:-1], atol=1e-9
    )


def test_the_means_of_ssim_equal_kornias_box_blur(random):
    image, other = torch.rand(2, 2, 1, HEIGHT, WIDTH, generator=random, dtype=torch.float64)
    mean = [
        kornia.filters.box_blur(values, 3, "reflect")
        for values in (image, other, image**2, other**2, image * other)
    ]
    covariance = mean[4] - mean[0] * mean[1]
    variances = mean[2] - mean[0] ** 2 + mean[3] - mean[1] ** 2
    ssim = (
        (2 * mean[0] * mean[1] + 1e-4)
        * (2 * covariance + 9e-4)
        / ((mean[0] ** 2 + mean[1] ** 2 + 1e-4) * (variances + 9e-4))
    )
    torch.testing.assert_close(
        ssim_error(image, other), ((1 - ssim) / 2).clamp(0, 1), atol=1e-9, rtol=0
    )


def test_edge_aware_smoothness_equals_kornias(random):
    inverse_depth = torch.rand(1, 1, HEIGHT, WIDTH, generator=random)
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=random)
    theirs = kornia.losses.inverse_depth_smoothness_loss(inverse_depth, image)
    torch.testing.assert_close(edge_aware_smoothness(inverse_depth, image)[0], theirs)


@pytest.mark.parametrize("with_scale", [True, False])
def test_trajectory_alignment_equals_scikit_images(with_scale):
    rng = np.random.default_rng(3)
    pred = np.cumsum(rng.normal(size=(60, 3)), axis=0)
    rotation = rotation_from_euler(torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64)).numpy()
    gt = (
        (1.7 if with_scale else 1.0) * pred @ rotation.T
        + [4.0, -2.0, 9.0]
        + 0.1 * rng.normal(size=(60, 3))
    )
    ours = umeyama(gt, pred, with_scale=with_scale)
    theirs = (
        skimage_transform.SimilarityTransform
        if with_scale
        else skimage_transform.EuclideanTransform
    )(dimensionality=3)
    assert theirs.estimate(pred, gt)
    np.testing.assert_allclose(ours.scale * ours.rotation, theirs.params[:3, :3], atol=1e-9)
    np.testing.assert_allclose(ours.translation, theirs.params[:3, 3], atol=1e-9)


def test_icp_matches_equal_a_k_d_trees_nearest_neighbours(street):
    """The search in a small window of the grid nearly always finds the nearest point.

    Otherwise it finds one that is hardly farther.
    """
    reference = street.cloud(torch.eye(4)[None])
    motion = transform_from_vector(torch.tensor([[0.1, 0.0, 0.3, 0.005, 0.02, 0.0]]))
    everywhere = torch.ones(1, 1, street.height, street.width, dtype=torch.bool)
    target = transform_points(
        motion, street.cloud(transform_from_vector(torch.tensor([[0.0, 0.0, 0.8, 0.0, 0.01, 0.0]])))
    )
    found = align_clouds(target, everywhere, reference, everywhere, street.intrinsics[None])
    moved = transform_points(found.motion, target).flatten(2)[0].T[found.matched.flatten()]
    nearest = torch.from_numpy(
        scipy_spatial.cKDTree(reference.flatten(2)[0].T.numpy()).query(moved.numpy())[0]
    ).float()
    ours = found.residuals.flatten(2)[0].T[found.matched.flatten()].norm(dim=1)
    assert (ours >= nearest - 1e-4).all()
    assert (ours <= nearest + 1e-4).float().mean() > 0.9
    assert ours.mean() < 1.1 * nearest.mean()
