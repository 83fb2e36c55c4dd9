"""Writing of footage with its lesson as prepared data, which training.train reads."""

from pathlib import Path

import numpy as np

from training.data.index import NAME, index_content
from training.data.lesson import Lesson
from training.prepare.writer import SceneWriter, disk_errors, write_json
from training.teach.footage import Footage


def write_scenes(out: Path, name: str, footage: Footage, every: int) -> list[Path]:
    """Write every n-th frame as a scene, once for each first frame; returns the scenes' folders.

    So all frames teach, and the frames of a snippet are far enough from each other. Raises
    OutputError.
    """
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    names = [name if every == 1 else f"{name}_{first}of{every}" for first in range(every)]
    for first, scene in enumerate(names):
        chosen = np.arange(first, len(footage.frames), every)
        _write_scene(out / scene, name, footage, chosen)
        with disk_errors(out):
            lesson_of_frames(footage.lesson, chosen).save(out / scene)
    write_json(out / NAME, index_content(names, [0] * every, 1))
    return [out / scene for scene in names]


def lesson_of_frames(lesson: Lesson, frames: np.ndarray) -> Lesson:
    """Lesson of some frames (K,) of another lesson, in order."""
    first, end = lesson.first_point[frames], lesson.first_point[frames + 1]
    points = np.concatenate(
        [np.arange(*part) for part in zip(first, end, strict=True)] or [np.zeros(0)]
    ).astype(int)
    parts = {
        "first_point": np.concatenate([[0], np.cumsum(end - first)]),
        **{part: getattr(lesson, part)[frames] for part in ("segment", "poses", "covariance")},
        **{part: getattr(lesson, part)[points] for part in ("pixels", "inverse_depth", "sigma")},
    }
    return Lesson(**parts)


def _write_scene(folder: Path, drive: str, footage: Footage, chosen: np.ndarray) -> None:
    """Write the frames (K,) and the description of a scene."""
    _, height, width, channels = footage.frames.shape
    writer = SceneWriter(folder, "", {"frames": (np.uint8, (height, width, channels))})
    with writer.opened():
        for index, frame in enumerate(chosen):
            writer.write("frames", index, footage.frames[frame])
        description = {
            "drive": drive,
            "camera_name": drive,
            "intrinsics": footage.intrinsics.matrix().tolist(),
            "width": width,
            "height": height,
            "channels": channels,
            "resize_mode": footage.resize_mode,
            "has_depth": False,
            "has_motion_mask": False,
            "has_poses": False,
            "poses_supervise": False,
            "static": [],
            "frame_numbers": list(range(len(chosen))),
        }
        writer.finish(len(chosen), description)
