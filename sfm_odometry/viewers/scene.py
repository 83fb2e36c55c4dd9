"""Contents of a view that all viewers share: poses, the travelled path, images and points."""

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.geometry import se3
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.focus import warp_to_intrinsics
from sfm_odometry.geometry.mount import base_pose
from sfm_odometry.results import DenseMap, FrameMotion
from sfm_odometry.viewers.viewer import View

MAX_IMAGE_WIDTH = 1280
"""Pixels; wider camera images are reduced to this width before they are sent."""
JPEG_QUALITY = 80
MAX_PATH_POSES = 2000
"""Poses of a path, beyond which every second one is left out."""
PATH_PERIOD_NS = 1_000_000_000
"""Time between two paths, by the frames' stamps: sending a long path takes milliseconds."""


@dataclass(frozen=True)
class PosedMotion:
    """Motion of a frame with the pose of the base that it leads to."""

    motion: FrameMotion
    odom_from_base: np.ndarray
    """(4, 4)."""


def posed_motions(view: View) -> list[PosedMotion]:
    """Motions of a view's result with the poses of the base, oldest first."""
    return [
        PosedMotion(motion, base_pose(view.base_from_camera, motion.start_from_camera))
        for motion in view.result.motions
    ]


class TravelledPath:
    """Poses of the base so far, thinned where they become many."""

    def __init__(self) -> None:
        self.poses: list[np.ndarray] = []
        """odom_from_base (4, 4), oldest first."""
        self._sent_ns: int | None = None

    def add(self, odom_from_base: np.ndarray) -> None:
        """Add the newest pose."""
        self.poses.append(odom_from_base)
        if len(self.poses) > MAX_PATH_POSES:
            self.poses = self.poses[::-2][::-1]

    def is_due(self, stamp_ns: int) -> bool:
        """Whether the path is to be shown with this frame: PATH_PERIOD_NS after the last time."""
        before = self._sent_ns
        if not self.poses or (before is not None and abs(stamp_ns - before) < PATH_PERIOD_NS):
            return False
        self._sent_ns = stamp_ns
        return True

    def clear(self) -> None:
        """Start a new path."""
        self.poses.clear()
        self._sent_ns = None


def quaternion_xyzw(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Unit quaternion of the rotation in a rigid motion (4, 4)."""
    x, y, z, w = se3.quaternions_xyzw_from_rotations(matrix[None, :3, :3])[0].tolist()
    return x, y, z, w


def camera_jpeg(view: View) -> tuple[bytes, Intrinsics]:
    """The camera's image as JPEG, at most MAX_IMAGE_WIDTH wide, and its intrinsics."""
    image, intrinsics = view.image, view.intrinsics
    if intrinsics.width > MAX_IMAGE_WIDTH:
        height = max(1, round(intrinsics.height * MAX_IMAGE_WIDTH / intrinsics.width))
        size = (MAX_IMAGE_WIDTH, height)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        intrinsics = intrinsics.resized(*size)
    return jpeg(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)), intrinsics


def jpeg(image: np.ndarray) -> bytes:
    """A grey (H, W) or BGR (H, W, 3) image as JPEG."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def coloured_points(
    depth: DenseMap, image: np.ndarray, intrinsics: Intrinsics, stride: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) float32 of the known depth in the optical frame, and RGB (N, 3) uint8.

    X = Z (u - cx) / fx, Y = Z (v - cy) / fy. image: the camera's, of `intrinsics`. stride: of the
    pixels that are taken, in both directions.
    """
    camera = depth.intrinsics
    rows, columns = np.mgrid[0 : camera.height : stride, 0 : camera.width : stride]
    z = depth.values[::stride, ::stride]
    known = np.isfinite(z)
    z, u, v = z[known], columns[known], rows[known]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy], axis=1)
    points = np.concatenate([rays * z[:, None], z[:, None]], axis=1).astype(np.float32)
    pixels = warp_to_intrinsics(image, intrinsics, camera)[::stride, ::stride][known]
    colours = pixels if pixels.ndim == 2 else np.repeat(pixels[:, None], 3, axis=1)
    return points, colours
