"""The scores of one variant on one drive, and what its pictures need."""

from typing import Any

import numpy as np

from training.accuracy.consistency import normalised_errors
from training.accuracy.drives import EvaluatedDrive
from training.accuracy.recording import OdometryRun
from training.evaluate.odometry import (
    aligned_to_gt,
    driven_distances,
    evaluate_odometry,
    rotation_angles_rad,
)
from training.evaluate.snippets import evaluate_snippets, snippet_rotation_errors_rad

SNIPPET = 5


def score(drive: EvaluatedDrive, recording: OdometryRun) -> dict[str, Any]:
    """{"scores": {name: number}, "curves": {name: list}}: see `scores_of` and `curves_of`."""
    errors = normalised_errors(
        _true_steps(drive.true_poses, recording.steps),
        recording.previous_from_current,
        recording.covariances,
        recording.metric,
    )
    curves = {
        **curves_of(drive.true_poses, recording.start_from_camera),
        "nees_translation": errors.translation.tolist(),
    }
    return {
        "scores": {
            **scores_of(drive.true_poses, recording),
            **errors.anees(),
            "events": len(recording.events),
        },
        "curves": {**curves, "nees_rotation": errors.rotation.tolist()},
    }


def scores_of(true_poses: np.ndarray, recording: OdometryRun) -> dict[str, float]:
    """Of the trajectory; lengths in metres after an alignment in seven degrees of freedom, those of
    snippets after each its own scale.

    t_err and r_err over segments of 100 to 800 m, as many as the drive holds, NaN where it holds
    none. scale_error: how far the unit is from metres, as a share.
    """
    odometry = evaluate_odometry(true_poses, recording.start_from_camera)
    snippets = evaluate_snippets(true_poses, recording.start_from_camera, SNIPPET)
    rotation_rad = snippet_rotation_errors_rad(true_poses, recording.start_from_camera, SNIPPET)
    return {
        "ate_5_frames_m": snippets["ate_sfmlearner_mean"],
        "rotation_5_frames_deg": float(np.degrees(rotation_rad.mean())),
        "rotation_1_frame_deg": odometry["rpe_deg"],
        "ate_7dof_m": odometry["ate_m"],
        "t_err_percent": odometry["t_err_percent"],
        "r_err_deg_per_100m": odometry["r_err_deg_per_100m"],
        "metres_per_unit": odometry["scale"],
        "ms_a_frame": float(np.median(recording.frame_ms)),
    }


def curves_of(true_poses: np.ndarray, poses: np.ndarray) -> dict[str, list]:
    """Path (N, 2), right and ahead in metres, aligned; and by frame the error of the aligned
    position in metres and the angle between the orientations, from the first camera on, in
    degrees."""
    truth, aligned, _ = aligned_to_gt(true_poses, poses, "7dof")
    turned = (
        np.linalg.inv(true_poses[:, :3, :3])
        @ true_poses[:1, :3, :3]
        @ np.linalg.inv(poses[:1, :3, :3])
        @ poses[:, :3, :3]
    )
    return {
        "path_m": aligned[:, [0, 2], 3].tolist(),
        "position_error_m": np.linalg.norm(aligned[:, :3, 3] - truth[:, :3, 3], axis=1).tolist(),
        "orientation_error_deg": np.degrees(rotation_angles_rad(turned)).tolist(),
    }


def truth_curves(true_poses: np.ndarray) -> dict[str, list]:
    """The true path (N, 2) in metres, right and ahead of the first camera, and the distance
    driven by each frame."""
    relative = np.linalg.inv(true_poses[0]) @ true_poses
    return {
        "path_m": relative[:, [0, 2], 3].tolist(),
        "driven_m": driven_distances(true_poses).tolist(),
    }


def _true_steps(true_poses: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """(M, 4, 4) previous_from_current of the frames (M,)."""
    return np.linalg.inv(true_poses[frames - 1]) @ true_poses[frames]
