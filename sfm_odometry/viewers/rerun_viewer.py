"""The odometry for Rerun's viewer: into a file, or into a window while it runs. It needs no ROS."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.io.map_pictures import mask_to_grey
from sfm_odometry.results import DenseMap
from sfm_odometry.viewers.scene import (
    PosedMotion,
    TravelledPath,
    camera_jpeg,
    coloured_points,
    posed_motions,
    quaternion_xyzw,
)
from sfm_odometry.viewers.viewer import View

APPLICATION = "sfm_odometry"
TIMELINE = "stamp"
LIVE = "live"
REMOTE_PREFIX = "rerun+http"
SUFFIX = ".rrd"
MIN_DATE_NS = 10**17
"""Stamps from 1973 on are dates; smaller ones are durations, as those of videos."""
POINT_STRIDE = 2
"""Pixels of depth between two points: all of them would make files four times as large."""
FRUSTUM_DEPTH = 1.5
"""Distance of the image from the camera in the scene, in the odometry's unit."""
WORLD, BASE, CAMERA = "world", "world/base", "world/base/camera"
PATH, IMAGE, POINTS = "world/path", "world/base/camera/image", "world/base/camera/points"
DEPTH, MASK, SPEED, EVENTS = "depth", "mask", "speed", "events"


def check_rerun() -> None:
    """Raise InputError, with the command that mends it, where rerun-sdk is not installed."""
    try:
        import rerun.blueprint  # noqa: F401
        from rerun import RecordingStream, Scalars  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"--rerun needs a package: pip install 'rerun-sdk>=0.39' ({error})"
        ) from None


