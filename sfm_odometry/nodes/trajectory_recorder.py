"""Trajectory of the running node: kept in memory, and saved as a file on request."""

import threading
from pathlib import Path

import numpy as np
from nav_msgs.msg import Odometry

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.io.trajectories import write_kitti, write_tum_ns
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.parameters import NodeParameters

BLOCK_POSES = 4096
"""Poses in a block of memory, 64 bytes each."""


class TrajectoryRecorder:
    """Poses of the odometry since its last start at the origin, in blocks of numpy arrays.

    Of more than `max_poses` the oldest block is dropped. Stamps increase; after they jump back, as
    those of a bag that is played in a loop, the poses since then are kept. Safe between threads.
    """

    def __init__(self, max_poses: int) -> None:
        self._max_poses = max_poses
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Start a new trajectory."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._stamps_ns: list[np.ndarray] = []
        self._poses: list[np.ndarray] = []
        """Blocks of rows x y z qx qy qz qw."""
        self._in_last = BLOCK_POSES
        """Rows of the last block that are used."""
        self._newest_ns = -1
        self._base_from_camera = np.eye(4)
        self._dropped = 0

    def add(self, odometry: Odometry, base_from_camera: np.ndarray) -> None:
        """Add the pose of an odometry message; base_from_camera (4, 4)."""
        stamp_ns = stamp_to_ns(odometry.header.stamp)
        position, q = odometry.pose.pose.position, odometry.pose.pose.orientation
        with self._lock:
            # Make room.
            if stamp_ns <= self._newest_ns:
                self._clear()
            if self._in_last == BLOCK_POSES:
                self._stamps_ns.append(np.empty(BLOCK_POSES, np.int64))
                self._poses.append(np.empty((BLOCK_POSES, 7)))
                self._in_last = 0
                if len(self._poses) * BLOCK_POSES > self._max_poses + BLOCK_POSES:
                    del self._stamps_ns[0], self._poses[0]
                    self._dropped += BLOCK_POSES
            # Add.
            self._stamps_ns[-1][self._in_last] = stamp_ns
            self._poses[-1][self._in_last] = (
                position.x, position.y, position.z, q.x, q.y, q.z, q.w
            )  # fmt: skip
            self._in_last += 1
            self._newest_ns = stamp_ns
            self._base_from_camera = base_from_camera

    def save(self, parameters: NodeParameters) -> str:
        """Write the trajectory as the parameters say; returns one line on what was written.

        The poses are those of the odometry, odom_from_base, or start_from_camera, with x to the
        right, y down and z forward, from the identity on. Raises InputError where there is no pose
        yet, and OutputError where the file cannot be written.
        """
        # Copy, so that the worker goes on.
        stamps_ns, poses, base_from_camera, dropped = self._copy()
        if not len(poses):
            raise InputError("there is no pose to save yet")
        of_camera = parameters.trajectory_frame == "camera"
        if of_camera:
            poses = se3.inverse(base_from_camera) @ poses @ base_from_camera
        # Write.
        path = Path(parameters.trajectory_path).expanduser().absolute()
        if parameters.trajectory_format == "kitti":
            write_kitti(path, poses)
        else:
            write_tum_ns(path, stamps_ns, poses)
        # Tell.
        frame = "the camera" if of_camera else parameters.base_frame
        older = f"; {dropped} older ones are beyond trajectory.max_poses" if dropped else ""
        return (
            f"{len(poses)} poses of {frame} saved to {path} ({parameters.trajectory_format}){older}"
        )

    def _copy(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Stamps (N,), poses (N, 4, 4), the mount of the camera, and the number dropped."""
        with self._lock:
            count = max((len(self._poses) - 1) * BLOCK_POSES + self._in_last, 0)
            if not self._poses:
                return np.zeros(0, np.int64), np.zeros((0, 4, 4)), self._base_from_camera, 0
            skipped = max(count - self._max_poses, 0)
            stamps_ns = np.concatenate(self._stamps_ns)[skipped:count]
            rows = np.concatenate(self._poses)[skipped:count]
            base_from_camera, dropped = self._base_from_camera, self._dropped + skipped
        poses = np.tile(np.eye(4), (len(rows), 1, 1))
        poses[:, :3, 3] = rows[:, :3]
        poses[:, :3, :3] = se3.rotations_from_quaternions_xyzw(rows[:, 3:])
        return stamps_ns, poses, base_from_camera, dropped
