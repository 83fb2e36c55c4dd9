"""What was heard of the node while it drove, and how it belongs to what was played."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError

# The odometry of the first frames is published together, when the window of five first fills: four
# of them wait for the fifth.
STARTUP_FRAMES = 4


@dataclass(frozen=True)
class OdometrySample:
    """One nav_msgs/Odometry as it arrived.

    `odom_from_base` is 4x4; `twist` is (6,), linear then angular, in base_link axes; `received_ns`
    is this machine's clock.
    """

    stamp_ns: int
    received_ns: int
    odom_from_base: np.ndarray
    twist: np.ndarray


@dataclass
class Recording:
    """Everything heard of the node during one drive.

    `depths` (H, W) float32 along z, NaN unknown, and `masks` (H, W) uint8 by stamp: a sample of
    those received, which are all counted. `status`: what the node said of itself;
    `tracking_status`: the last time that it was tracking, when its rates and times are telling.
    `transform_error`: the largest difference of an entry between an odometry message's pose and the
    transform of the same instant.
    """

    odometry: list[OdometrySample] = field(default_factory=list)
    depths: dict[int, np.ndarray] = field(default_factory=dict)
    masks: dict[int, np.ndarray] = field(default_factory=dict)
    depths_received: int = 0
    masks_received: int = 0
    base_from_camera: np.ndarray | None = None
    transforms_checked: int = 0
    transform_error: float = 0.0
    status: dict[str, str] = field(default_factory=dict)
    tracking_status: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Track:
    """The odometry of one drive, one row for each played frame whose odometry arrived (M <= frames
    played).

    `frames` (M,) are positions in the played sequence; `stamps_ns` (M,) int64; `start_from_camera`
    (M, 4, 4) optical poses, the first the identity; `twists` (M, 6) as published, in base_link
    axes; `latencies_ms` (M,) from publishing the image to receiving its odometry; `frames_in` is
    how many frames were played.
    """

    frames: np.ndarray
    stamps_ns: np.ndarray
    start_from_camera: np.ndarray
    twists: np.ndarray
    latencies_ms: np.ndarray
    frames_in: int

    @property
    def stamps_s(self) -> np.ndarray:
        """Stamps (M,) in seconds."""
        return self.stamps_ns * 1e-9

    @property
    def steady_latencies_ms(self) -> np.ndarray:
        """Latencies without the first frames, whose motion waits for the window to fill."""
        return self.latencies_ms[STARTUP_FRAMES:]

    @property
    def startup_latencies_ms(self) -> np.ndarray:
        """Latencies of the first frames, which wait for the window to fill."""
        return self.latencies_ms[:STARTUP_FRAMES]


def read_publish_log(path: Path) -> dict[int, int]:
    """When the player published each frame: {stamp_ns: publish_time_ns} in the order of playing.

    Raises InputError when the file is missing or is not the player's CSV of
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


def track_of(recording: Recording, published: dict[int, int]) -> Track:
    """Associate odometry with the frames played, by stamp; the first sample of a stamp counts.

    start_from_camera = camera_from_base @ odom_from_base @ base_from_camera, then expressed in its
    own first frame, since a node may have started its odom frame anywhere. Raises InputError when
    none of the odometry belongs to a played frame.
    """
    frame_of = {stamp_ns: frame for frame, stamp_ns in enumerate(published)}
    samples: dict[int, OdometrySample] = {}
    for sample in recording.odometry:
        if sample.stamp_ns in frame_of:
            samples.setdefault(frame_of[sample.stamp_ns], sample)
    if not samples or recording.base_from_camera is None:
        raise InputError(
            f"no odometry arrived for the {len(published)} frames played, or no camera transform with it"
        )
    frames = sorted(samples)
    ordered = [samples[frame] for frame in frames]
    return Track(
        frames=np.array(frames),
        stamps_ns=np.array([sample.stamp_ns for sample in ordered], dtype=np.int64),
        start_from_camera=camera_track(
            np.stack([sample.odom_from_base for sample in ordered]), recording.base_from_camera
        ),
        twists=np.stack([sample.twist for sample in ordered]),
        latencies_ms=np.array(
            [(sample.received_ns - published[sample.stamp_ns]) * 1e-6 for sample in ordered]
        ),
        frames_in=len(published),
    )


def camera_track(odom_from_base: np.ndarray, base_from_camera: np.ndarray) -> np.ndarray:
    """Poses (M, 4, 4) of the camera in its own first optical frame, from those of base_link in
    odom."""
    odom_from_camera = odom_from_base @ base_from_camera
    return np.linalg.inv(odom_from_camera[0]) @ odom_from_camera
