"""Depth scores of a drive, and the baseline that predicts one depth for each row of the image."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.kitti import read_depth, read_image
from training.accuracy.drives import EvaluatedDrive
from training.accuracy.odometry_run import estimator_of
from training.evaluate.depth import Comparison, score_images, valid_pixels
from training.evaluate.predictions import DepthPrediction, predict_depth, reciprocal

CAP_M = 80.0
CROP = "garg"


def score_depth(drive: EvaluatedDrive, model: Path | None, every: int) -> dict[str, Any]:
    """Scores of a model's depth on every `every`-th frame, and the true mean of each image row.

    "scores": AbsRel and a1, scaled by medians, up to 80 m. "rows": mean true inverse depth and
    number of pixels by row, from which the baseline is made. The drive must have true depth.
    """
    means, counts = row_means(drive, every)
    estimator = estimator_of(model)
    scores, _ = score_images(_model_predictions(drive, estimator, every), CAP_M, CROP)
    return {
        "scores": {name: scores[name] for name in ("abs_rel", "a1", "images")},
        "rows": {"inverse_depth": means.tolist(), "pixels": counts.tolist()},
    }


def score_row_baseline(drive: EvaluatedDrive, rows: np.ndarray, every: int) -> dict[str, float]:
    """Scores of the row baseline with inverse depth `rows` (H,), on every `every`-th frame."""
    scores, _ = score_images(_row_predictions(drive, rows, every), CAP_M, CROP)
    return {"rows_abs_rel": float(scores["abs_rel"]), "rows_a1": float(scores["a1"])}


def row_means(drive: EvaluatedDrive, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean true inverse depth (H,) of each image row, and the number of pixels (H,) it is over.

    The mean is 0 where a row has no true depth.
    """
    sums = np.zeros(drive.intrinsics.height)
    counts = np.zeros(drive.intrinsics.height, int)
    for _, path in _frame_paths(drive, every):
        truth = read_depth(path)
        known = valid_pixels(truth, CAP_M, "none")
        sums += np.where(known, reciprocal(truth), 0.0).sum(axis=1)
        counts += known.sum(axis=1)
    return sums / np.maximum(counts, 1), counts


def pooled_row_means(drives: Sequence[dict[str, list]], height: int) -> np.ndarray:
    """Mean inverse depth (height,) by row over the "rows" of drives of any image height.

    Drives are weighted by their pixels. Rows without true depth in any drive are interpolated from
    their neighbours.
    """
    centres = (np.arange(height) + 0.5) / height
    sums = np.zeros(height)
    weights = np.zeros(height)
    for rows in drives:
        pixels = np.array(rows["pixels"], float)
        drive_centres = (np.arange(len(pixels)) + 0.5) / len(pixels)
        weight = np.interp(centres, drive_centres, pixels)
        known = pixels > 0
        if known.any():
            means = np.array(rows["inverse_depth"])[known]
            sums += weight * np.interp(centres, drive_centres[known], means)
            weights += weight
    known = weights > 0
    return np.interp(centres, centres[known], sums[known] / weights[known])


def _frame_paths(drive: EvaluatedDrive, every: int) -> list[tuple[Path, Path]]:
    """Image and depth files of every `every`-th frame."""
    assert drive.depth_paths is not None
    return list(zip(drive.image_paths, drive.depth_paths, strict=True))[::every]


def _model_predictions(
    drive: EvaluatedDrive, estimator: Estimator, every: int
) -> Iterator[Comparison]:
    """True and predicted depth of every `every`-th frame."""
    for image_path, depth_path in _frame_paths(drive, every):
        prediction = predict_depth(
            estimator, str(image_path), read_image(image_path), drive.intrinsics
        )
        yield str(depth_path), read_depth(depth_path), prediction


def _row_predictions(drive: EvaluatedDrive, rows: np.ndarray, every: int) -> Iterator[Comparison]:
    """True depth and that of the row baseline for every `every`-th frame."""
    depth = np.repeat(reciprocal(rows.astype(np.float32))[:, None], drive.intrinsics.width, axis=1)
    for _, depth_path in _frame_paths(drive, every):
        prediction = DepthPrediction("mean inverse depth by row", depth)
        yield str(depth_path), read_depth(depth_path), prediction
