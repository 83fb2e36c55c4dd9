"""From the camera's optical frame to the robot's base: poses, twists and their covariances, and the
messages that carry them.

base_from_camera is where the camera sits on the robot. Six-vectors are linear first, then angular,
as ROS orders its covariances.
"""

import math

import numpy as np
import tf_transformations
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Twist, Vector3
from std_msgs.msg import Header

from sfm_odometry.tracking.trajectory import adjoint, invert_rigid

# x right, y down, z forward becomes x forward, y left, z up (REP 103).
BASE_FROM_OPTICAL = np.array(
    [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)


def base_pose(base_from_camera: np.ndarray, start_from_camera: np.ndarray) -> np.ndarray:
    """odom_from_base (4x4): the odometry frame is where the base was when the camera was at
    `start`."""
    return base_from_camera @ start_from_camera @ invert_rigid(base_from_camera)


def base_pose_covariance(
    base_from_camera: np.ndarray, odom_from_base: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Covariance (6x6) of odom_from_base as ROS means it, from that of the camera's pose in the
    moving camera's own axes."""
    return transform_covariance(base_pose_jacobian(base_from_camera, odom_from_base), covariance)


def base_pose_jacobian(base_from_camera: np.ndarray, odom_from_base: np.ndarray) -> np.ndarray:
    """The 6x6 that makes a small motion in the camera's own axes one of the base's pose as ROS
    means it.

    A small motion xi of the camera is one of Ad xi of the base (the lever arm swings it); ROS wants
    it along and about the fixed axes of the odometry frame, at the base's origin: both halves are
    turned by the pose's rotation.
    """
    rotation, of_base = odom_from_base[:3, :3], adjoint(base_from_camera)
    return np.concatenate([rotation @ of_base[:3], rotation @ of_base[3:]])


def transform_covariance(jacobian: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """J C J^T, kept symmetric."""
    result = jacobian @ covariance @ jacobian.T
    return 0.5 * (result + result.T)


def matrix_from_transform(transform: Transform) -> np.ndarray:
    """b_from_a (4x4) of the transform whose parent is b and child a."""
    translation, rotation = transform.translation, transform.rotation
    return rigid(
        [translation.x, translation.y, translation.z],
        [rotation.x, rotation.y, rotation.z, rotation.w],
    )


def matrix_from_pose(pose: Pose) -> np.ndarray:
    """frame_from_body (4x4) of a pose message."""
    position, orientation = pose.position, pose.orientation
    return rigid(
        [position.x, position.y, position.z],
        [orientation.x, orientation.y, orientation.z, orientation.w],
    )


def rigid(translation: list[float], quaternion_xyzw: list[float]) -> np.ndarray:
    """The rigid 4x4 of a translation and a quaternion, which need not be of unit length."""
    matrix: np.ndarray = tf_transformations.quaternion_matrix(quaternion_xyzw)
    matrix[:3, 3] = translation
    return matrix


def pose_message(frame_from_body: np.ndarray) -> Pose:
    """Pose of a rigid 4x4."""
    x, y, z = map(float, frame_from_body[:3, 3])
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(frame_from_body))


def twist_message(twist: np.ndarray) -> Twist:
    """Twist of (6,) linear and angular velocity."""
    vx, vy, vz, wx, wy, wz = map(float, twist)
    return Twist(linear=Vector3(x=vx, y=vy, z=vz), angular=Vector3(x=wx, y=wy, z=wz))


def transform_message(b_from_a: np.ndarray, b: str, a: str, header: Header) -> TransformStamped:
    """Transform with parent `b` and child `a`, at the header's stamp."""
    x, y, z = map(float, b_from_a[:3, 3])
    transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=_quaternion(b_from_a))
    return TransformStamped(
        header=Header(stamp=header.stamp, frame_id=b), child_frame_id=a, transform=transform
    )


def _quaternion(matrix: np.ndarray) -> Quaternion:
    x, y, z, w = quaternion_xyzw(matrix)
    return Quaternion(x=x, y=y, z=z, w=w)


def quaternion_xyzw(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """The unit quaternion, w not negative, of the rotation in a rigid 4x4 or a 3x3: from its
    largest part (Shepperd 1978).

    tf_transformations looks for scale and shear first, which takes ten times as long.
    """
    (a, b, c), (d, e, f), (g, h, i) = matrix[:3, :3].tolist()
    squares = 1.0 + a - e - i, 1.0 - a + e - i, 1.0 - a - e + i, 1.0 + a + e + i
    largest = max(range(4), key=squares.__getitem__)
    x, y, z, w = (
        (squares[0], b + d, c + g, h - f),
        (b + d, squares[1], f + h, c - g),
        (c + g, f + h, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )[largest]
    length = math.copysign(math.sqrt(x * x + y * y + z * z + w * w), w)
    return x / length, y / length, z / length, w / length
