"""Eigen test split: its lists of images, and their true depth from laser scans or annotations."""

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
    """Image of KITTI raw."""

    date: str
    drive: str
    camera: int
    """2: left colour, 3: right colour."""
    frame: int

    @property
    def path(self) -> Path:
        """Path of the image below the root of KITTI raw, without its suffix."""
        return Path(self.date, self.drive, f"image_{self.camera:02d}", "data", f"{self.frame:010d}")

    @property
    def scan_path(self) -> Path:
        """Path of the laser scan below the root of KITTI raw."""
        return Path(self.date, self.drive, "velodyne_points", "data", f"{self.frame:010d}.bin")


def read_test_list(path: Path) -> list[RawImage]:
    """Read a list of test images, one a line; raises InputError with the file and line.

    Lines are `date/drive/image_02/data/0000000069.jpg`, of which further words are ignored, or
    Monodepth's `date/drive 0000000069 l`.
    """
    images = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            images.append(_parse_line(line.strip(), f"{path}, line {number}"))
    if not images:
        raise InputError(
            f"{path}: no images in it, expected lines like "
            "2011_09_26/2011_09_26_drive_0002_sync 0000000069 l"
        )
    return images


class VelodyneTruth:
    """True depth from projected laser scans, at the size of the rectified images.

    depth_of: as in `scan_depth`.
    """

    name = "velodyne"

    def __init__(self, kitti_raw: Path, depth_of: str = "velodyne") -> None:
        self._root = existing_folder(kitti_raw)
        self._depth_of = depth_of
        self._cameras: dict[tuple[str, int], VelodyneCamera] = {}

    def missing(self, images: list[RawImage]) -> set[RawImage]:
        """Images without true depth: none, since every image needs its scan.

        Raises InputError with the first missing scan.
        """
        missing = [image for image in images if not (self._root / image.scan_path).is_file()]
        if missing:
            raise InputError(
                f"{self._root / missing[0].scan_path}: no such file; "
                f"{len(missing)} of {len(images)} scans are missing"
            )
        return set()

    def depth(self, image: RawImage) -> np.ndarray:
        """True depth (H, W) float32 in metres, NaN unknown."""
        day = (image.date, image.camera)
        if day not in self._cameras:
            self._cameras[day] = read_velodyne_camera(self._root / image.date, image.camera)
        return scan_depth(
            read_scan(self._root / image.scan_path), self._cameras[day], self._depth_of
        )


class AnnotatedTruth:
    """True depth of KITTI's depth benchmark, which has 652 of the 697 images of the Eigen split.

    Files are 16-bit PNG: `[train|val/]drive/proj_depth/groundtruth/image_02/0000000069.png`.
    """

    name = "annotated"

    def __init__(self, kitti_depth: Path) -> None:
        self._root = existing_folder(kitti_depth)

    def missing(self, images: list[RawImage]) -> set[RawImage]:
        """Images without annotated depth; raises InputError where none of them has any."""
        missing = {image for image in images if self._find(image) is None}
        if len(missing) == len(set(images)):
            raise InputError(
                f"{self._root}: depth of none of the {len(images)} images in it, "
                "expected train|val/drive/proj_depth/groundtruth/image_02/*.png"
            )
        return missing

    def depth(self, image: RawImage) -> np.ndarray:
        """True depth (H, W) float32 in metres, NaN unknown; InputError where it is missing."""
        path = self._find(image)
        if path is None:
            raise InputError(f"{self._root}: no annotated depth of {image.path}")
        return read_depth(path)

    def _find(self, image: RawImage) -> Path | None:
        """File of the image's annotated depth; None where it is missing."""
        below = Path(
            image.drive,
            "proj_depth",
            "groundtruth",
            f"image_{image.camera:02d}",
            f"{image.frame:010d}.png",
        )
        for part in ("train", "val", ""):
            path = self._root / part / below
            if path.is_file():
                return path
        return None


def _parse_line(line: str, where: str) -> RawImage:
    """Parse a line of a list; `where` is its place for the error message."""
    match = IMAGE_LINE.fullmatch(line.split()[0]) or FOLDER_LINE.fullmatch(line)
    if match is None:
        raise InputError(
            f"{where}: {line[:80]!r}, expected date/drive/image_02/data/0000000069.jpg "
            "or date/drive 0000000069 l"
        )
    fields = match.groupdict()
    camera = int(fields["camera"]) if "camera" in fields else CAMERA_OF_SIDE[fields["side"]]
    return RawImage(fields["date"], fields["drive"], camera, int(fields["frame"]))
