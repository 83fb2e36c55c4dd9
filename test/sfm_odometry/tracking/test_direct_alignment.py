"""Direct alignment: recovered motions, brightness, covariance, and rejection of bad results."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.tracking.direct_alignment import AlignmentConfig, refine_motion

WIDTH = 208
HEIGHT = 64
K = np.array([[120.0, 0.0, 103.5], [0.0, 120.0, 31.5], [0.0, 0.0, 1.0]])
# Without a prior, the images alone determine the motion.
NO_PRIOR = {
    "prior_length": 0.0,
    "prior_direction": 0.0,
    "prior_rotation_deg": 0.0,
    "depth_scale_error": 0.0,
}
FREE = AlignmentConfig(
    levels=(1, 0), blocks=(1, 2), iterations=(10, 10), correction_grid=(0, 0), **NO_PRIOR
)
# Planes n . X = d of a corridor: normals n and distances d of floor, walls and a far wall.
PLANES = (((0, 1, 0), 1.6), ((1, 0, 0), 4.0), ((-1, 0, 0), 5.0), ((0, 0.1, 1), 30.0))


def motion(translation, rotation_deg):
    matrix = np.eye(4)
    matrix[:3, :3] = se3.so3_exp(np.radians(np.array(rotation_deg, dtype=float)))
    matrix[:3, 3] = translation
    return matrix


def texture(plane, coordinates):
    """Grey values 0 to 1 of points (2, N) on a plane: waves longer than a pixel.

    Their directions differ from plane to plane.
    """
    phases = np.arange(12).reshape(4, 3) * 1.7 + plane
    waves = np.array([[0.9, 0.3], [-0.4, 1.1], [2.1, 1.3], [-1.6, 2.6]])
    return 0.5 + sum(
        0.11 * np.sin(wave @ coordinates + phase[0])
        for wave, phase in zip(waves, phases, strict=True)
    )


def corridor(world_from_camera):
    """Image (H, W) and depth (H, W) of the corridor from a camera at that pose."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    rays = world_from_camera[:3, :3] @ np.stack(
        [(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)]
    ).reshape(3, -1)
    centre = world_from_camera[:3, 3]
    depth = np.full(u.size, np.inf)
    image = np.full(u.size, 0.5)
    for index, (normal, distance) in enumerate(PLANES):
        slope = np.array(normal) @ rays
        hit = np.where(
            slope > 1e-9, (distance - np.array(normal) @ centre) / np.maximum(slope, 1e-9), np.inf
        )
        points = centre[:, None] + hit * rays
        axes = [axis for axis in range(3) if axis != np.argmax(np.abs(normal))]
        nearer = hit < depth
        image[nearer] = texture(index, points[axes][:, nearer])
        depth[nearer] = hit[nearer]
    return image.reshape(u.shape), depth.reshape(u.shape)


TRUTH = motion((0.05, -0.02, 0.6), (0.2, -0.7, 0.1))
INITIAL = TRUTH @ motion((0.02, 0.01, 0.05), (0.15, 0.2, -0.1))


@pytest.fixture(scope="module")
def scene():
    """Images and depth maps of a camera that moved by TRUTH."""
    previous, depth_previous = corridor(np.eye(4))
    current, depth_current = corridor(TRUTH)
    return {
        "current": torch.from_numpy(current).float(),
        "previous": torch.from_numpy(previous).float(),
        "depth_current": torch.from_numpy(depth_current).float(),
        "depth_previous": torch.from_numpy(depth_previous).float(),
    }


def refine(scene, initial=INITIAL, config=FREE, **changed):
    inputs = {**scene, **changed}
    del inputs["depth_current"]
    return refine_motion(**inputs, intrinsics=K, previous_from_current=initial, config=config)


def errors(result, truth=TRUTH):
    """Errors of the translation, and of the rotation in degrees."""
    rotation = truth[:3, :3].T @ result.previous_from_current[:3, :3]
    translation = np.linalg.norm(truth[:3, 3] - result.previous_from_current[:3, 3])
    return translation, np.degrees(np.linalg.norm(se3.so3_log(rotation)))


def test_recovers_the_motion_from_the_true_depth(scene):
    result = refine(scene)
    assert result.converged and result.reason == ""
    translation, rotation_deg = errors(result)
    assert translation < 0.006 and rotation_deg < 0.02
    assert result.residual_after < 0.6 * result.residual_before
    # The nearest points leave the image.
    assert result.inliers > 0.75 and result.iterations <= 20
    assert np.allclose(
        result.previous_from_current[:3, :3] @ result.previous_from_current[:3, :3].T,
        np.eye(3),
        atol=1e-12,
    )


def test_recovers_the_motion_backwards(scene):
    swapped = {
        "current": scene["previous"],
        "previous": scene["current"],
        "depth_current": scene["depth_previous"],
        "depth_previous": scene["depth_current"],
    }
    translation, rotation_deg = errors(
        refine(swapped, initial=np.linalg.inv(INITIAL)), np.linalg.inv(TRUTH)
    )
    assert translation < 0.006 and rotation_deg < 0.02


