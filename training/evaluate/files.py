"""Pairs of true and predicted files, and the part of the image that a prediction covers."""

from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.io.images import existing_folder
from sfm_odometry.io.kitti_calibration import read_calibration

SUFFIXES = (".npy", ".png")


def pairs_by_stem(gt_folder: Path, pred_folder: Path) -> list[tuple[Path, Path]]:
    """Pairs of a true and a predicted file with the same name apart from the suffix.

    Files are .npy or .png. Raises InputError with the first missing prediction.
    """
    gt = files_by_stem(gt_folder)
    pred = files_by_stem(pred_folder)
    missing = sorted(set(gt) - set(pred))
    if missing:
        more = f" and of {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{pred_folder}: no prediction of {gt[missing[0]].name}{more}, "
            f"expected one for each of {len(gt)} in {gt_folder}"
        )
    return [(gt[stem], pred[stem]) for stem in sorted(gt)]


def common_pairs(gt_folder: Path, pred_folder: Path) -> tuple[list[tuple[Path, Path]], int]:
    """Pairs of a true and a predicted file for the names in both folders.

    Also returns the number of true files without prediction. InputError where no name is in both.
    """
    gt = files_by_stem(gt_folder)
    pred = files_by_stem(pred_folder)
    stems = sorted(set(gt) & set(pred))
    if not stems:
        raise InputError(
            f"{pred_folder}: no file is named as one in {gt_folder}, "
            f"expected names like {next(iter(gt))}.npy"
        )
    return [(gt[stem], pred[stem]) for stem in stems], len(gt) - len(stems)


def files_by_stem(folder: Path) -> dict[str, Path]:
    """Files .npy and .png of a folder, by their names without suffix.

    InputError where the folder has none, or where two files differ only in their suffix.
    """
    files: dict[str, Path] = {}
    for path in sorted(existing_folder(folder).iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise InputError(
                f"{path}: {files[path.stem].name} is there too, "
                "expected one depth map for each name"
            )
        files[path.stem] = path
    if not files:
        raise InputError(f"{folder}: no depth maps in it, expected .npy or 16-bit .png files")
    return files


class Coverage:
    """Part of the image that predictions cover.

    Without calibration they cover the whole image; with the calibration of the camera they cover
    what the preprocessor kept of it.
    """

    def __init__(
        self, calibration: Path | None = None, camera: int = 2, resize_mode: str = "crop"
    ) -> None:
        self._calibration = calibration
        self._camera = camera
        self._resize_mode = resize_mode

    def preprocessor(
        self, image_shape: tuple[int, ...], prediction_shape: tuple[int, ...]
    ) -> Preprocessor | None:
        """Preprocessor from images (H, W) to predictions (h, w); None without calibration."""
        if self._calibration is None:
            return None
        intrinsics = read_calibration(
            self._calibration, self._camera, image_shape[1], image_shape[0]
        )
        return Preprocessor(
            intrinsics, prediction_shape[1], prediction_shape[0], 1, self._resize_mode
        )
