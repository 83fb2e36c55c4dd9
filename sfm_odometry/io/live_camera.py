"""Live cameras and network streams, read on a thread of their own: the newest frame counts."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.io.image_source import ImageSource, SourceImage

MAX_BAD_READS = 10
"""Frames in a row that a live camera may fail to give, before it counts as unplugged."""
STOP_TIMEOUT_S = 2.0
"""Time that a blocked camera has to give its last frame, when it is no longer wanted."""


class SystemClock:
    """Time of this machine, which never jumps: that of the start, advanced by a monotonic clock."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self._offset_ns + time.monotonic_ns()


@dataclass(frozen=True, eq=False)
class _Grabbed:
    """One frame of a camera."""

    stamp_ns: int
    """When it was grabbed."""
    pixels: np.ndarray | None
    """BGR (H, W, 3) or grey (H, W); None if it could not be decoded."""


def open_live(camera: str) -> ImageSource:
    """Open a camera by its number or device, or a network stream by its address.

    Images carry the time of this machine's clock at which they were grabbed, and come until Ctrl-C,
    or the stream's end. Of several that came since the last one, the newest is given and the others
    are dropped; `close` notes their number. Raises InputError if it cannot be opened.
    """
    live = LiveCamera(camera)
    return ImageSource(
        live.name, "live camera", None, live.images, notes=live.notes, close=live.close
    )


class LiveCamera:
    """A camera or stream that OpenCV reads; the images come from a thread that never waits."""

    def __init__(self, camera: str, now_ns: Callable[[], int] | None = None) -> None:
        """now_ns: gives the stamps. Raises InputError for a camera that gives no image."""
        self.name = f"camera {camera}"
        self.notes: list[str] = []
        self.grabbed = 0
        """Number of frames that the camera gave."""
        self.dropped = 0
        """Number of frames that were never asked for, as newer ones came first."""
        self._camera = camera
        self._now_ns = now_ns or SystemClock().now_ns
        self._changed = threading.Condition()
        self._newest: _Grabbed | None = None
        self._is_ended = False
        self._is_stopped = False
        self._thread: threading.Thread | None = None
        self._capture: tuple[cv2.VideoCapture, contextlib.ExitStack] | None = self._open()

    def images(self) -> Iterator[SourceImage]:
        """Yields the newest frame each time, and waits for one where it was given already.

        Raises InputError for a camera that can no longer be opened.
        """
        self._start()
        index = 0
        while (grabbed := self._next()) is not None:
            name = f"frame {index}"
            read = partial(_rgb, grabbed, f"{self.name}, {name}")
            yield SourceImage(name, f"{index:06d}", grabbed.stamp_ns, read)
            index += 1

    def close(self) -> None:
        """Let go of the camera, and note how many frames it gave."""
        self._is_stopped = True
        if self._thread is None:
            if self._capture is not None:
                self._capture[1].close()
            return
        # A stream that hangs is left behind; the thread does not keep the process alive.
        self._thread.join(STOP_TIMEOUT_S)
        self._thread = None
        ended = " and then no more" if self._is_ended else ""
        self.notes.append(
            f"{self.name}: gave {self.grabbed} images{ended}; {self.dropped} of them were dropped, "
            "as newer ones came before they could be tracked"
        )

    def wait_for_end(self) -> None:
        """Wait until the camera gives no more frames."""
        with self._changed:
            while not self._is_ended:
                self._changed.wait()

    def _open(self) -> tuple[cv2.VideoCapture, contextlib.ExitStack]:
        """Open the camera and look for a first frame."""
        with contextlib.ExitStack() as stack:
            capture = stack.enter_context(quiet_capture(self._camera))
            if not capture.isOpened():
                raise InputError(f"{self.name}: cannot be opened, {_expected(self._camera)}")
            if not capture.grab():
                raise InputError(f"{self.name}: gives no image, expected a live camera")
            return capture, stack.pop_all()

    def _start(self) -> None:
        """Start to read; a camera that was read before is opened again."""
        if self._thread is not None:
            raise InputError(f"{self.name}: is being read already")
        capture, stack = self._capture or self._open()
        self._capture = None
        self._newest = None
        self._is_ended = self._is_stopped = False
        self._thread = threading.Thread(
            target=self._read, args=(capture, stack), name=self.name, daemon=True
        )
        self._thread.start()

    def _read(self, capture: cv2.VideoCapture, stack: contextlib.ExitStack) -> None:
        """Keep the newest frame until the camera ends; runs on the thread."""
        bad = 0
        with stack:
            while bad < MAX_BAD_READS and not self._is_stopped:
                if not capture.grab():
                    bad += 1
                    continue
                bad = 0
                stamp_ns = self._now_ns()
                is_decoded, pixels = capture.retrieve()
                self._put(_Grabbed(stamp_ns, pixels if is_decoded else None))
        with self._changed:
            self._is_ended = not self._is_stopped
            self._is_stopped = True
            self._changed.notify_all()

    def _put(self, grabbed: _Grabbed) -> None:
        with self._changed:
            self.grabbed += 1
            self.dropped += self._newest is not None
            self._newest = grabbed
            self._changed.notify_all()

    def _next(self) -> _Grabbed | None:
        """The newest frame that was not given yet; waits for it. None at the end."""
        with self._changed:
            while self._newest is None and not self._is_stopped:
                self._changed.wait()
            newest, self._newest = self._newest, None
            return newest


@contextlib.contextmanager
def quiet_capture(name: str) -> Iterator[cv2.VideoCapture]:
    """Open a capture without OpenCV's own warnings about what it cannot open."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(int(name) if name.isdigit() else name)
    try:
        yield capture
    finally:
        capture.release()
        logging.setLogLevel(level)


def _rgb(grabbed: _Grabbed, where: str) -> np.ndarray:
    """RGB (H, W, 3) or grey (H, W) of a frame; raises ImageError starting with `where`."""
    pixels = grabbed.pixels
    if pixels is None:
        raise ImageError(f"{where}: cannot be decoded")
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _expected(camera: str) -> str:
    """Error text of a camera that cannot be opened, with the devices that exist."""
    device = f"/dev/video{camera}" if camera.isdigit() else camera
    if not device.startswith("/dev/"):
        return "expected a stream that OpenCV can read, such as rtsp://HOST/PATH"
    if Path(device).exists() and not os.access(device, os.R_OK | os.W_OK):
        return f"expected the right to read {device}: sudo usermod -aG video $USER, then log in"
    present = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "no /dev/video*"
    return f"expected a connected camera that no other program reads; this machine has {present}"
