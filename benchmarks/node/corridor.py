"""Moving textured images for a benchmark: a camera drives through a corridor without end, drawn
in milliseconds."""

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics

CAMERA = Intrinsics(
    718.856, 718.856, 607.1928, 185.2157, 1241, 376
)  # KITTI odometry 00 to 02, rectified
STEP_M = 0.5
HEIGHT_M, HALF_WIDTH_M, WALL_M = 1.65, 6.0, 4.0
"""The camera over the road, the walls beside it, and their height over the camera."""
HAZE_M = 25.0
TEXTURE_PIXELS = 1024
TINTS = np.array([[0.8, 0.85, 0.9], [0.95, 0.85, 0.7]], np.float32)
"""RGB of the road and of the walls."""


def corridor(camera: Intrinsics, count: int, seed: int = 0) -> list[np.ndarray]:
    """uint8 RGB (H, W, 3) of a camera that drives STEP_M a frame straight ahead; the first
    follows on the last without a seam."""
    depth, across, surface = _surfaces(camera)
    metres_along = count * STEP_M  # one repetition of the texture
    pixels_along = TEXTURE_PIXELS / metres_along
    texture = periodic_noise(TEXTURE_PIXELS, seed)
    haze = np.exp(-depth / HAZE_M)[..., None] * (surface >= 0)[..., None]
    tint = TINTS[np.maximum(surface, 0)]
    images = []
    for index in range(count):
        along = (depth + index * STEP_M) * pixels_along
        grey = cv2.remap(
            texture,
            along.astype(np.float32),
            across * 40.0,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
        colours = (0.75 + haze * (grey[..., None] * tint - 0.75)) * 255.0
        images.append(np.clip(colours, 0.0, 255.0).astype(np.uint8))
    return images


def periodic_noise(size: int, seed: int) -> np.ndarray:
    """float32 (size, size) in [0, 1] with large shapes and small ones, which goes on at its
    edges where it began."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size))) * size
    spectrum = (
        np.fft.fft2(np.random.default_rng(seed).standard_normal((size, size)))
        / (4.0 + frequency) ** 1.5
    )
    noise = np.real(np.fft.ifft2(spectrum))
    return np.clip(0.5 + noise / (5.0 * noise.std()), 0.0, 1.0).astype(np.float32)


def _surfaces(camera: Intrinsics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pixel (H, W): depth along z, place across the texture in metres, and 0 for road, 1
    for wall, -1 for sky."""
    x = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    y = ((np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.fy)[:, None]
    with np.errstate(divide="ignore"):
        to_road = np.where(y > 0, HEIGHT_M / y, np.inf)
        to_wall = HALF_WIDTH_M / np.abs(x)[None]
    depth = np.minimum(np.minimum(to_road, to_wall), 1e3).astype(np.float32)
    on_wall = to_wall < to_road
    across = np.where(on_wall, y * depth + np.sign(x) * 9.0, x * depth).astype(np.float32)
    sky = (on_wall & (y * depth < -WALL_M)) | (depth >= 1e3)
    return depth, across, np.where(sky, -1, on_wall.astype(int))