def test_gain_and_offset_of_brightness_do_not_matter(scene):
    plain = refine(scene)
    changed = refine(scene, previous=scene["previous"] * 0.7 + 0.12)
    difference = np.linalg.inv(plain.previous_from_current) @ changed.previous_from_current
    assert changed.converged
    assert np.abs(difference - np.eye(4)).max() < 2e-3


def test_moving_part_of_the_image_is_rejected(scene):
    previous = scene["previous"].clone()
    previous[20:50, 60:110] = scene["current"][20:50, 66:116]
    translation, rotation_deg = errors(refine(scene, previous=previous))
    assert translation < 0.03 and rotation_deg < 0.06


def test_pixels_of_weight_zero_have_no_influence(scene):
    """The result is that of the intact image without these pixels."""
    weights = torch.ones(HEIGHT, WIDTH)
    weights[:, 57:153] = 0.0  # With a margin for smoothing and gradients across the edge.
    broken = scene["previous"].clone()
    broken[:, 60:150] = torch.rand(HEIGHT, 90, generator=torch.Generator().manual_seed(0))
    intact = refine(scene, weights=weights)
    masked = refine(scene, previous=broken, weights=weights)
    unmasked = refine(scene, previous=broken)
    assert errors(masked, intact.previous_from_current)[1] < 0.01
    assert errors(masked)[1] < 0.5 * errors(unmasked)[1]


def test_wrong_scale_of_the_depth_scales_the_translation(scene):
    result = refine(scene, depth_previous=scene["depth_previous"] * 1.1)
    assert np.linalg.norm(result.previous_from_current[:3, 3]) == pytest.approx(
        1.1 * np.linalg.norm(TRUTH[:3, 3]), rel=0.02
    )
    assert errors(result)[1] < 0.02


def test_prior_length_and_depth_scale_share_their_difference(scene):
    """One node corrects the whole depth map; with equal sigmas, half goes to each of the two."""
    initial = motion(TRUTH[:3, 3], (0, 0, 0)) @ motion(
        (0, 0, 0), se3.so3_log(TRUTH[:3, :3]) * 180 / np.pi
    )
    sigmas = {
        "prior_length": 0.05,
        "prior_direction": 0.05,
        "prior_rotation_deg": 0.2,
        "correlated_points": 1.0,
    }
    config = replace(
        FREE, correction_grid=(1, 1), correction_near=0.05, correction_far=0.0, **sigmas
    )
    result = refine(scene, initial, config, depth_previous=scene["depth_previous"] * 1.08)
    ratio = np.linalg.norm(result.previous_from_current[:3, 3]) / np.linalg.norm(TRUTH[:3, 3])
    assert 1.03 < ratio < 1.05


def test_depth_correction_prevents_a_rotation_by_wrong_depth(scene):
    """Depth too small on the left and too large on the right looks like a rotation.

    A correction that grows across the image explains it.
    """
    wrong = scene["depth_previous"] * torch.exp(torch.linspace(-0.4, 0.4, WIDTH))
    corrected = replace(
        FREE,
        correction_grid=(2, 3),
        correction_near=0.4,
        correction_far=0.0,
        prior_length=0.05,
        correlated_points=10.0,
    )
    uncorrected = refine(
        scene,
        config=replace(corrected, correction_grid=(0, 0)),
        depth_previous=wrong,
        initial=TRUTH,
    )
    result = refine(scene, config=corrected, depth_previous=wrong, initial=TRUTH)
    assert errors(result)[1] < 0.3 * errors(uncorrected)[1]
    correction, coefficients = result.depth_correction
    corrected_depth = correction.corrected(wrong.numpy(), coefficients)
    before, after = (
        np.abs(np.log(depth / scene["depth_previous"].numpy())).mean()
        for depth in (wrong.numpy(), corrected_depth)
    )
    assert after < 0.5 * before


def test_depth_correction_widens_the_covariance(scene):
    exact, corrected = (
        refine(scene, config=replace(FREE, correction_grid=grid)) for grid in ((0, 0), (3, 5))
    )
    assert np.all(np.diag(corrected.covariance) > np.diag(exact.covariance))


def test_strong_prior_keeps_the_initial_motion(scene):
    config = replace(
        FREE, prior_length=1e-4, prior_direction=1e-4, prior_rotation_deg=1e-4, prior_floor=0.0
    )
    result = refine(scene, config=config)
    assert np.abs(result.previous_from_current - INITIAL).max() < 1e-3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"previous": torch.full((HEIGHT, WIDTH), 0.4)}, "too few points: 0 of"),
        ({"depth_previous": torch.full((HEIGHT, WIDTH), torch.nan)}, "too few points: 0 of"),
        ({"depth_previous": torch.full((HEIGHT, WIDTH), -1.0)}, "too few points: 0 of"),
        ({"depth_previous": torch.full((HEIGHT, WIDTH), torch.inf)}, "too few points: 0 of"),
        ({"weights": torch.zeros(HEIGHT, WIDTH)}, "too few points: 0 of"),
    ],
)
def test_keeps_the_initial_motion_without_usable_points(scene, changed, reason):
    result = refine(scene, **changed)
    assert not result.converged and reason in result.reason
    assert np.array_equal(result.previous_from_current, INITIAL)
    assert np.all(np.linalg.eigvalsh(result.covariance) > 0)


