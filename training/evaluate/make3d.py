"""Depth scores on Make3D (Saxena et al., PAMI 2009) with Monodepth's protocol.

The central band of each image, C1 errors, true depth below 70 m.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.images import existing_folder
from training.evaluate.depth import mean_scores, median_scaled
from training.evaluate.predictions import DepthPrediction

TRUTH_PREFIX = "depth_sph_corr-"
IMAGE_PREFIX = "img-"
METRICS = ("abs_rel", "sq_rel", "rmse", "log10", "rmse_log10")
BAND_ASPECT = 2
"""Width to height of the central band."""
IMAGE_ASPECT = 3 / 4
"""Width to height of the photographs, 1704 x 2272."""
DEPTH_CHANNEL = 3
"""Channel of Position3DGrid with the distance that is scored, after the vertical, horizontal and
depth coordinate."""
MAX_READER_MESSAGE = 100
"""Maximum length of the reader's own message that is quoted in an error."""


def score_make3d(
    comparisons: Iterable[tuple[str, np.ndarray, DepthPrediction]], cap_m: float = 70.0
) -> tuple[dict[str, float | int], list[str]]:
    """Mean C1 scores over images, and notes on images that were left out.

    comparisons: name, true depth (55, 305) and prediction of the photograph's central band. C1: the
    pixels with a true depth above 0 and below `cap_m` (Liu et al., CVPR 2014). The prediction is
    brought to the band's 21 x 305 cells by nearest neighbour, scaled by the medians, then clipped
    to the cap, as in Monodepth's evaluation. Raises InputError where no image has such pixels.
    """
    scores = []
    notes = []
    for name, depth, prediction in comparisons:
        # Cells with truth and prediction.
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
        # Scores after median scaling.
        scaled = median_scaled(gt[mask], pred[mask], prediction.name)
        scores.append(make3d_metrics(gt[mask], np.minimum(scaled, cap_m)))
    if not scores:
        raise InputError(
            f"no pixel to compare in any image, expected true depth within 0 to {cap_m:g} m"
        )
    return mean_scores(METRICS, scores), notes


def make3d_metrics(gt: np.ndarray, pred: np.ndarray) -> tuple[float, ...]:
    """Scores, in the order of METRICS, of positive depths (P,) d* = gt and d = pred.

    abs_rel = mean |d - d*| / d*, sq_rel = mean (d - d*)^2 / d*, rmse = sqrt(mean (d - d*)^2),
    log10 = mean |lg d - lg d*| as Make3D's papers define it,
    rmse_log10 = sqrt(mean (lg d - lg d*)^2) as Monodepth2's code computes the column that its table
    calls log10.
    """
    difference = pred - gt
    logarithms = np.log10(pred) - np.log10(gt)
    return (
        float(np.mean(np.abs(difference) / gt)),
        float(np.mean(difference**2 / gt)),
        float(np.sqrt(np.mean(difference**2))),
        float(np.mean(np.abs(logarithms))),
        float(np.sqrt(np.mean(logarithms**2))),
    )


def central_band(depth: np.ndarray) -> np.ndarray:
    """Rows of a laser grid (R, C) in the photograph's central band of 2 : 1: 21 of 55."""
    rows = round(len(depth) * IMAGE_ASPECT / BAND_ASPECT)
    top = (len(depth) - rows) // 2
    return depth[top : top + rows]


def band_of_image(image: np.ndarray) -> np.ndarray:
    """Central band of a photograph (H, W[, 3]): 1704 x 852 of 1704 x 2272.

    It has the full width and is half as high as wide. ImageError where the image is too low.
    """
    height, width = image.shape[:2]
    rows = width // BAND_ASPECT
    if rows > height:
        raise ImageError(
            f"image of {width}x{height} pixels, expected one at least half as high as wide"
        )
    top = (height - rows) // 2
    return image[top : top + rows]


def unknown_camera(image: np.ndarray) -> Intrinsics:
    """Intrinsics with the principal point at the centre of an image (H, W[, 3]).

    Make3D publishes no intrinsics, and only the principal point matters for resizing.
    """
    height, width = image.shape[:2]
    return Intrinsics(
        fx=width, fy=width, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height
    )


def truth_files(folder: Path) -> dict[str, Path]:
    """Laser's .mat files by the name that they share with the photograph; InputError for none."""
    paths = sorted(existing_folder(folder).glob(f"{TRUTH_PREFIX}*.mat"))
    if not paths:
        raise InputError(f"{folder}: no {TRUTH_PREFIX}*.mat in it, expected Make3D's Gridlaserdata")
    return {path.stem.removeprefix(TRUTH_PREFIX): path for path in paths}


def read_laser_grid(path: Path) -> np.ndarray:
    """Read depth (R, C) float64 in metres, 55 x 305, from a MATLAB 5 file.

    The file holds Position3DGrid (R, C, 4). Raises InputError with the file, also where scipy is
    missing, which reads the file and which this project does not install.
    """
    grid = _load_mat(path).get("Position3DGrid")
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


def _load_mat(path: Path) -> dict[str, Any]:
    """Read the variables of a MATLAB 5 file; InputError where that is not possible."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError(f"{path}: reading .mat files wants scipy: pip install scipy") from None
    try:
        return loadmat(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # loadmat raises whatever its parsers meet in a broken file
        message = str(error).splitlines()[0][:MAX_READER_MESSAGE] if str(error) else ""
        raise InputError(f"{path}: cannot be read as a MATLAB 5 file: {message}") from None
