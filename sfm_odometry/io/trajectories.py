"""Trajectory files of KITTI, TUM, EuRoC, ORB-SLAM3, VINS and others, read and written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.io.stamps import seconds_text
from sfm_odometry.io.text import write_text
from sfm_odometry.io.trajectory_layouts import (
    UNIT_NAMES,
    Layout,
    is_frame_numbers,
    layout_of,
    stamps_in_ns,
    time_unit,
)
from sfm_odometry.io.trajectory_order import order_rows
from sfm_odometry.io.trajectory_text import TextTable, read_table

ROTATION_TOLERANCE = 1e-2
"""Largest deviation of a rotation in a file from orthonormal. KITTI's own text deviates by 1e-6;
beyond the tolerance it is no rotation, or the rows are of another kind."""
QUATERNION_TOLERANCE = 2e-2
"""Largest deviation of a quaternion's length from 1: more than two decimals leave."""

COLUMNS = (
    "12 (KITTI), 13 (frame number or stamp, then KITTI), 16 or 17 (4x4 matrix), "
    "8 (TUM: stamp tx ty tz qx qy qz qw; EuRoC: stamp x y z qw qx qy qz), 7, 11, 17 "
    "(TUM without stamp, VINS, EuRoC), or a line with the columns' names"
)


@dataclass(frozen=True, eq=False)
class PoseFile:
    """Content of a trajectory file.

    stamps_s: (N,) float64 strictly increasing, or None for rows without stamps.
    frame_numbers: (N,) int64 strictly increasing, or None for rows without frame numbers.
    poses: (N, 4, 4) float64, world_from_camera (in KITTI's files camera0_from_camera).
    notes: one line for each thing that was left out, sorted or guessed.
    """

    stamps_s: np.ndarray | None
    frame_numbers: np.ndarray | None
    poses: np.ndarray
    notes: tuple[str, ...] = ()


def read_poses(path: Path) -> PoseFile:
    """Reads a trajectory file, whose columns are recognised by their names or their number.

    Numbers may be separated by blanks, tabs, commas and semicolons; comments (#, %, //) and blank
    lines are skipped. Matrices are kept as written; quaternions are normalised. Stamps are
    brought to seconds from the unit that their size and steps show. Rows are sorted by time, and
    those that repeat a moment, hold numbers that are not finite or a quaternion of zeros are left
    out, all with a note.
    Raises InputError, naming file and line, for a missing or empty file, unknown or changing
    column counts, and matrices and quaternions that are no rotations.
    """
    table, layout = _table_and_layout(path)
    notes = list(table.notes)
    # Convert it to poses; without frame numbers of its own, row k is frame k.
    numbers = _numbers(table, layout)
    is_pose = np.isfinite(numbers).all(axis=1)
    if layout.matrix is None:  # some tools write lost frames with a quaternion of zeros
        is_pose &= (numbers[:, 3:] != 0).any(axis=1)
    kept = np.flatnonzero(is_pose)
    if len(kept) < len(numbers):
        notes.append(_not_finite_note(table, kept))
    lines = [table.lines[row] for row in kept]
    poses = (_poses_from_tum if layout.matrix is None else _poses_from_matrices)(
        path, lines, numbers[kept]
    )
    if not layout.time:
        frames = None if len(kept) == len(numbers) else kept
        notes += [f"{path}: rows are taken as {layout.guess}"] if layout.guess else []
        return PoseFile(None, frames, poses, tuple(notes))
    # Order it by time.
    words = [[table.rows[row][column] for column in layout.time] for row in kept]
    keys, text, is_frames, unit_note = _keys(table, layout, words)
    if layout.guess or unit_note:
        guess = ", ".join(part for part in (unit_note, layout.guess) if part)
        notes.append(f"{path}: rows are taken as {guess}")
    order, order_notes = order_rows(str(path), keys, text, lines)
    if is_frames:
        return PoseFile(None, keys[order], poses[order], (*notes, *order_notes))
    return PoseFile(_seconds(keys[order]), None, poses[order], (*notes, *order_notes))


def _table_and_layout(path: Path) -> tuple[TextTable, Layout]:
    """Reads a table of equal rows, and finds its columns."""
    table = read_table(path)
    if not table.rows:
        raise InputError(f"{path}: no poses in it, expected rows of {COLUMNS}")
    layout = layout_of(table)
    if layout is None:
        raise InputError(
            f"{path}, line {table.lines[0]}: {table.columns} numbers, expected {COLUMNS}"
        )
    return table, layout


def poses_by_stamp(name: str, stamps_ns: Sequence[int], poses: np.ndarray) -> PoseFile:
    """Trajectory of stamps and poses (N, 4, 4), sorted and without repeats, with notes on both.

    Raises InputError for two trajectories of the same time.
    """
    keys = np.array(stamps_ns, dtype=np.int64)
    order, notes = order_rows(name, keys, _stamp_text)
    return PoseFile(_seconds(keys[order]), None, poses[order], tuple(notes))


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
    _write_tum(path, [f"{stamp:.9f}" for stamp in stamps_s.ravel().tolist()], poses)


def write_tum_ns(path: Path, stamps_ns: np.ndarray, poses: np.ndarray) -> None:
    """Writes poses as `write_tum` does, with stamps (N,) int64 in nanoseconds, exactly."""
    seconds = (divmod(stamp_ns, 10**9) for stamp_ns in stamps_ns.tolist())
    _write_tum(path, [f"{whole}.{rest:09d}" for whole, rest in seconds], poses)


