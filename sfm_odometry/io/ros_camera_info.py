"""Calibration from ROS camera_info messages, and rectification of images."""

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
_MIN_FOCAL_LENGTH = 0.1
_MAX_FOCAL_LENGTH = 1e7
"""Focal lengths in pixels, beyond which there is no camera; float32, in which the networks compute,
is accurate between them."""


@dataclass(frozen=True)
class Calibration:
    """Content of a CameraInfo; two are equal as long as the camera stays the same.

    size: width and height of the sensor, or (0, 0) if not given.
    model: name of the distortion model.
    d: distortion coefficients.
    k, r, p: K (3x3), R (3x3) and P (3x4) of the full sensor, row by row.
    binning: x, y.
    region: left, top, width, height of the region of interest, in sensor pixels; zeros for all.
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
        """Converts a CameraInfo of ROS 2 or ROS 1.

        Raises CalibrationError if neither K nor P has a finite, positive focal length.
        """
        roi = message.roi
        calibration = cls(
            size=(message.width, message.height),
            model=message.distortion_model,
            d=_numbers(message, "d"),
            k=_numbers(message, "k"),
            r=_numbers(message, "r"),
            p=_numbers(message, "p"),
            binning=(max(message.binning_x, 1), max(message.binning_y, 1)),
            region=(roi.x_offset, roi.y_offset, roi.width, roi.height),
        )
        calibration.rectified_camera_matrix()
        return calibration

    def rectified_camera_matrix(self) -> np.ndarray:
        """Camera matrix (3, 3) of rectified images: from P, or K if P is not filled."""
        return _first_filled(_camera_matrix(self.p, columns=4), _camera_matrix(self.k, columns=3))

    def raw_camera_matrix(self) -> np.ndarray:
        """Camera matrix (3, 3) of raw images: K, or from P if K is not filled.

        The latter is the case in bags of KITTI odometry.
        """
        return _first_filled(_camera_matrix(self.k, columns=3), _camera_matrix(self.p, columns=4))

    def image_size(self) -> tuple[int, int]:
        """Width and height of images after region of interest and binning; 0 if not given."""
        width, height = self.region[2:] if 0 not in self.region[2:] else self.size
        return width // self.binning[0], height // self.binning[1]

    def image_intrinsics(self, matrix: np.ndarray, width: int, height: int) -> Intrinsics:
        """Intrinsics of images of `width` x `height`, after region of interest and binning.

        matrix: camera matrix (3, 3) of the full sensor.
        """
        left, top = self.region[:2]
        bin_x, bin_y = self.binning
        fx = matrix[0, 0] / bin_x
        fy = matrix[1, 1] / bin_y
        cx = (matrix[0, 2] - left + 0.5) / bin_x - 0.5
        cy = (matrix[1, 2] - top + 0.5) / bin_y - 0.5
        _check_plausible(fx, fy, cx, cy)
        return Intrinsics(fx, fy, cx, cy, width, height)

    def distortion_coefficients(self) -> np.ndarray:
        """D, or four zeros if it is empty or zero.

        Raises CalibrationError for an unknown model, and for values that do not fit the model.
        """
        values = np.array(self.d, dtype=np.float64)
        if not values.any():
            return np.zeros(_FISHEYE_LENGTH)
        fisheye = self.model in _FISHEYE_MODELS
        if not fisheye and self.model not in _POLYNOMIAL_MODELS:
            raise self.unknown_model_error()
        if not np.isfinite(values).all() or (
            len(values) < _FISHEYE_LENGTH if fisheye else len(values) not in _POLYNOMIAL_LENGTHS
        ):
            expected = str(_FISHEYE_LENGTH) if fisheye else ", ".join(map(str, _POLYNOMIAL_LENGTHS))
            listed = ", ".join(f"{value:g}" for value in self.d[:8])
            found = f"D of {self.model or 'plumb_bob'} has {len(values)} values ({listed})"
            raise CalibrationError(f"camera_info: {found}, expected {expected} finite ones")
        return values[:_FISHEYE_LENGTH] if fisheye else values

    def unknown_model_error(self) -> CalibrationError:
        """Error for an unknown distortion model, with the names of the known ones."""
        models = ", ".join((*_POLYNOMIAL_MODELS[1:], *_FISHEYE_MODELS))
        return CalibrationError(
            f"camera_info: distortion model '{self.model[:40]}' is not known, "
            f"expected one of {models}"
        )

    def rectification_matrix(self) -> np.ndarray:
        """R (3, 3), or the identity if it is not filled.

        Raises CalibrationError if it is no rotation.
        """
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


def _camera_matrix(numbers: tuple[float, ...], columns: int) -> np.ndarray:
    """Left (3, 3) of a matrix given row by row."""
    return np.array(numbers).reshape(3, columns)[:, :3]


def _first_filled(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """First camera matrix (3, 3) if its focal length is not zero, else the second.

    Raises CalibrationError if that is zero, too, or if the numbers are not those of a camera.
    """
    matrix = first if first[0, 0] != 0.0 else second
    if matrix[0, 0] == 0.0:
        raise CalibrationError("camera_info: K and P are zero, the camera is not calibrated")
    _check_plausible(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    if not np.isfinite(matrix).all():
        raise CalibrationError("camera_info: K or P holds values that are not finite")
    return matrix


def _check_plausible(fx: float, fy: float, cx: float, cy: float) -> None:
    """Raises CalibrationError for intrinsics beyond those of a camera, and for NaN."""
    if not (
        _MIN_FOCAL_LENGTH <= fx <= _MAX_FOCAL_LENGTH
        and _MIN_FOCAL_LENGTH <= fy <= _MAX_FOCAL_LENGTH
        and abs(cx) <= _MAX_FOCAL_LENGTH
        and abs(cy) <= _MAX_FOCAL_LENGTH
    ):
        raise CalibrationError(
            f"camera_info: focal lengths {fx:g}, {fy:g} with centre {cx:g}, {cy:g} "
            "are not those of a camera"
        )


def _numbers(message: Any, name: str) -> tuple[float, ...]:
    """Returns the matrix of that name, k, d, r or p in ROS 2, which is K, D, R or P in ROS 1."""
    values = getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
    return tuple(map(float, values))


class Rectifier:
    """Rectifies a camera's images of `width` x `height`; `intrinsics` are those of the result.

    input_is_rectified: images pass unchanged. Otherwise they are undistorted by K, D and R, with
    maps that are computed once. Raises RefusedImage if the images have not the size of the
    calibration, CalibrationError for an unknown distortion model.
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
        self.calibration = calibration
        self.size = (width, height)
        self.intrinsics = calibration.image_intrinsics(
            calibration.rectified_camera_matrix(), width, height
        )
        self._maps = None if input_is_rectified else self._make_maps()

    @property
    def resamples(self) -> bool:
        """Whether images are resampled; otherwise they pass unchanged."""
        return self._maps is not None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Returns the rectified image; pixels outside of the camera's image are black."""
        return (
            image
            if self._maps is None
            else cv2.remap(image, *self._maps, interpolation=cv2.INTER_LINEAR)
        )

    def _make_maps(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Maps of cv2.remap (fixed point); None if raw and rectified images are the same."""
        calibration = self.calibration
        raw = calibration.image_intrinsics(calibration.raw_camera_matrix(), *self.size).matrix()
        rectified = self.intrinsics.matrix()
        distortion = calibration.distortion_coefficients()
        rotation = calibration.rectification_matrix()
        if not (
            distortion.any()
            or not np.allclose(raw, rectified)
            or not np.allclose(rotation, np.eye(3))
        ):
            return None
        if calibration.model in _FISHEYE_MODELS:
            return cv2.fisheye.initUndistortRectifyMap(
                raw, distortion, rotation, rectified, self.size, cv2.CV_16SC2
            )
        if calibration.model in _POLYNOMIAL_MODELS:
            return cv2.initUndistortRectifyMap(
                raw, distortion, rotation, rectified, self.size, cv2.CV_16SC2
            )
        raise calibration.unknown_model_error()
