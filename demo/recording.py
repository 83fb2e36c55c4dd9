"""Recorded output of the node, and its association with the frames played."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError

STARTUP_FRAMES = 4
"""Frames whose odometry waits for later ones.

The odometry of the first frames is published together, when the window of five first fills: four of
them wait for the fifth.
"""


@dataclass(frozen=True)
class OdometrySample:
    """One nav_msgs/Odometry message on arrival."""

    stamp_ns: int
    received_ns: int
    """Time of arrival on this machine's clock."""
    odom_from_base: np.ndarray
    """Pose (4, 4) of base_link in odom."""
    twist: np.ndarray
    """Linear, then angular velocity (6,) in base_link axes."""


@dataclass
class NodeRecording:
    """Messages of the node during one drive: all odometry, samples of the images, and counts."""

    odometry: list[OdometrySample] = field(default_factory=list)
    depths: dict[int, np.ndarray] = field(default_factory=dict)
    """Sampled depth (H, W) float32 along z by stamp in ns; NaN where unknown."""
    masks: dict[int, np.ndarray] = field(default_factory=dict)
    """Sampled masks (H, W) uint8 by stamp in ns."""
    depths_received: int = 0
    masks_received: int = 0
    base_from_camera: np.ndarray | None = None
    """Pose (4, 4) of the camera in base_link; None until its transform has come."""
    transforms_checked: int = 0
    transform_error: float = 0.0
    """Largest difference of an entry between a message's pose and the transform of its stamp."""
    status: dict[str, str] = field(default_factory=dict)
    """Last status of the node."""
    tracking_status: dict[str, str] = field(default_factory=dict)
    """Last status while the node was tracking, when its rates and times are meaningful."""


@dataclass(frozen=True)
class EstimatedTrajectory:
    """Odometry of one drive, one row for each played frame whose odometry arrived.

    M rows, at most as many as frames were played.
    """

    frames: np.ndarray
    """Positions (M,) in the played sequence."""
    stamps_ns: np.ndarray
    """Stamps (M,) int64."""
    start_from_camera: np.ndarray
    """Optical poses (M, 4, 4), the first the identity."""
    twists: np.ndarray
    """Twists (M, 6) as published, in base_link axes."""
    latencies_ms: np.ndarray
    """Times (M,) from publishing the image to receiving its odometry."""
    frames_in: int
    """Number of frames played."""

    @property
    def stamps_s(self) -> np.ndarray:
        """Stamps (M,) in seconds."""
        return self.stamps_ns * 1e-9

    @property
    def steady_latencies_ms(self) -> np.ndarray:
        """Latencies without those of the first frames, which wait for the window to fill."""
        return self.latencies_ms[STARTUP_FRAMES:]

    @property
    def startup_latencies_ms(self) -> np.ndarray:
        """Latencies of the first frames, which wait for the window to fill."""
        return self.latencies_ms[:STARTUP_FRAMES]


def read_publish_log(path: Path) -> dict[int, int]:
    """Returns {stamp_ns: publish_time_ns} of the frames played, in the order of playing.

    Raises InputError where the file is missing or is not the player's CSV of
    stamp_ns,publish_time_ns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                int(row["stamp_ns"]): int(row["publish_time_ns"]) for row in csv.DictReader(file)
            }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected the player's publish log (stamp_ns,publish_time_ns), got {error!r}"
        ) from error


def associate(recording: NodeRecording, published_ns: dict[int, int]) -> EstimatedTrajectory:
    """Associate odometry with the frames played, by stamp; the first sample of a stamp counts.

    published_ns: publishing time by stamp, in the order of playing. start_from_camera =
    camera_from_base @ odom_from_base @ base_from_camera, then expressed in its own first frame,
    since a node may have started its odom frame anywhere. Raises InputError where none of the
    odometry belongs to a played frame.
    """
    # Find the first sample of each played frame.
    frame_of_stamp = {stamp_ns: frame for frame, stamp_ns in enumerate(published_ns)}
    samples: dict[int, OdometrySample] = {}
    for sample in recording.odometry:
        if sample.stamp_ns in frame_of_stamp:
            samples.setdefault(frame_of_stamp[sample.stamp_ns], sample)
    if not samples or recording.base_from_camera is None:
        raise InputError(
            f"no odometry arrived for the {len(published_ns)} frames played, "
            "or no camera transform with it"
        )

    # Arrange the samples in the order of the frames.
    frames = sorted(samples)
    ordered = [samples[frame] for frame in frames]
    odom_from_base = np.stack([sample.odom_from_base for sample in ordered])
    return EstimatedTrajectory(
        frames=np.array(frames),
        stamps_ns=np.array([sample.stamp_ns for sample in ordered], dtype=np.int64),
        start_from_camera=camera_trajectory(odom_from_base, recording.base_from_camera),
        twists=np.stack([sample.twist for sample in ordered]),
        latencies_ms=np.array(
            [(sample.received_ns - published_ns[sample.stamp_ns]) * 1e-6 for sample in ordered]
        ),
        frames_in=len(published_ns),
    )


def camera_trajectory(odom_from_base: np.ndarray, base_from_camera: np.ndarray) -> np.ndarray:
    """Returns the camera's poses (M, 4, 4) in its own first optical frame.

    odom_from_base: poses (M, 4, 4) of base_link in odom; base_from_camera: (4, 4).
    """
    odom_from_camera = odom_from_base @ base_from_camera
    return np.linalg.inv(odom_from_camera[0]) @ odom_from_camera
