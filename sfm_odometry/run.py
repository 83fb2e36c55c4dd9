"""The odometry over images, without ROS: a folder, a video, a bag or a live camera.

python -m sfm_odometry.run --images DIR --calib FILE --out poses.txt
python -m sfm_odometry.run --images 0 --live
"""

import argparse
import itertools
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfm_odometry.backends.names import BACKEND_NAMES
from sfm_odometry.cli import EXIT_CODES, EXIT_NOT_TRACKED, run_cli
from sfm_odometry.errors import ImageError, InputError, OutputError
from sfm_odometry.geometry.mount import BASE_FROM_OPTICAL
from sfm_odometry.io.camera_options import SourceCamera, add_camera_options, source_camera
from sfm_odometry.io.image_quality import image_problem
from sfm_odometry.io.image_source import ImageSource, SourceImage, first_readable
from sfm_odometry.io.images import check_image_size
from sfm_odometry.io.sources import FORMS, open_named_images
from sfm_odometry.io.stamps import NOMINAL_RATE_HZ
from sfm_odometry.io.trajectories import write_kitti, write_tum
from sfm_odometry.loading import collector_paused
from sfm_odometry.params import OdometryParams
from sfm_odometry.results import DenseMap, EventKind, OdometryResult
from sfm_odometry.scale import ScaleEstimate
from sfm_odometry.scale.arguments import Speed, add_scale_arguments, read_speeds, scale_options
from sfm_odometry.viewers.arguments import add_live_option, add_rerun_option, open_viewers
from sfm_odometry.viewers.viewer import View, Viewers

if TYPE_CHECKING:  # torch takes seconds to load: before that, the arguments are checked
    from sfm_odometry.inference.estimator import Estimator
    from sfm_odometry.odometry import MonocularOdometry

MIN_TRACKED_SHARE = 0.5
"""Share of the frames that must have a pose of their own for a drive to count as tracked."""


DEFAULT_OUT = Path("poses.txt")
"""Default file of the poses."""


