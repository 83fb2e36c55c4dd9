"""Messages of a sequence folder, for the player and the bag writer."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sfm_odometry.io.kitti import ImageSequence, check_image_size, read_image
from sfm_odometry.nodes import tf_conversions
from sfm_odometry.nodes.conversions import (
    NANOSECONDS,
    byte_array,
    encode_image,
    make_camera_info,
    make_header,
)

GROUND_TRUTH_FRAME = "ground_truth_odom"
GROUND_TRUTH_CHILD_FRAME = "ground_truth_base_link"


@dataclass(frozen=True)
class Mounting:
    """Mounting of a camera that looks forward along the base's x axis, with the frames' names."""

    base_frame: str = "base_link"
    camera_frame: str = "camera_optical_frame"
    camera_height_m: float = 1.65
    """Height of the camera over the road."""

    def base_from_camera(self) -> np.ndarray:
        """Returns the pose (4, 4) of the optical frame in the base frame.

        The base's origin is on the road below the camera.
        """
        pose = tf_conversions.BASE_FROM_OPTICAL.copy()
        pose[2, 3] = self.camera_height_m
        return pose

    def static_transform(self, stamp_ns: int) -> TransformStamped:
        """Returns the transform base_frame -> camera_frame."""
        header = make_header(stamp_ns, self.base_frame)
        return tf_conversions.transform_message(
            self.base_from_camera(), self.base_frame, self.camera_frame, header
        )


@dataclass(frozen=True)
class FrameMessages:
    """Messages of one frame."""

    index: int
    """Index of the frame in the sequence."""
    since_start_ns: int
    """Recorded time since the first frame."""
    image: Image | CompressedImage
    camera_info: CameraInfo

    def stamp(self, stamp_ns: int) -> None:
        """Set the stamp of both messages."""
        header = make_header(stamp_ns, self.image.header.frame_id)
        self.image.header = header
        self.camera_info.header = header


class DriveMessages:
    """Messages of the frames `start` to `stop` of a sequence.

    hz: rate that replaces the recorded times. compressed: send the JPEG or PNG files as they are.
    """

    def __init__(
        self,
        sequence: ImageSequence,
        mounting: Mounting,
        start: int = 0,
        stop: int | None = None,
        hz: float | None = None,
        compressed: bool = False,
    ) -> None:
        self.sequence = sequence
        self.mounting = mounting
        self.compressed = compressed
        self.indices = range(len(sequence))[start:stop]
        times_s = np.arange(len(self.indices)) / hz if hz else sequence.stamps_s[list(self.indices)]
        since_s = times_s - times_s[0] if len(times_s) else times_s
        self.since_start_ns = [int(value) for value in np.rint(since_s * NANOSECONDS)]

    def __len__(self) -> int:
        return len(self.indices)

    def frames(self) -> Iterator[FrameMessages]:
        """Yields the messages of each frame, read from disk.

        Raises ImageError naming a file that is corrupt or has another size.
        """
        header = make_header(0, self.mounting.camera_frame)
        for index, since_ns in zip(self.indices, self.since_start_ns, strict=True):
            # Read and check the image, also where its file is sent as it is.
            path = self.sequence.image_paths[index]
            image = read_image(path)
            check_image_size(path, image, self.sequence.intrinsics)

            # Make the messages.
            encoding = "mono8" if image.ndim == 2 else "rgb8"
            message = (
                _compressed_image(path, encoding, header)
                if self.compressed
                else encode_image(image, encoding, header)
            )
            camera_info = make_camera_info(self.sequence.intrinsics, header)
            yield FrameMessages(index, since_ns, message, camera_info)

    def ground_truth_poses(self) -> np.ndarray | None:
        """Returns the true poses of the base (N, 4, 4), the first the identity; None if unknown."""
        if self.sequence.poses is None:
            return None
        poses = self.sequence.poses[list(self.indices)]
        start_from_camera = np.linalg.inv(poses[0]) @ poses
        return np.stack(
            [
                tf_conversions.base_pose(self.mounting.base_from_camera(), pose)
                for pose in start_from_camera
            ]
        )

    def ground_truth_path(self, start_ns: int, speed: float = 1.0) -> PathMessage | None:
        """Returns the path of all true poses; None where they are unknown.

        start_ns: stamp of the first frame. speed: factor on the recorded speed of the stamps.
        """
        poses = self.ground_truth_poses()
        if poses is None:
            return None
        path = PathMessage(header=make_header(start_ns, GROUND_TRUTH_FRAME))
        stamps_ns = [start_ns + round(since / speed) for since in self.since_start_ns]
        path.poses = [
            PoseStamped(
                header=make_header(stamp_ns, GROUND_TRUTH_FRAME),
                pose=tf_conversions.pose_message(pose),
            )
            for stamp_ns, pose in zip(stamps_ns, poses, strict=True)
        ]
        return path


def _compressed_image(path: Path, encoding: str, header: Header) -> CompressedImage:
    """Returns the file's bytes as a message, with the format as image_transport writes it."""
    codec = "png" if path.suffix.lower() == ".png" else "jpeg"
    stored = "bgr8" if encoding == "rgb8" else encoding
    return CompressedImage(
        header=header,
        format=f"{encoding}; {codec} compressed {stored}",
        data=byte_array(path.read_bytes()),
    )
