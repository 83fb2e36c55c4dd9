"""Scores and error curves of one variant on one drive."""

from typing import Any

import numpy as np

from training.accuracy.consistency import interpolated_truth, normalised_errors
from training.accuracy.drives import EvaluatedDrive
from training.accuracy.odometry_run import OdometryRun
from training.evaluate.odometry import (
    aligned_to_gt,
    driven_distances,
    evaluate_odometry,
    rotation_angles_rad,
)
from training.evaluate.snippets import evaluate_snippets, snippet_rotation_errors_rad

SNIPPET_FRAMES = 5


def score_run(drive: EvaluatedDrive, run: OdometryRun) -> dict[str, Any]:
    """Evaluate a run: {"scores": {name: number}, "curves": {name: list}}.

    The scores are those of `trajectory_scores`, the ANEES and the number of events; the curves are
    those of `error_curves` and the NEES of translation and rotation by step. Steps whose truth was
    interpolated have no NEES.
    """
    # Consistency of the covariances of the steps whose truth was measured.
    true_steps = np.linalg.inv(drive.true_poses[:-1]) @ drive.true_poses[1:]
    measured = ~interpolated_truth(true_steps)[run.steps - 1]
    errors = normalised_errors(
        true_steps[run.steps - 1][measured],
        run.previous_from_current[measured],
        run.covariances[measured],
        run.metric,
    )
    # Scores and curves of the trajectory.
    return {
        "scores": {
            **trajectory_scores(drive.true_poses, run),
            **errors.anees(),
            "events": len(run.events),
        },
        "curves": {
            **error_curves(drive.true_poses, run.start_from_camera),
            "nees_translation": errors.translation.tolist(),
            "nees_rotation": errors.rotation.tolist(),
        },
    }


def trajectory_scores(true_poses: np.ndarray, run: OdometryRun) -> dict[str, float]:
    """Scores of the poses of a run against true ones (N, 4, 4), and its median time per frame.

    Lengths are in metres after an alignment in seven degrees of freedom; those of snippets after
    scaling each snippet by itself; ate_5_frames_aligned_m takes out one constant rotation between
    the true and the tracked camera's axes. t_err and r_err are over segments of 100 to 800 m, as
    many as the drive holds, and NaN where it holds none. metres_per_unit is the scale of the
    alignment.
    """
    # Whole trajectory, then snippets.
    poses = run.start_from_camera
    odometry = evaluate_odometry(true_poses, poses)
    snippets = evaluate_snippets(true_poses, poses, SNIPPET_FRAMES)
    rotation_rad = snippet_rotation_errors_rad(true_poses, poses, SNIPPET_FRAMES)
    return {
        "ate_5_frames_m": snippets["ate_sfmlearner_mean"],
        "ate_5_frames_aligned_m": snippets["ate_axes_aligned_mean"],
        "rotation_5_frames_deg": float(np.degrees(rotation_rad.mean())),
        "rotation_1_frame_deg": odometry["rpe_deg"],
        "ate_7dof_m": odometry["ate_m"],
        "t_err_percent": odometry["t_err_percent"],
        "r_err_deg_per_100m": odometry["r_err_deg_per_100m"],
        "metres_per_unit": odometry["scale"],
        "ms_a_frame": float(np.median(run.frame_ms)),
    }


def error_curves(true_poses: np.ndarray, poses: np.ndarray) -> dict[str, list]:
    """Aligned path of poses (N, 4, 4), and their errors by frame.

    path_m: (N, 2), right and ahead in metres. position_error_m: (N,) of the aligned positions.
    orientation_error_deg: (N,) angle between the true and the estimated rotation since the first
    camera.
    """
    truth, aligned, _ = aligned_to_gt(true_poses, poses, "7dof")
    orientation_errors = (
        np.linalg.inv(true_poses[:, :3, :3])
        @ true_poses[:1, :3, :3]
        @ np.linalg.inv(poses[:1, :3, :3])
        @ poses[:, :3, :3]
    )
    return {
        "path_m": aligned[:, [0, 2], 3].tolist(),
        "position_error_m": np.linalg.norm(aligned[:, :3, 3] - truth[:, :3, 3], axis=1).tolist(),
        "orientation_error_deg": np.degrees(rotation_angles_rad(orientation_errors)).tolist(),
    }


def truth_curves(true_poses: np.ndarray) -> dict[str, list]:
    """True path and driven distance of poses (N, 4, 4) in metres.

    path_m: (N, 2), right and ahead of the first camera. driven_m: (N,) from the first frame on.
    """
    relative = np.linalg.inv(true_poses[0]) @ true_poses
    return {
        "path_m": relative[:, [0, 2], 3].tolist(),
        "driven_m": driven_distances(true_poses).tolist(),
    }
