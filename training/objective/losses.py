"""Terms of the objectives, each a pure function of tensors.

Images are (B, C, H, W), maps (B, 1, H, W); compared tensors may broadcast. Every term is (B,): one
value for each item of the batch, independent of the other items. A masked mean divides by the sum
of the mask: a smaller mask alone does not make the loss smaller.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2


def item_mean(values: Tensor) -> Tensor:
    """Returns the mean (B,) of each item of values (B, ...)."""
    return values.reshape(len(values), -1).mean(1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Returns sum(m v) / sum(m) of each item, (B,); 0 where an item's mask is empty.

    mask: broadcasts against `values` (B, ...).
    """
    weights = mask.to(values.dtype).expand_as(values)
    return (values * weights).flatten(1).sum(1) / weights.flatten(1).sum(1).clamp_min(1e-6)


def l1_error(image: Tensor, other: Tensor) -> Tensor:
    """Computes |I - J| averaged over the channels, (..., 1, H, W)."""
    return (image - other).abs().sum(dim=-3, keepdim=True) / image.shape[-3]


def ssim_error(image: Tensor, other: Tensor) -> Tensor:
    """Computes clip((1 - SSIM) / 2, 0, 1) averaged over the channels, (..., 1, H, W).

    SSIM = (2 mu_x mu_y + C1)(2 cov_xy + C2) / ((mu_x^2 + mu_y^2 + C1)(var_x + var_y + C2)) of
    images in [0, 1] (Wang et al. 2004), with 3x3 box means. Borders are reflected.
    """
    mu_x = _box_mean(image)
    mu_y = _box_mean(other)
    mu_xx = mu_x * mu_x
    mu_yy = mu_y * mu_y
    mu_xy = mu_x * mu_y
    variances = (_box_mean(image * image) - mu_xx) + (_box_mean(other * other) - mu_yy)
    numerator = (2 * mu_xy + SSIM_C1) * (2 * (_box_mean(image * other) - mu_xy) + SSIM_C2)
    denominator = (mu_xx + mu_yy + SSIM_C1) * (variances + SSIM_C2)
    return ((1 - numerator / denominator) / 2).clamp(0, 1).mean(dim=-3, keepdim=True)


def _box_mean(values: Tensor) -> Tensor:
    """Returns 3x3 means of images (..., C, H, W), reflected at the border."""
    padded = F.pad(values.flatten(0, -4), (1, 1, 1, 1), mode="reflect")
    return F.avg_pool2d(padded, 3, stride=1).unflatten(0, values.shape[:-3])


def photometric_error(image: Tensor, other: Tensor, ssim_weight: float) -> Tensor:
    """Computes (1 - w) |I - J| + w (1 - SSIM) / 2 of each pixel, (..., 1, H, W).

    w = 0 is SfMLearner's L1; w = 0.15 corresponds to vid2depth's alpha and omega.
    """
    error = l1_error(image, other)
    if ssim_weight == 0.0:
        return error
    return (1 - ssim_weight) * error + ssim_weight * ssim_error(image, other)


def divided_by_mean(inverse_depth: Tensor) -> Tensor:
    """Returns inverse depth (B, 1, H, W) divided by its mean in each image.

    Its smoothness cannot be lowered by shrinking the scene (Wang et al., CVPR 2018).
    """
    return inverse_depth / inverse_depth.mean(dim=(2, 3), keepdim=True).clamp_min(1e-7)


def second_order_smoothness(inverse_depth: Tensor) -> Tensor:
    """Computes the mean L1 (B,) of all four second derivatives of inverse depth (B, 1, H, W).

    (Zhou et al. 2017, section 3.2.)
    """
    dx = inverse_depth[..., :, 1:] - inverse_depth[..., :, :-1]
    dy = inverse_depth[..., 1:, :] - inverse_depth[..., :-1, :]
    dxx = dx[..., :, 1:] - dx[..., :, :-1]
    dxy = dx[..., 1:, :] - dx[..., :-1, :]
    dyy = dy[..., 1:, :] - dy[..., :-1, :]
    # The mixed derivative counts twice: d/dy d/dx is d/dx d/dy.
    return item_mean(dxx.abs()) + 2 * item_mean(dxy.abs()) + item_mean(dyy.abs())


