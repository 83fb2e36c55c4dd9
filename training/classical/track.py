"""The classical odometry over a folder of images."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.kitti import check_image_size, read_image
from training.classical.config import ClassicalConfig
from training.classical.odometry import ClassicalOdometry
from training.evaluate.commands.shared import shown_progress

LEAST_IMAGES, LEAST_WIDTH = 2, 64


@dataclass(frozen=True, eq=False)
class ClassicalRecording:
    """start_from_camera (N, 4, 4), one an image; events: what was in doubt, by the image's name;
    frame_ms (N,), without reading."""

    start_from_camera: np.ndarray
    events: list[str]
    frame_ms: np.ndarray


def track(
    images: Sequence[Path],
    intrinsics: Intrinsics,
    width: int | None = None,
    config: ClassicalConfig | None = None,
) -> ClassicalRecording:
    """Odometry over image files, all of the size of `intrinsics`, made smaller to `width` first
    where that is given.

    Raises InputError, or its child ImageError, for too few images, a width that is none and images
    that cannot be used.
    """
    if len(images) < LEAST_IMAGES:
        raise InputError(f"{len(images)} images, expected at least {LEAST_IMAGES}")
    seen = _resized(intrinsics, width)
    odometry = ClassicalOdometry(seen.matrix(), config)
    pose, poses, events, frame_ms = np.eye(4), [], [], []
    for path in shown_progress(images, "frame"):
        image = read_image(path)
        check_image_size(path, image, intrinsics)
        started = time.perf_counter()
        step = odometry.process(_grey(image, seen))
        frame_ms.append((time.perf_counter() - started) * 1e3)
        pose = pose @ step.previous_from_current
        poses.append(pose)
        if step.doubt:
            events.append(f"{path.name}: {step.doubt}")
    return ClassicalRecording(np.stack(poses), events, np.array(frame_ms))


def _resized(intrinsics: Intrinsics, width: int | None) -> Intrinsics:
    if width is None:
        return intrinsics
    if not LEAST_WIDTH <= width <= intrinsics.width:
        raise InputError(
            f"width {width}, expected {LEAST_WIDTH} to the images' own {intrinsics.width} pixels"
        )
    return intrinsics.resized(width, max(round(intrinsics.height * width / intrinsics.width), 1))


def _grey(image: np.ndarray, seen: Intrinsics) -> np.ndarray:
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size = (seen.width, seen.height)
    return (
        grey if grey.shape[::-1] == size else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    )
