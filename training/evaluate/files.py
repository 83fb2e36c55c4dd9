"""Which predicted file belongs to which true one, and what part of the image a prediction shows."""

from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.preprocess import Preprocessor
from sfm_odometry.io.images import existing_folder
from sfm_odometry.io.kitti_calibration import read_calibration

SUFFIXES = (".npy", ".png")


def pairs_by_stem(gt_folder: Path, pred_folder: Path) -> list[tuple[Path, Path]]:
    """(true, predicted) files of the same name but for the suffix, .npy or .png; raises
    InputError naming a prediction that is missing."""
    gt, pred = files_by_stem(gt_folder), files_by_stem(pred_folder)
    missing = sorted(set(gt) - set(pred))
    if missing:
        more = f" and of {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{pred_folder}: no prediction of {gt[missing[0]].name}{more}, expected one for each of {len(gt)} in {gt_folder}"
        )
    return [(gt[stem], pred[stem]) for stem in sorted(gt)]


def common_pairs(gt_folder: Path, pred_folder: Path) -> tuple[list[tuple[Path, Path]], int]:
    """(true, predicted) files of the names that both folders have, and how many true ones have
    no prediction; InputError where none has."""
    gt, pred = files_by_stem(gt_folder), files_by_stem(pred_folder)
    stems = sorted(set(gt) & set(pred))
    if not stems:
        raise InputError(
            f"{pred_folder}: no file is named as one in {gt_folder}, expected names like {next(iter(gt))}.npy"
        )
    return [(gt[stem], pred[stem]) for stem in stems], len(gt) - len(stems)


def files_by_stem(folder: Path) -> dict[str, Path]:
    """The .npy and .png files of a folder by name without suffix; InputError where there is
    none, or a name has both."""
    files: dict[str, Path] = {}
    for path in sorted(existing_folder(folder).iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise InputError(
                f"{path}: {files[path.stem].name} is there too, expected one depth map for each name"
            )
        files[path.stem] = path
    if not files:
        raise InputError(f"{folder}: no depth maps in it, expected .npy or 16-bit .png files")
    return files


class Coverage:
    """What a prediction shows of the image: all of it, or, with the camera's calibration, what
    the preprocessor left of it."""

    def __init__(
        self, calibration: Path | None = None, camera: int = 2, resize_mode: str = "crop"
    ) -> None:
        self._calibration, self._camera, self._resize_mode = calibration, camera, resize_mode

    def preprocessor(
        self, image_shape: tuple[int, ...], prediction_shape: tuple[int, ...]
    ) -> Preprocessor | None:
        """From images (H, W) to predictions (h, w); None where a prediction shows the whole
        image."""
        if self._calibration is None:
            return None
        intrinsics = read_calibration(
            self._calibration, self._camera, image_shape[1], image_shape[0]
        )
        return Preprocessor(
            intrinsics, prediction_shape[1], prediction_shape[0], 1, self._resize_mode
        )
