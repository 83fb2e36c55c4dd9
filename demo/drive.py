"""What is driven: a KITTI sequence from disk, or a street rendered for the occasion."""

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
    """A sequence to play: where it lies, its first `frames` frames, and the camera whose images
    are played."""

    folder: Path
    sequence: ImageSequence
    frames: int
    camera: int | None

    @property
    def rendered(self) -> bool:
        """Whether it is a rendered drive, which has true depth."""
        return self.sequence.depth_paths is not None

    @property
    def truth(self) -> np.ndarray | None:
        """True poses (frames, 4, 4) in the first frame's optical axes, or None."""
        poses = self.sequence.poses
        return None if poses is None else np.linalg.inv(poses[0]) @ poses[: self.frames]


def open_drive(folder: Path, camera: int | None, frames: int | None) -> DemoDrive:
    """Open a sequence folder; InputError, or its children, when it cannot be used or has fewer
    than `frames` frames."""
    sequence = open_sequence(folder, camera)
    count = len(sequence.image_paths)
    if frames is not None and frames > count:
        raise InputError(f"{folder}: has {count} frames, {frames} were asked for")
    return DemoDrive(folder.absolute(), sequence, frames or count, camera)


def render_drive(
    folder: Path, log: Path, frames: int, size: str, seed: int, progress: Progress
) -> DemoDrive:
    """Render a drive into `folder`, replacing one rendered there before; ChildError when the
    renderer fails."""
    arguments = (
        "--out",
        str(folder),
        "--frames",
        str(frames),
        "--seed",
        str(seed),
        "--size",
        size,
        "--quiet",
    )
    with Child(
        "renderer", python_command("training.synthetic", *arguments), log, child_environment()
    ) as renderer:
        while not renderer.wait(POLL_S):
            progress.count("rendering", _images_in(folder), frames)
        renderer.check_success()
    progress.count("rendering", frames, frames)
    return open_drive(folder, None, frames)


def _images_in(folder: Path) -> int:
    """How far a renderer is, which works in a folder beside the final place."""
    return sum(1 for _ in folder.glob(".rendering-*/image_2/*.png"))
