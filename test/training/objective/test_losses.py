import math

import pytest
import torch

from sfm_odometry.geometry.projection import transform_from_vector
from training.objective.losses import (
    depth_inconsistency,
    divided_by_mean,
    edge_aware_smoothness,
    explainability_regulariser,
    l1_error,
    log_depth_error,
    mask_error,
    mask_log_odds,
    masked_mean,
    motion_error,
    photometric_error,
    second_order_smoothness,
    ssim_error,
)


def images(seed=0, size=(2, 1, 6, 7)):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_masked_mean_does_not_depend_on_the_size_of_the_mask():
    values = torch.full((1, 1, 4, 4), 3.0)
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    assert masked_mean(values, mask) == 0
    mask[..., 0, 0] = True
    assert masked_mean(values, mask) == pytest.approx(3.0)


def test_l1_averages_over_channels():
    difference = torch.tensor([0.1, -0.2, 0.3]).view(1, 3, 1, 1)
    assert l1_error(difference, torch.zeros(1, 3, 1, 1)).item() == pytest.approx(0.2)


def test_ssim_by_its_definition_at_one_pixel():
    x = images(1)
    y = images(2)
    window_x = x[0, 0, 1:4, 2:5].flatten()
    window_y = y[0, 0, 1:4, 2:5].flatten()
    mu_x = window_x.mean()
    mu_y = window_y.mean()
    var_x = ((window_x - mu_x) ** 2).mean()
    var_y = ((window_y - mu_y) ** 2).mean()
    covariance = ((window_x - mu_x) * (window_y - mu_y)).mean()
    c1 = 0.01**2
    c2 = 0.03**2
    ssim = (
        (2 * mu_x * mu_y + c1)
        * (2 * covariance + c2)
        / ((mu_x**2 + mu_y**2 + c1) * (var_x + var_y + c2))
    )
    assert ssim_error(x, y)[0, 0, 2, 3].item() == pytest.approx(
        ((1 - ssim) / 2).clamp(0, 1).item(), abs=1e-9
    )


def test_equal_images_have_no_error():
    assert photometric_error(images(), images(), 0.85).max() < 1e-9


def test_second_order_smoothness_of_a_plane_is_zero():
    v, u = torch.meshgrid(torch.arange(5.0), torch.arange(6.0), indexing="ij")
    assert second_order_smoothness((0.1 + 0.02 * u + 0.03 * v)[None, None]) == pytest.approx(
        0.0, abs=1e-6
    )
    spike = torch.zeros(1, 1, 3, 3)
    spike[..., 1, 1] = 1.0
    # dxx and dyy: |-2| once among 3 values each; dxy and dyx: |+-1| at all four places.
    assert second_order_smoothness(spike).item() == pytest.approx(2 / 3 + 2 / 3 + 1 + 1)


def test_edge_aware_smoothness_is_low_at_image_edges_and_independent_of_scale():
    step = torch.where(torch.arange(6) < 3, 1.0, 2.0).expand(1, 1, 4, 6)
    flat = torch.zeros(1, 1, 4, 6)
    assert edge_aware_smoothness(step, step * 5) < edge_aware_smoothness(step, flat) * math.exp(
        -4.9
    )
    assert torch.allclose(divided_by_mean(step * 7), divided_by_mean(step))
    assert divided_by_mean(torch.cat([step, 3 * step])).mean(
        dim=(1, 2, 3)
    ).tolist() == pytest.approx([1.0, 1.0])


def test_the_regulariser_is_cross_entropy_against_one():
    logits = torch.tensor([0.0, math.log(3.0)]).view(1, 1, 2, 1, 1)
    assert explainability_regulariser(mask_log_odds(logits)).item() == pytest.approx(
        -math.log(0.75)
    )


