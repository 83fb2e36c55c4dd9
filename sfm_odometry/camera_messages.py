"""ROS camera_info messages as pinhole intrinsics, and unrectified images as rectified ones; whoever read the messages."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sfm_odometry.camera import Intrinsics
from sfm_odometry.errors import CalibrationError
from sfm_odometry.image_messages import RefusedImage

_POLYNOMIAL_MODELS = ("", "plumb_bob", "rational_polynomial")
_FISHEYE_MODELS = ("equidistant", "fisheye")


@dataclass(frozen=True)
class Calibration:
    """What a CameraInfo says, comparable: two are equal as long as the camera stays the same.

    `k` and `p` are K (3x3) and P (3x4) of the full sensor, row by row; `region` is (left, top, width, height) of the part that is sent, in
    sensor pixels, with zeros for the whole; `binning` (x, y). `size` (width, height) is the sensor's, or (0, 0) where it is not said.
    """

    size: tuple[int, int]
    model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]
    binning: tuple[int, int]
    region: tuple[int, int, int, int]

    @classmethod
    def from_message(cls, message: Any) -> "Calibration":
        """The content of a CameraInfo, of ROS 1 too; CalibrationError when neither K nor P has a finite, positive focal length."""
        roi = message.roi
        calibration = cls(
            (message.width, message.height),
            message.distortion_model,
            _numbers(message, "d"),
            _numbers(message, "k"),
            _numbers(message, "r"),
            _numbers(message, "p"),
            (max(message.binning_x, 1), max(message.binning_y, 1)),
            (roi.x_offset, roi.y_offset, roi.width, roi.height),
        )
        calibration.rectified_matrix()
        return calibration

    def rectified_matrix(self) -> np.ndarray:
        """3x3 matrix of the rectified camera: P's, or K where P is not filled."""
        return self._usable(self.p, 4, self.k, 3)

    def raw_matrix(self) -> np.ndarray:
        """3x3 matrix of the camera as it is: K, or P's where K is not filled (KITTI odometry bags)."""
        return self._usable(self.k, 3, self.p, 4)

    @staticmethod
    def _usable(first: tuple[float, ...], first_columns: int, second: tuple[float, ...], second_columns: int) -> np.ndarray:
        numbers, columns = (first, first_columns) if first[0] != 0.0 else (second, second_columns)
        matrix = np.array(numbers).reshape(3, columns)[:, :3]
        if matrix[0, 0] == 0.0:
            raise CalibrationError("camera_info: K and P are zero, the camera is not calibrated")
        if not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0.0:
            fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
            raise CalibrationError(f"camera_info: focal lengths {fx:g}, {fy:g} with centre {cx:g}, {cy:g} are not those of a camera")
        return matrix

    def image_size(self) -> tuple[int, int]:
        """(width, height) that images should have after region of interest and binning, or (0, 0) where it is not said."""
        width, height = self.region[2:] if 0 not in self.region[2:] else self.size
        return width // self.binning[0], height // self.binning[1]

    def in_image(self, matrix: np.ndarray, width: int, height: int) -> Intrinsics:
        """A matrix of the full sensor as intrinsics of images of `width` x `height`, after region of interest and binning."""
        left, top = self.region[:2]
        bin_x, bin_y = self.binning
        cx, cy = (matrix[0, 2] - left + 0.5) / bin_x - 0.5, (matrix[1, 2] - top + 0.5) / bin_y - 0.5
        return Intrinsics(matrix[0, 0] / bin_x, matrix[1, 1] / bin_y, cx, cy, width, height)


def _numbers(message: Any, name: str) -> tuple[float, ...]:
    """ROS 2 names the matrices k, d, r and p; ROS 1 K, D, R and P."""
    values = getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
    return tuple(map(float, values))


class Rectifier:
    """Makes rectified images of a camera's images of `width` x `height`; `intrinsics` are those of the result.

    input_is_rectified: images pass as they are. Otherwise they are undistorted by K, D and R, with maps that are computed once.
    Raises RefusedImage when the images have not the size that the calibration speaks of, CalibrationError for an unknown distortion model.
    """

    def __init__(self, calibration: Calibration, width: int, height: int, input_is_rectified: bool) -> None:
        expected = calibration.image_size()
        if 0 not in expected and expected != (width, height):
            raise RefusedImage("size", f"image is {width}x{height}, but camera_info is of {expected[0]}x{expected[1]}")
        self.calibration, self.size = calibration, (width, height)
        self.intrinsics = calibration.in_image(calibration.rectified_matrix(), width, height)
        self._maps = None if input_is_rectified else self._make_maps()

    @property
    def resamples(self) -> bool:
        """Whether images are changed at all."""
        return self._maps is not None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The rectified image; pixels that the camera did not see are black."""
        return image if self._maps is None else cv2.remap(image, *self._maps, interpolation=cv2.INTER_LINEAR)

    def _make_maps(self) -> tuple[np.ndarray, np.ndarray] | None:
        raw = self.calibration.in_image(self.calibration.raw_matrix(), *self.size).matrix()
        rectified = self.intrinsics.matrix()
        distortion = np.array(self.calibration.d, dtype=np.float64)
        rotation = np.array(self.calibration.r).reshape(3, 3) if any(self.calibration.r) else np.eye(3)
        if not (distortion.any() or not np.allclose(raw, rectified) or not np.allclose(rotation, np.eye(3))):
            return None
        if self.calibration.model in _FISHEYE_MODELS:
            return cv2.fisheye.initUndistortRectifyMap(raw, distortion[:4], rotation, rectified, self.size, cv2.CV_16SC2)
        if self.calibration.model in _POLYNOMIAL_MODELS:
            return cv2.initUndistortRectifyMap(raw, distortion, rotation, rectified, self.size, cv2.CV_16SC2)
        models = ", ".join((*_POLYNOMIAL_MODELS[1:], *_FISHEYE_MODELS))
        raise CalibrationError(f"camera_info: distortion model '{self.calibration.model[:40]}' is not known, expected one of {models}")
