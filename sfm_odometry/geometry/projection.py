"""SE(3) and the pinhole projection, batched, in torch.

`b_from_a` is the 4x4 with x_b = b_from_a @ x_a. Cameras are optical frames: x right, y down, z
forward. Pixel centres are integers.
"""

import torch
from torch import Tensor

# No tensor is made from Python numbers here: each would be a copy to the device for which the
# processor has to wait.

MIN_PROJECTION_DEPTH = 1e-3
"""Depth to which nearer points are clamped before the division by z; they are never valid."""


def rotation_from_euler(angles_rad: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) = Rx(a) Ry(b) Rz(c) of Euler angles (..., 3) in radians.

    SfMLearner, section 3.2.
    """
    sin_a, sin_b, sin_c = torch.sin(angles_rad).unbind(-1)
    cos_a, cos_b, cos_c = torch.cos(angles_rad).unbind(-1)
    rows = (
        cos_b * cos_c,
        -cos_b * sin_c,
        sin_b,
        sin_a * sin_b * cos_c + cos_a * sin_c,
        cos_a * cos_c - sin_a * sin_b * sin_c,
        -sin_a * cos_b,
        sin_a * sin_c - cos_a * sin_b * cos_c,
        cos_a * sin_b * sin_c + sin_a * cos_c,
        cos_a * cos_b,
    )
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def transform_from_rotation(rotation: Tensor, translation: Tensor) -> Tensor:
    """Rigid motions [R t; 0 1] (..., 4, 4) of R (..., 3, 3) and t (..., 3)."""
    top = torch.cat([rotation, translation.unsqueeze(-1)], dim=-1)
    bottom = torch.eye(4, dtype=top.dtype, device=top.device)[3:].expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], dim=-2)


def transform_from_vector(vector: Tensor) -> Tensor:
    """Rigid motions (..., 4, 4) of six numbers (..., 6): tx ty tz rx ry rz.

    Angles are in radians, R = Rx Ry Rz.
    """
    return transform_from_rotation(rotation_from_euler(vector[..., 3:]), vector[..., :3])


def invert_transform(b_from_a: Tensor) -> Tensor:
    """Inverse a_from_b (..., 4, 4) = [R^T, -R^T t; 0 1] of rigid motions (..., 4, 4)."""
    rotation = b_from_a[..., :3, :3].transpose(-1, -2)
    translation = -(rotation @ b_from_a[..., :3, 3:]).squeeze(-1)
    return transform_from_rotation(rotation, translation)


def rotation_angle(rotation: Tensor) -> Tensor:
    """Angle in radians (...) of rotations (..., 3, 3), accurate near zero.

    atan2(|axis part|, (trace - 1) / 2).
    """
    skew = rotation - rotation.transpose(-1, -2)
    sine = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1).norm(dim=-1) / 2
    cosine = (rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.atan2(sine, cosine)


def two_numbers(first: float, second: float, like: Tensor) -> Tensor:
    """Tensor (2,) of two numbers, of the type and on the device of `like`.

    It is made on the device, not copied to it.
    """
    return torch.linspace(first, second, 2, dtype=like.dtype, device=like.device)


def pixel_grid(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Homogeneous pixel coordinates (3, H, W), float32: u, v, 1 at integer pixel centres."""
    v, u = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([u, v, torch.ones_like(u)])


def inverse_intrinsics(intrinsics: Tensor) -> Tensor:
    """Closed-form inverse (..., 3, 3) of camera matrices (..., 3, 3) without skew."""
    fx = intrinsics[..., 0, 0]
    fy = intrinsics[..., 1, 1]
    cx = intrinsics[..., 0, 2]
    cy = intrinsics[..., 1, 2]
    zero = torch.zeros_like(fx)
    one = torch.ones_like(fx)
    entries = (1 / fx, zero, -cx / fx, zero, 1 / fy, -cy / fy, zero, zero, one)
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def backproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Points (B, 3, H, W) = D(p) K^-1 p in the camera's optical frame.

    depth: (B, 1, H, W) along z; intrinsics: (B, 3, 3). The depth is necessary: a pixel alone is a
    ray, which no translation could move.
    """
    grid = pixel_grid(depth.shape[-2], depth.shape[-1], depth.device).to(depth.dtype)
    rays = torch.einsum("bij,jhw->bihw", inverse_intrinsics(intrinsics), grid)
    return depth * rays


def backproject_into(projection: Tensor, depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Points (B, 3, H, W) = R D(p) K^-1 p + t with `projection` [R t] (B, 3, 4).

    The same as backproject and transform_points, in fewer passes. The rays R K^-1 p are linear in u
    and in v: one vector for each column and one for each row, broadcast over the image by one
    addition.
    """
    rotation = projection[:, :, :3] @ inverse_intrinsics(intrinsics)
    u = torch.arange(depth.shape[-1], device=depth.device, dtype=depth.dtype)
    v = torch.arange(depth.shape[-2], device=depth.device, dtype=depth.dtype)
    columns = rotation[:, :, 0, None] * u + rotation[:, :, 2, None]
    rows = rotation[:, :, 1, None] * v
    return (depth * (columns[:, :, None, :] + rows[..., None])).add_(
        projection[:, :, 3, None, None]
    )


def transform_points(b_from_a: Tensor, points_a: Tensor) -> Tensor:
    """Points (B, 3, H, W) of frame a in frame b, with b_from_a (B, 4, 4)."""
    rotated = torch.einsum("bij,bjhw->bihw", b_from_a[:, :3, :3], points_a)
    return rotated + b_from_a[:, :3, 3, None, None]


def project(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Pixels (B, 2, H, W) of points (B, 3, H, W): u = fx X/Z + cx, v = fy Y/Z + cy.

    Z is clamped in front of the camera.
    """
    z = points[:, 2:].clamp_min(MIN_PROJECTION_DEPTH)
    focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=-1)[..., None, None]
    centre = intrinsics[:, :2, 2, None, None]
    return points[:, :2] / z * focal + centre
