"""Images of one camera in order, whatever they are stored in."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.io.ros_camera_info import Calibration


@dataclass(frozen=True)
class SourceImage:
    """One image, not yet decoded."""

    name: str
    """Name for messages: the file's, or the frame's number or stamp."""
    stem: str
    """The name without an ending, for files that belong to the image."""
    stamp_ns: int
    read: Callable[[], np.ndarray]
    """Returns uint8 (H, W) grey or (H, W, 3) RGB; raises ImageError naming the image. To be called
    before the next image is asked for."""


@dataclass(eq=False)
class ImageSource:
    """Images of one camera; iterating yields them oldest first, from the beginning each time."""

    name: str
    """Path, topic or number, for messages."""
    form: str
    """What it is, such as "EuRoC folder"."""
    count: int | None
    """Number of images, or about that many where only reading gives it; None for a live camera."""
    open: Callable[[], Iterator[SourceImage]]
    calibration: Callable[[int, int], Calibration] | None = None
    """Calibration that the source brings for images of width and height; raises
    CalibrationError."""
    calibration_name: str = ""
    """File or topic of that calibration."""
    camera: int = 0
    """Index of the camera in calibration files of several."""
    rectified: bool = False
    """Whether the source says that its images are rectified."""
    notes: list[str] = field(default_factory=list)
    """What a user should know, such as the unit of the times; grows while images are read."""
    damage: list[str] = field(default_factory=list)
    """Images that were lost before they could be named; grows while images are read."""
    set_upright: Callable[[bool], None] | None = None
    """Chooses whether images are turned as their EXIF orientation says; None where they have
    none."""
    close: Callable[[], None] | None = None
    """Lets go of a live camera, and adds to the notes; None where nothing is held."""

    @property
    def is_live(self) -> bool:
        """Whether images come until somebody ends it."""
        return self.count is None

    def __iter__(self) -> Iterator[SourceImage]:
        return self.open()


def first_readable(
    source: ImageSource, strict: bool = False
) -> tuple[SourceImage, Iterator[SourceImage]]:
    """The first image that can be read, and all images, those before it as well.

    Raises InputError where there is none, and ImageError for a damaged one where `strict`.
    """
    images = iter(source)
    passed: list[SourceImage] = []
    errors: list[str] = []
    for image in images:
        try:
            image.read()
        except ImageError as error:
            if strict:
                raise
            errors.append(str(error))
            passed.append(replace(image, read=partial(_fail, str(error))))
            continue
        return image, itertools.chain(passed, [image], images)
    reasons = errors + source.damage
    why = f"; the first: {reasons[0]}" if reasons else ""
    raise InputError(f"{source.name}: no image in it can be read{why}")


def _fail(message: str) -> np.ndarray:
    raise ImageError(message)
