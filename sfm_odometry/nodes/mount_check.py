"""Check of the camera's mount: whether the optical axis points where the camera looks."""

import numpy as np

MAX_AXIS_ANGLE_DEG = 30.0
"""Greatest angle to straight up, straight down or sideways that counts as such."""
MIN_STEPS = 10
"""Number of steps of the camera before its motion says anything."""
MIN_SHARE_FORWARD = 0.8
"""Least share of the path along the optical axis of a camera that moves where it looks."""


class MountCheck:
    """Looks at the optical axis in the base's axes, and at the motion along it.

    A body's frame (x forward, z up) in place of an optical one (z forward) turns the view to the
    sky: no camera for driving looks there. Cameras that look down or sideways exist; they do not
    move where they look, however, as one with a wrong frame appears to do.
    """

    def __init__(self, base_from_camera: np.ndarray, base_frame: str, camera_frame: str) -> None:
        """base_from_camera: (4, 4). camera_frame: empty where a parameter gives the mount."""
        self.base_from_camera = base_from_camera
        self._base_frame = base_frame
        self._camera_frame = camera_frame
        self._steps = 0
        self._path = 0.0
        self._path_forward = 0.0

    def add_step(self, translation: np.ndarray) -> None:
        """Add a step of the camera, (3,) in its own optical axes."""
        length = float(np.linalg.norm(translation))
        if length > 0.0:
            self._steps += 1
            self._path += length
            self._path_forward += float(translation[2])

    @property
    def problem(self) -> str:
        """Description of an unlikely mount; empty where there is none."""
        direction = self._direction()
        if not direction or (direction != "straight up" and not self._moves_forward()):
            return ""
        # Some robots are described from their camera on.
        if self._camera_frame == self._base_frame and "optical" in self._base_frame:
            return ""
        moving = "" if direction == "straight up" else ", and moves where it looks"
        question = (
            f"is {self._camera_frame} an optical frame (z forward)? set camera_frame, or "
            "camera.base_from_camera"
            if self._camera_frame
            else "camera.base_from_camera must be the pose of the optical frame (z forward)"
        )
        return f"the camera looks {direction} in {self._base_frame}{moving}: {question}"

    def _direction(self) -> str:
        """Direction of the optical axis where it is up, down or sideways; empty otherwise."""
        axis = self.base_from_camera[:3, 2]
        limit = np.cos(np.radians(MAX_AXIS_ANGLE_DEG))
        if abs(axis[2]) >= limit:
            return "straight up" if axis[2] > 0.0 else "straight down"
        if abs(axis[1]) >= limit:
            return "to the left" if axis[1] > 0.0 else "to the right"
        return ""

    def _moves_forward(self) -> bool:
        """Whether the camera moves along its optical axis."""
        return self._steps >= MIN_STEPS and self._path_forward >= MIN_SHARE_FORWARD * self._path
