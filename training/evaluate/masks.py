"""How well explainability masks tell moving things from the static scene: the area under the ROC
curve."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.io.images import read_depth, read_image
from training.evaluate.files import Coverage

MOVING = 255  # in a mask of true motion


def mask_auc(explained: np.ndarray, moving: np.ndarray) -> float:
    """P(explained of a moving pixel < explained of a static one) + 1/2 P(equal), over all pairs of
    pixels: 1 is perfect, 1/2 is chance.

    explained: any shape, the predicted weight of each pixel, high where the static scene explains
    it; NaN is left out. moving: bool of the same shape, the truth. This is the area under the ROC
    curve (Mann-Whitney), exact with ties. NaN where either kind of pixel is missing. Raises
    InputError when the shapes differ.
    """
    if explained.shape != moving.shape:
        raise InputError(
            f"explained of shape {explained.shape} and moving of shape {moving.shape}, expected the same"
        )
    known, moving = ~np.isnan(explained), moving.astype(bool)
    static = np.sort(explained[known & ~moving])
    of_moving = explained[known & moving]
    if static.size == 0 or of_moving.size == 0:
        return float("nan")
    below = np.searchsorted(static, of_moving, side="left").astype(np.int64).sum()
    not_above = np.searchsorted(static, of_moving, side="right").astype(np.int64).sum()
    pairs = static.size * of_moving.size
    return float(1 - (below + not_above) / (2 * pairs))


def evaluate_masks(
    pairs: Iterable[tuple[Path, Path]], coverage: Coverage | None = None
) -> dict[str, float | int]:
    """`mask_auc` over the pixels of all images together; (true motion mask, predicted
    explainability) files.

    The truth is brought to the prediction's size and coverage by its nearest pixels. moving_share:
    of the pixels that count. Raises InputError where no pixel moves, or all do.
    """
    explained, moving = [], []
    for true_path, predicted_path in pairs:
        values = read_explained(predicted_path)
        truth, seen = brought_to(read_moving(true_path), values.shape, coverage or Coverage())
        known = seen & ~np.isnan(values)
        explained.append(values[known])
        moving.append(truth[known])
    pixels, truths = np.concatenate(explained), np.concatenate(moving)
    auc = mask_auc(pixels, truths)
    if np.isnan(auc):
        raise InputError(
            f"{np.count_nonzero(truths)} of {truths.size} pixels move, expected moving and static ones"
        )
    return {"auc": auc, "images": len(explained), "moving_share": float(truths.mean())}


def read_moving(path: Path) -> np.ndarray:
    """(H, W) bool of an 8-bit grey PNG in which 255 is moving and 0 is static; ImageError names
    a file with anything else."""
    values = read_image(path)
    if values.ndim != 2 or not np.isin(values, (0, MOVING)).all():
        raise ImageError(
            f"{path}: not a mask of true motion, expected a grey image of 0 (static) and {MOVING} (moving)"
        )
    return values == MOVING


def read_explained(path: Path) -> np.ndarray:
    """(H, W) float32 of a .npy with weights, 1 = explained, or of an 8-bit grey PNG, 255 =
    explained; ImageError names a bad file."""
    if path.suffix.lower() == ".npy":
        return read_depth(path)
    values = read_image(path)
    if values.ndim != 2:
        raise ImageError(f"{path}: coloured image, expected 8-bit grey, 255 = explained")
    return values.astype(np.float32) / 255


def brought_to(
    mask: np.ndarray, shape: tuple[int, ...], coverage: Coverage
) -> tuple[np.ndarray, np.ndarray]:
    """A bool mask (H, W) at a prediction's `shape` (h, w), nearest pixels, and where the
    prediction shows the image at all (h, w)."""
    preprocessor = coverage.preprocessor(mask.shape, shape)
    if preprocessor is None:
        resized = cv2.resize(
            mask.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT
        )
        return resized > 0, np.ones(shape, bool)
    labels = preprocessor.warp_nearest(np.where(mask, np.uint8(2), np.uint8(1)))  # 0 is padding
    return labels == 2, labels > 0
