"""Lesson: what the teacher found out about unlabelled frames, beside a prepared scene's frames.

Its file, `lesson.npz`, lies in the scene's folder; `python -m training.teach` writes it.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.atomic import atomic_write

FILE = "lesson.npz"
MIN_SNIPPET_WEIGHT = 0.05
"""Snippets whose motion is less sure than this are synthesised with the predicted motion."""
SURE_PIXELS = 0.5
"""Standard deviation of the shift in the image, in pixels, at which a motion weighs a half."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Motions and sparse depth of N frames, in the depth network's unit of length."""

    segment: np.ndarray
    """(N,) number of the stretch whose poses are in one frame of reference; -1: no pose."""
    poses: np.ndarray
    """(N, 4, 4) segment_from_camera; the identity without one."""
    covariance: np.ndarray
    """(N, 6, 6) of the poses, translation then rotation, in the axes of the camera."""
    first_point: np.ndarray
    """(N + 1,) the points of frame i are first_point[i] to first_point[i + 1]."""
    pixels: np.ndarray
    """(M, 2) float32, in the pixels of the prepared frames."""
    inverse_depth: np.ndarray
    """(M,) float32."""
    sigma: np.ndarray
    """(M,) float32, standard deviation of its logarithm."""

    def points(self, frame: int) -> np.ndarray:
        """Points (K, 4) of a frame: u, v, inverse depth, and weight 1 / (1 + (sigma / 0.1)^2)."""
        part = slice(self.first_point[frame], self.first_point[frame + 1])
        weight = 1.0 / (1.0 + (self.sigma[part] / 0.1) ** 2)
        return np.column_stack([self.pixels[part], self.inverse_depth[part], weight])

    def weight(self, frames: np.ndarray, focal: float) -> float:
        """Confidence of the motions among some frames, 0 to 1; 0 across segments.

        focal: focal length of the prepared frames, to turn the covariance into a shift in pixels.
        """
        if len(set(self.segment[frames].tolist())) > 1 or self.segment[frames[0]] < 0:
            return 0.0
        inverse_depth = np.concatenate([self.points(frame)[:, 2] for frame in frames])
        if not len(inverse_depth):
            return 0.0
        variance = np.diagonal(self.covariance[frames], axis1=1, axis2=2)
        shift = variance[:, :3].sum(1) * np.median(inverse_depth) ** 2 + variance[:, 3:].sum(1)
        return float(1.0 / (1.0 + focal**2 * shift.max() / SURE_PIXELS**2))

    def save(self, folder: Path) -> None:
        """Write the lesson into a scene's folder, atomically."""
        with atomic_write(folder / FILE) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file, **{item.name: getattr(self, item.name) for item in fields(self)}
            )


def read_lesson(folder: Path, frames: int) -> Lesson | None:
    """Read the lesson of a scene of so many frames; None where there is none.

    Raises InputError for a file of another kind, or of another number of frames.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            lesson = Lesson(**{item.name: file[item.name] for item in fields(Lesson)})
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}), expected a file written by training.teach"
        ) from error
    if len(lesson.segment) != frames:
        raise InputError(
            f"{path}: is of {len(lesson.segment)} frames, expected {frames} as the scene has; "
            "run training.teach again"
        )
    return lesson
