"""Small changes of intrinsics, and images resampled to those of another focus."""

import numpy as np
import pytest

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.focus import describe_change, intrinsics_change, warp_to_intrinsics

CAMERA = Intrinsics(300.0, 310.0, 99.5, 49.5, 200, 100)


def scene(camera: Intrinsics) -> np.ndarray:
    """Image (H, W, 1) of a smooth pattern of rays."""
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    values = 128 + 60 * np.sin(25 * x)[None, :] + 60 * np.cos(30 * y)[:, None]
    return np.rint(values).astype(np.uint8)[..., None]


@pytest.mark.parametrize("change", [(3.0, 3.1, 0, 0), (-5, -5, 2, -1), (0, 0, -3.5, 2.5)])
def test_each_ray_keeps_its_value(change: tuple[float, ...]) -> None:
    numbers = [a + b for a, b in zip((300.0, 310.0, 99.5, 49.5), change, strict=True)]
    own = Intrinsics(*numbers, 200, 100)
    warped = warp_to_intrinsics(scene(own), own, CAMERA)
    difference = np.abs(warped.astype(int) - scene(CAMERA).astype(int))[8:-8, 8:-8]
    assert warped.shape == (100, 200, 1) and difference.max() <= 2


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (Intrinsics(304.0, 310.0, 99.5, 49.5, 200, 100), 0.02),
        (Intrinsics(300.0, 310.0, 97.5, 50.5, 200, 100), 0.01),
        (Intrinsics(300.0, 310.0, 99.5, 49.5, 100, 100), np.inf),
        (CAMERA, 0.0),
    ],
)
def test_the_change_is_a_share_of_the_width(other: Intrinsics, share: float) -> None:
    assert intrinsics_change(CAMERA, other) == pytest.approx(share)


def test_the_change_is_described_by_its_largest_number() -> None:
    assert describe_change(CAMERA, Intrinsics(301, 312, 99.5, 49.5, 200, 100)) == "fy 310 to 312"
    assert "size 200x100 to 100x50" in describe_change(CAMERA, CAMERA.resized(100, 50))
