"""Area under the ROC curve of explainability masks as detectors of moving objects."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.io.images import read_depth, read_image
from training.evaluate.files import Coverage

MOVING_VALUE = 255
"""Value of moving pixels in a true motion mask; static ones are 0."""


def mask_auc(explainability: np.ndarray, moving: np.ndarray) -> float:
    """Area under the ROC curve (Mann-Whitney), exact with ties: 1 is perfect, 1/2 is chance.

    P(explainability of a moving pixel < that of a static one) + 1/2 P(equal), over all pairs.

    explainability: any shape, the predicted weight of each pixel, high where the static scene
    explains it; NaN is left out. moving: bool of the same shape, the truth. NaN where either kind
    of pixel is missing. Raises InputError when the shapes differ.
    """
    if explainability.shape != moving.shape:
        raise InputError(
            f"explainability of shape {explainability.shape} and moving of shape {moving.shape}, "
            "expected the same"
        )
    # Weights of both kinds of pixel.
    known = ~np.isnan(explainability)
    moving = moving.astype(bool)
    static_weights = np.sort(explainability[known & ~moving])
    moving_weights = explainability[known & moving]
    if static_weights.size == 0 or moving_weights.size == 0:
        return float("nan")
    # Rank each moving pixel among the static ones; ties count half.
    below = np.searchsorted(static_weights, moving_weights, side="left").astype(np.int64).sum()
    not_above = np.searchsorted(static_weights, moving_weights, side="right").astype(np.int64).sum()
    pairs = static_weights.size * moving_weights.size
    return float(1 - (below + not_above) / (2 * pairs))


def evaluate_masks(
    pairs: Iterable[tuple[Path, Path]], coverage: Coverage | None = None
) -> dict[str, float | int]:
    """Evaluate `mask_auc` over the pixels of all images together.

    pairs: true motion mask and predicted explainability. The truth is brought to the prediction's
    size and coverage by its nearest pixels. moving_share: of the pixels that count. Raises
    InputError where no pixel moves, or all do.
    """
    weights = []
    moving = []
    for true_path, predicted_path in pairs:
        # Pixels with a prediction.
        explainability = read_explainability(predicted_path)
        truth, covered = resize_motion_mask(
            read_motion_mask(true_path), explainability.shape, coverage or Coverage()
        )
        known = covered & ~np.isnan(explainability)
        weights.append(explainability[known])
        moving.append(truth[known])
    # Score over all images.
    all_moving = np.concatenate(moving)
    auc = mask_auc(np.concatenate(weights), all_moving)
    if np.isnan(auc):
        raise InputError(
            f"{np.count_nonzero(all_moving)} of {all_moving.size} pixels move, "
            "expected moving and static ones"
        )
    return {"auc": auc, "images": len(weights), "moving_share": float(all_moving.mean())}


def read_motion_mask(path: Path) -> np.ndarray:
    """Read a motion mask (H, W) bool from an 8-bit grey PNG, 255 = moving, 0 = static.

    Raises ImageError with the file where it holds anything else.
    """
    values = read_image(path)
    if values.ndim != 2 or not np.isin(values, (0, MOVING_VALUE)).all():
        raise ImageError(
            f"{path}: not a mask of true motion, "
            f"expected a grey image of 0 (static) and {MOVING_VALUE} (moving)"
        )
    return values == MOVING_VALUE


def read_explainability(path: Path) -> np.ndarray:
    """Read explainability (H, W) float32, 1 = explained, from .npy or 8-bit grey PNG.

    In a PNG 255 is explained. Raises ImageError with the file where it is a coloured image.
    """
    if path.suffix.lower() == ".npy":
        return read_depth(path)
    values = read_image(path)
    if values.ndim != 2:
        raise ImageError(f"{path}: coloured image, expected 8-bit grey, 255 = explained")
    return values.astype(np.float32) / 255


def resize_motion_mask(
    mask: np.ndarray, shape: tuple[int, ...], coverage: Coverage
) -> tuple[np.ndarray, np.ndarray]:
    """Bring a motion mask (H, W) bool to the `shape` (h, w) of a prediction, by nearest pixels.

    Also returns the pixels (h, w) bool of the prediction that lie inside the image.
    """
    preprocessor = coverage.preprocessor(mask.shape, shape)
    if preprocessor is None:
        resized = cv2.resize(
            mask.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT
        )
        return resized > 0, np.ones(shape, bool)
    labels = preprocessor.warp_nearest(np.where(mask, np.uint8(2), np.uint8(1)))  # 0 is padding
    return labels == 2, labels > 0
