"""Calibration from ROS camera_info messages, and rectification of images."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import CalibrationError
from sfm_odometry.geometry.camera import Intrinsics, check_plausible
from sfm_odometry.io.ros_image import RefusedImage

_POLYNOMIAL_MODELS = ("", "plumb_bob", "rational_polynomial")
_FISHEYE_MODELS = ("equidistant", "fisheye")
_POLYNOMIAL_LENGTHS = (4, 5, 8, 12, 14)
_FISHEYE_LENGTH = 4
_MIN_FOCAL_LENGTH = 0.1
_MAX_FOCAL_LENGTH = 1e7
"""Focal lengths in pixels, beyond which there is no camera; float32, in which the networks compute,
is accurate between them."""
CENTRE_TOLERANCE = 0.15
"""Distance of a principal point from the middle of the sensor, in shares of its size, up to which
it is believed to be that of the sensor."""
CENTRE_RATIO = 0.5
"""How many times nearer to the middle of the image a principal point must be than to that of the
sensor to be taken for the image's."""


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

    def placement(self, width: int, height: int) -> "Placement":
        """Place of images of `width` x `height` on the sensor of K and P.

        A camera_info that contradicts itself is decided by its principal point; see
        :meth:`contradiction`. Raises RefusedImage if the images have another size.
        """
        left, top = self.region[:2]
        as_given = Placement(left, top, *self.binning)
        found = self.contradiction(width, height)
        expected = self.image_size()
        sizes = (expected, self.size, self.region[2:]) if found else (expected,)
        if 0 not in expected and (width, height) not in sizes:
            raise RefusedImage(
                "size",
                f"image is {width}x{height}, but camera_info is of {expected[0]}x{expected[1]}",
            )
        if as_given == WHOLE_SENSOR and not found:
            return as_given
        matrix = self.raw_camera_matrix()
        _check_finite(matrix[0, 0], matrix[1, 1], *as_given.centre(matrix))
        # Where K is believed to be that of the sensor, region and binning hold.
        off_sensor = _off_centre(WHOLE_SENSOR.centre(matrix), self.size)
        off_image = _off_centre(WHOLE_SENSOR.centre(matrix), (width, height))
        if not found and (off_sensor <= CENTRE_TOLERANCE or off_image >= CENTRE_RATIO * off_sensor):
            return as_given
        # Otherwise the principal point decides what was applied to K already.
        found = found or "its principal point is that of the image, not of the sensor"
        best = min(
            _placements(as_given), key=lambda it: _off_centre(it.centre(matrix), (width, height))
        )
        off_best = _off_centre(best.centre(matrix), (width, height))
        if off_image <= CENTRE_TOLERANCE or off_best >= CENTRE_RATIO * off_image:
            best = WHOLE_SENSOR
        return replace(best, warning=f"camera_info contradicts itself: {found}; {best.describe()}")

    def contradiction(self, width: int, height: int) -> str:
        """What is wrong with region and binning for images of `width` x `height`; empty if nothing.

        Drivers give the size of the image as that of the sensor (camera1394, Baxter), the offset of
        a region without its size, or a size that is binned already.
        """
        left, top, region_width, region_height = self.region
        sensor_width, sensor_height = self.size
        placed = f"region of interest {region_width}x{region_height} at {left}, {top}"
        if 0 in (region_width, region_height) and (left or top):
            return f"its {placed} has no size"
        if 0 not in self.size and (
            left + region_width > sensor_width or top + region_height > sensor_height
        ):
            return f"its {placed} lies outside its {sensor_width}x{sensor_height} pixels"
        bin_x, bin_y = self.binning
        if (bin_x, bin_y) != (1, 1) and (width, height) in (self.size, self.region[2:]):
            return f"its size {width}x{height} is that of the image, before binning {bin_x}x{bin_y}"
        return ""

    def image_intrinsics(self, matrix: np.ndarray, width: int, height: int) -> Intrinsics:
        """Intrinsics of images of `width` x `height`, after region of interest and binning.

        matrix: camera matrix (3, 3) of the full sensor. Raises CalibrationError, with the likely
        cause, for numbers that no camera has, and RefusedImage for images of another size.
        """
        placement = self.placement(width, height)
        fx = matrix[0, 0] / placement.bin_x
        fy = matrix[1, 1] / placement.bin_y
        cx, cy = placement.centre(matrix)
        _check_finite(fx, fy, cx, cy)
        intrinsics = Intrinsics(fx, fy, cx, cy, width, height)
        self._check_plausible(matrix, intrinsics, placement)
        return intrinsics

    def _check_plausible(
        self, matrix: np.ndarray, intrinsics: Intrinsics, placement: "Placement"
    ) -> None:
        """Raises CalibrationError for a camera that cannot be.

        The centre of a region may be anywhere, so it is the whole sensor that is checked; where its
        size is not given, it is about twice the principal point.
        """
        left, top, width, height = self.region
        corner = (placement.left, placement.top)
        is_region = corner != (0, 0) or (width, height) not in ((0, 0), self.size)
        checked = intrinsics
        if is_region and not placement.warning:
            fx, fy, cx, cy = (matrix[i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
            sensor = self.size
            if 0 in sensor:
                sensor = (max(left + width, round(2 * cx)), max(top + height, round(2 * cy)))
            checked = Intrinsics(fx, fy, cx, cy, *sensor)
        try:
            check_plausible(checked)
        except CalibrationError as error:
            raise CalibrationError(f"camera_info: {error}") from None

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
    """First camera matrix (3, 3) if it is filled, else the second; zeros and the identity are not.

    Raises CalibrationError if neither is, or if the numbers are not those of a camera.
    """
    matrix = first if _is_filled(first) else second
    if not _is_filled(matrix) and matrix[0, 0] != 0.0:
        raise CalibrationError(
            "camera_info: K and P are the identity, the camera is not calibrated"
        )
    if matrix[0, 0] == 0.0:
        raise CalibrationError("camera_info: K and P are zero, the camera is not calibrated")
    _check_finite(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    if not np.isfinite(matrix).all():
        raise CalibrationError("camera_info: K or P holds values that are not finite")
    return matrix


def _is_filled(matrix: np.ndarray) -> bool:
    return bool(matrix[0, 0] != 0.0) and not np.array_equal(matrix, np.eye(3))


def _check_finite(fx: float, fy: float, cx: float, cy: float) -> None:
    """Raises CalibrationError for numbers that float32 cannot hold with accuracy, and for NaN."""
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


@dataclass(frozen=True)
class Placement:
    """Where on the sensor an image is: the corner of its region, then binning, in x and y."""

    left: int
    top: int
    bin_x: int
    bin_y: int
    warning: str = ""
    """What camera_info contradicts itself in, and what was taken; empty if it does not."""

    def centre(self, matrix: np.ndarray) -> tuple[float, float]:
        """Principal point of the image, from the camera matrix (3, 3) of the sensor."""
        return (
            (matrix[0, 2] - self.left + 0.5) / self.bin_x - 0.5,
            (matrix[1, 2] - self.top + 0.5) / self.bin_y - 0.5,
        )

    def describe(self) -> str:
        """What is done with K and P."""
        done = [f"the offset {self.left}, {self.top}"] if (self.left, self.top) != (0, 0) else []
        done += [f"binning {self.bin_x}x{self.bin_y}"] if (self.bin_x, self.bin_y) != (1, 1) else []
        if not done:
            return "K and P are taken as they are, by their principal point"
        return f"{' and '.join(done)} applied to K and P, by their principal point"


WHOLE_SENSOR = Placement(0, 0, 1, 1)


def _placements(given: Placement) -> list[Placement]:
    """The placement as given, and with its region or its binning alone."""
    return [
        given,
        Placement(given.left, given.top, 1, 1),
        Placement(0, 0, given.bin_x, given.bin_y),
    ]


def _off_centre(centre: tuple[float, float], size: tuple[int, int]) -> float:
    """Distance of a principal point from the middle of an image, in shares of its size.

    0 where the size is not given.
    """
    if 0 in size:
        return 0.0
    return max(
        abs((coordinate + 0.5) / side - 0.5) for coordinate, side in zip(centre, size, strict=True)
    )


class Rectifier:
    """Rectifies a camera's images of `width` x `height`; `intrinsics` are those of the result.

    input_is_rectified: images pass unchanged. Otherwise they are undistorted by K, D and R, with
    maps that are computed once. Raises RefusedImage if the images have not the size of the
    calibration, CalibrationError for an unknown distortion model.
    """

    def __init__(
        self, calibration: Calibration, width: int, height: int, input_is_rectified: bool
    ) -> None:
        self.calibration = calibration
        self.size = (width, height)
        self.intrinsics = calibration.image_intrinsics(
            calibration.rectified_camera_matrix(), width, height
        )
        self.warning = calibration.placement(width, height).warning
        """What camera_info contradicts itself in, to be said once; empty if it does not."""
        self._maps = None if input_is_rectified else self._make_maps()

    @cached_property
    def seen(self) -> np.ndarray | None:
        """Pixels of the rectified image that the camera saw, bool (H, W); None if all of them."""
        if self._maps is None:
            return None
        everywhere = np.full(self.size[::-1], 255, np.uint8)
        seen: np.ndarray = self(everywhere) == 255
        return None if seen.all() else seen

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
