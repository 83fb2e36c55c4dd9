"""Depth scores as Eigen et al. (NeurIPS 2014) and everyone since report them."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.image_files import existing_folder, read_depth

MIN_DEPTH_M = 1e-3
METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")

# Fractions of height (top, bottom) and width (left, right), rounded down to pixels.
CROPS = {
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "none": (0.0, 1.0, 0.0, 1.0),
}


def evaluate_depth(pairs: Iterable[tuple[Path, Path]], cap_m: float = 80.0, crop: str = "garg") -> tuple[dict[str, float | int], list[str]]:
    """Mean scores over (true, predicted) depth files, and notes on what was left out.

    An image counts with the pixels whose truth lies between 1e-3 and `cap_m`, inside `crop`, where the prediction is known.
    The prediction is brought to the truth's size by bilinear interpolation of depth (as SfMLearner does), scaled by the medians, then
    clipped.
    """
    scores, notes = [], []
    for gt_path, pred_path in pairs:
        gt = read_depth(gt_path).astype(np.float64)
        pred = resized_depth(read_depth(pred_path), gt.shape).astype(np.float64)
        true_pixels = valid_pixels(gt, cap_m, crop)
        mask = true_pixels & np.isfinite(pred)
        unknown = np.count_nonzero(true_pixels) - np.count_nonzero(mask)
        if unknown:
            notes.append(f"{pred_path}: no prediction at {unknown} of {np.count_nonzero(true_pixels)} true pixels, left out")
        if not mask.any():
            notes.append(f"{gt_path}: no pixel to compare (true depth within {MIN_DEPTH_M:g} to {cap_m:g} m, {crop} crop), left out")
            continue
        scores.append(depth_metrics(gt[mask], _median_scaled(gt[mask], pred[mask], cap_m, pred_path)))
    if not scores:
        raise InputError(f"no pixel to compare in any image, expected true depth within {MIN_DEPTH_M:g} to {cap_m:g} m in the {crop} crop")
    means = np.mean(scores, axis=0)
    return {**{name: float(mean) for name, mean in zip(METRICS, means, strict=True)}, "images": len(scores)}, notes


def depth_metrics(gt: np.ndarray, pred: np.ndarray) -> tuple[float, ...]:
    """The seven scores, in the order of METRICS, of (P,) positive depths d* = gt and d = pred (Eigen et al., NeurIPS 2014, section 4.2).

    abs_rel = mean |d - d*| / d*, sq_rel = mean (d - d*)^2 / d*, rmse = sqrt(mean (d - d*)^2), rmse_log = sqrt(mean (ln d - ln d*)^2),
    a_k = share of pixels with max(d / d*, d* / d) < 1.25^k.
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
    """(H, W) bool: where the true depth lies between 1e-3 m and the cap, and inside the crop (CROPS; Garg et al., ECCV 2016)."""
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


def resized_depth(depth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Depth (h, w) float32 at `shape` (H, W), interpolated bilinearly; unknown (NaN) spreads to its neighbours."""
    return depth if depth.shape == shape else cv2.resize(depth, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def pairs_by_stem(gt_folder: Path, pred_folder: Path) -> list[tuple[Path, Path]]:
    """(true, predicted) files of the same name but for the suffix, .npy or .png; raises InputError naming a prediction that is missing."""
    gt, pred = _depth_files(gt_folder), _depth_files(pred_folder)
    missing = sorted(set(gt) - set(pred))
    if missing:
        more = f" and of {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{pred_folder}: no prediction of {gt[missing[0]].name}{more}, expected one for each of {len(gt)} in {gt_folder}")
    return [(gt[stem], pred[stem]) for stem in sorted(gt)]


def _depth_files(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(existing_folder(folder).iterdir()):
        if path.suffix.lower() not in (".npy", ".png") or path.name.startswith("."):
            continue
        if path.stem in files:
            raise InputError(f"{path}: {files[path.stem].name} is there too, expected one depth map for each name")
        files[path.stem] = path
    if not files:
        raise InputError(f"{folder}: no depth maps in it, expected .npy or 16-bit .png files")
    return files


def _median_scaled(gt: np.ndarray, pred: np.ndarray, cap_m: float, pred_path: Path) -> np.ndarray:
    """pred * median(gt) / median(pred), then clipped to 1e-3 .. cap: the order matters (Zhou et al., CVPR 2017)."""
    median = float(np.median(pred))
    if not median > 0:
        raise InputError(f"{pred_path}: median depth {median:g}, expected positive depths")
    return np.clip(pred * (np.median(gt) / median), MIN_DEPTH_M, cap_m)