def test_depth_error_is_the_mean_log_ratio_of_known_pixels():
    truth = torch.tensor([2.0, 0.0, torch.inf]).view(1, 1, 1, 3)
    inverse_depth = torch.tensor([1.0, 9.0, 0.01]).view(1, 1, 1, 3)
    expected = (
        math.log(2.0) + math.log(2.0)
    ) / 2  # 1 against 1/2; unknown left out; 0.01 against the floor 0.005
    assert log_depth_error(inverse_depth, truth, floor=0.005).item() == pytest.approx(expected)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_an_error_of_the_scale_alone_counts_by_its_weight(weight):
    truth = torch.rand(2, 1, 8, 9, generator=torch.Generator().manual_seed(4)) * 9.0 + 1.0
    truth[0, :, :3] = 0.0  # unknown
    inverse_depth = 1.3 / truth.clamp_min(0.5)
    error = log_depth_error(inverse_depth, truth, 0.005, scale_weight=weight)
    assert error.tolist() == pytest.approx([weight * math.log(1.3)] * 2, abs=1e-5)


def test_without_the_scale_an_error_is_that_from_its_mean():
    """Half of the known pixels are twice as near, half of them half as near."""
    truth = torch.full((1, 1, 4, 6), 4.0)
    factor = torch.ones(1, 1, 4, 6)
    factor[..., :3] = 2.0
    factor[..., 3:] = 0.5
    error = log_depth_error(factor * 3.0 / truth, truth, 0.005, scale_weight=0.0)
    assert error.item() == pytest.approx(math.log(2.0))


def test_motion_error_counts_lengths_and_angles():
    true = transform_from_vector(torch.tensor([0.1, 0.0, 1.0, 0.0, 0.02, 0.0]))
    estimated = transform_from_vector(torch.tensor([0.1, 0.0, 1.3, 0.0, 0.03, 0.0]))
    assert motion_error(estimated[None], true[None], rotation_weight=10.0).item() == pytest.approx(
        0.3 + 10 * math.sin(0.01), rel=1e-4
    )
    assert motion_error(true[None], true[None], 10.0).item() == pytest.approx(0.0, abs=1e-6)


def test_inconsistency_is_zero_for_equal_depths_and_grows_with_their_ratio():
    near = torch.full((1, 1, 2, 2), 2.0)
    far = torch.full((1, 1, 2, 2), 6.0)
    assert depth_inconsistency(near, near).max() == 0
    assert depth_inconsistency(near, far)[0, 0, 0, 0].item() == pytest.approx(0.5)
    assert torch.equal(depth_inconsistency(near * 7, far * 7), depth_inconsistency(far, near))


def test_every_term_has_one_independent_value_per_item():
    x = images(3, (3, 1, 6, 7)) + 0.5
    other = images(6, (3, 1, 6, 7))
    logits = torch.stack([x, other], dim=2)
    motions = transform_from_vector(
        torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(0))
    )
    terms = [
        (masked_mean, (x, other > 0.5)),
        (second_order_smoothness, (x,)),
        (edge_aware_smoothness, (x, other)),
        (lambda a: divided_by_mean(a).flatten(1).amax(1), (x,)),
        (lambda a: explainability_regulariser(mask_log_odds(a)), (logits,)),
        (mask_error, (logits, (other > 0.5).float())),
        (lambda a, b: log_depth_error(a, b, 0.01), (x, other)),
        (lambda a, b: motion_error(a, b, 10.0), (motions, motions.flip(0))),
    ]
    for term, inputs in terms:
        together = term(*inputs)
        alone = torch.cat(
            [term(*(value[index : index + 1] for value in inputs)) for index in range(3)]
        )
        assert together.shape == (3,)
        assert torch.allclose(together, alone)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: photometric_error(x, images(5), 0.85).mean(),
        lambda x: second_order_smoothness(x),
        lambda x: edge_aware_smoothness(divided_by_mean(x + 0.5), images(6)),
        lambda x: log_depth_error(x + 0.5, images(7) + 1, 0.01),
    ],
)
def test_gradients_match_finite_differences(loss):
    assert torch.autograd.gradcheck(loss, images(3).requires_grad_(), eps=1e-7, atol=1e-4)
