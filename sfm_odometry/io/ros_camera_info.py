"""ROS camera_info messages as pinhole intrinsics, and unrectified images as rectified ones;
whoever read the messages."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import CalibrationError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.ros_image import RefusedImage

_POLYNOMIAL_MODELS = ("", "plumb_bob", "rational_polynomial")
_FISHEYE_MODELS = ("equidistant", "fisheye")
_POLYNOMIAL_LENGTHS = (4, 5, 8, 12, 14)
_FISHEYE_LENGTH = 4
_FOCAL_LENGTHS = (0.1, 1e7)
"""Pixels. No camera is beyond them, and float32, in which the networks' side computes, is at
ease between them."""


@dataclass(frozen=True)
class Calibration:
    """What a CameraInfo says, comparable: two are equal as long as the camera stays the same.

    `k` and `p` are K (3x3) and P (3x4) of the full sensor, row by row; `region` is (left, top,
    width, height) of the part that is sent, in sensor pixels, with zeros for the whole; `binning`
    (x, y). `size` (width, height) is the sensor's, or (0, 0) where it is not said.
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
        """The content of a CameraInfo, of ROS 1 too; CalibrationError when neither K nor P has a
        finite, positive focal length."""
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
        """3x3 matrix of the camera as it is: K, or P's where K is not filled (KITTI odometry
        bags)."""
        return self._usable(self.k, 3, self.p, 4)

    @staticmethod
    def _usable(
        first: tuple[float, ...], first_columns: int, second: tuple[float, ...], second_columns: int
    ) -> np.ndarray:
        numbers, columns = (first, first_columns) if first[0] != 0.0 else (second, second_columns)
        matrix = np.array(numbers).reshape(3, columns)[:, :3]
        if matrix[0, 0] == 0.0:
            raise CalibrationError("camera_info: K and P are zero, the camera is not calibrated")
        _check_plausible(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
        if not np.isfinite(matrix).all():
            raise CalibrationError("camera_info: K or P holds values that are not finite")
        return matrix

    def image_size(self) -> tuple[int, int]:
        """(width, height) that images should have after region of interest and binning, or (0,
        0) where it is not said."""
        width, height = self.region[2:] if 0 not in self.region[2:] else self.size
        return width // self.binning[0], height // self.binning[1]

    def in_image(self, matrix: np.ndarray, width: int, height: int) -> Intrinsics:
        """A matrix of the full sensor as intrinsics of images of `width` x `height`, after
        region of interest and binning."""
        left, top = self.region[:2]
        bin_x, bin_y = self.binning
        fx, fy = matrix[0, 0] / bin_x, matrix[1, 1] / bin_y
        cx, cy = (matrix[0, 2] - left + 0.5) / bin_x - 0.5, (matrix[1, 2] - top + 0.5) / bin_y - 0.5
        _check_plausible(fx, fy, cx, cy)
        return Intrinsics(fx, fy, cx, cy, width, height)

    def distortion(self) -> np.ndarray:
        """D, or four zeros where it holds nothing; raises CalibrationError for an unknown model
        or values that are none of the model's."""
        values = np.array(self.d, dtype=np.float64)
        if not values.any():
            return np.zeros(_FISHEYE_LENGTH)
        fisheye = self.model in _FISHEYE_MODELS
        if not fisheye and self.model not in _POLYNOMIAL_MODELS:
            raise self.unknown_model()
        if not np.isfinite(values).all() or (
            len(values) < _FISHEYE_LENGTH if fisheye else len(values) not in _POLYNOMIAL_LENGTHS
        ):
            wanted = str(_FISHEYE_LENGTH) if fisheye else ", ".join(map(str, _POLYNOMIAL_LENGTHS))
            some = ", ".join(f"{value:g}" for value in self.d[:8])
            found = f"D of {self.model or 'plumb_bob'} has {len(values)} values ({some})"
            raise CalibrationError(f"camera_info: {found}, expected {wanted} finite ones")
        return values[:_FISHEYE_LENGTH] if fisheye else values

    def unknown_model(self) -> CalibrationError:
        """The error that says which distortion models there are."""
        models = ", ".join((*_POLYNOMIAL_MODELS[1:], *_FISHEYE_MODELS))
        return CalibrationError(
            f"camera_info: distortion model '{self.model[:40]}' is not known, expected one of {models}"
        )

    def rectification(self) -> np.ndarray:
        """R (3, 3), or the identity where it is not filled; raises CalibrationError where it is
        no rotation."""
        if not any(self.r):
            return np.eye(3)
        rotation = np.array(self.r).reshape(3, 3)
        with np.errstate(over="ignore", invalid="ignore"):
            orthonormal = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
        if not orthonormal or np.linalg.det(rotation) < 0.0:
            raise CalibrationError(
                f"camera_info: R is no rotation: {', '.join(f'{value:g}' for value in self.r)}"
            )
        return rotation


def _check_plausible(fx: float, fy: float, cx: float, cy: float) -> None:
    """Raises CalibrationError for numbers that are no camera's, NaN among them."""
    low, high = _FOCAL_LENGTHS
    if not (low <= fx <= high and low <= fy <= high and abs(cx) <= high and abs(cy) <= high):
        raise CalibrationError(
            f"camera_info: focal lengths {fx:g}, {fy:g} with centre {cx:g}, {cy:g} are not those of a camera"
        )


def _numbers(message: Any, name: str) -> tuple[float, ...]:
    """ROS 2 names the matrices k, d, r and p; ROS 1 K, D, R and P."""
    values = getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
    return tuple(map(float, values))


class Rectifier:
    """Makes rectified images of a camera's images of `width` x `height`; `intrinsics` are those of
    the result.

    input_is_rectified: images pass as they are. Otherwise they are undistorted by K, D and R, with
    maps that are computed once. Raises RefusedImage when the images have not the size that the
    calibration speaks of, CalibrationError for an unknown distortion model.
    """

    def __init__(
        self, calibration: Calibration, width: int, height: int, input_is_rectified: bool
    ) -> None:
        expected = calibration.image_size()
        if 0 not in expected and expected != (width, height):
            raise RefusedImage(
                "size",
                f"image is {width}x{height}, but camera_info is of {expected[0]}x{expected[1]}",
            )
        self.calibration, self.size = calibration, (width, height)
        self.intrinsics = calibration.in_image(calibration.rectified_matrix(), width, height)
        self._maps = None if input_is_rectified else self._make_maps()

    @property
    def resamples(self) -> bool:
        """Whether images are changed at all."""
        return self._maps is not None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The rectified image; pixels that the camera did not see are black."""
        return (
            image
            if self._maps is None
            else cv2.remap(image, *self._maps, interpolation=cv2.INTER_LINEAR)
        )

    def _make_maps(self) -> tuple[np.ndarray, np.ndarray] | None:
        raw = self.calibration.in_image(self.calibration.raw_matrix(), *self.size).matrix()
        rectified = self.intrinsics.matrix()
        distortion, rotation = self.calibration.distortion(), self.calibration.rectification()
        if not (
            distortion.any()
            or not np.allclose(raw, rectified)
            or not np.allclose(rotation, np.eye(3))
        ):
            return None
        if self.calibration.model in _FISHEYE_MODELS:
            return cv2.fisheye.initUndistortRectifyMap(
                raw, distortion, rotation, rectified, self.size, cv2.CV_16SC2
            )
        if self.calibration.model in _POLYNOMIAL_MODELS:
            return cv2.initUndistortRectifyMap(
                raw, distortion, rotation, rectified, self.size, cv2.CV_16SC2
            )
        raise self.calibration.unknown_model()
