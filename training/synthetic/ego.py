"""Camera on the car: its pose at each frame, with the nodding and swaying of the body."""

from __future__ import annotations

import numpy as np

from training.synthetic.route import Route, drive_distances
from training.synthetic.terrain import Terrain

CAMERA_HEIGHT_M = 1.65
CAMERA_AHEAD_OF_AXLE_M = 1.15  # the lever arm that KITTI's trajectories show
# Rotation from the body (x forward, y left, z up) to the optical frame.
CAMERA_FROM_BODY = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


def camera_poses(
    seed: int, route: Route, terrain: Terrain, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the camera's poses and its distances along the route.

    Poses are world_from_camera (frames, 4, 4), distances (frames,) in metres.
    """
    rng = np.random.default_rng([seed, 5])
    distance = drive_distances(seed, route, frames)
    # Body motion: it stops when the car stands; accelerating lifts the nose.
    speed = np.gradient(distance) if frames > 1 else np.zeros(1)
    amplitude = np.clip(speed / 0.5, 0.0, 1.0)
    nod, sway, heave = (_suspension_noise(rng, frames) * amplitude for _ in range(3))
    pitch_rad = np.radians(rng.normal(-0.4, 0.5) + rng.uniform(0.08, 0.3) * nod)
    pitch_rad += (
        np.radians(1.2) * np.gradient(speed) / 0.1 * rng.uniform(0.3, 1.0) if frames > 1 else 0.0
    )
    roll_rad = np.radians(rng.normal(0, 0.3) + rng.uniform(0.08, 0.25) * sway)
    yaw_rad = np.full(frames, np.radians(rng.normal(0, 0.25)))
    # Path of the axle: it wanders about the route in a wave.
    period = rng.uniform(18, 40)
    phase = rng.uniform(0, 6)
    wander = 0.2 * np.sin(distance / period + phase)
    drift_rad = 0.2 / period * np.cos(distance / period + phase)
    points, heading = route.at(distance, wander)
    # The camera is mounted ahead of the axle and above it.
    body = body_rotations(terrain, points, heading + drift_rad)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = body @ _mount_rotations(yaw_rad, pitch_rad, roll_rad) @ CAMERA_FROM_BODY.T
    axle = np.concatenate([points, terrain.smooth_height(points)[:, None]], axis=1)
    height = CAMERA_HEIGHT_M + 0.008 * heave
    poses[:, :3, 3] = (
        axle + CAMERA_AHEAD_OF_AXLE_M * body[:, :, 0] + height[:, None] * body[:, :, 2]
    )
    return poses, distance


def body_rotations(terrain: Terrain, points: np.ndarray, heading_rad: np.ndarray) -> np.ndarray:
    """Returns world_from_body (N, 3, 3) of vehicles on the ground: columns forward, left, up.

    `points` (N, 2) are the vehicles' positions, `heading_rad` (N,) their headings.
    """
    slope = terrain.slope(points)
    up = np.stack([-slope[:, 0], -slope[:, 1], np.ones(len(points))], axis=1)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    flat = np.stack([np.cos(heading_rad), np.sin(heading_rad), np.zeros(len(points))], axis=1)
    left = np.cross(up, flat)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return np.stack([np.cross(left, up), left, up], axis=2)


def _mount_rotations(
    yaw_rad: np.ndarray, pitch_rad: np.ndarray, roll_rad: np.ndarray
) -> np.ndarray:
    """Returns the rotations (N, 3, 3) of the camera's mount in body axes.

    Pitch is positive when the nose goes up.
    """
    rotations = []
    for yaw, pitch, roll in zip(yaw_rad, pitch_rad, roll_rad, strict=True):
        about_z = np.array(
            [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
        )
        about_y = np.array(
            [[np.cos(pitch), 0, -np.sin(pitch)], [0, 1, 0], [np.sin(pitch), 0, np.cos(pitch)]]
        )
        about_x = np.array(
            [[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]]
        )
        rotations.append(about_z @ about_y @ about_x)
    return np.array(rotations)


def _suspension_noise(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Returns the motion (frames,) of a damped spring shaken by the road, deviation about 1.

    It is an AR(2) process with a period near eight frames, clipped at 3 deviations.
    """
    # Coefficients from damping and period, the latter in frames.
    damping = 0.8
    period = rng.uniform(6.0, 11.0)
    a = 2 * damping * np.cos(2 * np.pi / period)
    b = -(damping**2)
    # Run the process, with a warm-up of 30 frames.
    warm_up = 30
    value = 0.0
    previous = 0.0
    values = []
    for shock in rng.standard_normal(frames + warm_up):
        following = a * value + b * previous + shock
        previous = value
        value = following
        values.append(value)
    series = np.array(values[warm_up:])
    # Divide by the standard deviation of the process.
    return np.clip(series * np.sqrt((1 + b) * ((1 - b) ** 2 - a**2) / (1 - b)), -3, 3)