@dataclass
class DriveResult:
    """Result of the odometry over a drive: poses by stamp, and what happened on the way."""

    stamps_ns: list[int] = field(default_factory=list)
    """One a frame, of damaged ones as well."""
    start_from_camera: dict[int, np.ndarray] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    kinds: Counter[EventKind] = field(default_factory=Counter)
    """How often each kind of event happened."""
    newest_loss: str = ""
    refusals: Counter[str] = field(default_factory=Counter)
    """How many frames were refused, by reason."""
    damaged: int = 0
    """Number of images that could not be used."""
    poor: int = 0
    """Number of images in which little can be seen."""
    newest_image_problem: str = ""
    unrefined: int = 0
    """Number of poses that are the networks' own, as the images could not be aligned."""
    inference_ms: list[float] = field(default_factory=list)
    scales: list[ScaleEstimate] = field(default_factory=list)
    """One a frame that was read."""

    def add(self, name: str, result: OdometryResult) -> None:
        """Note the result of the frame called `name`."""
        for motion in result.motions:
            self.start_from_camera[motion.stamp_ns] = motion.start_from_camera
            self.unrefined += bool(motion.unrefined)
        for event in result.events:
            self.events.append(f"{name}: {event}")
            self.kinds[event.kind] += 1
            if event.kind is EventKind.LOST:
                self.newest_loss = event.detail
        if result.refused:
            self.events.append(f"{name}: {result.refused}")
            self.refusals[result.refused] += 1
        self.scales.append(result.scale)
        self.inference_ms.append(result.preprocess_ms + result.inference_ms)

    def add_damaged(self, error: ImageError) -> None:
        """Note an image that cannot be used; its frame has the pose before it."""
        self.damaged += 1
        self.events.append(f"{error}; left out")

    def add_image(self, pixels: np.ndarray) -> None:
        """Note whether little can be seen in an image."""
        if problem := image_problem(pixels):
            self.poor += 1
            self.newest_image_problem = problem

    @property
    def poor_said(self) -> str:
        """Sentence about the images in which little can be seen; empty if there are none."""
        counts = f"{self.poor} of {len(self.stamps_ns)} images show little"
        return f"{counts}, the last: {self.newest_image_problem}" if self.poor else ""

    @property
    def tracked(self) -> int:
        """Number of frames that have a pose of their own."""
        return len(self.start_from_camera)

    @property
    def scale_said(self) -> str:
        """One line about the scale, for people."""
        if not self.scales:
            return "scale: unknown, no frame was tracked"
        newest, metric = self.scales[-1], sum(scale.is_metric for scale in self.scales)
        if newest.source == "none":
            return "scale: unknown, lengths are in the model's own unit"
        why = f", not metric at the end: {newest.reason}" if newest.reason else ""
        value = f"{newest.value:.3f} +- {newest.relative_sigma * newest.value:.3f}"
        counts = f"metric at {metric} of {len(self.scales)} frames"
        return f"scale by {newest.source}: {value} at the end, {counts}{why}"

    def poses(self) -> np.ndarray:
        """One pose a frame (N, 4, 4); a frame that was never in a full window has the pose
        before it."""
        poses, newest = [], np.eye(4)
        for stamp_ns in self.stamps_ns:
            newest = self.start_from_camera.get(stamp_ns, newest)
            poses.append(newest)
        return np.stack(poses) if poses else np.empty((0, 4, 4))

    def failure(self, window_length: int, max_gap_s: float) -> str:
        """Why the drive does not count as tracked; empty if it does."""
        frames = len(self.stamps_ns)
        if self.tracked and self.tracked >= MIN_TRACKED_SHARE * frames:
            return ""
        if self.tracked:
            said = f"only {self.tracked} of {frames} frames were tracked"
        else:
            state = "tracked" if self.kinds[EventKind.LOST] else "full"
            said = f"no window of {window_length} frames was ever {state}"
        causes = self._causes(max_gap_s)
        return f"{said}: {'; '.join(causes)}" if causes else f"{said}: {frames} frames"

    def _causes(self, max_gap_s: float) -> list[str]:
        """Causes that kept frames from being tracked, in words."""
        causes = []
        steps_s = np.diff(self.stamps_ns) / 1e9
        gaps_s = steps_s[steps_s > max_gap_s]
        if len(gaps_s):
            every = len(gaps_s) == len(steps_s)
            which = "every step is a gap" if every else f"{len(gaps_s)} steps are gaps"
            usual = np.median(gaps_s)
            size = f"{usual:.1f}" if 0.1 <= usual < 1e6 else f"{usual:.3g}"
            causes.append(f"{which} of {size} s, expected at most {max_gap_s:g} s")
        if self.damaged:
            causes.append(f"{self.damaged} of {len(self.stamps_ns)} images cannot be used")
        causes += [self.poor_said] if self.poor else []
        if lost := self.kinds[EventKind.LOST]:
            causes.append(f"lost {lost} times, the last: {self.newest_loss}")
        if jumps := self.kinds[EventKind.CLOCK_JUMP]:
            causes.append(f"the stamps jump back {jumps} times")
        causes += [f"{count} frames refused: {reason}" for reason, count in self.refusals.items()]
        return causes


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> int:
    """Track the images, then write the poses; returns the exit code.

    What can be checked is checked before the long work.
    """
    # Open the images, and find their camera with the first that can be read.
    source = open_named_images(arguments)
    said = _say(source.notes)
    first, images = first_readable(source, arguments.strict)
    camera = source_camera(source, first, arguments)
    _say(camera.notes)
    # Open the odometry and the places for results.
    params = OdometryParams(refine=not arguments.no_refine, **scale_options(arguments))
    speeds = read_speeds(arguments.speeds) if arguments.speeds is not None else []
    for folder in (arguments.out.parent, arguments.depth_dir, arguments.masks_dir):
        _make_folder(folder)
    with closing(open_viewers(arguments)) as viewers:
        odometry = _load(arguments, params)
        estimator = odometry.estimator
        _check_count(source, estimator.window_length)
        # Track.
        tracker = Tracker(odometry, camera, arguments.strict, viewers)
        tracker.depth_dir, tracker.masks_dir = arguments.depth_dir, arguments.masks_dir
        images = _newest(images, estimator) if source.is_live else images
        result = tracker.track(source, images, speeds)
    # Write the poses, and say how it went.
    _write(arguments.out, arguments.format, result)
    _say(source.notes[said:])
    _say(result.events)
    failure = result.failure(estimator.window_length, params.max_gap_s)
    _report(arguments.out, result, failure)
    return EXIT_NOT_TRACKED if failure else 0


