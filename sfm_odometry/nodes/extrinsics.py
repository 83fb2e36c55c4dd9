"""Where the camera sits on the robot."""

import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer, TransformException, TransformListener

from sfm_odometry.nodes.tf_conversions import matrix_from_transform


class CameraMount:
    """base_from_camera, from a parameter or from TF; it is looked up once for a camera frame and
    held, as a mounted camera does not move.

    `fixed`: the pose as a parameter gives it, or None. `camera_frame`: its frame, or empty for the
    frame_id of the images. While the transform is not known, and only then, TF is listened to: a
    robot's /tf costs Python dearly.
    """

    def __init__(
        self, node: Node, base_frame: str, camera_frame: str, fixed: np.ndarray | None
    ) -> None:
        self._node, self._base_frame, self._camera_frame, self._fixed = (
            node,
            base_frame,
            camera_frame,
            fixed,
        )
        self._buffer: Buffer | None = None
        self._listener: TransformListener | None = None
        self._known: np.ndarray | None = fixed
        self._frame = ""
        if fixed is None:
            self._listen()  # already now: the first image shall find the transform here

    @property
    def base_from_camera(self) -> np.ndarray | None:
        """The 4x4 pose of the optical frame in the base, or None as long as it is not known."""
        return self._known

    @property
    def missing(self) -> str:
        """What is waited for, or nothing."""
        if self._known is not None:
            return ""
        if not self._frame:
            return "the images carry no frame_id: set camera_frame, or camera.base_from_camera"
        return f"no transform from {self._frame} to {self._base_frame} on /tf or /tf_static: publish it, or set camera.base_from_camera"

    def update(self, image_frame: str) -> None:
        """Look for the transform of the camera whose images have the frame_id `image_frame`;
        cheap once it is known."""
        frame = (self._camera_frame or image_frame).lstrip("/")
        if (
            self._fixed is not None
            or not frame
            or (self._known is not None and frame == self._frame)
        ):
            return
        if frame != self._frame:
            self._frame, self._known = frame, None
        self._known = np.eye(4) if frame == self._base_frame else self._look_up()
        if self._known is not None:
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
        self._listener = self._buffer = None
