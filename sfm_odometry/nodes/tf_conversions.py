"""Conversions from the camera's optical frame to the robot's base, and to and from messages.

Poses, twists and their covariances. base_from_camera (4, 4) is the pose of the camera on the robot.
Six-vectors are linear first, then angular, as ROS orders its covariances.
"""

import numpy as np
import tf_transformations
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Twist, Vector3
from std_msgs.msg import Header

from sfm_odometry.geometry.mount import (  # noqa: F401  # the node takes them from here
    BASE_FROM_OPTICAL,
    base_pose,
    base_pose_covariance,
    base_pose_jacobian,
    propagate_covariance,
)


def matrix_from_transform(transform: Transform) -> np.ndarray:
    """Returns b_from_a (4, 4) of the transform with parent b and child a."""
    t = transform.translation
    q = transform.rotation
    return rigid_transform([t.x, t.y, t.z], [q.x, q.y, q.z, q.w])


def matrix_from_pose(pose: Pose) -> np.ndarray:
    """Returns frame_from_body (4, 4) of a pose message."""
    p = pose.position
    q = pose.orientation
    return rigid_transform([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])


def rigid_transform(translation: list[float], quaternion_xyzw: list[float]) -> np.ndarray:
    """Returns the rigid transform (4, 4) of a translation and a quaternion of any length."""
    matrix: np.ndarray = tf_transformations.quaternion_matrix(quaternion_xyzw)
    matrix[:3, 3] = translation
    return matrix


def pose_message(frame_from_body: np.ndarray) -> Pose:
    """Returns the message of a pose (4, 4)."""
    x, y, z = map(float, frame_from_body[:3, 3])
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(frame_from_body))


def twist_message(twist: np.ndarray) -> Twist:
    """Returns the message of a twist (6,), linear and angular velocity."""
    vx, vy, vz, wx, wy, wz = map(float, twist)
    return Twist(linear=Vector3(x=vx, y=vy, z=vz), angular=Vector3(x=wx, y=wy, z=wz))


def transform_message(b_from_a: np.ndarray, b: str, a: str, header: Header) -> TransformStamped:
    """Returns the message of b_from_a (4, 4), with parent `b` and child `a`.

    header: gives the stamp.
    """
    x, y, z = map(float, b_from_a[:3, 3])
    transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=_quaternion(b_from_a))
    return TransformStamped(
        header=Header(stamp=header.stamp, frame_id=b), child_frame_id=a, transform=transform
    )


def _quaternion(matrix: np.ndarray) -> Quaternion:
    x, y, z, w = map(float, tf_transformations.quaternion_from_matrix(matrix))
    return Quaternion(x=x, y=y, z=z, w=w)
