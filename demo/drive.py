"""Drives for the demo: KITTI sequences from disk, and rendered streets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from demo.processes import Child, child_environment, python_command
from demo.progress import Progress
from sfm_odometry.errors import InputError
from sfm_odometry.io.kitti import ImageSequence, open_sequence

POLL_S = 0.2


@dataclass(frozen=True)
class DemoDrive:
    """First `frames` frames of a sequence in `folder`, as seen by one of its cameras.

    camera: None for the sequence's default.
    """

    folder: Path
    sequence: ImageSequence
    frames: int
    camera: int | None

    @property
    def rendered(self) -> bool:
        """Whether the drive is rendered and has true depth."""
        return self.sequence.depth_paths is not None

    @property
    def truth(self) -> np.ndarray | None:
        """True poses (frames, 4, 4) in the first frame's optical axes, or None where unknown."""
        poses = self.sequence.poses
        return None if poses is None else np.linalg.inv(poses[0]) @ poses[: self.frames]


def open_drive(folder: Path, camera: int | None, frames: int | None) -> DemoDrive:
    """Open a sequence folder.

    Raises InputError, or one of its subclasses, where the folder cannot be used or has fewer than
    `frames` frames.
    """
    sequence = open_sequence(folder, camera)
    count = len(sequence.image_paths)
    if frames is not None and frames > count:
        raise InputError(f"{folder}: has {count} frames, {frames} were asked for")
    return DemoDrive(folder.absolute(), sequence, frames or count, camera)


def render_drive(
    folder: Path, log: Path, frames: int, size: str, seed: int, progress: Progress
) -> DemoDrive:
    """Render a drive into `folder`, replacing one rendered there before.

    size: such as "832x256". Raises ChildError where the renderer fails.
    """
    options = {"--out": folder, "--frames": frames, "--seed": seed, "--size": size}
    words = [str(word) for option in options.items() for word in option]
    command = python_command("training.synthetic", *words, "--quiet")
    with Child("renderer", command, log, child_environment()) as renderer:
        while not renderer.wait(POLL_S):
            progress.count("rendering", _count_rendered(folder), frames)
        renderer.check_success()
    progress.count("rendering", frames, frames)
    return open_drive(folder, None, frames)


def _count_rendered(folder: Path) -> int:
    """Returns the number of images rendered so far, in a temporary folder within `folder`."""
    return sum(1 for _ in folder.glob(".rendering-*/image_2/*.png"))
