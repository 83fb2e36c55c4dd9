"""Extrinsics of the camera: its pose on the robot."""

import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener

from sfm_odometry.nodes.tf_conversions import matrix_from_transform


class CameraExtrinsics:
    """Extrinsics base_from_camera, from a parameter or from TF.

    The transform is looked up once for each camera frame and then kept, as a mounted camera does
    not move. TF is listened to only until then, as a robot's /tf takes Python much time.

    camera_frame: optical frame of the camera; empty: frame_id of the images.
    configured: (4, 4), the pose that a parameter gives, or None for TF.
    """

    def __init__(
        self, node: Node, base_frame: str, camera_frame: str, configured: np.ndarray | None
    ) -> None:
        self._node = node
        self._base_frame = base_frame
        self._camera_frame = camera_frame
        self._configured = configured
        self._buffer: Buffer | None = None
        self._listener: TransformListener | None = None
        self._base_from_camera = configured
        self._frame = ""
        """Camera frame whose transform is looked up."""
        if configured is None:
            self._listen()  # now, as the transform shall be there when the first image comes

    @property
    def base_from_camera(self) -> np.ndarray | None:
        """Pose (4, 4) of the optical frame in the base; None until it is known."""
        return self._base_from_camera

    @property
    def problem(self) -> str:
        """Reason why the pose is not known; empty when it is."""
        if self._base_from_camera is not None:
            return ""
        if not self._frame:
            return "the images carry no frame_id: set camera_frame, or camera.base_from_camera"
        return (
            f"no transform from {self._frame} to {self._base_frame} on /tf or /tf_static: "
            "publish it, or set camera.base_from_camera"
        )

    def update(self, image_frame: str) -> None:
        """Look up the pose of the camera with frame_id `image_frame`; cheap once it is known."""
        frame = (self._camera_frame or image_frame).lstrip("/")
        known = self._base_from_camera is not None and frame == self._frame
        if self._configured is not None or not frame or known:
            return
        if frame != self._frame:
            self._frame = frame
            self._base_from_camera = None
        self._base_from_camera = np.eye(4) if frame == self._base_frame else self._look_up()
        if self._base_from_camera is not None:
            self._stop_listening()

    def close(self) -> None:
        """Stop listening to TF."""
        self._stop_listening()

    def _look_up(self) -> np.ndarray | None:
        if self._buffer is None:
            self._listen()
        assert self._buffer is not None
        try:
            transform = self._buffer.lookup_transform(self._base_frame, self._frame, Time())
        except TransformException:
            return None
        return matrix_from_transform(transform.transform)

    def _listen(self) -> None:
        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, self._node)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.unregister()
        self._listener = None
        self._buffer = None