def _write_tum(path: Path, stamps: Sequence[str], poses: np.ndarray) -> None:
    """Writes rows of stamps and poses (N, 4, 4)."""
    poses = _checked_shape(poses)
    if len(stamps) != len(poses):
        raise InputError(
            f"{path}: {len(stamps)} stamps for {len(poses)} poses, expected one for each"
        )
    values = np.concatenate(
        [poses[:, :3, 3], se3.quaternions_xyzw_from_rotations(poses[:, :3, :3])], axis=1
    )
    row_format = " ".join(["%.9e"] * 7) + "\n"
    lines = (
        f"{stamp} {row_format % tuple(row)}"
        for stamp, row in zip(stamps, values.tolist(), strict=True)
    )
    write_text(path, "".join(lines))


def _numbers(table: TextTable, layout: Layout) -> np.ndarray:
    """Numbers (N, 12) of 3x4 matrices, or (N, 7) of positions and quaternions x y z w."""
    if layout.matrix is None:
        columns = [*layout.position, *layout.rotation]
    else:
        columns = list(range(layout.matrix, layout.matrix + 12))
    numbers = np.empty((len(table.rows), len(columns)))
    for row, (line, words) in enumerate(zip(table.lines, table.rows, strict=True)):
        for place, column in enumerate((*columns, *layout.time)):
            try:
                number = float(words[column])
            except ValueError:
                raise InputError(
                    f"{table.path}, line {line}: {words[column][:40]!r} is not a number"
                ) from None
            # A time that is not finite makes the row unusable.
            if place < len(columns):
                numbers[row, place] = number
            elif not np.isfinite(number):
                numbers[row] = np.nan
    return numbers


def _not_finite_note(table: TextTable, kept: np.ndarray) -> str:
    """Note on rows with numbers that are not finite; InputError where no others are left."""
    lost = np.setdiff1d(np.arange(len(table.rows)), kept)
    line = table.lines[int(lost[0])]
    if not len(kept):
        raise InputError(
            f"{table.path}, line {line}: no finite pose in the file, expected rows of {COLUMNS}"
        )
    return (
        f"{table.path}: {len(lost)} of {len(table.rows)} rows hold no finite pose and are left "
        f"out (first line {line})"
    )


def _keys(
    table: TextTable, layout: Layout, words: list[list[str]]
) -> tuple[np.ndarray, Callable[[int], str], bool, str]:
    """Frame numbers or stamps in nanoseconds (N,), their text, which of both, and a note."""
    first = [row[0] for row in words]
    if layout.matrix is not None and is_frame_numbers(first, table.names):
        return np.array([int(float(word)) for word in first]), _frame_text, True, ""
    if len(layout.time) == 2:
        stamps = stamps_in_ns(first, "s")
        rest = stamps_in_ns([row[1] for row in words], "ns")
        stamps_ns = [a + b for a, b in zip(stamps, rest, strict=True)]
        return np.array(stamps_ns, dtype=np.int64), _stamp_text, False, ""
    unit, is_guess = time_unit(first, table.time_unit)
    note = f"stamps in {UNIT_NAMES[unit]}, by their steps" if is_guess else ""
    stamps_ns = stamps_in_ns(first, unit)
    try:
        return np.array(stamps_ns, dtype=np.int64), _stamp_text, False, note
    except OverflowError:
        far = max(range(len(stamps_ns)), key=lambda row: abs(stamps_ns[row]))
        raise InputError(
            f"{table.path}: stamp {first[far]}, expected seconds, milli-, micro- or nanoseconds"
        ) from None


def _stamp_text(stamp_ns: int) -> str:
    return f"stamp {seconds_text(stamp_ns)} s"


def _frame_text(number: int) -> str:
    return f"frame number {number}"


def _seconds(stamps_ns: np.ndarray) -> np.ndarray:
    """Stamps (N,) in seconds, each the float nearest to its nanoseconds."""
    return np.array([stamp_ns / 10**9 for stamp_ns in stamps_ns.tolist()])


def _poses_from_matrices(path: Path, lines: list[int], numbers: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) of 3x4 matrices (N, 12); InputError for one without a rotation."""
    poses = np.tile(np.eye(4), (len(numbers), 1, 1))
    poses[:, :3, :] = numbers.reshape(-1, 3, 4)
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


def _poses_from_tum(path: Path, lines: list[int], numbers: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) of rows x y z qx qy qz qw; InputError for a quaternion far from length 1."""
    norms = np.linalg.norm(numbers[:, 3:], axis=1)
    bad = np.abs(norms - 1) > QUATERNION_TOLERANCE
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}, line {lines[row]}: quaternion of length {norms[row]:.3g}, expected 1"
        )
    poses = np.tile(np.eye(4), (len(numbers), 1, 1))
    poses[:, :3, 3] = numbers[:, :3]
    poses[:, :3, :3] = se3.rotations_from_quaternions_xyzw(numbers[:, 3:])
    return poses


def _checked_shape(poses: np.ndarray) -> np.ndarray:
    poses = np.asarray(poses, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise InputError(f"poses must be (N, 4, 4), got shape {poses.shape}")
    return poses
