"""Depth of a drive against its truth, beside the baseline that only knows at which row of the
image a pixel lies."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.kitti import read_depth, read_image
from training.accuracy.drives import EvaluatedDrive
from training.evaluate.depth import Comparison, score_images, valid_pixels
from training.evaluate.predictions import DepthPrediction, predict_depth, reciprocal

CAP_M = 80.0
CROP = "garg"


def score_depth(drive: EvaluatedDrive, model: Path | None, every: int) -> dict[str, Any]:
    """AbsRel and a1 of every `every`-th frame, scaled by medians, up to 80 m; and the drive's mean
    inverse depth by row, for the baseline.

    The drive must have true depth.
    """
    means, counts = row_means(drive, every)
    scores, _ = score_images(
        _predictions(drive, Estimator.from_file(model, backend="auto"), every), CAP_M, CROP
    )
    kept = {name: scores[name] for name in ("abs_rel", "a1", "images")}
    return {"scores": kept, "rows": {"inverse_depth": means.tolist(), "pixels": counts.tolist()}}


def score_rows(drive: EvaluatedDrive, rows: np.ndarray, every: int) -> dict[str, float]:
    """The same scores of a depth of one value a row: `rows` (H,) of inverse depth."""
    scores, _ = score_images(_row_predictions(drive, rows, every), CAP_M, CROP)
    return {"rows_abs_rel": float(scores["abs_rel"]), "rows_a1": float(scores["a1"])}


def row_means(drive: EvaluatedDrive, every: int) -> tuple[np.ndarray, np.ndarray]:
    """(H,) mean true inverse depth of each row of the image, 0 where nothing is known, and (H,)
    how many pixels tell it."""
    sums, counts = np.zeros(drive.intrinsics.height), np.zeros(drive.intrinsics.height, int)
    for _, path in _frames(drive, every):
        truth = read_depth(path)
        known = valid_pixels(truth, CAP_M, "none")
        sums += np.where(known, reciprocal(truth), 0.0).sum(axis=1)
        counts += known.sum(axis=1)
    return sums / np.maximum(counts, 1), counts


def rows_of_others(others: Sequence[dict[str, list]], height: int) -> np.ndarray:
    """(height,) mean inverse depth by row over other drives' "rows", whatever their heights;
    rows that nobody knows as their neighbours."""
    at = (np.arange(height) + 0.5) / height
    sums, weights = np.zeros(height), np.zeros(height)
    for rows in others:
        pixels = np.array(rows["pixels"], float)
        from_top = (np.arange(len(pixels)) + 0.5) / len(pixels)
        weight = np.interp(at, from_top, pixels)
        known = pixels > 0
        if known.any():
            sums += weight * np.interp(at, from_top[known], np.array(rows["inverse_depth"])[known])
            weights += weight
    return np.interp(at, at[weights > 0], sums[weights > 0] / weights[weights > 0])


def _frames(drive: EvaluatedDrive, every: int) -> list[tuple[Path, Path]]:
    assert drive.depth_paths is not None
    return list(zip(drive.image_paths, drive.depth_paths, strict=True))[::every]


def _predictions(drive: EvaluatedDrive, estimator: Estimator, every: int) -> Iterator[Comparison]:
    for image_path, depth_path in _frames(drive, every):
        prediction = predict_depth(
            estimator, str(image_path), read_image(image_path), drive.intrinsics
        )
        yield str(depth_path), read_depth(depth_path), prediction


def _row_predictions(drive: EvaluatedDrive, rows: np.ndarray, every: int) -> Iterator[Comparison]:
    depth = np.repeat(reciprocal(rows.astype(np.float32))[:, None], drive.intrinsics.width, axis=1)
    for _, depth_path in _frames(drive, every):
        yield (
            str(depth_path),
            read_depth(depth_path),
            DepthPrediction("mean inverse depth by row", depth),
        )
