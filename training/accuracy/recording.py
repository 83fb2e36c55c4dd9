"""What a variant says of a drive."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.kitti import check_image_size, read_image
from sfm_odometry.odometry import FrameMotion, MonocularOdometry
from sfm_odometry.params import OdometryParams
from training.accuracy.drives import EvaluatedDrive
from training.accuracy.variants import CLASSICAL, params_of
from training.classical.track import track
from training.evaluate.commands.shared import shown_progress


@dataclass(frozen=True, eq=False)
class OdometryRun:
    """N poses of a drive and the steps between them.

    start_from_camera: (N, 4, 4). steps: (M,) frames whose step from the frame before is known with
    a covariance; previous_from_current (M, 4, 4) and covariances (M, 6, 6), translation then
    rotation in the current camera's axes; M is 0 for odometry without covariance. metric: whether
    the unit of length is metres. frame_ms: (N,) without reading the image. events: what happened on
    the way.
    """

    start_from_camera: np.ndarray
    frame_ms: np.ndarray
    metric: bool = False
    steps: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    previous_from_current: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 4)))
    covariances: np.ndarray = field(default_factory=lambda: np.zeros((0, 6, 6)))
    events: tuple[str, ...] = ()


def record(drive: EvaluatedDrive, variant: str, model: Path | None) -> OdometryRun:
    """Run a variant over a drive; `model` None is the packaged one."""
    if variant == CLASSICAL:
        classical = track(drive.image_paths, drive.intrinsics)
        return OdometryRun(
            classical.start_from_camera, classical.frame_ms, events=tuple(classical.events)
        )
    return record_odometry(drive, Estimator.from_file(model, backend="auto"), params_of(variant))


def record_odometry(
    drive: EvaluatedDrive, estimator: Estimator, params: OdometryParams
) -> OdometryRun:
    """Run the odometry over a drive; a frame whose pose never became known has the pose before
    it."""
    odometry = MonocularOdometry(estimator, params)
    motions: dict[int, FrameMotion] = {}
    frame_ms, events = [], []
    estimator.warm_up()
    for path, stamp_ns in zip(
        shown_progress(drive.image_paths, "frame"), drive.stamps_ns, strict=True
    ):
        image = read_image(path)
        check_image_size(path, image, drive.intrinsics)
        result = odometry.process(
            image, drive.intrinsics, stamp_ns, want_depth=False, want_mask=False
        )
        motions.update({motion.stamp_ns: motion for motion in result.motions})
        frame_ms.append(result.preprocess_ms + result.inference_ms)
        if result.event or result.refused:
            events.append(f"{path.name}: {result.event or result.refused}")
    known = [index for index, stamp_ns in enumerate(drive.stamps_ns) if stamp_ns in motions]
    stepped = [index for index in known if index - 1 in known]
    of_steps = [motions[drive.stamps_ns[index]] for index in stepped]
    return OdometryRun(
        _poses(drive.stamps_ns, motions),
        np.array(frame_ms),
        params.scale_mode != "none",
        np.array(stepped, int),
        np.array([motion.previous_from_current for motion in of_steps]).reshape(-1, 4, 4),
        # The covariance of a velocity is that of the step over the square of its duration.
        np.array([motion.twist_covariance * motion.dt_s**2 for motion in of_steps]).reshape(
            -1, 6, 6
        ),
        tuple(events),
    )


def _poses(stamps_ns: tuple[int, ...], motions: dict[int, FrameMotion]) -> np.ndarray:
    poses, newest = [], np.eye(4)
    for stamp_ns in stamps_ns:
        if stamp_ns in motions:
            newest = motions[stamp_ns].start_from_camera
        poses.append(newest)
    return np.stack(poses)
