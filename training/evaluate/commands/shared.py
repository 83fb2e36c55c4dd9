"""Options, notes and output of scores that the subcommands share."""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sfm_odometry.geometry.preprocess import RESIZE_MODES
from training.evaluate.depth import CROPS
from training.evaluate.files import Coverage
from training.evaluate.predictions import QUANTITIES

Scores = Mapping[str, float | int | str]
MAX_NOTES = 5


def note(text: str) -> None:
    """Print one line on stderr that is not an error."""
    print(f"note: {text}", file=sys.stderr)


def print_notes(notes: Sequence[str], kind: str = "such images") -> None:
    """Print the first MAX_NOTES notes, and the number of further ones."""
    for text in notes[:MAX_NOTES]:
        note(text)
    if len(notes) > MAX_NOTES:
        note(f"and {len(notes) - MAX_NOTES} more {kind}")


def print_scores(scores: Scores, as_json: bool) -> None:
    """Print one line for each score, numbers aligned at the point, or one JSON object."""
    if as_json:
        print(as_json_text(scores))
        return
    width = max(len(name) for name in scores)
    for name, score in scores.items():
        print(f"{name:{width}}  {_aligned(score)}")


def as_json_text(values: Any) -> str:
    """JSON text with null in place of NaN and infinity, which JSON cannot express."""
    return json.dumps(_without_nan(values))


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def add_crop(parser: argparse.ArgumentParser) -> None:
    """Add --cap and --crop."""
    cap = "largest true depth that counts, metres (default: 80)"
    parser.add_argument("--cap", type=float, default=80.0, help=cap)
    crop = "part of the image that counts (default: garg)"
    parser.add_argument("--crop", choices=tuple(CROPS), default="garg", help=crop)


def add_quantity(parser: argparse.ArgumentParser) -> None:
    """Add --pred-is and --resize."""
    pred_is = "what the predicted files hold (default: depth)"
    parser.add_argument("--pred-is", choices=QUANTITIES, default="depth", help=pred_is)
    resize = (
        "what is interpolated to bring a prediction to the truth's size "
        "(default: depth, as SfMLearner does; Monodepth: inverse_depth)"
    )
    parser.add_argument("--resize", choices=QUANTITIES, default="depth", help=resize)


def add_coverage(parser: argparse.ArgumentParser) -> None:
    """Add --calib, --camera and --resize-mode, for predictions of sfm_odometry.run.

    They cover what the model's preprocessing left of the image.
    """
    calib = (
        "the images' calibration, for predictions that show only what preprocessing left of them; "
        "default: they show all"
    )
    parser.add_argument("--calib", type=Path, help=calib)
    camera = "which camera of --calib (default: 2)"
    parser.add_argument("--camera", type=int, default=2, help=camera)
    mode = "with --calib: how the model resizes (default: crop)"
    parser.add_argument("--resize-mode", choices=RESIZE_MODES, default="crop", help=mode)


def coverage_of(arguments: argparse.Namespace) -> Coverage:
    """Coverage by the options of `add_coverage`."""
    return Coverage(arguments.calib, arguments.camera, arguments.resize_mode)


def add_prediction_or_model(parser: argparse.ArgumentParser, made_of: str) -> None:
    """Add --pred, or --model with --device; `made_of`: the predicted images, for the help."""
    source = parser.add_mutually_exclusive_group(required=True)
    pred = (
        f"predictions of {made_of}: a folder with one .npy each, by number, or one .npy (N, h, w)"
    )
    source.add_argument("--pred", type=Path, help=pred)
    model = "a .safetensors model that makes the predictions now"
    source.add_argument("--model", type=Path, help=model)
    parser.add_argument("--device", default="auto", help="with --model: auto, cpu or cuda:N")


def progress_bar(items: Sequence[Any], unit: str) -> Iterable[Any]:
    """Iterate over the items with a progress bar on stderr, where that is a terminal."""
    from tqdm import tqdm

    return tqdm(items, unit=f" {unit}", leave=False, disable=None)


def _aligned(score: float | int | str) -> str:
    """Text of a score, with the decimal point of numbers at the same place."""
    if isinstance(score, str):
        return f"        {score}"
    if isinstance(score, int):
        return f"{score:9d}"
    return "        -" if math.isnan(score) else f"{score:14.4f}"


def _without_nan(values: Any) -> Any:
    """Nested values with None in place of NaN and infinity."""
    if isinstance(values, Mapping):
        return {name: _without_nan(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_without_nan(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
