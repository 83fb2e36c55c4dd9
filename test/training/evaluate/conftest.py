"""Fixtures of the evaluation: a trajectory, reference depth scores, a model."""

import math

import numpy as np
import pytest
import torch

from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig


@pytest.fixture
def winding():
    """Poses (400, 4, 4) of a winding, climbing drive of 480 m: 1.2 m a frame."""
    poses = np.tile(np.eye(4), (400, 1, 1))
    for index in range(1, 400):
        yaw = 0.02 * np.sin(index / 30)
        pitch = 0.004 * np.cos(index / 17)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        climb = np.array(
            [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        )
        step = np.eye(4)
        step[:3, :3] = turn @ climb
        step[:3, 3] = [0.01, -0.005, 1.2]
        poses[index] = poses[index - 1] @ step
    return poses


def _second_computation(gt, pred, cap, crop):
    # Pixels inside the crop and below the cap.
    rows, columns = gt.shape
    bounds = {
        "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
        "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    }
    top, bottom, left, right = bounds.get(crop, (0, 1, 0, 1))
    pixels = [
        (float(gt[y, x]), float(pred[y, x]))
        for y in range(rows)
        for x in range(columns)
        if int(top * rows) <= y < int(bottom * rows)
        and int(left * columns) <= x < int(right * columns)
        and 1e-3 < gt[y, x] < cap
    ]

    def median(values):
        values = sorted(values)
        half = len(values) // 2
        return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2

    # Scale by the medians, clip, average.
    ratio = median([true for true, _ in pixels]) / median([guess for _, guess in pixels])
    pixels = [(true, min(max(guess * ratio, 1e-3), cap)) for true, guess in pixels]
    n = len(pixels)
    return (
        sum(abs(t - p) / t for t, p in pixels) / n,
        sum((t - p) ** 2 / t for t, p in pixels) / n,
        math.sqrt(sum((t - p) ** 2 for t, p in pixels) / n),
        math.sqrt(sum((math.log(t) - math.log(p)) ** 2 for t, p in pixels) / n),
        *(sum(max(t / p, p / t) < 1.25**k for t, p in pixels) / n for k in (1, 2, 3)),
    )


@pytest.fixture(scope="session")
def second_computation():
    """Function that computes all seven depth scores of one image, pixel by pixel.

    It is plain Python and shares no line with the product.
    """
    return _second_computation


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """File of an untrained model for colour images, cropped to 64x32."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    torch.manual_seed(1)
    depth = DepthNetConfig(
        encoder_widths=(8, 16, 16, 32, 32, 32, 32), decoder_widths=(32, 32, 32, 16, 16, 16, 8)
    )
    pose = PoseNetConfig(
        encoder_widths=(8, 16, 16, 32, 32), pose_widths=(32, 32), mask_widths=(32, 16, 16, 16, 8)
    )
    config = ModelConfig(width=64, height=32, depth=depth, pose=pose)
    save_model(path, Model(config), {})
    return path
