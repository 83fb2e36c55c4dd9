"""Synthetic images of a camera that drives through an endless corridor, drawn in milliseconds."""

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics

# KITTI odometry 00 to 02, rectified.
CAMERA = Intrinsics(fx=718.856, fy=718.856, cx=607.1928, cy=185.2157, width=1241, height=376)
STEP_M = 0.5
"""Distance from one frame to the next."""
CAMERA_HEIGHT_M = 1.65
"""Height of the camera over the road."""
HALF_WIDTH_M = 6.0
"""Distance from the camera to the wall at either side."""
WALL_HEIGHT_M = 4.0
"""Height of the walls over the camera."""
HAZE_M = 25.0
"""Depth at which haze leaves 1/e of the contrast."""
MAX_DEPTH_M = 1e3
TEXTURE_PIXELS = 1024
TEXTURE_PIXELS_PER_M = 40.0
"""Resolution of the texture across the direction of travel."""
TINTS = np.array([[0.8, 0.85, 0.9], [0.95, 0.85, 0.7]], np.float32)
"""RGB of the road and of the walls."""


def render_corridor(camera: Intrinsics, count: int, seed: int = 0) -> list[np.ndarray]:
    """Returns `count` uint8 RGB images (H, W, 3) of a camera driving STEP_M a frame straight ahead.

    The first image follows on the last without a seam.
    """
    # Geometry and haze, which are the same in every frame.
    depth, across, surface = _surfaces(camera)
    metres_along = count * STEP_M  # one repetition of the texture
    pixels_along = TEXTURE_PIXELS / metres_along
    texture = periodic_noise(TEXTURE_PIXELS, seed)
    haze = np.exp(-depth / HAZE_M)[..., None] * (surface >= 0)[..., None]
    tint = TINTS[np.maximum(surface, 0)]

    # Move the texture along the corridor, frame by frame.
    images = []
    for index in range(count):
        along = (depth + index * STEP_M) * pixels_along
        grey = cv2.remap(
            texture,
            along.astype(np.float32),
            across * TEXTURE_PIXELS_PER_M,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
        colours = (0.75 + haze * (grey[..., None] * tint - 0.75)) * 255.0
        images.append(np.clip(colours, 0.0, 255.0).astype(np.uint8))
    return images


def periodic_noise(size: int, seed: int) -> np.ndarray:
    """Returns periodic float32 noise (size, size) in [0, 1], of large and small shapes."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size))) * size
    spectrum = (
        np.fft.fft2(np.random.default_rng(seed).standard_normal((size, size)))
        / (4.0 + frequency) ** 1.5
    )
    noise = np.real(np.fft.ifft2(spectrum))
    return np.clip(0.5 + noise / (5.0 * noise.std()), 0.0, 1.0).astype(np.float32)


def _surfaces(camera: Intrinsics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns depth, texture coordinate and surface of each pixel, all (H, W).

    Depth along z in metres; texture coordinate across the direction of travel in metres; surface 0
    for road, 1 for wall, -1 for sky.
    """
    x = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    y = ((np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.fy)[:, None]
    with np.errstate(divide="ignore"):
        road_depth = np.where(y > 0, CAMERA_HEIGHT_M / y, np.inf)
        wall_depth = HALF_WIDTH_M / np.abs(x)[None]
    depth = np.minimum(np.minimum(road_depth, wall_depth), MAX_DEPTH_M).astype(np.float32)
    on_wall = wall_depth < road_depth
    across = np.where(on_wall, y * depth + np.sign(x) * 9.0, x * depth).astype(np.float32)
    sky = (on_wall & (y * depth < -WALL_HEIGHT_M)) | (depth >= MAX_DEPTH_M)
    return depth, across, np.where(sky, -1, on_wall.astype(int))