def _load(arguments: argparse.Namespace, params: OdometryParams) -> "MonocularOdometry":
    """Load torch and the model; raises CheckpointError or InputError."""
    with collector_paused():
        from sfm_odometry.inference.estimator import Estimator, use_threads
        from sfm_odometry.odometry import MonocularOdometry

        use_threads(0)
        estimator = Estimator.from_file(arguments.model, arguments.device, arguments.backend)
    return MonocularOdometry(estimator, params)


class Tracker:
    """Runs the odometry over images; depth and masks are written as they come."""

    depth_dir: Path | None = None
    masks_dir: Path | None = None
    """Folders for depth and masks, <image name>.npy, float32 (H, W); None for neither."""

    def __init__(
        self,
        odometry: "MonocularOdometry",
        camera: SourceCamera,
        strict: bool = False,
        viewers: Viewers | None = None,
    ) -> None:
        """strict: whether an image that cannot be used ends the run, and is not left out.

        viewers: are shown each frame.
        """
        self.odometry = odometry
        self.camera = camera
        self.strict = strict
        self.viewers = viewers or Viewers((), print)
        self._stems: dict[int, str] = {}

    def track(
        self, source: ImageSource, images: Iterable[SourceImage], speeds: Sequence[Speed] = ()
    ) -> DriveResult:
        """Track the images of a source, oldest first; Ctrl-C ends a live camera's.

        Raises ImageError for an image that cannot be used where `strict`.
        """
        result, waiting = DriveResult(), deque(speeds)
        started = time.monotonic()
        try:
            for done, image in enumerate(images, start=1):
                # Speeds up to the image's time, then the image.
                while waiting and waiting[0].stamp_ns <= image.stamp_ns:
                    self.odometry.observe_speed(*waiting.popleft())
                result.stamps_ns.append(image.stamp_ns)
                self._process(image, result)
                _show_progress(done, source.count, time.monotonic() - started)
        except KeyboardInterrupt:
            if not source.is_live:
                raise
        finally:
            if source.close is not None:
                source.close()
        # What was lost before it could be named.
        for damage in map(ImageError, source.damage):
            if self.strict:
                raise damage
            result.add_damaged(damage)
        return result

    def _process(self, image: SourceImage, result: DriveResult) -> None:
        """Track one image, or note that it cannot be used."""
        self._stems.setdefault(image.stamp_ns, image.stem)
        try:
            pixels = image.read()
            check_image_size(image.name, pixels, self.camera.intrinsics)
        except ImageError as error:
            if self.strict:
                raise
            result.add_damaged(error)
            return
        result.add_image(pixels)
        rectified, intrinsics = self.camera.rectify(pixels), self.camera.intrinsics
        tracked = self.odometry.process(
            rectified,
            intrinsics,
            image.stamp_ns,
            self.depth_dir is not None or self.viewers.wants_depth,
            self.masks_dir is not None or self.viewers.wants_mask,
            seen=self.camera.seen,
        )
        result.add(image.name, tracked)
        self._save(self.depth_dir, tracked.depth)
        self._save(self.masks_dir, tracked.mask)
        # No robot is known: the base is the camera with axes forward, left and up.
        self.viewers.show(View(image.stamp_ns, rectified, intrinsics, tracked, BASE_FROM_OPTICAL))

    def _save(self, folder: Path | None, panel: DenseMap | None) -> None:
        """Write a map under the name of its image; raises OutputError."""
        if folder is None or panel is None:
            return
        path = folder / f"{self._stems[panel.stamp_ns]}.npy"
        try:
            np.save(path, panel.values)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _say(notes: Sequence[str]) -> int:
    """Print notes to stderr; returns their number."""
    for note in notes:
        print(note, file=sys.stderr)
    return len(notes)


def _newest(images: Iterator[SourceImage], estimator: "Estimator") -> Iterator[SourceImage]:
    """Images of a live camera from now on: without the first, which is old by the time that the
    networks are loaded and warm."""
    estimator.warm_up()
    return itertools.islice(images, 1, None)