def test_keeps_the_initial_motion_where_the_images_have_nothing_in_common(scene):
    noise = torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    result = refine(scene, previous=noise)
    assert np.array_equal(result.previous_from_current, INITIAL) == (not result.converged)
    assert not result.converged and result.reason


def test_keeps_the_initial_motion_where_the_views_do_not_overlap(scene):
    away = motion((0, 0, 0), (0, 120, 0))
    result = refine(scene, initial=away)
    assert not result.converged and result.reason
    assert np.array_equal(result.previous_from_current, away)


def test_keeps_the_initial_motion_where_the_correction_is_implausible(scene):
    result = refine(scene, config=replace(FREE, max_rotation_deg=0.1))
    assert not result.converged
    assert "implausible correction" in result.reason


def test_never_returns_a_worse_motion(scene):
    result = refine(scene, initial=TRUTH)
    assert result.residual_after <= result.residual_before
    assert errors(result)[1] < 0.02


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.uint8])
def test_dtype_of_the_images_does_not_matter(scene, dtype):
    scale = 255 if dtype is torch.uint8 else 1
    images = {name: (scene[name] * 255).round() / 255 for name in ("current", "previous")}
    expected = refine(scene, **images)
    other = refine(scene, **{name: (image * scale).to(dtype) for name, image in images.items()})
    assert np.abs(other.previous_from_current - expected.previous_from_current).max() < 2e-3


def test_deterministic(scene):
    first = refine(scene)
    second = refine(scene)
    assert np.array_equal(first.previous_from_current, second.previous_from_current)
    assert np.array_equal(first.covariance, second.covariance)


def test_inputs_are_not_changed(scene):
    before = {name: values.clone() for name, values in scene.items()}
    refine(scene)
    assert all(torch.equal(values, before[name]) for name, values in scene.items())


def test_covariance_is_positive_definite_and_grows_where_texture_is_faint(scene):
    noise = 0.01 * torch.randn(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2))
    rich, faint = (
        refine(
            scene,
            current=scene["current"] * contrast + noise[0],
            previous=scene["previous"] * contrast + noise[1],
        )
        for contrast in (1.0, 0.2)
    )
    for result in (rich, faint):
        assert result.converged
        assert np.allclose(result.covariance, result.covariance.T)
        assert np.all(np.linalg.eigvalsh(result.covariance) > 0)
    assert np.all(np.diag(faint.covariance) > 1.5 * np.diag(rich.covariance))


def test_uncertain_depth_scale_widens_the_covariance_along_the_motion(scene):
    exact = refine(scene)
    uncertain = refine(scene, config=replace(FREE, depth_scale_error=0.1))
    grown = uncertain.covariance - exact.covariance
    translation = exact.previous_from_current[:3, :3].T @ exact.previous_from_current[:3, 3]
    assert np.allclose(grown[:3, :3], 0.1**2 * np.outer(translation, translation), atol=1e-5)
    assert abs(grown[3:, 3:]).max() < 1e-12


def test_errors_of_noisy_images_agree_with_the_covariance(scene):
    """Mean normalised squared error near 1 per degree of freedom, with independent errors."""
    generator = torch.Generator().manual_seed(3)
    config = replace(FREE, correlated_points=1.0, depth_error=0.0)
    squared = []
    for _ in range(12):
        noisy = {
            name: scene[name] + 0.03 * torch.randn(HEIGHT, WIDTH, generator=generator)
            for name in ("current", "previous")
        }
        result = refine(scene, config=config, **noisy)
        change = np.linalg.inv(TRUTH) @ result.previous_from_current
        error = np.concatenate([change[:3, 3], se3.so3_log(change[:3, :3])])
        squared.append(error @ np.linalg.solve(result.covariance, error) / 6)
    assert 0.3 < np.mean(squared) < 5.0


@pytest.mark.parametrize(
    "changed",
    [
        {"current": torch.zeros(HEIGHT, WIDTH + 1)},
        {"depth_previous": torch.zeros(1, HEIGHT, WIDTH)},
        {"weights": torch.zeros(2, 2)},
    ],
)
def test_error_names_the_input_of_wrong_shape(scene, changed):
    with pytest.raises(InputError, match=next(iter(changed))):
        refine(scene, **changed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("levels", (1,)),
        ("blocks", (0, 1)),
        ("noise_floor", 0.0),
        ("depth_error", -1.0),
        ("min_inliers", 2.0),
        ("prior_floor", float("nan")),
        ("correction_grid", (-1, 2)),
        ("correction_near", -0.1),
    ],
)
def test_config_refuses_values_out_of_range(name, value):
    with pytest.raises(InputError, match=name):
        replace(AlignmentConfig(), **{name: value})
