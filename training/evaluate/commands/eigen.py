"""`eigen`: depth scores on the Eigen test split of KITTI, of predictions or of a model."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from sfm_odometry.geometry.preprocess import RESIZE_MODES
from sfm_odometry.io.images import existing_folder, read_image
from sfm_odometry.io.kitti_calibration import read_calibration
from training.evaluate.commands.shared import (
    add_crop,
    add_json,
    add_prediction_or_model,
    add_quantity,
    note,
    print_notes,
    print_scores,
    progress_bar,
)
from training.evaluate.depth import Comparison, score_images
from training.evaluate.eigen import AnnotatedTruth, RawImage, VelodyneTruth, read_test_list
from training.evaluate.predictions import (
    DepthPrediction,
    image_file,
    predict_depth,
    read_predictions,
)
from training.evaluate.velodyne import DEPTH_AXES


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "eigen",
        help="depth scores on the Eigen test split, truth from laser scans or annotated depth",
    )
    _add_truth(parser)
    add_prediction_or_model(parser, "all images of the list, in its order")
    parser.add_argument(
        "--resize-mode",
        choices=RESIZE_MODES,
        help="with --model: how images are resized (default: as the model does)",
    )
    add_crop(parser)
    add_quantity(parser)
    add_json(parser)
    parser.set_defaults(command=command)


def _add_truth(parser: argparse.ArgumentParser) -> None:
    """Add --kitti-raw, --list, --annotated and --depth-of."""
    raw = "KITTI raw: the folder of 2011_09_26 and so on"
    parser.add_argument("--kitti-raw", type=Path, required=True, metavar="ROOT", help=raw)
    images = (
        "the test images, lines like "
        "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.jpg, or "
        "2011_09_26/2011_09_26_drive_0002_sync 0000000069 l"
    )
    parser.add_argument("--list", type=Path, required=True, metavar="FILE", help=images)
    annotated = (
        "take the truth from KITTI's annotated depth (16-bit PNG) below this folder, "
        "not from the laser scans"
    )
    parser.add_argument("--annotated", type=Path, metavar="ROOT", help=annotated)
    depth_of = (
        "whose depth a laser point has: the laser's forward axis, as SfMLearner has it, "
        "or the camera's (default: velodyne)"
    )
    parser.add_argument("--depth-of", choices=DEPTH_AXES, default="velodyne", help=depth_of)


def command(arguments: argparse.Namespace) -> None:
    """Evaluate predictions, or a model, on the images of the list."""
    # True depth.
    images = read_test_list(arguments.list)
    truth = (
        AnnotatedTruth(arguments.annotated)
        if arguments.annotated
        else VelodyneTruth(arguments.kitti_raw, arguments.depth_of)
    )
    missing = truth.missing(images)
    if missing:
        note(
            f"{arguments.annotated}: no annotated depth of {len(missing)} of {len(images)} images, "
            "left out"
        )
    # Predicted depth.
    predictions = (
        _from_model(arguments, images)
        if arguments.model
        else read_predictions(arguments.pred, len(images), arguments.pred_is)
    )
    # Scores.
    comparisons = _comparisons(images, missing, truth, predictions)
    scores, notes = score_images(comparisons, arguments.cap, arguments.crop, arguments.resize)
    print_notes(notes)
    settings = {
        "cap_m": arguments.cap,
        "crop": arguments.crop,
        "resize": arguments.resize,
        "ground_truth": truth.name,
    }
    print_scores({**scores, **settings}, arguments.json)


def _comparisons(
    images: list[RawImage],
    missing: set[RawImage],
    truth: VelodyneTruth | AnnotatedTruth,
    predictions: Iterator[DepthPrediction],
) -> Iterator[Comparison]:
    """True and predicted depth of the images that are not missing."""
    for image, prediction in zip(progress_bar(images, "images"), predictions, strict=True):
        if image not in missing:
            yield str(image.path), truth.depth(image), prediction


def _from_model(arguments: argparse.Namespace, images: list[RawImage]) -> Iterator[DepthPrediction]:
    """Predictions of the model; InputError, before the first, where an image is missing."""
    # Torch takes a second to import, and only here is it needed.
    from sfm_odometry.inference.estimator import Estimator

    root = existing_folder(arguments.kitti_raw)
    paths = [image_file(root / image.path) for image in images]
    estimator = Estimator.from_file(arguments.model, arguments.device)
    for image, path in zip(images, paths, strict=True):
        pixels = read_image(path)
        height, width = pixels.shape[:2]
        calibration = root / image.date / "calib_cam_to_cam.txt"
        camera = read_calibration(calibration, image.camera, width, height)
        yield predict_depth(estimator, str(path), pixels, camera, arguments.resize_mode)
