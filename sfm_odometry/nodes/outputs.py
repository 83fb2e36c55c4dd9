"""What the node publishes: odometry, TF, path, depth and masks."""

import numpy as np
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from rclpy.node import Node
from tf2_ros import TransformBroadcaster

from sfm_odometry.nodes import tf_conversions as frames
from sfm_odometry.nodes.conversions import make_header
from sfm_odometry.nodes.image_outputs import DepthOutput, MaskOutput
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.path_output import PathOutput
from sfm_odometry.nodes.qos import ODOMETRY_DEPTH, overridable, reliable
from sfm_odometry.odometry import FrameMotion
from sfm_odometry.tracking.trajectory import adjoint, invert_rigid


class Outputs:
    """All of the node's results on their topics."""

    def __init__(self, node: Node, parameters: NodeParameters) -> None:
        self._node = node
        self._odometry = node.create_publisher(
            Odometry, "odom", reliable(ODOMETRY_DEPTH), qos_overriding_options=overridable()
        )
        self._broadcaster = TransformBroadcaster(node)
        self._newest_transform_ns = 0
        self.path = PathOutput(node, parameters.path_max_length)
        self.depth = DepthOutput(node)
        self.mask = MaskOutput(node)

    def publish_motion(
        self, motion: FrameMotion, base_from_camera: np.ndarray, parameters: NodeParameters
    ) -> None:
        """Send one frame's pose and twist as odometry and, where wanted, as transform."""
        odom_from_base = frames.base_pose(base_from_camera, motion.start_from_camera)
        message = odometry_message(motion, base_from_camera, odom_from_base, parameters)
        self._odometry.publish(message)
        self.path.add(message.header, odom_from_base)
        if parameters.publish_tf and motion.stamp_ns > self._newest_transform_ns:
            self._broadcaster.sendTransform(_transform(message, odom_from_base, parameters))
            self._newest_transform_ns = motion.stamp_ns

    def forget_time(self) -> None:
        """Stamps have jumped back, and transforms may follow them; otherwise they never go back
        in time."""
        self._newest_transform_ns = 0

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
    """Pose of the base in the odometry frame, twist in the base's own axes, and both
    covariances."""
    pose_covariance = frames.base_pose_covariance(
        base_from_camera, odom_from_base, motion.pose_covariance
    )
    twist_of_base = adjoint(base_from_camera)
    twist_covariance = frames.transform_covariance(twist_of_base, motion.twist_covariance)
    message = Odometry(
        header=make_header(motion.stamp_ns, parameters.odom_frame),
        child_frame_id=parameters.base_frame,
    )
    message.pose.pose = frames.pose_message(odom_from_base)
    message.pose.covariance = (parameters.covariance_factor * pose_covariance).ravel()
    message.twist.twist = frames.twist_message(twist_of_base @ motion.twist)
    message.twist.covariance = (parameters.covariance_factor * twist_covariance).ravel()
    return message


def _transform(
    odometry: Odometry, odom_from_base: np.ndarray, parameters: NodeParameters
) -> TransformStamped:
    """What the odometry says, or its inverse, as a transform; a pose that is a message already
    is not turned into one again."""
    if parameters.invert_tf:
        inverse = invert_rigid(odom_from_base)
        return frames.transform_message(
            inverse, parameters.base_frame, parameters.odom_frame, odometry.header
        )
    position, pose = odometry.pose.pose.position, odometry.pose.pose
    transform = Transform(
        translation=Vector3(x=position.x, y=position.y, z=position.z), rotation=pose.orientation
    )
    return TransformStamped(
        header=odometry.header, child_frame_id=parameters.base_frame, transform=transform
    )
