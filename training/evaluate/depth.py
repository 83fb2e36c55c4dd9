"""Depth scores of Eigen et al. (NeurIPS 2014) and their followers."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.images import read_depth
from training.evaluate.files import Coverage
from training.evaluate.predictions import DepthPrediction, read_prediction

MIN_DEPTH_M = 1e-3
METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")

# Fractions of height (top, bottom) and width (left, right), rounded down to pixels.
CROPS = {
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "none": (0.0, 1.0, 0.0, 1.0),
}

Comparison = tuple[str, np.ndarray, DepthPrediction]
"""Name of the true depth, the true depth (H, W) in metres with NaN or 0 unknown, and the
prediction."""


def score_images(
    comparisons: Iterable[Comparison],
    cap_m: float = 80.0,
    crop: str = "garg",
    resize: str = "depth",
) -> tuple[dict[str, float | int], list[str]]:
    """Mean scores over images, and notes on pixels and images that were left out.

    The pixels of an image are those whose truth lies between 1e-3 and `cap_m`, inside `crop`, and
    whose prediction is known. The prediction is brought to the truth's size by bilinear
    interpolation of `resize` (depth as SfMLearner does, or inverse_depth as Monodepth does), scaled
    by the medians, then clipped. Raises InputError where no image has such pixels.
    """
    scores = []
    notes = []
    for gt_name, gt, prediction in comparisons:
        # Pixels with truth and prediction.
        gt = gt.astype(np.float64)
        pred = prediction.at_size(gt.shape, resize).astype(np.float64)
        true_pixels = valid_pixels(gt, cap_m, crop)
        mask = true_pixels & np.isfinite(pred)
        notes += _notes_on_missing(gt_name, true_pixels, mask, prediction.name, cap_m, crop)
        # Scores after median scaling.
        if mask.any():
            scaled = median_scaled(gt[mask], pred[mask], prediction.name)
            scores.append(depth_metrics(gt[mask], np.clip(scaled, MIN_DEPTH_M, cap_m)))
    if not scores:
        raise InputError(
            "no pixel to compare in any image, "
            f"expected true depth within {MIN_DEPTH_M:g} to {cap_m:g} m in the {crop} crop"
        )
    return mean_scores(METRICS, scores), notes


def _notes_on_missing(
    gt_name: str,
    true_pixels: np.ndarray,
    mask: np.ndarray,
    prediction_name: str,
    cap_m: float,
    crop: str,
) -> list[str]:
    """Notes on true pixels (H, W) without prediction, and on an image with an empty mask."""
    notes = []
    # True pixels without prediction.
    true_count = np.count_nonzero(true_pixels)
    missing = true_count - np.count_nonzero(mask)
    if missing:
        notes.append(
            f"{prediction_name}: no prediction at {missing} of {true_count} true pixels, left out"
        )
    # An image without pixels.
    if not mask.any():
        notes.append(
            f"{gt_name}: no pixel to compare (true depth within {MIN_DEPTH_M:g} to {cap_m:g} m, "
            f"{crop} crop), left out"
        )
    return notes


def mean_scores(
    names: Sequence[str], scores: Sequence[tuple[float, ...]]
) -> dict[str, float | int]:
    """Mean of the images' scores by name, and the number of images."""
    means = np.mean(scores, axis=0)
    return {
        **{name: float(mean) for name, mean in zip(names, means, strict=True)},
        "images": len(scores),
    }


def evaluate_depth(
    pairs: Iterable[tuple[Path, Path]],
    cap_m: float = 80.0,
    crop: str = "garg",
    resize: str = "depth",
    pred_is: str = "depth",
    coverage: Coverage | None = None,
) -> tuple[dict[str, float | int], list[str]]:
    """Scores and notes of `score_images` over pairs of a true and a predicted depth file.

    pred_is: quantity in the predicted files, depth or inverse_depth.
    """
    return score_images(_read(pairs, pred_is, coverage or Coverage()), cap_m, crop, resize)


def depth_metrics(gt: np.ndarray, pred: np.ndarray) -> tuple[float, ...]:
    """Seven scores, in the order of METRICS, of positive depths (P,) d* = gt and d = pred.

    Eigen et al., NeurIPS 2014, section 4.2: abs_rel = mean |d - d*| / d*,
    sq_rel = mean (d - d*)^2 / d*, rmse = sqrt(mean (d - d*)^2),
    rmse_log = sqrt(mean (ln d - ln d*)^2), a_k = share of pixels with max(d / d*, d* / d) < 1.25^k.
    """
    difference = pred - gt
    ratio = np.maximum(pred / gt, gt / pred)
    return (
        float(np.mean(np.abs(difference) / gt)),
        float(np.mean(difference**2 / gt)),
        float(np.sqrt(np.mean(difference**2))),
        float(np.sqrt(np.mean((np.log(pred) - np.log(gt)) ** 2))),
        *(float(np.mean(ratio < 1.25**power)) for power in (1, 2, 3)),
    )


def valid_pixels(gt: np.ndarray, cap_m: float, crop: str) -> np.ndarray:
    """Mask (H, W) bool of pixels with true depth between 1e-3 m and the cap, inside the crop.

    crop: one of CROPS (Garg et al., ECCV 2016). InputError for another crop or an invalid cap.
    """
    if crop not in CROPS:
        raise InputError(f"crop {crop!r}, expected one of {', '.join(CROPS)}")
    if not cap_m > MIN_DEPTH_M:
        raise InputError(f"cap of {cap_m:g} m, expected more than {MIN_DEPTH_M:g} m")
    height, width = gt.shape
    top, bottom, left, right = CROPS[crop]
    inside = np.zeros(gt.shape, dtype=bool)
    inside[int(top * height) : int(bottom * height), int(left * width) : int(right * width)] = True
    with np.errstate(invalid="ignore"):
        return inside & (gt > MIN_DEPTH_M) & (gt < cap_m)


def median_scaled(gt: np.ndarray, pred: np.ndarray, pred_name: str) -> np.ndarray:
    """Depth (P,) scaled by the medians: pred * median(gt) / median(pred).

    Zhou et al., CVPR 2017. Depth is clipped only after this. InputError where the median of pred is
    not positive.
    """
    median = float(np.median(pred))
    if not median > 0:
        raise InputError(f"{pred_name}: median depth {median:g}, expected positive depths")
    return pred * (np.median(gt) / median)


def _read(
    pairs: Iterable[tuple[Path, Path]], pred_is: str, coverage: Coverage
) -> Iterator[Comparison]:
    """Read pairs of a true and a predicted depth file."""
    for gt_path, pred_path in pairs:
        gt = read_depth(gt_path)
        pred = read_prediction(pred_path, pred_is)
        preprocessor = coverage.preprocessor(gt.shape, pred.shape)
        window = preprocessor.window if preprocessor else None
        yield str(gt_path), gt, DepthPrediction(str(pred_path), pred, window)
