"""KITTI's laser scans as sparse depth images: the ground truth of the Eigen protocol."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.errors import CalibrationError, InputError
from sfm_odometry.io.text import parse_numbers, read_text

DEPTH_AXES = ("velodyne", "camera")
"""Axes along which depth is measured: the laser's forward axis, or the camera's z."""
BYTES_PER_POINT = 16


@dataclass(frozen=True, eq=False)
class VelodyneCamera:
    """Projection of laser points to a rectified camera."""

    pixels_from_velodyne: np.ndarray
    """(3, 4); times (x, y, z, 1) in metres it gives (u w, v w, w), w the depth in the camera."""
    width: int
    height: int


def read_velodyne_camera(date_folder: Path, camera: int) -> VelodyneCamera:
    """Read the projection P_rect_0X @ R_rect_00 @ camera_from_velodyne of a day.

    From calib_cam_to_cam.txt and calib_velo_to_cam.txt; the size is S_rect_0X. Raises InputError or
    its subclass CalibrationError naming the file and the entry.
    """
    between_cameras = date_folder / "calib_cam_to_cam.txt"
    from_velodyne = date_folder / "calib_velo_to_cam.txt"
    camera_from_velodyne = np.eye(4)
    camera_from_velodyne[:3, :3] = _entry(from_velodyne, "R", (3, 3))
    camera_from_velodyne[:3, 3] = _entry(from_velodyne, "T", (3,))
    rectified_from_camera = np.eye(4)
    rectified_from_camera[:3, :3] = _entry(between_cameras, "R_rect_00", (3, 3))
    projection = _entry(between_cameras, f"P_rect_{camera:02d}", (3, 4))
    width, height = _entry(between_cameras, f"S_rect_{camera:02d}", (2,))
    return VelodyneCamera(
        projection @ rectified_from_camera @ camera_from_velodyne, int(width), int(height)
    )


def read_scan(path: Path) -> np.ndarray:
    """Read points (N, 4) float32 from a KITTI .bin; raises InputError naming the file.

    x forward, y left, z up in metres, reflectance.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not data or len(data) % BYTES_PER_POINT:
        raise InputError(
            f"{path}: {len(data)} bytes, expected a multiple of {BYTES_PER_POINT}: "
            "x y z reflectance as float32"
        )
    return np.frombuffer(data, "<f4").reshape(-1, 4)


def scan_depth(
    points: np.ndarray, camera: VelodyneCamera, depth_of: str = "velodyne"
) -> np.ndarray:
    """Depth (H, W) float32 in metres of a scan (N, 4), NaN where no point falls.

    As published (Monodepth's and SfMLearner's evaluation): points behind the laser are left out,
    pixel = round(projection) - 1 (the development kit's MATLAB counts from 1), halves to even, and
    of several points in one pixel the nearest counts. depth_of: velodyne, the laser's own forward
    coordinate x, as those evaluations have it, or camera, along the camera's z, which is about
    0.27 m less.
    """
    if depth_of not in DEPTH_AXES:
        raise InputError(f"depth of {depth_of!r}, expected one of {', '.join(DEPTH_AXES)}")
    # Project the points ahead of laser and camera.
    xyz1 = np.column_stack([points[:, :3].astype(np.float64), np.ones(len(points))])
    projected = xyz1 @ camera.pixels_from_velodyne.T
    ahead = (points[:, 0] >= 0) & (projected[:, 2] > 0)
    projected = projected[ahead]
    forward = points[ahead, 0]
    # Round to pixels inside the image.
    column, row = np.round(projected[:, :2] / projected[:, 2:]).T - 1
    inside = (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
    # Keep the nearest point of each pixel.
    values = forward if depth_of == "velodyne" else projected[:, 2].astype(np.float32)
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    np.minimum.at(depth, (row[inside].astype(int), column[inside].astype(int)), values[inside])
    return np.where(np.isinf(depth), np.float32(np.nan), depth)


def _entry(path: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Entry of a calibration file as an array; CalibrationError where it is missing or broken."""
    entries = dict(line.split(":", 1) for line in read_text(path).splitlines() if ":" in line)
    if name not in entries:
        raise CalibrationError(f"{path}: no {name} in it, expected KITTI raw's calibration")
    numbers = parse_numbers(entries[name], f"{path}, {name}")
    if len(numbers) != int(np.prod(shape)):
        raise CalibrationError(
            f"{path}, {name}: {len(numbers)} numbers, expected {int(np.prod(shape))}"
        )
    return np.array(numbers).reshape(shape)