class RerunViewer:
    """Records the odometry frame by frame in Rerun's format."""

    wants_depth = True
    wants_mask = True

    def __init__(self, target: str) -> None:
        """target: FILE.rrd, `live` for a window, or the address of a viewer (rerun+http://...).

        Raises InputError without rerun-sdk or for another target, and OutputError for a file that
        cannot be written.
        """
        _check_target(target)
        check_rerun()
        import rerun

        self._rerun: Any = rerun
        self._stream: Any = rerun.RecordingStream(APPLICATION)
        self._path = TravelledPath()
        self._connect(target)
        self._stream.log(WORLD, rerun.ViewCoordinates.FLU, static=True)

    def show(self, view: View) -> None:
        """Record a frame."""
        rerun = self._rerun
        for posed in posed_motions(view):
            self._path.add(posed.odom_from_base)
            self._log_motion(posed)
        self._set_stamp(view.stamp_ns)
        self._log_camera(view)
        if self._path.is_due(view.stamp_ns):
            self._log_path()
        for event in view.result.events:
            self._stream.log(EVENTS, rerun.TextLog(str(event), level="WARN"))
        if view.result.mask is not None:
            self._set_stamp(view.result.mask.stamp_ns)
            self._stream.log(MASK, rerun.Image(mask_to_grey(view.result.mask.values)))
        if view.result.depth is not None:
            self._log_depth(view, view.result.depth)

    def clear(self) -> None:
        """Start a new path."""
        self._path.clear()
        self._stream.log(PATH, self._rerun.Clear(recursive=False))

    def close(self) -> None:
        """Write what is left: the whole path first."""
        if self._path.poses:
            self._log_path()
        self._stream.flush()
        self._stream.disconnect()

    def _connect(self, target: str) -> None:
        """Open the file, the window or the connection."""
        layout = _layout()
        if target == LIVE:
            self._stream.spawn(default_blueprint=layout)
        elif target.startswith(REMOTE_PREFIX):
            self._stream.connect_grpc(target, default_blueprint=layout)
        else:
            try:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                self._stream.save(target, default_blueprint=layout)
            except Exception as error:  # the SDK's own, without a common class
                raise OutputError(f"{target}: cannot be written: {error}") from None

    def _set_stamp(self, stamp_ns: int) -> None:
        if stamp_ns >= MIN_DATE_NS:
            self._stream.set_time(TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))
        else:
            self._stream.set_time(TIMELINE, duration=np.timedelta64(stamp_ns, "ns"))

    def _log_motion(self, posed: PosedMotion) -> None:
        self._set_stamp(posed.motion.stamp_ns)
        self._stream.log(BASE, self._transform(posed.odom_from_base))
        speed = float(np.linalg.norm(posed.motion.twist[:3]))
        self._stream.log(SPEED, self._rerun.Scalars(speed))

    def _log_camera(self, view: View) -> None:
        """Log the mount of the camera, its intrinsics and its image."""
        data, intrinsics = camera_jpeg(view)
        # Rerun's pixel coordinates begin at the corner of a pixel, ours at its centre.
        centre = (intrinsics.cx + 0.5, intrinsics.cy + 0.5)
        pinhole = self._rerun.Pinhole(
            focal_length=(intrinsics.fx, intrinsics.fy),
            principal_point=centre,
            width=intrinsics.width,
            height=intrinsics.height,
            camera_xyz=self._rerun.ViewCoordinates.RDF,
            image_plane_distance=FRUSTUM_DEPTH,
        )
        self._stream.log(CAMERA, self._transform(view.base_from_camera))
        self._stream.log(IMAGE, pinhole)
        image = self._rerun.EncodedImage(contents=data, media_type="image/jpeg")
        self._stream.log(IMAGE, image)

    def _log_path(self) -> None:
        positions = np.stack([pose[:3, 3] for pose in self._path.poses])
        self._stream.log(PATH, self._rerun.LineStrips3D([positions], colors=[(255, 140, 0)]))

    def _log_depth(self, view: View, depth: DenseMap) -> None:
        """Log depth as an image, 0 = unknown, and as coloured points."""
        self._set_stamp(depth.stamp_ns)
        # Half precision, 0.05 %, halves the file.
        values = np.nan_to_num(depth.values, nan=0.0).astype(np.float16)
        far = (0.0, view.max_depth)
        self._stream.log(DEPTH, self._rerun.DepthImage(values, meter=1.0, depth_range=far))
        points, colours = coloured_points(depth, view.image, view.intrinsics, POINT_STRIDE)
        self._stream.log(POINTS, self._rerun.Points3D(points, colors=colours))

    def _transform(self, parent_from_child: np.ndarray) -> Any:
        quaternion = self._rerun.Quaternion(xyzw=quaternion_xyzw(parent_from_child))
        return self._rerun.Transform3D(translation=parent_from_child[:3, 3], rotation=quaternion)


def _check_target(target: str) -> None:
    """Raise InputError for a target that is no file, no address, or a window without a screen."""
    if target.startswith(REMOTE_PREFIX) or target.endswith(SUFFIX):
        return
    if target != LIVE:
        raise InputError(
            f"--rerun {target}: expected FILE{SUFFIX}, {LIVE}, or a viewer's address "
            f"({REMOTE_PREFIX}://HOST:9876/proxy)"
        )
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise InputError(
            f"--rerun {LIVE}: there is no screen for a window, expected FILE{SUFFIX}, or the "
            f"address of a viewer on another machine ({REMOTE_PREFIX}://HOST:9876/proxy)"
        )


def _layout() -> Any:
    """The scene beside image, depth and mask, and the speed below."""
    from rerun import blueprint

    pictures = blueprint.Vertical(
        blueprint.Spatial2DView(origin=IMAGE, name="image"),
        blueprint.Spatial2DView(origin=DEPTH, name="depth"),
        blueprint.Spatial2DView(origin=MASK, name="mask"),
    )
    scene = blueprint.Vertical(
        blueprint.Spatial3DView(origin=WORLD, name="scene"),
        blueprint.TimeSeriesView(origin=SPEED, name="speed"),
        row_shares=[4, 1],
    )
    return blueprint.Blueprint(
        blueprint.Horizontal(scene, pictures, column_shares=[3, 2]), collapse_panels=True
    )
