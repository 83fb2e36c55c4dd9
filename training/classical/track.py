"""Classical odometry over a sequence of image files."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.kitti import check_image_size, read_image
from training.classical.config import ClassicalConfig
from training.classical.odometry import ClassicalOdometry
from training.evaluate.commands.shared import progress_bar

MIN_IMAGES = 2
MIN_WIDTH = 64


@dataclass(frozen=True, eq=False)
class ClassicalRun:
    """Poses of the N images of a sequence."""

    start_from_camera: np.ndarray
    """(N, 4, 4) poses of the cameras in the frame of the first one."""
    events: list[str]
    """Warnings about steps that could not be estimated, each with the name of its image."""
    frame_ms: np.ndarray
    """(N,) time per frame in ms, without reading the image."""


def track(
    images: Sequence[Path],
    intrinsics: Intrinsics,
    width: int | None = None,
    config: ClassicalConfig | None = None,
) -> ClassicalRun:
    """Run the classical odometry over image files, all of the size of `intrinsics`.

    The images are first scaled down to `width` pixels where that is given. Raises InputError, or
    its subclass ImageError, for too few images, an invalid width and images that cannot be used.
    """
    check_count(len(images))
    frames = progress_bar(images, "frame")
    named = ((path.name, partial(read_image, path)) for path in frames)
    return track_frames(named, intrinsics, width, config, strict=True)


def track_frames(
    frames: Iterable[tuple[str, Callable[[], np.ndarray]]],
    intrinsics: Intrinsics,
    width: int | None = None,
    config: ClassicalConfig | None = None,
    strict: bool = False,
) -> ClassicalRun:
    """Run the classical odometry over frames, each with a name and a function that reads it.

    A frame that cannot be used has the pose before it and an event; it raises ImageError where
    `strict`.
    """
    scaled = _scaled_intrinsics(intrinsics, width)
    odometry = ClassicalOdometry(scaled.matrix(), config)
    pose = np.eye(4)
    poses: list[np.ndarray] = []
    events: list[str] = []
    frame_ms: list[float] = []
    for name, read in frames:
        # Read the image, which is not part of the measured time.
        try:
            image = read()
            check_image_size(name, image, intrinsics)
        except ImageError as error:
            if strict:
                raise
            poses.append(pose)
            events.append(f"{error}; left out")
            continue
        # Estimate the step from the frame before.
        started = time.perf_counter()
        step = odometry.process(_grey(image, scaled.width, scaled.height))
        frame_ms.append((time.perf_counter() - started) * 1e3)
        # Chain it to the pose.
        pose = pose @ step.previous_from_current
        poses.append(pose)
        if step.warning:
            events.append(f"{name}: {step.warning}")
    check_count(len(poses))
    return ClassicalRun(np.stack(poses), events, np.array(frame_ms))


def check_count(count: int) -> None:
    """Raises InputError for too few images."""
    if count < MIN_IMAGES:
        raise InputError(f"{count} images, expected at least {MIN_IMAGES}")


def _scaled_intrinsics(intrinsics: Intrinsics, width: int | None) -> Intrinsics:
    """Intrinsics of the images after scaling them down to `width`; None: as they are."""
    if width is None:
        return intrinsics
    if not MIN_WIDTH <= width <= intrinsics.width:
        raise InputError(
            f"width {width}, expected {MIN_WIDTH} to the images' own {intrinsics.width} pixels"
        )
    return intrinsics.resized(width, max(round(intrinsics.height * width / intrinsics.width), 1))


def _grey(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Grey image (height, width) of a grey or RGB image (H, W[, 3])."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if grey.shape == (height, width):
        return grey
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
