"""Outputs of the node: odometry, TF, path, depth and masks."""

import numpy as np
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from rclpy.node import Node
from tf2_ros import TransformBroadcaster

from sfm_odometry.geometry import se3
from sfm_odometry.nodes import tf_conversions
from sfm_odometry.nodes.conversions import make_header
from sfm_odometry.nodes.image_outputs import DepthOutput, MaskOutput
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.path_output import PathOutput
from sfm_odometry.nodes.qos import ODOMETRY_DEPTH, publisher_overrides, reliable_profile
from sfm_odometry.nodes.tf_watch import SentTransforms
from sfm_odometry.nodes.trajectory_recorder import TrajectoryRecorder
from sfm_odometry.results import FrameMotion


class Outputs:
    """Publishers of the node's results."""

    def __init__(self, node: Node, parameters: NodeParameters) -> None:
        self._node = node
        self._odometry = node.create_publisher(
            Odometry,
            "odom",
            reliable_profile(ODOMETRY_DEPTH),
            qos_overriding_options=publisher_overrides(),
        )
        self._broadcaster = TransformBroadcaster(node)
        self._newest_transform_ns = 0
        self.sent_transforms = SentTransforms()
        """Transforms that were sent, to tell them from those of others."""
        self.path = PathOutput(node, parameters.path_max_length)
        self.trajectory = TrajectoryRecorder(parameters.trajectory_max_poses)
        self.depth = DepthOutput(node)
        self.mask = MaskOutput(node)

    def publish_motion(
        self, motion: FrameMotion, base_from_camera: np.ndarray, parameters: NodeParameters
    ) -> None:
        """Publish one frame's pose and twist as odometry and, with publish_tf, as transform.

        base_from_camera: (4, 4). Transforms never go back in time, as TF refuses those.
        """
        odom_from_base = tf_conversions.base_pose(base_from_camera, motion.start_from_camera)
        odometry = odometry_message(motion, base_from_camera, odom_from_base, parameters)
        self._odometry.publish(odometry)
        self.path.add(odometry.header, odometry.pose.pose)
        self.trajectory.add(odometry, base_from_camera)
        if parameters.publish_tf and motion.stamp_ns > self._newest_transform_ns:
            transform = _odometry_transform(odometry, odom_from_base, parameters)
            self.sent_transforms.add(transform)
            self._broadcaster.sendTransform(transform)
            self._newest_transform_ns = motion.stamp_ns

    def reset_time(self) -> None:
        """Let transforms go back in time once, after a jump of the stamps."""
        self._newest_transform_ns = 0

    def clear_trajectory(self) -> None:
        """Start a new path and a new trajectory."""
        self.path.clear()
        self.trajectory.clear()

    def close(self) -> None:
        """Withdraw the topics."""
        self._node.destroy_publisher(self._odometry)
        self._node.destroy_publisher(self._broadcaster.pub_tf)
        for output in (self.path, self.depth, self.mask):
            output.close()


def odometry_message(
    motion: FrameMotion,
    base_from_camera: np.ndarray,
    odom_from_base: np.ndarray,
    parameters: NodeParameters,
) -> Odometry:
    """Returns the odometry message of one frame's motion.

    Pose of the base in the odometry frame, twist in the base's own axes, and their covariances.
    """
    # Convert pose covariance and twist from the camera to the base.
    pose_covariance = tf_conversions.base_pose_covariance(
        base_from_camera, odom_from_base, motion.pose_covariance
    )
    adjoint = se3.adjoint(base_from_camera)
    twist_covariance = tf_conversions.propagate_covariance(adjoint, motion.twist_covariance)

    # Fill the message.
    message = Odometry(
        header=make_header(motion.stamp_ns, parameters.odom_frame),
        child_frame_id=parameters.base_frame,
    )
    message.pose.pose = tf_conversions.pose_message(odom_from_base)
    message.pose.covariance = (parameters.covariance_factor * pose_covariance).ravel()
    message.twist.twist = tf_conversions.twist_message(adjoint @ motion.twist)
    message.twist.covariance = (parameters.covariance_factor * twist_covariance).ravel()
    return message


def _odometry_transform(
    odometry: Odometry, odom_from_base: np.ndarray, parameters: NodeParameters
) -> TransformStamped:
    """Returns the pose of an odometry message as a transform, or its inverse with invert_tf."""
    if parameters.invert_tf:
        inverse = se3.inverse(odom_from_base)
        return tf_conversions.transform_message(
            inverse, parameters.base_frame, parameters.odom_frame, odometry.header
        )
    # Copy the numbers of the message, which are costly to compute again.
    pose = odometry.pose.pose
    position = pose.position
    transform = Transform(
        translation=Vector3(x=position.x, y=position.y, z=position.z), rotation=pose.orientation
    )
    return TransformStamped(
        header=odometry.header, child_frame_id=parameters.base_frame, transform=transform
    )