def _check_count(source: ImageSource, window_length: int) -> None:
    if source.count is not None and source.count < window_length:
        raise InputError(
            f"{source.name}: {source.count} images, "
            f"expected at least the {window_length} of one window"
        )


def _write(path: Path, form: str, result: DriveResult) -> None:
    """Write the poses, one a frame; raises OutputError."""
    if form == "kitti":
        write_kitti(path, result.poses())
    else:
        write_tum(path, np.array(result.stamps_ns) / 1e9, result.poses())


def _report(path: Path, result: DriveResult, failure: str) -> None:
    """Print what was written and how much of it was tracked."""
    frames = len(result.stamps_ns)
    spent_ms = np.median(result.inference_ms) if result.inference_ms else np.nan
    print(f"{path}: {frames} poses, {spent_ms:.1f} ms a frame (median, without reading the image)")
    print(result.scale_said)
    if result.unrefined:
        print(f"{result.unrefined} poses are the networks' own: the images could not be aligned")
    if result.poor:
        print(result.poor_said, file=sys.stderr)
    others = "" if result.tracked == frames else "; the others repeat the pose before them"
    damaged = f"; {result.damaged} images left out" if result.damaged else ""
    print(f"{result.tracked} of {frames} frames have a pose of their own{others}{damaged}")
    if failure:
        print(f"not tracked: {failure}", file=sys.stderr)


def _make_folder(folder: Path | None) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: folder cannot be made: {error.strerror}") from error


def _show_progress(done: int, total: int | None, elapsed_s: float) -> None:
    if sys.stderr.isatty() and (done % 10 == 0 or done == total):
        end = "\n" if done == total else ""
        print(
            f"\r{done}/{total or '?'} frames, {done / elapsed_s:.1f} frames/s",
            end=end,
            file=sys.stderr,
            flush=True,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sfm_odometry.run",
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_input_arguments(parser)
    _add_odometry_arguments(parser)
    _add_output_arguments(parser)
    add_live_option(parser)
    add_rerun_option(parser)
    return parser


def _add_input_arguments(parser: argparse.ArgumentParser) -> None:
    images_help = f"one of: {'; '.join(FORMS)}"
    topic_help = "of a bag; default: its only topic of images"
    camera_help = "which of several cameras; default: by the folder's name, else the first"
    times_help = (
        "a time, or a time and a file name, a frame, in any unit (TUM's rgb.txt, EuRoC's data.csv)"
    )
    rate_help = (
        f"frames a second of images that are only numbered, default {NOMINAL_RATE_HZ:g}; "
        "names that are times are read as such"
    )
    strict_help = "end with exit code 2 at an image that cannot be read, instead of leaving it out"
    parser.add_argument("--images", required=True, help=images_help)
    parser.add_argument("--topic", help=topic_help)
    add_camera_options(parser)
    parser.add_argument("--camera", type=int, help=camera_help)
    parser.add_argument("--times", type=Path, metavar="FILE", help=times_help)
    parser.add_argument("--rate", type=float, default=NOMINAL_RATE_HZ, help=rate_help)
    parser.add_argument("--strict", action="store_true", help=strict_help)


def _add_odometry_arguments(parser: argparse.ArgumentParser) -> None:
    model_help = "a .safetensors model; default: the packaged one"
    backend_help = "what computes the networks; auto: measured at the start"
    refine_help = "the networks' motions as they are, without aligning the images"
    parser.add_argument("--model", type=Path, help=model_help)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--backend", choices=BACKEND_NAMES, default="auto", help=backend_help)
    add_scale_arguments(parser)
    parser.add_argument("--no-refine", action="store_true", help=refine_help)


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    out_help = f"file of poses, camera0_from_camera, one a frame, default {DEFAULT_OUT}"
    depth_help = (
        "folder for depth along z as .npy, one a frame, at the network's size, NaN = unknown"
    )
    masks_help = (
        "folder for explainability masks as .npy, of every frame that was a window's target"
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help=out_help)
    parser.add_argument("--format", choices=("kitti", "tum"), default="kitti")
    parser.add_argument("--depth-dir", type=Path, help=depth_help)
    parser.add_argument("--masks-dir", type=Path, help=masks_help)


if __name__ == "__main__":
    raise SystemExit(main())
