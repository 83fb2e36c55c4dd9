"""Runs of the odometry and of the classical baseline over a drive."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.kitti import check_image_size, read_image
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.params import OdometryParams
from sfm_odometry.results import FrameMotion
from training.accuracy.drives import EvaluatedDrive
from training.accuracy.variants import CLASSICAL, variant_params
from training.classical.track import track
from training.evaluate.commands.shared import progress_bar


@dataclass(frozen=True, eq=False)
class OdometryRun:
    """Poses of the N frames of a drive, and the M steps whose covariance is known.

    A step leads from a frame to the one before it. M is 0 for odometry without covariance.
    """

    start_from_camera: np.ndarray
    """(N, 4, 4) poses of the cameras in the frame of the first one."""
    frame_ms: np.ndarray
    """(N,) time per frame in ms, without reading the image."""
    metric: bool = False
    """Whether the unit of length is metres."""
    steps: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """(M,) indices of the frames at the end of the steps."""
    previous_from_current: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 4)))
    """(M, 4, 4) steps."""
    covariances: np.ndarray = field(default_factory=lambda: np.zeros((0, 6, 6)))
    """(M, 6, 6) of the steps, translation then rotation, in the current camera's axes."""
    events: tuple[str, ...] = ()
    """Gaps, losses and refused frames, each with the name of its image."""


def run_variant(drive: EvaluatedDrive, variant: str, model: Path | None) -> OdometryRun:
    """Run a variant over a drive, with the packaged model where `model` is None."""
    if variant == CLASSICAL:
        classical = track(drive.image_paths, drive.intrinsics)
        return OdometryRun(
            classical.start_from_camera, classical.frame_ms, events=tuple(classical.events)
        )
    return run_odometry(drive, estimator_of(model), variant_params(variant))


def estimator_of(model: Path | None) -> Estimator:
    """Estimator of a model file, or of the packaged model, on the fastest backend.

    The drives and variants of a process share it: the backends are measured once, until the file
    changes.
    """
    path = model or DEFAULT_MODEL
    return _load_estimator(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=1)
def _load_estimator(path: Path, modified_ns: int) -> Estimator:
    return Estimator.from_file(path, backend="auto")


def run_odometry(
    drive: EvaluatedDrive, estimator: Estimator, params: OdometryParams
) -> OdometryRun:
    """Run the odometry over a drive.

    A frame whose pose never became known has the pose of the frame before it.
    """
    odometry = MonocularOdometry(estimator, params)
    motions: dict[int, FrameMotion] = {}
    frame_ms = []
    events = []
    estimator.warm_up()
    for path, stamp_ns in zip(
        progress_bar(drive.image_paths, "frame"), drive.stamps_ns, strict=True
    ):
        image = read_image(path)
        check_image_size(path, image, drive.intrinsics)
        result = odometry.process(
            image, drive.intrinsics, stamp_ns, want_depth=False, want_mask=False
        )
        motions.update({motion.stamp_ns: motion for motion in result.motions})
        frame_ms.append(result.preprocess_ms + result.inference_ms)
        # One entry a frame, since the entries are counted.
        event = result.refused or "; ".join(map(str, result.events))
        if event:
            events.append(f"{path.name}: {event}")
    return _collect(drive.stamps_ns, motions, frame_ms, params.scale_mode != "none", events)


def _collect(
    stamps_ns: tuple[int, ...],
    motions: dict[int, FrameMotion],
    frame_ms: list[float],
    metric: bool,
    events: list[str],
) -> OdometryRun:
    """Arrange the motions, by stamp, into the arrays of an `OdometryRun`."""
    # Steps between neighbouring frames of known pose.
    posed = [index for index, stamp_ns in enumerate(stamps_ns) if stamp_ns in motions]
    steps = [index for index in posed if index - 1 in posed]
    step_motions = [motions[stamps_ns[index]] for index in steps]
    relative = [motion.previous_from_current for motion in step_motions]
    # The covariance of a velocity is that of the step over the square of its duration.
    covariances = [motion.twist_covariance * motion.dt_s**2 for motion in step_motions]
    return OdometryRun(
        start_from_camera=_poses(stamps_ns, motions),
        frame_ms=np.array(frame_ms),
        metric=metric,
        steps=np.array(steps, int),
        previous_from_current=np.array(relative).reshape(-1, 4, 4),
        covariances=np.array(covariances).reshape(-1, 6, 6),
        events=tuple(events),
    )


def _poses(stamps_ns: tuple[int, ...], motions: dict[int, FrameMotion]) -> np.ndarray:
    """Poses (N, 4, 4) of all frames; a frame without a motion repeats the pose before it."""
    poses = []
    latest = np.eye(4)
    for stamp_ns in stamps_ns:
        if stamp_ns in motions:
            latest = motions[stamp_ns].start_from_camera
        poses.append(latest)
    return np.stack(poses)
