"""`make3d`: depth scores on Make3D's test set, of predictions or of a model."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.io.images import existing_folder, read_image
from training.evaluate.commands.shared import (
    add_json,
    add_prediction_or_model,
    print_notes,
    print_scores,
    progress_bar,
)
from training.evaluate.make3d import (
    IMAGE_PREFIX,
    band_of_image,
    read_laser_grid,
    score_make3d,
    truth_files,
    unknown_camera,
)
from training.evaluate.predictions import (
    QUANTITIES,
    DepthPrediction,
    image_file,
    predict_depth,
    read_predictions,
)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "make3d", help="depth scores on Make3D, C1 errors on the central band"
    )
    # Ground truth and images.
    gt = "Gridlaserdata: depth_sph_corr-*.mat (wants scipy)"
    parser.add_argument("--gt", type=Path, required=True, metavar="DIR", help=gt)
    images = "with --model: Test134, img-*.jpg"
    parser.add_argument("--images", type=Path, metavar="DIR", help=images)
    # Predictions.
    add_prediction_or_model(
        parser, "the images' central bands of 2 : 1, in the order of the truth's names"
    )
    pred_is = "what the predicted files hold (default: depth)"
    parser.add_argument("--pred-is", choices=QUANTITIES, default="depth", help=pred_is)
    cap = "largest true depth that counts, metres (default: 70)"
    parser.add_argument("--cap", type=float, default=70.0, help=cap)
    add_json(parser)
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> None:
    """Evaluate predictions, or a model, on the test set."""
    truths = truth_files(arguments.gt)
    if arguments.model:
        predictions = _from_model(arguments, list(truths))
    else:
        predictions = read_predictions(arguments.pred, len(truths), arguments.pred_is)
    pairs = zip(progress_bar(list(truths.values()), "images"), predictions, strict=True)
    scores, notes = score_make3d(
        ((str(path), read_laser_grid(path), prediction) for path, prediction in pairs),
        arguments.cap,
    )
    print_notes(notes)
    print_scores({**scores, "cap_m": arguments.cap, "ground_truth": "make3d"}, arguments.json)


def _from_model(arguments: argparse.Namespace, names: list[str]) -> Iterator[DepthPrediction]:
    """Predictions of the model; InputError, before the first, where an image is missing."""
    # Torch takes a second to import, and only here is it needed.
    from sfm_odometry.inference.estimator import Estimator

    if arguments.images is None:
        raise InputError("--model wants --images, the folder of img-*.jpg")
    folder = existing_folder(arguments.images)
    paths = [image_file(folder / f"{IMAGE_PREFIX}{name}") for name in names]
    estimator = Estimator.from_file(arguments.model, arguments.device)
    for path in paths:
        band = band_of_image(read_image(path))
        # Stretched to the networks' input, whatever the model was trained with, as all published
        # evaluations do.
        yield predict_depth(estimator, str(path), band, unknown_camera(band), "stretch")
