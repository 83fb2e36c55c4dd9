"""Footage with known truth for the tests of teacher and adaptation: a textured, slanted plane.

Its views are homographies of one texture, so that depth, motion and images agree exactly.
"""

import functools

import cv2
import numpy as np
import torch

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.matching_net import MatchingNetConfig
from sfm_odometry.networks.model import Model, ModelConfig

CAMERA = Intrinsics(150.0, 150.0, 79.5, 59.5, 160, 120)
NORMAL = np.array([0.7, 0.35, 1.0])
"""The plane: normal . X = OFFSET in the frame of the first camera."""
OFFSET = 4.0


def tiny_model(width: int = 96, height: int = 64) -> Model:
    """Small networks with random weights, three frames a snippet."""
    torch.manual_seed(3)
    depth = DepthNetConfig(
        image_channels=1,
        encoder_widths=(4, 8, 8),
        encoder_kernels=(3, 3, 3),
        decoder_widths=(8, 4),
        scales=2,
        inverse_depth_gain=1.0,
    )
    pose = MatchingNetConfig(
        image_channels=1,
        frames=3,
        feature_widths=(4, 8, 8),
        motion_widths=(8, 8),
        mask_widths=(8, 8, 4),
    )
    return Model(ModelConfig(width, height, depth=depth, pose=pose))


def poses(count: int, step=(0.05, 0.02, 0.03), turn_rad: float = 0.004) -> np.ndarray:
    """Poses (N, 4, 4) camera0_from_camera of a camera that moves and turns steadily."""
    result = np.tile(np.eye(4), (count, 1, 1))
    for index in range(count):
        angle = turn_rad * index
        result[index, :3, :3] = cv2.Rodrigues(np.array([0.2 * angle, angle, 0.0]))[0]
        result[index, :3, 3] = np.array(step) * index
    return result


def depth_map(pose: np.ndarray, camera: Intrinsics = CAMERA) -> np.ndarray:
    """True depth (H, W) of the plane."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], -1)
    normal = pose[:3, :3].T @ NORMAL
    return (OFFSET - NORMAL @ pose[:3, 3]) / (rays @ normal)


def images(camera_poses: np.ndarray, camera: Intrinsics = CAMERA) -> np.ndarray:
    """Images (N, H, W) uint8."""
    texture = _texture()
    result = []
    for pose in camera_poses:
        depth = depth_map(pose, camera)
        u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        rays = np.stack(
            [(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], -1
        )
        points = (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]
        # One unit of length is 150 pixels of the texture, about one pixel an image pixel.
        place = (points[..., :2] * 40.0 + 512.0).astype(np.float32)
        result.append(cv2.remap(texture, place[..., 0], place[..., 1], cv2.INTER_LINEAR))
    return np.stack(result)


@functools.cache
def _texture() -> np.ndarray:
    """Blobs of several sizes (1024, 1024) uint8."""
    random = np.random.default_rng(5)
    total = np.zeros((1024, 1024))
    for sigma, weight in ((1.5, 1.0), (4.0, 1.0), (12.0, 0.8)):
        noise = cv2.GaussianBlur(random.standard_normal((1024, 1024)), (0, 0), sigma)
        total += weight * noise / noise.std()
    return np.clip(128 + 45 * total, 0, 255).astype(np.uint8)
