"""A sequence folder as messages: what the player sends and the bag writer stores."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sfm_odometry.io.kitti import ImageSequence, check_image_size, read_image
from sfm_odometry.nodes import tf_conversions as frames
from sfm_odometry.nodes.conversions import (
    NANOSECONDS,
    byte_array,
    encode_image,
    make_camera_info,
    make_header,
)

TRUTH_FRAME = "ground_truth_odom"
TRUTH_CHILD = "ground_truth_base_link"


@dataclass(frozen=True)
class Mounting:
    """Names of the frames, and how high over the road the camera sits; it looks forward along
    the base's x axis."""

    base_frame: str = "base_link"
    camera_frame: str = "camera_optical_frame"
    camera_height_m: float = 1.65

    def base_from_camera(self) -> np.ndarray:
        """The 4x4 pose of the optical frame in the base, whose origin is on the road below the
        camera."""
        pose = frames.BASE_FROM_OPTICAL.copy()
        pose[2, 3] = self.camera_height_m
        return pose

    def static_transform(self, stamp_ns: int) -> TransformStamped:
        """base_frame -> camera_frame."""
        header = make_header(stamp_ns, self.base_frame)
        return frames.transform_message(
            self.base_from_camera(), self.base_frame, self.camera_frame, header
        )


@dataclass(frozen=True)
class Shot:
    """One frame as messages, at its recorded time since the first."""

    index: int
    since_start_ns: int
    image: Image | CompressedImage
    camera_info: CameraInfo

    def stamp(self, stamp_ns: int) -> None:
        """Set the stamp of both messages."""
        header = make_header(stamp_ns, self.image.header.frame_id)
        self.image.header = self.camera_info.header = header


class DriveMessages:
    """The frames `start` to `stop` of a sequence as messages; `hz` replaces the recorded times by
    an even rate.

    compressed: images are sent as the JPEG or PNG files that they are.
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
        self.sequence, self.mounting, self.compressed = sequence, mounting, compressed
        self.indices = range(len(sequence))[start:stop]
        times_s = np.arange(len(self.indices)) / hz if hz else sequence.stamps_s[list(self.indices)]
        since_s = times_s - times_s[0] if len(times_s) else times_s
        self.since_start_ns = [int(value) for value in np.rint(since_s * NANOSECONDS)]

    def __len__(self) -> int:
        return len(self.indices)

    def shots(self) -> Iterator[Shot]:
        """The frames one by one, read from disk; raises ImageError naming a file that is corrupt
        or of another size."""
        header = make_header(0, self.mounting.camera_frame)
        for index, since_ns in zip(self.indices, self.since_start_ns, strict=True):
            path = self.sequence.image_paths[index]
            image = read_image(path)
            check_image_size(path, image, self.sequence.intrinsics)
            encoding = "mono8" if image.ndim == 2 else "rgb8"
            message = (
                _compressed(path, encoding, header)
                if self.compressed
                else encode_image(image, encoding, header)
            )
            yield Shot(index, since_ns, message, make_camera_info(self.sequence.intrinsics, header))

    def truth(self) -> np.ndarray | None:
        """(N, 4, 4) true poses of the base, the first the identity, or None where they are not
        known."""
        if self.sequence.poses is None:
            return None
        poses = self.sequence.poses[list(self.indices)]
        start_from_camera = np.linalg.inv(poses[0]) @ poses
        return np.stack(
            [frames.base_pose(self.mounting.base_from_camera(), pose) for pose in start_from_camera]
        )

    def truth_path(self, start_ns: int, speed: float = 1.0) -> PathMessage | None:
        """All true poses, stamped as frames that start at `start_ns` and are played `speed`
        times as fast."""
        truth = self.truth()
        if truth is None:
            return None
        path = PathMessage(header=make_header(start_ns, TRUTH_FRAME))
        stamps_ns = [start_ns + round(since / speed) for since in self.since_start_ns]
        path.poses = [
            PoseStamped(header=make_header(stamp_ns, TRUTH_FRAME), pose=frames.pose_message(pose))
            for stamp_ns, pose in zip(stamps_ns, truth, strict=True)
        ]
        return path


def _compressed(path: Path, encoding: str, header: Header) -> CompressedImage:
    """The file's bytes as they are, with the format as image_transport writes it."""
    codec = "png" if path.suffix.lower() == ".png" else "jpeg"
    stored = "bgr8" if encoding == "rgb8" else encoding
    return CompressedImage(
        header=header,
        format=f"{encoding}; {codec} compressed {stored}",
        data=byte_array(path.read_bytes()),
    )
