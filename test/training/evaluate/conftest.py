import numpy as np
import pytest


@pytest.fixture
def winding():
    """(400, 4, 4) poses of a winding, climbing drive of 480 m: 1.2 m a frame."""
    poses = np.tile(np.eye(4), (400, 1, 1))
    for index in range(1, 400):
        yaw, pitch = 0.02 * np.sin(index / 30), 0.004 * np.cos(index / 17)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        climb = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = turn @ climb, [0.01, -0.005, 1.2]
        poses[index] = poses[index - 1] @ step
    return poses
