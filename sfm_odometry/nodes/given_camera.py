"""Camera that parameters give, for images without a camera_info."""

from pathlib import Path

from sfm_odometry.io.calibration import pinhole, read_camera
from sfm_odometry.io.camera_options import intrinsics_of_fov
from sfm_odometry.io.ros_camera_info import Calibration
from sfm_odometry.io.text import read_text


class GivenCamera:
    """Calibration by a file, or a guess by the horizontal field of view.

    Raises InputError for a file that cannot be read.
    """

    def __init__(self, file: str, fov_deg: float) -> None:
        """file: empty for a guess by `fov_deg`, degrees."""
        self._file = Path(file) if file else None
        self._fov_deg = fov_deg
        self._calibrations: dict[tuple[int, int], Calibration] = {}
        if self._file is not None:
            read_text(self._file)

    @classmethod
    def of(cls, file: str, fov_deg: float) -> "GivenCamera | None":
        """Returns the camera of the parameters; None where they give none.

        Raises InputError for a file that cannot be read.
        """
        return cls(file, fov_deg) if file or fov_deg else None

    def __str__(self) -> str:
        return str(self._file) if self._file else f"a guess by camera.fov {self._fov_deg:g}"

    def calibration(self, width: int, height: int) -> Calibration:
        """Returns the calibration of images of `width` x `height`.

        Raises CalibrationError for a file of another camera, or without a calibration.
        """
        size = (width, height)
        if size not in self._calibrations:
            self._calibrations = {size: self._read(width, height)}
        return self._calibrations[size]

    def _read(self, width: int, height: int) -> Calibration:
        if self._file is None:
            return pinhole(intrinsics_of_fov(self._fov_deg, width, height))
        return read_camera(self._file, 0, width, height)
