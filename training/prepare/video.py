"""Video files of one's own: whatever OpenCV opens, with a calibration or a field of view."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from training.prepare.calibration import add_camera_arguments, given_intrinsics
from training.prepare.rate import SAMPLE, FrameCounter, add_rate_arguments, typical_period_s
from training.prepare.recording import Recording, SceneView, SourceFrame, Window
from training.prepare.sequences import chosen_paths

HELP = "a video file or a folder of them, with --calib or --fov; portrait video of a phone with --crops 3"
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
LEAST_SHARE = 0.9
"""A file that ends before this share of the frames that it says to have is truncated."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source alone."""
    add_camera_arguments(parser)
    add_rate_arguments(parser)
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
    """A recording of every video, which is a drive of its own."""
    paths = chosen_paths(arguments.root, _video_paths(arguments.root), arguments.sequences)
    return [_recording(path, arguments) for path in paths]


def _video_paths(root: Path) -> list[Path]:
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
    """What a file says of itself, and its first frames show."""

    path: Path
    width: int
    height: int
    period_s: float
    count: int


def _recording(path: Path, arguments: argparse.Namespace) -> Recording:
    video = _look_into(path)
    given = given_intrinsics(arguments, video.width, video.height)
    if given is None:
        raise InputError(
            f"{path}: a video says nothing of its camera, expected --calib FILE or --fov DEGREES"
        )
    intrinsics, known = given
    every = FrameCounter(video.period_s, arguments.every, arguments.rate).every
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
    """Windows of the networks' aspect and the images' full width, spread over the middle third
    of where they can lie: above is sky, below the handlebar (as for vid2depth's bike videos)."""
    if crops < 1:
        raise InputError(f"--crops {crops}: expected 1 or more")
    if crops == 1:
        return [None]
    rows = round(video.width / aspect)
    if video.height < rows + crops:
        raise InputError(
            f"{video.path}: {video.width}x{video.height} has no room for --crops {crops} of {video.width}x{rows}"
        )
    tops = np.linspace(1 / 3, 2 / 3, crops) * (video.height - rows)
    return [(0, round(top), video.width, rows) for top in tops]


def _frames(video: _Video, every: int, wanted: Callable[[int], bool]) -> Iterator[SourceFrame]:
    counter = FrameCounter(video.period_s, every, 1.0)
    index = seen = 0
    with _opened(video.path) as capture:
        while capture.grab():
            number = counter.next(_stamp_s(capture, seen, video.period_s))
            seen += 1
            if number is None:
                continue
            yield SourceFrame(
                number, _retrieve(capture, video.path, seen - 1) if wanted(index) else None
            )
            index += 1
    if seen < LEAST_SHARE * video.count:
        raise InputError(
            f"{video.path}: ends after {seen} frames, expected {video.count}: truncated or damaged"
        )


def _retrieve(capture: cv2.VideoCapture, path: Path, index: int) -> Callable[[], np.ndarray]:
    """The grabbed frame, which becomes RGB when a worker asks for it."""
    is_decoded, image = capture.retrieve()
    if not is_decoded:
        raise InputError(f"{path}: frame {index} cannot be decoded, expected a whole video")
    return partial(cv2.cvtColor, image, cv2.COLOR_BGR2RGB)


def _look_into(path: Path) -> _Video:
    with _opened(path) as capture:
        is_decoded, image = capture.read()
        if not is_decoded:
            raise InputError(f"{path}: no frame in it can be decoded, expected a video")
        nominal_s = 1 / max(capture.get(cv2.CAP_PROP_FPS), 1e-3)
        stamps_s = [_stamp_s(capture, 0, nominal_s)]
        while len(stamps_s) < SAMPLE and capture.grab():
            stamps_s.append(_stamp_s(capture, len(stamps_s), nominal_s))
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    height, width = image.shape[:2]
    return _Video(path, width, height, typical_period_s(stamps_s, path), count)


def _stamp_s(capture: cv2.VideoCapture, index: int, period_s: float) -> float:
    """Of the frame that was grabbed last; by the rate where the file has no stamps."""
    stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    return stamp_s if stamp_s > 0 else index * period_s


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise InputError(
                f"{path}: cannot be opened as a video; truncated, or of a kind that OpenCV does not know"
            )
        yield capture
    finally:
        capture.release()
