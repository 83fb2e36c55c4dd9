"""Make3D (Saxena et al., PAMI 2009) as Monodepth and its followers evaluate it: the central band
of each image, C1 errors, 70 m."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.images import existing_folder
from training.evaluate.depth import median_scaled
from training.evaluate.predictions import DepthPrediction

TRUTH_PREFIX, IMAGE_PREFIX = "depth_sph_corr-", "img-"
METRICS = ("abs_rel", "sq_rel", "rmse", "log10", "rmse_log10")
BAND_ASPECT = 2  # width to height of the central band
IMAGE_ASPECT = 3 / 4  # width to height of the photographs, 1704 x 2272
DEPTH_CHANNEL = 3  # of Position3DGrid: vertical, horizontal and depth coordinate, then the distance that is scored


def score_make3d(
    comparisons: Iterable[tuple[str, np.ndarray, DepthPrediction]], cap_m: float = 70.0
) -> tuple[dict[str, float | int], list[str]]:
    """Mean C1 scores over images, and notes on what was left out; (name, true depth (55, 305),
    prediction of the photograph's band).

    C1: the pixels with a true depth above 0 and below `cap_m` (Liu et al., CVPR 2014). The
    prediction comes to the band's 21 x 305 cells by nearest neighbour, is scaled by the medians,
    then clipped to the cap, as in Monodepth's evaluation.
    """
    scores, notes = [], []
    for name, depth, prediction in comparisons:
        gt = central_band(depth)
        pred = cv2.resize(prediction.depth, gt.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(
            np.float64
        )
        mask = (gt > 0) & (gt < cap_m) & np.isfinite(pred)
        if not mask.any():
            notes.append(
                f"{name}: no pixel to compare (true depth within 0 to {cap_m:g} m), left out"
            )
            continue
        scores.append(
            make3d_metrics(
                gt[mask], np.minimum(median_scaled(gt[mask], pred[mask], prediction.name), cap_m)
            )
        )
    if not scores:
        raise InputError(
            f"no pixel to compare in any image, expected true depth within 0 to {cap_m:g} m"
        )
    means = np.mean(scores, axis=0)
    return {
        **{name: float(mean) for name, mean in zip(METRICS, means, strict=True)},
        "images": len(scores),
    }, notes


def make3d_metrics(gt: np.ndarray, pred: np.ndarray) -> tuple[float, ...]:
    """The scores, in the order of METRICS, of (P,) positive depths d* = gt and d = pred.

    abs_rel = mean |d - d*| / d*, sq_rel = mean (d - d*)^2 / d*, rmse = sqrt(mean (d - d*)^2), log10
    = mean |lg d - lg d*| as Make3D's papers define it, rmse_log10 = sqrt(mean (lg d - lg d*)^2) as
    Monodepth2's code computes what its table calls log10.
    """
    difference, logarithms = pred - gt, np.log10(pred) - np.log10(gt)
    return (
        float(np.mean(np.abs(difference) / gt)),
        float(np.mean(difference**2 / gt)),
        float(np.sqrt(np.mean(difference**2))),
        float(np.mean(np.abs(logarithms))),
        float(np.sqrt(np.mean(logarithms**2))),
    )


def central_band(depth: np.ndarray) -> np.ndarray:
    """The rows of a laser grid (R, C) that see the photograph's central band of 2 : 1: 21 of 55."""
    rows = round(len(depth) * IMAGE_ASPECT / BAND_ASPECT)
    top = (len(depth) - rows) // 2
    return depth[top : top + rows]


def band_of_image(image: np.ndarray) -> np.ndarray:
    """The central band of a photograph (H, W[, 3]): full width, half as high as wide, 1704 x 852
    of 1704 x 2272."""
    height, width = image.shape[:2]
    rows = width // BAND_ASPECT
    if rows > height:
        raise ImageError(
            f"image of {width}x{height} pixels, expected one at least half as high as wide"
        )
    top = (height - rows) // 2
    return image[top : top + rows]


def unknown_camera(image: np.ndarray) -> Intrinsics:
    """Intrinsics of a camera that looks through the image's centre; Make3D publishes none, and
    only the centre matters for resizing."""
    height, width = image.shape[:2]
    return Intrinsics(width, width, (width - 1) / 2, (height - 1) / 2, width, height)


def truth_files(folder: Path) -> dict[str, Path]:
    """The laser's .mat files by the name that they share with the photograph; InputError where
    there is none."""
    paths = sorted(existing_folder(folder).glob(f"{TRUTH_PREFIX}*.mat"))
    if not paths:
        raise InputError(f"{folder}: no {TRUTH_PREFIX}*.mat in it, expected Make3D's Gridlaserdata")
    return {path.stem.removeprefix(TRUTH_PREFIX): path for path in paths}


def read_laser_grid(path: Path) -> np.ndarray:
    """Depth (R, C) float64 in metres, 55 x 305, of Position3DGrid (R, C, 4) in a MATLAB 5 file.

    Raises InputError naming the file, or saying that scipy is wanted, which reads it and which this
    project does not install.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError(f"{path}: reading .mat files wants scipy: pip install scipy") from None
    try:
        contents = loadmat(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # loadmat lets through whatever its parsers meet in a broken file
        raise InputError(
            f"{path}: cannot be read as a MATLAB 5 file: {str(error).splitlines()[0][:100] if str(error) else ''}"
        ) from None
    grid = contents.get("Position3DGrid")
    if (
        grid is None
        or grid.ndim != 3
        or grid.shape[2] != 4
        or not np.issubdtype(grid.dtype, np.number)
    ):
        found = "none" if grid is None else f"{grid.dtype} of shape {grid.shape}"
        raise InputError(
            f"{path}: Position3DGrid is {found}, expected numbers of shape (55, 305, 4)"
        )
    return grid[:, :, DEPTH_CHANNEL].astype(np.float64)
