"""Source `video`: any video file that OpenCV opens, with a calibration or a field of view."""

import argparse
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.io.image_source import first_readable
from sfm_odometry.io.videos import VIDEO_SUFFIXES as SUFFIXES
from sfm_odometry.io.videos import open_video
from training.prepare.calibration import (
    RecordedCamera,
    add_camera_arguments,
    camera_from_options,
)
from training.prepare.damage import MISSING, REPEATED, Outcome, warning_teller
from training.prepare.rate import (
    PERIOD_SAMPLE_FRAMES,
    FrameCounter,
    add_rate_arguments,
    has_steady_stamps,
    median_period_s,
    rate_text,
)
from training.prepare.recording import Recording, SceneView, SourceFrame, Window
from training.prepare.sequences import select_paths

HELP = (
    "a video file or a folder of them, with --calib or --fov; "
    "portrait video of a phone with --crops 3"
)


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
    steady: bool
    """Whether the frame rate is steady."""


def _recording(path: Path, arguments: argparse.Namespace) -> Recording:
    """Returns the recording of one video; raises InputError without --calib or --fov."""
    # Read the camera and the rate.
    video = _probe_video(path)
    recorded = camera_from_options(arguments, video.width, video.height)
    if recorded is None:
        raise InputError(
            f"{path}: a video says nothing of its camera, expected --calib FILE or --fov DEGREES"
        )
    new_counter = partial(
        FrameCounter, video.period_s, arguments.every, arguments.rate, video.steady
    )
    every = new_counter().every
    lost: Counter[str] = Counter()
    # Each window is a scene.
    windows = _windows(video, arguments.crops, arguments.size[0] / arguments.size[1])
    camera = "video" if arguments.one_camera else path.stem
    return Recording(
        drive=path.stem,
        views=tuple(
            _view(path.stem, camera, index, window) for index, window in enumerate(windows)
        ),
        intrinsics=recorded.intrinsics,
        channels=3,
        frames=partial(_frames, video, recorded, new_counter, lost, arguments),
        count=max(video.count // every, 1),
        origin=f"{path.name}:{path.stat().st_size} every {every}{rate_text(video.steady)}"
        + f" {recorded.origin}" * bool(recorded.origin),
        intrinsics_known=recorded.known,
        lost=lost,
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


def _frames(
    video: _Video,
    camera: RecordedCamera,
    new_counter: Callable[[], FrameCounter],
    lost: Counter[str],
    arguments: argparse.Namespace,
    is_needed: Callable[[int], bool],
) -> Iterator[SourceFrame]:
    """Yields the frames nearest to the wanted times, numbered by their stamps.

    What is missing at the end of a truncated file is told; InputError where options are strict.
    """
    counter = new_counter()
    source = open_video(video.path)
    index = grabbed = 0
    for image in source:
        grabbed += 1
        number = counter.next(image.stamp_ns * 1e-9)
        if number is not None:
            # OpenCV holds one frame: it is decoded here, and only rectified by a worker.
            yield SourceFrame(
                number,
                partial(_rectified, Outcome(image.read), camera) if is_needed(index) else None,
            )
            index += 1
    lost.update({REPEATED: counter.repeated} if counter.repeated else {})
    if source.damage:
        warning_teller(arguments)(f"{'; '.join(source.damage)}: truncated or damaged")
        lost[MISSING] += max(round(index * video.count / max(grabbed, 1)) - index, 0)


def _rectified(read: Callable[[], np.ndarray], camera: RecordedCamera) -> np.ndarray:
    return camera.rectified(read())


def _probe_video(path: Path) -> _Video:
    """Returns size, period and count of a video; raises InputError if no frame can be decoded."""
    source = open_video(path)
    _, images = first_readable(source)
    size: tuple[int, ...] = ()
    stamps_s: list[float] = []
    for image in itertools.islice(images, PERIOD_SAMPLE_FRAMES):
        if not size:
            with contextlib.suppress(ImageError):
                size = image.read().shape[:2]
        stamps_s.append(image.stamp_ns * 1e-9)
    period_s = median_period_s(stamps_s, path)
    steady = has_steady_stamps(stamps_s, period_s)
    return _Video(path, size[1], size[0], period_s, source.count or 0, steady)