def edge_aware_smoothness(rho: Tensor, image: Tensor) -> Tensor:
    """Computes the mean (B,) of |d_x rho| exp(-|d_x I|) + |d_y rho| exp(-|d_y I|).

    rho: inverse depth (B, 1, H, W); image: I (B, C, H, W) (Mahjourian et al. 2018, equation 10).
    """
    image_dx = (image[..., :, 1:] - image[..., :, :-1]).abs().mean(dim=1, keepdim=True)
    image_dy = (image[..., 1:, :] - image[..., :-1, :]).abs().mean(dim=1, keepdim=True)
    rho_dx = (rho[..., :, 1:] - rho[..., :, :-1]).abs()
    rho_dy = (rho[..., 1:, :] - rho[..., :-1, :]).abs()
    return item_mean(rho_dx * torch.exp(-image_dx)) + item_mean(rho_dy * torch.exp(-image_dy))


def mask_log_odds(logits: Tensor) -> Tensor:
    """Returns the log odds (B, S, 1, H, W) that a pixel is explainable.

    logits: of the masks (B, S, 2, H, W); a softmax over two is the sigmoid of their difference.
    """
    unexplainable, explainable = logits.split(1, dim=2)
    return (explainable - unexplainable).contiguous()


def explainability_regulariser(log_odds: Tensor) -> Tensor:
    """Computes the cross-entropy (B,) of the masks' log odds (B, S, 1, H, W) against 1: L_reg.

    Without it the masks would exclude every pixel (Zhou et al. 2017, section 3.3).
    """
    return item_mean(F.softplus(-log_odds))


def depth_inconsistency(transformed: Tensor, sampled: Tensor) -> Tensor:
    """Computes |z' - D_s(p')| / (z' + D_s(p')) of each pixel, 0 to 1 (Bian et al. 2019, eq. 5).

    transformed: z' (B, 1, H, W), depth of the target's points in the source camera. sampled:
    D_s(p') (B, 1, H, W), the source's own depth at their projections.
    """
    return (transformed - sampled).abs() / (transformed + sampled)


def mask_error(logits: Tensor, moving: Tensor) -> Tensor:
    """Computes the cross-entropy (B,) of the masks' logits (B, S, 2, H, W) against the truth.

    moving: (B, 1, H, W), 1 on independently moving objects, where the mask should be 0.
    """
    target = (moving < 0.5).long().expand(-1, logits.shape[1], -1, -1)
    return item_mean(F.cross_entropy(logits.transpose(1, 2), target, reduction="none"))


def log_depth_error(
    inverse_depth: Tensor, true_depth: Tensor, floor: float, scale_weight: float = 1.0
) -> Tensor:
    """Computes the mean (B,) of |e - (1 - w) mean(e)|, e = log rho - log rho*, in each image.

    Pixels of unknown depth (0) are left out. w: scale_weight; with 0, an error of the scale of the
    whole image costs nothing (Eigen et al. 2014, eq. 4). inverse_depth: rho (B, 1, H, W).
    true_depth: (B, 1, H, W), 1 / rho*. floor: minimum of rho*, which replaces an infinite depth.
    """
    known = true_depth > 0
    target = (1.0 / true_depth.clamp_min(1e-3)).clamp_min(floor)
    error = inverse_depth.log() - target.log()
    if scale_weight != 1.0:
        error = error - (1.0 - scale_weight) * masked_mean(error, known)[:, None, None, None]
    return masked_mean(error.abs(), known)


def motion_error(estimated: Tensor, true: Tensor, rotation_weight: float) -> Tensor:
    """Computes the mean (B,) over motions (B, ..., 4, 4) of the error against the true ones.

    The error is |t - t*|_1 + w |vee(R*^T R - R^T R*) / 2|_1, with lengths in the data's unit and
    angles in radians; w: rotation_weight.
    """
    translation = (estimated[..., :3, 3] - true[..., :3, 3]).abs().sum(-1)
    relative = true[..., :3, :3].transpose(-1, -2) @ estimated[..., :3, :3]
    skew = (relative - relative.transpose(-1, -2)) / 2
    rotation = skew[..., 2, 1].abs() + skew[..., 0, 2].abs() + skew[..., 1, 0].abs()
    return item_mean(translation + rotation_weight * rotation)
