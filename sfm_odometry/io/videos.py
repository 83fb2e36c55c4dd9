"""Videos, by OpenCV."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.io.image_source import ImageSource, SourceImage
from sfm_odometry.io.live_camera import quiet_capture
from sfm_odometry.io.stamps import read_stamps

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".wmv"),
    *(".3gp", ".mjpg", ".mjpeg", ".h264", ".h265", ".ogv", ".flv", ".insv", ".lrv"),
)
COUNTED_SUFFIXES = (".mp4", ".mov", ".avi", ".m4v", ".3gp")
"""Endings of the containers that hold the number of their frames; others give an estimate."""
MIN_DURATION_SHARE = 0.95
"""Share of a video's duration before which it ends where it was cut off."""


def open_video(path: Path, times: Path | None = None) -> ImageSource:
    """Open a video file; frames carry its own stamps, or those of a list of times.

    Raises InputError if OpenCV cannot open it or no frame can be decoded.
    """
    with _capture(str(path)) as capture:
        if not capture.grab():
            raise InputError(f"{path}: no frame in it can be decoded, expected a video")
        count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 1)
    stamps_ns, notes = (None, []) if times is None else read_stamps(times)
    video = _Video(path, stamps_ns, times, notes)
    source = ImageSource(str(path), "video", count, video.images, notes=notes, damage=video.damage)
    video.count = count
    return source


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its ending or because a frame of it can be decoded."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    with quiet_capture(str(path)) as capture:
        return bool(capture.isOpened() and capture.grab())


class _Video:
    """Frames of a video file."""

    def __init__(
        self, path: Path, stamps_ns: list[int] | None, times: Path | None, notes: list[str]
    ) -> None:
        self.path = path
        self.count = 0
        self.damage: list[str] = []
        self._stamps_ns = stamps_ns
        self._times = times
        self._notes = notes

    def images(self) -> Iterator[SourceImage]:
        """Yields the frames; an image can be read before the next one is asked for."""
        self.damage.clear()
        index, stamp_ns, before_ns = 0, 0, -1
        with _capture(str(self.path)) as capture:
            rate_hz = capture.get(cv2.CAP_PROP_FPS) or 30.0
            period_ns = round(1e9 / rate_hz)
            while capture.grab():
                stamp_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
                # Some files have no stamps, or the same one for all frames.
                if stamp_ns <= before_ns:
                    stamp_ns = before_ns + period_ns
                before_ns = stamp_ns
                name = f"frame {index}"
                read = partial(_retrieve, capture, f"{self.path}, {name}")
                yield SourceImage(name, f"{index:06d}", self._stamp_ns(index, stamp_ns), read)
                index += 1
        self._check_end(index, (stamp_ns + period_ns) * 1e-9 * rate_hz)

    def _stamp_ns(self, index: int, own_ns: int) -> int:
        if self._stamps_ns is None:
            return own_ns
        if index >= len(self._stamps_ns):
            raise InputError(
                f"{self._times}: {len(self._stamps_ns)} times for more frames of {self.path}, "
                "expected one for each"
            )
        return self._stamps_ns[index]

    def _check_end(self, index: int, end: float) -> None:
        """Note the frames that are missing; end: number of frames up to the last one's stamp."""
        lost = self.count - index
        if end < MIN_DURATION_SHARE * self.count and lost > 0:
            self.damage.append(
                f"{self.path}: ends after {index} frames, {self.count} were announced: cut off"
            )
        elif lost > 0 and self.path.suffix.lower() in COUNTED_SUFFIXES:
            self.damage.append(f"{self.path}: {lost} of {self.count} frames cannot be decoded")
        if self._stamps_ns is not None and len(self._stamps_ns) != index:
            self._notes.append(
                f"{self._times}: {len(self._stamps_ns)} times for {index} frames, "
                "which were taken one by one"
            )


def _retrieve(capture: cv2.VideoCapture, where: str) -> np.ndarray:
    """RGB image (H, W, 3) of the frame grabbed last; raises ImageError starting with `where`."""
    is_decoded, image = capture.retrieve()
    if not is_decoded or image is None:
        raise ImageError(f"{where}: cannot be decoded")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@contextmanager
def _capture(name: str) -> Iterator[cv2.VideoCapture]:
    """Open a file; raises InputError naming it if OpenCV cannot."""
    with quiet_capture(name) as capture:
        if not capture.isOpened():
            raise InputError(
                f"{name}: cannot be opened as a video; truncated, or of a kind that OpenCV does "
                "not know"
            )
        yield capture
