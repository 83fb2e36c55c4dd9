"""Trajectory files: KITTI rows of 12 numbers, the same after a frame number, TUM rows of 8."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.io.text import read_number_rows, write_text

ROTATION_TOLERANCE = 1e-2
"""Largest deviation of a rotation in a file from orthonormal, or from unit length. KITTI's own text
deviates by 1e-6; beyond the tolerance it is no rotation, or the rows are of another kind."""

COLUMNS = "12 (KITTI), 13 (frame number, then KITTI) or 8 (TUM: stamp tx ty tz qx qy qz qw)"


@dataclass(frozen=True, eq=False)
class PoseFile:
    """Content of a trajectory file.

    stamps_s: (N,) float64 strictly increasing, or None unless the file is TUM.
    frame_numbers: (N,) int64 strictly increasing, or None unless the rows have 13 numbers.
    poses: (N, 4, 4) float64, world_from_camera (in KITTI's files camera0_from_camera).
    """

    stamps_s: np.ndarray | None
    frame_numbers: np.ndarray | None
    poses: np.ndarray


def read_poses(path: Path) -> PoseFile:
    """Reads a KITTI or TUM trajectory, distinguished by the number of columns.

    Comments (#) and blank lines are skipped. Values are kept as written; quaternions are
    normalised. Raises InputError, naming file and line, for a missing or empty file, other or
    changing column counts, numbers that are not finite, matrices that are no rotations, and stamps
    or frame numbers that do not increase.
    """
    # Read a table of equal rows.
    rows = read_number_rows(path)
    if not rows:
        raise InputError(f"{path}: no poses in it, expected rows of {COLUMNS} numbers")
    lines = [line for line, _ in rows]
    columns = len(rows[0][1])
    for line, numbers in rows:
        if len(numbers) != columns:
            raise InputError(
                f"{path}, line {line}: {len(numbers)} numbers, "
                f"expected {columns} as in line {lines[0]}"
            )
    table = np.array([numbers for _, numbers in rows])
    # Convert it to poses.
    if columns == 8:
        _check_increasing(path, lines, table[:, 0], "stamp")
        return PoseFile(table[:, 0], None, _poses_from_tum(path, lines, table))
    if columns == 12:
        return PoseFile(None, None, _poses_from_kitti(path, lines, table))
    if columns == 13:
        _check_frame_numbers(path, lines, table[:, 0])
        return PoseFile(
            None, table[:, 0].astype(np.int64), _poses_from_kitti(path, lines, table[:, 1:])
        )
    raise InputError(f"{path}, line {lines[0]}: {columns} numbers, expected {COLUMNS}")


def write_kitti(path: Path, poses: np.ndarray) -> None:
    """Writes poses (N, 4, 4) as KITTI rows, atomically.

    A row is the upper 3x4 of camera0_from_camera, row by row, with 10 significant digits. Raises
    OutputError if the file cannot be written.
    """
    rows = _checked_shape(poses)[:, :3, :].reshape(-1, 12)
    write_text(path, "".join(" ".join(f"{number:.9e}" for number in row) + "\n" for row in rows))


def write_tum(path: Path, stamps_s: np.ndarray, poses: np.ndarray) -> None:
    """Writes poses (N, 4, 4) as TUM rows `stamp tx ty tz qx qy qz qw`, atomically.

    Stamps have 9 decimals, quaternions unit length and qw >= 0. Raises OutputError if the file
    cannot be written.
    """
    stamps_s = np.asarray(stamps_s, dtype=np.float64)
    poses = _checked_shape(poses)
    if stamps_s.shape != poses.shape[:1]:
        raise InputError(
            f"{path}: {stamps_s.size} stamps for {len(poses)} poses, expected one for each"
        )
    values = np.concatenate(
        [poses[:, :3, 3], se3.quaternions_xyzw_from_rotations(poses[:, :3, :3])], axis=1
    )
    lines = (
        f"{stamp:.9f} " + " ".join(f"{number:.9e}" for number in row) + "\n"
        for stamp, row in zip(stamps_s, values, strict=True)
    )
    write_text(path, "".join(lines))


def _poses_from_kitti(path: Path, lines: list[int], table: np.ndarray) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3, :] = table.reshape(-1, 3, 4)
    rotations = poses[:, :3, :3]
    # Huge numbers must lead to the message below, not to an overflow warning.
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(np.swapaxes(rotations, 1, 2) @ rotations - np.eye(3)).max(axis=(1, 2))
        bad = ~(error <= ROTATION_TOLERANCE) | ~(np.linalg.det(rotations) > 0)
    if bad.any():
        row = int(np.argmax(bad))
        found = f"the 3x3 part is no rotation (|R^T R - I| = {error[row]:.3g})"
        raise InputError(f"{path}, line {lines[row]}: {found}, expected [R | t] with det R = 1")
    return poses


def _poses_from_tum(path: Path, lines: list[int], table: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(table[:, 4:], axis=1)
    bad = np.abs(norms - 1) > ROTATION_TOLERANCE
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}, line {lines[row]}: quaternion of length {norms[row]:.3g}, expected 1"
        )
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3, 3] = table[:, 1:4]
    poses[:, :3, :3] = se3.rotations_from_quaternions_xyzw(table[:, 4:])
    return poses


def _check_increasing(path: Path, lines: list[int], values: np.ndarray, name: str) -> None:
    backward = np.diff(values) <= 0
    if backward.any():
        row = int(np.argmax(backward)) + 1
        raise InputError(
            f"{path}, line {lines[row]}: {name} {values[row]:.9g} after {values[row - 1]:.9g}, "
            f"expected increasing {name}s"
        )


def _check_frame_numbers(path: Path, lines: list[int], numbers: np.ndarray) -> None:
    invalid = (numbers != np.round(numbers)) | (numbers < 0)
    if invalid.any():
        row = int(np.argmax(invalid))
        raise InputError(
            f"{path}, line {lines[row]}: frame number {numbers[row]:.9g}, "
            "expected a whole number from 0"
        )
    _check_increasing(path, lines, numbers, "frame number")


def _checked_shape(poses: np.ndarray) -> np.ndarray:
    poses = np.asarray(poses, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise InputError(f"poses must be (N, 4, 4), got shape {poses.shape}")
    return poses
