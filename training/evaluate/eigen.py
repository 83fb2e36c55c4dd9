"""The Eigen test split: its lists, and the true depth of their images from laser scans or from
KITTI's annotated depth."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.images import existing_folder, read_depth
from sfm_odometry.io.text import read_text
from training.evaluate.velodyne import VelodyneCamera, read_scan, read_velodyne_camera, scan_depth

IMAGE_LINE = re.compile(
    r"(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>[^/\s]+)/image_0(?P<camera>[0-3])/data/(?P<frame>\d+)\.\w+"
)
FOLDER_LINE = re.compile(
    r"(?P<date>\d{4}_\d\d_\d\d)/(?P<drive>[^/\s]+)\s+(?P<frame>\d+)\s+(?P<side>[lr])"
)
CAMERA_OF_SIDE = {"l": 2, "r": 3}


@dataclass(frozen=True)
class RawImage:
    """An image of KITTI raw: day, drive, camera (2 left colour, 3 right) and frame number."""

    date: str
    drive: str
    camera: int
    frame: int

    @property
    def path(self) -> Path:
        """Below the root of KITTI raw, without the suffix."""
        return Path(self.date, self.drive, f"image_{self.camera:02d}", "data", f"{self.frame:010d}")

    @property
    def scan_path(self) -> Path:
        """Of the laser scan, below the root of KITTI raw."""
        return Path(self.date, self.drive, "velodyne_points", "data", f"{self.frame:010d}.bin")


def read_test_list(path: Path) -> list[RawImage]:
    """The images of a list, a line each: `date/drive/image_02/data/0000000069.jpg` (more words
    are left out), or Monodepth's `date/drive 0000000069 l`. Raises InputError naming the file
    and line."""
    images = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            images.append(_raw_image(line.strip(), f"{path}, line {number}"))
    if not images:
        raise InputError(
            f"{path}: no images in it, expected lines like 2011_09_26/2011_09_26_drive_0002_sync 0000000069 l"
        )
    return images


class VelodyneTruth:
    """True depth by projecting the laser scans, at the size of the rectified images; `depth_of`
    as in `scan_depth`."""

    name = "velodyne"

    def __init__(self, kitti_raw: Path, depth_of: str = "velodyne") -> None:
        self._root, self._depth_of = existing_folder(kitti_raw), depth_of
        self._cameras: dict[tuple[str, int], VelodyneCamera] = {}

    def missing(self, images: list[RawImage]) -> set[RawImage]:
        """None: every image needs its scan. Raises InputError naming the first that is not
        there."""
        missing = [image for image in images if not (self._root / image.scan_path).is_file()]
        if missing:
            of_all = f"{len(missing)} of {len(images)} scans are missing"
            raise InputError(f"{self._root / missing[0].scan_path}: no such file; {of_all}")
        return set()

    def depth(self, image: RawImage) -> np.ndarray:
        """(H, W) float32 in metres, NaN unknown."""
        day = (image.date, image.camera)
        if day not in self._cameras:
            self._cameras[day] = read_velodyne_camera(self._root / image.date, image.camera)
        return scan_depth(
            read_scan(self._root / image.scan_path), self._cameras[day], self._depth_of
        )


class AnnotatedTruth:
    """True depth of KITTI's depth benchmark, 16-bit PNG:
    `[train|val/]drive/proj_depth/groundtruth/image_02/0000000069.png`.

    It has 652 of the 697 images of the Eigen split.
    """

    name = "annotated"

    def __init__(self, kitti_depth: Path) -> None:
        self._root = existing_folder(kitti_depth)

    def missing(self, images: list[RawImage]) -> set[RawImage]:
        """The images that have no annotated depth. Raises InputError where none has."""
        missing = {image for image in images if self._find(image) is None}
        if len(missing) == len(set(images)):
            below = "train|val/drive/proj_depth/groundtruth/image_02/*.png"
            raise InputError(
                f"{self._root}: depth of none of the {len(images)} images in it, expected {below}"
            )
        return missing

    def depth(self, image: RawImage) -> np.ndarray:
        """(H, W) float32 in metres, NaN unknown; InputError where it is missing."""
        path = self._find(image)
        if path is None:
            raise InputError(f"{self._root}: no annotated depth of {image.path}")
        return read_depth(path)

    def _find(self, image: RawImage) -> Path | None:
        below = Path(
            image.drive,
            "proj_depth",
            "groundtruth",
            f"image_{image.camera:02d}",
            f"{image.frame:010d}.png",
        )
        return next(
            (
                path
                for part in ("train", "val", "")
                if (path := self._root / part / below).is_file()
            ),
            None,
        )


def _raw_image(line: str, where: str) -> RawImage:
    match = IMAGE_LINE.fullmatch(line.split()[0]) or FOLDER_LINE.fullmatch(line)
    if match is None:
        raise InputError(
            f"{where}: {line[:80]!r}, expected date/drive/image_02/data/0000000069.jpg or date/drive 0000000069 l"
        )
    fields = match.groupdict()
    camera = int(fields["camera"]) if "camera" in fields else CAMERA_OF_SIDE[fields["side"]]
    return RawImage(fields["date"], fields["drive"], camera, int(fields["frame"]))
