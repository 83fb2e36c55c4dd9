"""Reading of a true and a predicted trajectory for the subcommands."""

import argparse
from pathlib import Path

from sfm_odometry.io.trajectories import PoseFile, read_poses
from training.evaluate.association import (
    PosePairs,
    associate,
    select_common_frames,
    select_frames,
)
from training.evaluate.commands.shared import add_json, note


def add_pose_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --gt, --frames and --json."""
    gt = "true poses: KITTI (12 numbers a row, 13 with the frame first) or TUM (8)"
    parser.add_argument("--gt", type=Path, required=True, help=gt)
    parser.add_argument(
        "--frames",
        type=int,
        nargs=2,
        metavar=("FIRST", "LAST"),
        help="only these frames of gt, both included",
    )
    add_json(parser)


def read_gt(arguments: argparse.Namespace) -> PoseFile:
    """Read the true poses of the selected frames."""
    gt = read_poses(arguments.gt)
    if arguments.frames is None:
        return gt
    first, last = arguments.frames
    return select_frames(gt, first, last, str(arguments.gt))


def read_pairs(arguments: argparse.Namespace, pred_path: Path) -> PosePairs:
    """Read true and predicted poses of the selected frames; notes poses without a partner."""
    gt = read_poses(arguments.gt)
    pred = read_poses(pred_path)
    gt_name = str(arguments.gt)
    pred_name = str(pred_path)
    if arguments.frames is not None:
        first, last = arguments.frames
        gt, pred = select_common_frames(gt, pred, first, last, gt_name, pred_name)
    pairs = associate(gt, pred, gt_name, pred_name)
    if len(pairs.frames) < max(len(gt.poses), len(pred.poses)):
        note(
            f"{len(pairs.frames)} moments are in both files, "
            f"out of {len(gt.poses)} true and {len(pred.poses)} predicted poses"
        )
    return pairs
