"""Trajectories on the topics of a bag: odometry, poses, paths and transforms, without ROS."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.io.bags import Bag, BagTopic, is_bag, open_bag
from sfm_odometry.io.trajectories import QUATERNION_TOLERANCE, PoseFile, poses_by_stamp

StampedPose = tuple[int, list[float]]
"""Stamp in nanoseconds, and x y z qx qy qz qw."""
TRANSFORMS = "tf2_msgs/msg/TFMessage"
PATH = "nav_msgs/msg/Path"
POSE_OF_MESSAGE: dict[str, Callable[[Any], Any]] = {
    "nav_msgs/msg/Odometry": lambda message: message.pose.pose,
    "geometry_msgs/msg/PoseStamped": lambda message: message.pose,
    "geometry_msgs/msg/PoseWithCovarianceStamped": lambda message: message.pose.pose,
    "geometry_msgs/msg/TransformStamped": lambda message: message.transform,
}
"""Pose in the messages that hold one."""
POSE_TYPES = (*POSE_OF_MESSAGE, PATH, TRANSFORMS)


def split_source(text: str) -> tuple[Path, str, str] | None:
    """Bag, topic and frames of BAG:TOPIC[:PARENT.CHILD]; None for a file that is no bag.

    Topic and frames are empty where they are not given.
    """
    if Path(text).exists():
        return (Path(text), "", "") if is_bag(Path(text)) else None
    match = re.fullmatch(r"(.+?):(/?[A-Za-z_~][\w/~]*)(?::([^:]+))?", text)
    if match is None:
        return None
    path = Path(match[1])
    if path.exists() or is_bag(path):
        return path, match[2], match[3] or ""
    return None


def read_bag_poses(path: Path, topic: str = "", frames: str = "") -> PoseFile:
    """Trajectory on a topic of a bag; without a topic that of the only one with poses.

    Types: Odometry, PoseStamped, PoseWithCovarianceStamped, TransformStamped, Path (the newest
    message) and TFMessage, of which `frames` names PARENT.CHILD. Raises InputError for a bag
    without such a topic, naming those that it has, and for one without a pose.
    """
    notes: list[str] = []
    with open_bag(path, notes.append) as bag:
        found = _topic(bag, topic, notes)
        name = f"{path}:{found.name}"
        if found.type == TRANSFORMS:
            poses = _transforms(bag, found, frames, notes)
        else:
            poses = list(_poses(bag, found))
    usable = [pose for pose in poses if _is_pose(pose[1])]
    if len(usable) < len(poses):
        notes.append(
            f"{name}: {len(poses) - len(usable)} of {len(poses)} messages hold no finite pose with "
            "a quaternion of length 1 and are left out"
        )
    if not usable:
        raise InputError(f"{name}: no poses on it")
    file = poses_by_stamp(
        name, [stamp_ns for stamp_ns, _ in usable], _matrices([pose for _, pose in usable])
    )
    return replace(file, notes=(*notes, *file.notes))


def _topic(bag: Bag, topic: str, notes: list[str]) -> BagTopic:
    """The topic of that name, with or without its slash, or the only one with poses."""
    known = bag.topics_of(POSE_TYPES)
    names = ", ".join(f"{each.name} ({each.type})" for each in known) or "no topic with poses"
    if not topic:
        # Transforms are taken only when asked for.
        candidates = [each for each in known if each.type != TRANSFORMS] or known
        if len(candidates) != 1:
            raise InputError(f"{bag.path}: has {names}, expected one of them as BAG:TOPIC")
        notes.append(f"{bag.path}: poses are taken from {candidates[0].name}")
        return candidates[0]
    for each in known:
        if each.name.strip("/") == topic.strip("/"):
            return each
    other = [each.type for each in bag.topics if each.name.strip("/") == topic.strip("/")]
    found = f"topic {topic} is of {other[0]}" if other else f"no topic {topic}"
    raise InputError(f"{bag.path}: {found}, expected one with poses; it has {names}")


def _poses(bag: Bag, topic: BagTopic) -> Iterator[StampedPose]:
    """Poses of messages that hold one each, or of the newest Path."""
    newest = None
    for _, stamp_ns, message in bag.messages([topic.name], [topic.type]):
        if topic.type == PATH:
            newest = message
        else:
            yield stamp_ns, _numbers(POSE_OF_MESSAGE[topic.type](message))
    if newest is not None:
        for pose in newest.poses:
            yield _stamp_ns(pose), _numbers(pose.pose)


def _transforms(bag: Bag, topic: BagTopic, frames: str, notes: list[str]) -> list[StampedPose]:
    """Poses of one pair of frames on a topic of transforms."""
    pairs: dict[str, list[StampedPose]] = {}
    for _, _, message in bag.messages([topic.name], [topic.type]):
        for transform in message.transforms:
            pair = f"{transform.header.frame_id}.{transform.child_frame_id}".replace("/", "")
            poses = pairs.setdefault(pair, [])
            poses.append((_stamp_ns(transform), _numbers(transform.transform)))
    names = ", ".join(sorted(pairs))
    if not frames and len(pairs) == 1:
        notes.append(f"{bag.path}:{topic.name}: poses are taken from {names}")
        return pairs[names]
    if frames.replace("/", "") not in pairs:
        raise InputError(
            f"{bag.path}:{topic.name}: has {names or 'no transforms'}, expected one of them "
            "as BAG:TOPIC:PARENT.CHILD"
        )
    return pairs[frames.replace("/", "")]


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def _numbers(pose: Any) -> list[float]:
    """x y z qx qy qz qw of a Pose or a Transform."""
    if hasattr(pose, "translation"):
        position, q = pose.translation, pose.rotation
    else:
        position, q = pose.position, pose.orientation
    return [position.x, position.y, position.z, q.x, q.y, q.z, q.w]


def _is_pose(numbers: list[float]) -> bool:
    """Whether the numbers are finite and the quaternion has length 1."""
    length = np.linalg.norm(numbers[3:])
    return bool(np.isfinite(numbers).all() and abs(length - 1) <= QUATERNION_TOLERANCE)


def _matrices(numbers: list[list[float]]) -> np.ndarray:
    """Poses (N, 4, 4) of rows x y z qx qy qz qw."""
    table = np.array(numbers)
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3, 3] = table[:, :3]
    poses[:, :3, :3] = se3.rotations_from_quaternions_xyzw(table[:, 3:])
    return poses
