"""What the node publishes: odometry, TF, depth and masks."""

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image
from tf2_ros import TransformBroadcaster

from sfm_odometry.nodes import frames
from sfm_odometry.nodes.conversions import encode_image, make_camera_info, make_header
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.qos import IMAGE_QOS, ODOMETRY_QOS, overridable
from sfm_odometry.odometry import FrameMotion, Panel
from sfm_odometry.trajectory import adjoint, invert_rigid


class ImagePublisher:
    """An image topic with its camera_info beside it."""

    def __init__(self, node: Node, image_topic: str, info_topic: str) -> None:
        self._node = node
        self._image: Publisher = node.create_publisher(Image, image_topic, IMAGE_QOS, qos_overriding_options=overridable())
        self._info: Publisher = node.create_publisher(CameraInfo, info_topic, IMAGE_QOS, qos_overriding_options=overridable())

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return self._image.get_subscription_count() > 0 or self._info.get_subscription_count() > 0

    def publish(self, values: np.ndarray, encoding: str, panel: Panel, frame_id: str) -> None:
        """Send the values (H, W) as an image of the panel's stamp and intrinsics."""
        header = make_header(panel.stamp_ns, frame_id)
        self._info.publish(make_camera_info(panel.intrinsics, header))
        self._image.publish(encode_image(values, encoding, header))

    def close(self) -> None:
        """Withdraw the topics."""
        self._node.destroy_publisher(self._image)
        self._node.destroy_publisher(self._info)


class Outputs:
    """All of the node's results on their topics."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._odometry = node.create_publisher(Odometry, "odom", ODOMETRY_QOS, qos_overriding_options=overridable())
        self._broadcaster = TransformBroadcaster(node)
        self._newest_transform_ns = 0
        self.depth = ImagePublisher(node, "depth/image_rect", "depth/camera_info")
        self.mask = ImagePublisher(node, "mask/image", "mask/camera_info")

    def publish_motion(self, motion: FrameMotion, base_from_camera: np.ndarray, parameters: NodeParameters) -> None:
        """Send one frame's pose and twist as odometry and, where wanted, as transform."""
        message = odometry_message(motion, base_from_camera, parameters.odom_frame, parameters.base_frame)
        self._odometry.publish(message)
        if parameters.publish_tf and motion.stamp_ns > self._newest_transform_ns:
            odom_from_base = frames.base_pose(base_from_camera, motion.start_from_camera)
            child, parent = parameters.base_frame, parameters.odom_frame
            if parameters.invert_tf:
                odom_from_base, child, parent = invert_rigid(odom_from_base), parent, child
            self._broadcaster.sendTransform(frames.transform_message(odom_from_base, parent, child, message.header))
            self._newest_transform_ns = motion.stamp_ns

    def publish_depth(self, panel: Panel, frame_id: str) -> None:
        """Send depth in metres (or the model's unit), NaN = unknown."""
        self.depth.publish(panel.values, "32FC1", panel, frame_id)

    def publish_mask(self, panel: Panel, frame_id: str) -> None:
        """Send the explainability, 0..1, as 0..255, at the stamp of the frame it belongs to."""
        values = np.rint(np.clip(np.nan_to_num(panel.values), 0.0, 1.0) * 255.0)
        self.mask.publish(values.astype(np.uint8), "mono8", panel, frame_id)

    def forget_time(self) -> None:
        """Stamps have jumped back, and transforms may follow them; otherwise they never go back in time."""
        self._newest_transform_ns = 0

    def close(self) -> None:
        """Withdraw the topics."""
        self._node.destroy_publisher(self._odometry)
        self._node.destroy_publisher(self._broadcaster.pub_tf)
        self.depth.close()
        self.mask.close()


def odometry_message(motion: FrameMotion, base_from_camera: np.ndarray, odom_frame: str, base_frame: str) -> Odometry:
    """Pose of the base in the odometry frame, twist in the base's own axes, and both covariances."""
    odom_from_base = frames.base_pose(base_from_camera, motion.start_from_camera)
    pose_covariance = frames.base_pose_covariance(base_from_camera, odom_from_base, motion.pose_covariance)
    twist_of_base = adjoint(base_from_camera)
    twist = twist_of_base @ motion.twist
    message = Odometry(header=make_header(motion.stamp_ns, odom_frame), child_frame_id=base_frame)
    message.pose.pose = frames.pose_message(odom_from_base)
    message.pose.covariance = pose_covariance.ravel()
    message.twist.twist = frames.twist_message(twist)
    message.twist.covariance = frames.transform_covariance(twist_of_base, motion.twist_covariance).ravel()
    return message
