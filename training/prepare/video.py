"""Source `video`: any video file that OpenCV opens, with a calibration or a field of view."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from training.prepare.calibration import add_camera_arguments, intrinsics_from_options
from training.prepare.rate import (
    PERIOD_SAMPLE_FRAMES,
    FrameCounter,
    add_rate_arguments,
    median_period_s,
)
from training.prepare.recording import Recording, SceneView, SourceFrame, Window
from training.prepare.sequences import select_paths

HELP = (
    "a video file or a folder of them, with --calib or --fov; "
    "portrait video of a phone with --crops 3"
)
SUFFIXES = (
    ".mp4",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".wmv",
    ".3gp",
)
MIN_FRAME_SHARE = 0.9
"""Share of the frames announced by the file below which it counts as truncated."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this source has."""
    # Calibration and frame rate, as for bags.
    add_camera_arguments(parser)
    add_rate_arguments(parser)
    # Files, windows and cameras.
    parser.add_argument(
        "--sequences",
        nargs="*",
        default=[],
        help="names of the videos to take out of a folder, without their endings",
    )
    parser.add_argument(
        "--crops",
        type=int,
        default=1,
        help="cut this many windows out of tall images, each a scene (default 1)",
    )
    parser.add_argument(
        "--one-camera",
        action="store_true",
        help="all videos are of the same camera, which learned intrinsics can use",
    )


def find(arguments: argparse.Namespace) -> list[Recording]:
    """Returns one recording for each video; each is a drive of its own."""
    paths = select_paths(arguments.root, _video_paths(arguments.root), arguments.sequences)
    return [_recording(path, arguments) for path in paths]


def _video_paths(root: Path) -> list[Path]:
    """Returns the videos in `root`, or `root` itself if it is a file; InputError if none."""
    if not root.exists():
        raise InputError(f"{root}: no such file or folder, expected videos")
    paths = (
        [root]
        if root.is_file()
        else sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES)
    )
    if not paths:
        raise InputError(
            f"{root}: no videos in it, expected files that end in {', '.join(SUFFIXES)}"
        )
    return paths


@dataclass(frozen=True)
class _Video:
    """Properties of a video file, from its header and its first frames."""

    path: Path
    width: int
    height: int
    period_s: float
    """Median time between frames in seconds."""
    count: int
    """Number of frames that the header announces."""


def _recording(path: Path, arguments: argparse.Namespace) -> Recording:
    """Returns the recording of one video; raises InputError without --calib or --fov."""
    # Read the camera and the rate.
    video = _probe_video(path)
    camera_options = intrinsics_from_options(arguments, video.width, video.height)
    if camera_options is None:
        raise InputError(
            f"{path}: a video says nothing of its camera, expected --calib FILE or --fov DEGREES"
        )
    intrinsics, known = camera_options
    every = FrameCounter(video.period_s, arguments.every, arguments.rate).every
    # Each window is a scene.
    windows = _windows(video, arguments.crops, arguments.size[0] / arguments.size[1])
    camera = "video" if arguments.one_camera else path.stem
    return Recording(
        drive=path.stem,
        views=tuple(
            _view(path.stem, camera, index, window) for index, window in enumerate(windows)
        ),
        intrinsics=intrinsics,
        channels=3,
        frames=partial(_frames, video, every),
        count=max(video.count // every, 1),
        origin=f"{path.name}:{path.stat().st_size} every {every}",
        intrinsics_known=known,
    )


def _view(name: str, camera: str, index: int, window: Window | None) -> SceneView:
    return (
        SceneView(name, camera)
        if window is None
        else SceneView(f"{name}_{index}", f"{camera}_{index}", window)
    )


def _windows(video: _Video, crops: int, aspect: float) -> list[Window | None]:
    """Returns windows of the networks' aspect ratio and the images' full width.

    They are spread over the middle third of the possible rows: sky is above, the handlebar below
    (as for vid2depth's bike videos). One crop is the whole image, None. Raises InputError if the
    images have no room for them.
    """
    if crops < 1:
        raise InputError(f"--crops {crops}: expected 1 or more")
    if crops == 1:
        return [None]
    rows = round(video.width / aspect)
    if video.height < rows + crops:
        raise InputError(
            f"{video.path}: {video.width}x{video.height} has no room "
            f"for --crops {crops} of {video.width}x{rows}"
        )
    tops = np.linspace(1 / 3, 2 / 3, crops) * (video.height - rows)
    return [(0, round(top), video.width, rows) for top in tops]


def _frames(video: _Video, every: int, is_needed: Callable[[int], bool]) -> Iterator[SourceFrame]:
    """Yields every n-th frame, numbered by its stamp; raises InputError for a truncated file."""
    counter = FrameCounter(video.period_s, every, 1.0)
    index = grabbed = 0
    with _open_video(video.path) as capture:
        while capture.grab():
            number = counter.next(_stamp_s(capture, grabbed, video.period_s))
            grabbed += 1
            if number is None:
                continue
            decode = _retrieve(capture, video.path, grabbed - 1) if is_needed(index) else None
            yield SourceFrame(number, decode)
            index += 1
    # OpenCV reports a truncated file only by ending early.
    if grabbed < MIN_FRAME_SHARE * video.count:
        raise InputError(
            f"{video.path}: ends after {grabbed} frames, expected {video.count}: "
            "truncated or damaged"
        )


def _retrieve(capture: cv2.VideoCapture, path: Path, index: int) -> Callable[[], np.ndarray]:
    """Decodes the grabbed frame and returns its conversion to RGB, to be run by a worker."""
    is_decoded, image = capture.retrieve()
    if not is_decoded:
        raise InputError(f"{path}: frame {index} cannot be decoded, expected a whole video")
    return partial(cv2.cvtColor, image, cv2.COLOR_BGR2RGB)


def _probe_video(path: Path) -> _Video:
    """Returns size, period and count of a video; raises InputError if no frame can be decoded."""
    with _open_video(path) as capture:
        is_decoded, image = capture.read()
        if not is_decoded:
            raise InputError(f"{path}: no frame in it can be decoded, expected a video")
        nominal_s = 1 / max(capture.get(cv2.CAP_PROP_FPS), 1e-3)
        stamps_s = [_stamp_s(capture, 0, nominal_s)]
        while len(stamps_s) < PERIOD_SAMPLE_FRAMES and capture.grab():
            stamps_s.append(_stamp_s(capture, len(stamps_s), nominal_s))
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    height, width = image.shape[:2]
    return _Video(path, width, height, median_period_s(stamps_s, path), count)


def _stamp_s(capture: cv2.VideoCapture, index: int, period_s: float) -> float:
    """Returns the stamp in seconds of the frame grabbed last, the one at `index`.

    It is index * period_s if the file has no stamps.
    """
    stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    return stamp_s if stamp_s > 0 else index * period_s


@contextmanager
def _open_video(path: Path) -> Iterator[cv2.VideoCapture]:
    """Opens a video for reading; raises InputError naming it if OpenCV cannot."""
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise InputError(
                f"{path}: cannot be opened as a video; truncated, "
                "or of a kind that OpenCV does not know"
            )
        yield capture
    finally:
        capture.release()
