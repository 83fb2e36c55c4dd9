"""Calibrations by time: a frame is tracked with the camera_info of its own stamp."""

import threading
from collections import deque

from sfm_odometry.io.ros_camera_info import Calibration

MAX_CHANGES = 1000
"""Number of newest changes of the calibration that are kept."""


class CalibrationHistory:
    """Calibrations, each from the stamp of the first camera_info with it on.

    Frames may wait in a queue while an autofocus goes on. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: deque[tuple[int, Calibration]] = deque(maxlen=MAX_CHANGES)

    def add(self, stamp_ns: int, calibration: Calibration) -> None:
        """Add a calibration that differs from the one before.

        A stamp that goes back, after a jump of the clock or without stamps, begins a new history.
        """
        with self._lock:
            if self._changes and stamp_ns < self._changes[-1][0]:
                self._changes.clear()
            self._changes.append((stamp_ns, calibration))

    def clear(self) -> None:
        """Forget all calibrations."""
        with self._lock:
            self._changes.clear()

    def at(self, stamp_ns: int) -> Calibration | None:
        """Newest calibration of this stamp or an older one; else the newest; None without any."""
        with self._lock:
            for changed_ns, calibration in reversed(self._changes):
                if changed_ns <= stamp_ns:
                    return calibration
            return self._changes[-1][1] if self._changes else None
