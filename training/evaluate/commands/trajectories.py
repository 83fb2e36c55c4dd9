"""Reading of a true and a predicted trajectory for the subcommands."""

import argparse
import math
from dataclasses import replace
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import PoseFile, read_poses
from training.evaluate.association import (
    PosePairs,
    associate,
    select_common_frames,
    select_frames,
)
from training.evaluate.clock_offset import agrees_better, find_clock_offset, offset_words
from training.evaluate.commands.shared import add_json, note

POSES = "KITTI, TUM, EuRoC, ORB-SLAM3, VINS, or BAG:TOPIC of odometry, poses or a path"
"""Kinds of trajectories, for the help."""
BAG_SUFFIXES = (".mcap", ".db3", ".bag")


def add_pose_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --gt, --frames, --time-offset and --json."""
    parser.add_argument("--gt", type=Path, required=True, help=f"true poses: {POSES}")
    parser.add_argument(
        "--frames",
        type=int,
        nargs=2,
        metavar=("FIRST", "LAST"),
        help="only these frames of gt, both included",
    )
    offset = (
        "seconds to add to the stamps of pred, where its clock is another; auto: the offset at "
        "which the motions agree (default: 0)"
    )
    parser.add_argument(
        "--time-offset", type=_time_offset, default=0.0, metavar="SECONDS|auto", help=offset
    )
    add_json(parser)


def _time_offset(text: str) -> float | None:
    """Seconds, or None for auto."""
    if text == "auto":
        return None
    seconds = float(text.removesuffix("s"))
    if not math.isfinite(seconds):
        raise ValueError
    return seconds


def read_trajectory(source: Path) -> PoseFile:
    """Read a trajectory file, or a topic of a bag as BAG:TOPIC; prints notes on it."""
    file = _read_source(source)
    for text in file.notes:
        note(text)
    return file


def _read_source(source: Path) -> PoseFile:
    if source.is_file() and not source.name.removesuffix(".zstd").endswith(BAG_SUFFIXES):
        return read_poses(source)
    # The package rosbags is needed for bags only.
    from sfm_odometry.io.bag_trajectories import read_bag_poses, split_source

    bag = split_source(str(source))
    return read_poses(source) if bag is None else read_bag_poses(*bag)


def read_gt(arguments: argparse.Namespace) -> PoseFile:
    """Read the true poses of the selected frames."""
    return select_gt(arguments, read_trajectory(arguments.gt))


def select_gt(arguments: argparse.Namespace, gt: PoseFile) -> PoseFile:
    """True poses of the selected frames."""
    if arguments.frames is None:
        return gt
    first, last = arguments.frames
    return select_frames(gt, first, last, str(arguments.gt))


def read_pairs(
    arguments: argparse.Namespace, pred_path: Path, gt: PoseFile | None = None
) -> PosePairs:
    """Read true and predicted poses of the selected frames; notes poses without a partner.

    gt: all true poses, where they were read before.
    """
    gt = read_trajectory(arguments.gt) if gt is None else gt
    gt_name = str(arguments.gt)
    pred_name = str(pred_path)
    pred = _on_clock_of(gt, read_trajectory(pred_path), arguments.time_offset, pred_name)
    whole_gt = gt
    # Select frames, and pair.
    if arguments.frames is not None:
        first, last = arguments.frames
        gt, pred = select_common_frames(gt, pred, first, last, gt_name, pred_name)
    pairs = associate(gt, pred, gt_name, pred_name)
    # Tell what has no partner, and clocks that seem to differ.
    if len(pairs.frames) < max(len(gt.poses), len(pred.poses)):
        note(
            f"{len(pairs.frames)} moments are in both files, "
            f"out of {len(gt.poses)} true and {len(pred.poses)} predicted poses"
        )
    if arguments.time_offset is not None:
        _note_other_clock(whole_gt, pred, len(pairs.frames), arguments.time_offset, pred_name)
    return pairs


def _on_clock_of(gt: PoseFile, pred: PoseFile, offset_s: float | None, name: str) -> PoseFile:
    """Predicted trajectory with its stamps moved; offset_s: None to find it by the motions.

    Raises InputError where stamps are missing, and where the motions show no offset.
    """
    if offset_s == 0:
        return pred
    if gt.stamps_s is None or pred.stamps_s is None:
        raise InputError(f"{name}: --time-offset needs stamps in both trajectories")
    if offset_s is None:
        found = find_clock_offset(gt, pred)
        if found is None:
            raise InputError(
                f"{name}: no offset of its clock brings its motion to that of the truth, "
                "expected --time-offset SECONDS"
            )
        by = (
            f"the motions agree with correlation {found.correlation:.3f}"
            if found.by_motion
            else "by the stamps alone, as the motions have no shape"
        )
        note(
            f"{name}: time offset {offset_words(found)} s, {found.matches} of {len(pred.poses)} "
            f"poses match ({by})"
        )
        offset_s = found.offset_s
    return replace(pred, stamps_s=pred.stamps_s + offset_s)


def _note_other_clock(
    gt: PoseFile, pred: PoseFile, matches: int, given_s: float, name: str
) -> None:
    """Note where the motions agree much better with another offset of the clocks."""
    if gt.stamps_s is None or pred.stamps_s is None:
        return
    found = find_clock_offset(gt, pred)
    if found is None or not agrees_better(found, matches):
        return
    total = replace(found, offset_s=found.offset_s + given_s)
    note(
        f"{name}: its clock seems to be another: with --time-offset {offset_words(total)} "
        f"{found.matches} of {len(pred.poses)} poses match, and the motions agree better "
        f"(correlation {found.correlation:.2f})"
    )
