"""CameraInfo messages: intrinsics, and maps that rectify where images are not."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sfm_odometry.camera import Intrinsics
from sfm_odometry.errors import CalibrationError

INFO = "sensor_msgs/msg/CameraInfo"
POLYNOMIAL_MODELS = ("", "plumb_bob", "rational_polynomial")
FISHEYE_MODELS = ("equidistant", "fisheye")


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics of the images after `maps`, if there are any, were applied."""

    intrinsics: Intrinsics
    known: bool
    maps: tuple[np.ndarray, np.ndarray] | None = None
    """For cv2.remap."""
    origin: str = ""
    """Says what the maps are made of."""


def camera_of_info(message: Any, width: int, height: int, rectified: bool, where: str) -> Camera:
    """The camera of a CameraInfo for images of `width` x `height`; images that are not rectified are to be mapped by K, D and R to P.

    Raises CalibrationError naming `where` it is from: zeros, another size, a region of interest, binning, or an unknown distortion.
    """
    _check_whole(message, width, height, where)
    raw, distortion, rotation, projection = (np.array(_field(message, name), np.float64) for name in ("k", "d", "r", "p"))
    k = (raw if raw[0] else projection.reshape(3, 4)[:, :3]).reshape(3, 3)
    p = (projection.reshape(3, 4)[:, :3] if projection[0] else raw).reshape(3, 3)
    if k[0, 0] <= 0 or p[0, 0] <= 0:
        raise CalibrationError(f"{where}: K and P are zero, the camera is not calibrated; expected --calib or --fov then")
    r = rotation.reshape(3, 3) if rotation.any() else np.eye(3)
    intrinsics = Intrinsics.from_matrix(p, width, height)
    if rectified or not (distortion.any() or not np.allclose(k, p) or not np.allclose(r, np.eye(3))):
        return Camera(intrinsics, True)
    maps = _maps(message.distortion_model, k, distortion, r, intrinsics, where)
    return Camera(intrinsics, True, maps, f"{message.distortion_model} {k.tolist()} {distortion.tolist()} {r.tolist()}")


def _maps(
    model: str, k: np.ndarray, distortion: np.ndarray, r: np.ndarray, result: Intrinsics, where: str
) -> tuple[np.ndarray, np.ndarray]:
    size = (result.width, result.height)
    if model in FISHEYE_MODELS:
        return cv2.fisheye.initUndistortRectifyMap(k, distortion[:4], r, result.matrix(), size, cv2.CV_16SC2)
    if model in POLYNOMIAL_MODELS:
        return cv2.initUndistortRectifyMap(k, distortion, r, result.matrix(), size, cv2.CV_16SC2)
    known = ", ".join((*POLYNOMIAL_MODELS[1:], *FISHEYE_MODELS))
    raise CalibrationError(f"{where}: distortion model '{model[:40]}', expected one of {known}")


def _check_whole(message: Any, width: int, height: int, where: str) -> None:
    if (message.width, message.height) not in ((width, height), (0, 0)):
        raise CalibrationError(f"{where}: camera of {message.width}x{message.height}, but its images are {width}x{height}")
    if max(message.binning_x, message.binning_y) > 1:
        raise CalibrationError(f"{where}: binning {message.binning_x}x{message.binning_y}, expected images of the whole sensor, or --calib")
    roi = message.roi
    if (roi.x_offset, roi.y_offset, roi.width, roi.height) not in ((0, 0, 0, 0), (0, 0, width, height)):
        found = f"{roi.width}x{roi.height} at {roi.x_offset}, {roi.y_offset}"
        raise CalibrationError(f"{where}: region of interest {found}, expected images of the whole sensor, or --calib")


def _field(message: Any, name: str) -> Any:
    """ROS 2 names the matrices k, d, r and p; ROS 1 K, D, R and P."""
    return getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
