"""`python -m training.evaluate odometry|snippets|depth`: scores of trajectories and depth maps, as a table or one JSON object."""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sfm_odometry.cli import run_cli
from sfm_odometry.pose_files import read_poses
from training.evaluate.alignment import ALIGNMENTS
from training.evaluate.association import Pairs, associate, select_common_frames, select_frames
from training.evaluate.depth import CROPS, evaluate_depth, pairs_by_stem
from training.evaluate.odometry import SEGMENT_LENGTHS_M, driven_distances, evaluate_odometry
from training.evaluate.snippets import evaluate_mean_odometry, evaluate_snippets

Scores = Mapping[str, float | int]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: arguments.command(arguments))


def odometry_command(arguments: argparse.Namespace) -> None:
    pairs = _read_pairs(arguments)
    scores = evaluate_odometry(pairs.gt, pairs.pred, arguments.align)
    if math.isnan(scores["t_err_percent"]):
        driven, shortest = driven_distances(pairs.gt)[-1], SEGMENT_LENGTHS_M[0]
        _note(f"{arguments.gt}: a path of {driven:.1f} m holds no segment of {shortest} m, so t_err and r_err are not known")
    _print_scores(scores, arguments.json)


def snippets_command(arguments: argparse.Namespace) -> None:
    if arguments.mean_odometry_of:
        _print_scores(_mean_odometry_scores(arguments), arguments.json)
        return
    pairs = _read_pairs(arguments)
    _print_scores(evaluate_snippets(pairs.gt, pairs.pred, arguments.length, pairs.frames), arguments.json)


def depth_command(arguments: argparse.Namespace) -> None:
    scores, notes = evaluate_depth(pairs_by_stem(arguments.gt, arguments.pred), arguments.cap, arguments.crop)
    for note in notes[:5]:
        _note(note)
    if len(notes) > 5:
        _note(f"and {len(notes) - 5} more such images")
    _print_scores(scores, arguments.json)


def _mean_odometry_scores(arguments: argparse.Namespace) -> Scores:
    gt = read_poses(arguments.gt)
    if arguments.frames is not None:
        first, last = arguments.frames
        gt = select_frames(gt, first, last, str(arguments.gt))
    trajectories = [read_poses(path).poses for path in arguments.mean_odometry_of]
    return evaluate_mean_odometry(gt.poses, trajectories, arguments.length, gt.frame_numbers)


def _read_pairs(arguments: argparse.Namespace) -> Pairs:
    gt, pred = read_poses(arguments.gt), read_poses(arguments.pred)
    gt_name, pred_name = str(arguments.gt), str(arguments.pred)
    if arguments.frames is not None:
        first, last = arguments.frames
        gt, pred = select_common_frames(gt, pred, first, last, gt_name, pred_name)
    pairs = associate(gt, pred, gt_name, pred_name)
    if len(pairs.frames) < max(len(gt.poses), len(pred.poses)):
        _note(f"{len(pairs.frames)} moments are in both files, out of {len(gt.poses)} true and {len(pred.poses)} predicted poses")
    return pairs


def _print_scores(scores: Scores, as_json: bool) -> None:
    if as_json:
        # JSON knows no NaN: a score that is not defined here is null.
        print(json.dumps({name: score if math.isfinite(score) else None for name, score in scores.items()}))
        return
    width = max(len(name) for name in scores)
    for name, score in scores.items():
        number = f"{score:9d}" if isinstance(score, int) else "        -" if math.isnan(score) else f"{score:14.4f}"
        print(f"{name:{width}}  {number}")


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description="Scores of trajectories and depth maps, as published.")
    commands = parser.add_subparsers(required=True, metavar="odometry|snippets|depth")
    _add_odometry(commands.add_parser("odometry", help="drift over 100 to 800 m, ATE and RPE of a whole trajectory"))
    _add_snippets(commands.add_parser("snippets", help="5-frame ATE, every snippet scaled by itself"))
    _add_depth(commands.add_parser("depth", help="AbsRel, SqRel, RMSE, RMSE log and accuracies of depth maps"))
    return parser


def _add_odometry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pred", type=Path, required=True, help="predicted poses: KITTI or TUM")
    parser.add_argument("--align", choices=ALIGNMENTS, default="7dof", help="how pred is brought to gt before all scores (default: 7dof)")
    _add_pose_arguments(parser)
    parser.set_defaults(command=odometry_command)


def _add_snippets(parser: argparse.ArgumentParser) -> None:
    prediction = parser.add_mutually_exclusive_group(required=True)
    prediction.add_argument("--pred", type=Path, help="predicted poses: KITTI or TUM")
    prediction.add_argument(
        "--mean-odometry-of", type=Path, nargs="+", metavar="FILE", help="score the mean motion of these true poses instead: the baseline"
    )
    parser.add_argument("--length", type=int, default=5, help="frames of a snippet (default: 5)")
    _add_pose_arguments(parser)
    parser.set_defaults(command=snippets_command)


def _add_pose_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gt", type=Path, required=True, help="true poses: KITTI (12 numbers a row, 13 with the frame first) or TUM (8)")
    parser.add_argument("--frames", type=int, nargs=2, metavar=("FIRST", "LAST"), help="only these frames of gt, both included")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_depth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gt", type=Path, required=True, help="folder of true depth: .npy in metres or 16-bit .png, metres * 256")
    parser.add_argument("--pred", type=Path, required=True, help="folder of predicted depth with the same names, any scale and size")
    parser.add_argument("--cap", type=float, default=80.0, help="largest true depth that counts, metres (default: 80)")
    parser.add_argument("--crop", choices=tuple(CROPS), default="garg", help="part of the image that counts (default: garg)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(command=depth_command)


if __name__ == "__main__":
    raise SystemExit(main())
