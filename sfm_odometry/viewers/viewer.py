"""Interface of the viewers of the odometry, and the view of a frame that they show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.params import OdometryParams
from sfm_odometry.results import OdometryResult


@dataclass(frozen=True)
class FrameNames:
    """Names of the coordinate frames (REP 105)."""

    odom: str = "odom"
    base: str = "base_link"
    camera: str = "camera_optical"


@dataclass(frozen=True, eq=False)
class View:
    """One frame with its result."""

    stamp_ns: int
    image: np.ndarray
    """Rectified image, uint8 (H, W) grey or (H, W, 3) RGB."""
    intrinsics: Intrinsics
    """Of the image."""
    result: OdometryResult
    base_from_camera: np.ndarray
    """(4, 4), the pose of the camera on the robot."""
    names: FrameNames = FrameNames()
    max_depth: float = OdometryParams().max_depth
    """End of the colour scale of depth."""
    covariance_factor: float = 1.0
    """Factor on the covariances that are shown."""


class Viewer(Protocol):
    """Shows the odometry frame by frame."""

    @property
    def wants_depth(self) -> bool:
        """Whether somebody looks at depth, so that it must be computed."""

    @property
    def wants_mask(self) -> bool:
        """Whether somebody looks at the mask, so that it must be computed."""

    def show(self, view: View) -> None:
        """Show a frame; forms at which nobody looks are not encoded."""

    def clear(self) -> None:
        """Start a new trajectory."""

    def close(self) -> None:
        """End the view: files are complete after this, connections are closed."""


class Viewers:
    """Several viewers as one, none of which can end the odometry.

    A viewer that fails is named once by `warn`, closed, and shown nothing more.
    """

    def __init__(self, viewers: Sequence[Viewer], warn: Callable[[str], object]) -> None:
        self._viewers = list(viewers)
        self._warn = warn

    @property
    def wants_depth(self) -> bool:
        """Whether somebody looks at depth in any of them."""
        return any(viewer.wants_depth for viewer in self._viewers)

    @property
    def wants_mask(self) -> bool:
        """Whether somebody looks at the mask in any of them."""
        return any(viewer.wants_mask for viewer in self._viewers)

    def show(self, view: View) -> None:
        """Show a frame in all of them."""
        self._each(lambda viewer: viewer.show(view))

    def clear(self) -> None:
        """Start a new trajectory in all of them."""
        self._each(lambda viewer: viewer.clear())

    def close(self) -> None:
        """End all of them."""
        self._each(lambda viewer: viewer.close())
        self._viewers.clear()

    def _each(self, act: Callable[[Viewer], None]) -> None:
        for viewer in list(self._viewers):
            try:
                act(viewer)
            except Exception as error:  # a view must not end the odometry of a robot
                self._viewers.remove(viewer)
                name = type(viewer).__name__
                self._warn(f"{name} failed and is closed: {type(error).__name__}: {error}")
                self._close(viewer)

    def _close(self, viewer: Viewer) -> None:
        try:
            viewer.close()
        except Exception as error:
            self._warn(f"{type(viewer).__name__} cannot be closed: {error}")
