"""Predicted depth, from a folder, a stack or a model, and its resizing to the truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.io.images import IMAGE_SUFFIXES, frame_number, read_depth
from training.evaluate.files import files_by_stem

if TYPE_CHECKING:  # torch takes a second to import and is only needed to predict
    from sfm_odometry.inference.estimator import Estimator

QUANTITIES = ("depth", "inverse_depth")


@dataclass(frozen=True, eq=False)
class DepthPrediction:
    """Depth along z of one image, in any unit and size."""

    name: str
    """Name of the file or image, for messages."""
    depth: np.ndarray
    """(h, w) float32, NaN unknown."""
    window: tuple[int, int, int, int] | None = None
    """Left, top, width and height in pixels of the part of the image covered; None: all of it."""

    def at_size(self, shape: tuple[int, ...], resize: str = "depth") -> np.ndarray:
        """Depth (H, W) of the whole image, NaN outside the window.

        Bilinear interpolation of `resize`, depth or inverse_depth: SfMLearner's evaluation
        interpolates depth, Monodepth's inverse depth. Unknown pixels spread to their neighbours.
        """
        left, top, width, height = self.window or (0, 0, shape[1], shape[0])
        resized = _resized(self.depth, (height, width), resize)
        if (left, top, width, height) == (0, 0, shape[1], shape[0]):
            return resized
        # Paste the part of the window that lies inside the image.
        depth = np.full(shape, np.nan, np.float32)
        right = min(left + width, shape[1])
        bottom = min(top + height, shape[0])
        depth[max(top, 0) : bottom, max(left, 0) : right] = resized[
            max(-top, 0) : bottom - top, max(-left, 0) : right - left
        ]
        return depth


def reciprocal(values: np.ndarray) -> np.ndarray:
    """Reciprocals 1 / values, float32: inverse depth of depth, and depth of inverse depth.

    0 gives infinity and infinity 0; negative values give NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values >= 0, np.float32(1) / np.abs(values), np.float32(np.nan))


def read_prediction(path: Path, pred_is: str = "depth") -> np.ndarray:
    """Read depth (h, w) float32 from a file of the quantity `pred_is`: depth or inverse_depth."""
    values = read_depth(path)
    return values if pred_is == "depth" else reciprocal(values)


def read_predictions(path: Path, count: int, pred_is: str = "depth") -> Iterator[DepthPrediction]:
    """Read `count` predictions in order, from a folder or from one .npy (N, h, w).

    A folder holds one .npy or .png each, in the order of the numbers in their names. Raises
    InputError, before the first is read, where the count differs.
    """
    return (
        _from_folder(path, count, pred_is) if path.is_dir() else _from_stack(path, count, pred_is)
    )


def predict_depth(
    estimator: "Estimator",
    name: str,
    image: np.ndarray,
    camera: Intrinsics,
    resize_mode: str | None = None,
) -> DepthPrediction:
    """Infer the depth of an image (H, W[, 3]) uint8, preprocessed as at run time.

    `resize_mode` takes precedence over the model's own.
    """
    width, height = estimator.input_size
    config = estimator.model.config
    preprocess = Preprocessor(
        camera, width, height, config.image_channels, resize_mode or config.resize_mode_of(camera)
    )
    return DepthPrediction(name, estimator.depth(preprocess(image)), preprocess.window)


def image_file(path_without_suffix: Path) -> Path:
    """PNG or JPEG file of this name; InputError where neither exists."""
    for suffix in IMAGE_SUFFIXES:
        path = path_without_suffix.with_name(path_without_suffix.name + suffix)
        if path.is_file():
            return path
    raise InputError(
        f"{path_without_suffix}.png: no such file, nor with one of {', '.join(IMAGE_SUFFIXES[1:])}"
    )


def _from_folder(folder: Path, count: int, pred_is: str) -> Iterator[DepthPrediction]:
    """Predictions of a folder in the order of their numbers; InputError for another count."""
    paths = sorted(files_by_stem(folder).values(), key=lambda path: (frame_number(path), path.name))
    if len(paths) != count:
        raise InputError(
            f"{folder}: {len(paths)} predictions, expected {count}, one for each image"
        )
    return (DepthPrediction(str(path), read_prediction(path, pred_is)) for path in paths)


def _from_stack(path: Path, count: int, pred_is: str) -> Iterator[DepthPrediction]:
    """Predictions of one .npy (N, h, w); InputError for another count."""
    stack = _open_stack(path)
    if len(stack) != count:
        raise InputError(f"{path}: {len(stack)} predictions, expected {count}, one for each image")
    convert = reciprocal if pred_is == "inverse_depth" else np.asarray
    return (
        DepthPrediction(f"{path}[{index}]", convert(stack[index].astype(np.float32)))
        for index in range(count)
    )


def _open_stack(path: Path) -> np.ndarray:
    """Open a .npy (N, h, w) of floats, memory-mapped; InputError where it holds something else."""
    try:
        stack = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder") from None
    except (ValueError, EOFError, OSError):
        raise InputError(
            f"{path}: cannot be read as .npy, expected a float array (N, h, w)"
        ) from None
    if not isinstance(stack, np.ndarray):
        raise InputError(f"{path}: an archive, expected a float array (N, h, w)")
    if stack.ndim != 3 or not np.issubdtype(stack.dtype, np.floating):
        raise InputError(
            f"{path}: {stack.dtype} array of shape {stack.shape}, expected a float array (N, h, w)"
        )
    return stack


def _resized(depth: np.ndarray, shape: tuple[int, int], resize: str) -> np.ndarray:
    """Depth (h, w) at a `shape` (H, W), by bilinear interpolation of the quantity `resize`."""
    if depth.shape == shape:
        return depth
    size = (shape[1], shape[0])
    if resize == "inverse_depth":
        return reciprocal(cv2.resize(reciprocal(depth), size, interpolation=cv2.INTER_LINEAR))
    return cv2.resize(depth, size, interpolation=cv2.INTER_LINEAR)
