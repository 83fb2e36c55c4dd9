"""Teacher: the odometry over unlabelled frames, made consistent by bundle adjustment afterwards.

The odometry tracks one frame after the other and cannot look ahead. The teacher can: it follows
corners as long as they are seen, takes the odometry's poses of keyframes as a start, and adjusts
all poses and depths of a stretch together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor, apply_gain, to_grey
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.params import OdometryParams
from training.data.lesson import Lesson
from training.teach.long_tracks import CornerTracker
from training.teach.segments import Segment, solve_segment

TRACKING_WIDTH = 640
"""Greatest width of the images in which corners are followed."""
MIN_SHARED = 30
"""Fewest corners that two neighbouring keyframes of one segment share."""
MIN_KEYFRAMES = 5
"""Fewest keyframes of a segment that teaches."""
MARGIN_PIXELS = 8
"""Distance of corners from pixels that the camera did not see: the edge of a margin is none."""
UNLIMITED = 1e6
"""Limit of speeds and gaps of the odometry: keyframes may be any time apart."""


@dataclass(frozen=True)
class _Keyframe:
    """Keyframe as the odometry saw it."""

    frame: int
    stamp_ns: int
    depth: np.ndarray
    """(H, W) by the depth network, NaN where unknown."""


class Teacher:
    """Teacher of one camera's frames; add all of them, oldest first, then ask for the lesson."""

    def __init__(
        self,
        estimator: Estimator,
        camera: Intrinsics,
        resize_mode: str,
        seen: np.ndarray | None = None,
    ) -> None:
        """camera: of the images. resize_mode: of the networks' input, in whose pixels the lesson
        is. seen: pixels of the images that the camera saw, bool (H, W); None: all."""
        self._camera = camera
        width = min(camera.width, TRACKING_WIDTH)
        self._tracking = camera.resized(width, round(camera.height * width / camera.width))
        config = estimator.model.config
        size = (config.width, config.height)
        self._preprocessor = Preprocessor(camera, *size, config.image_channels, resize_mode)
        params = OdometryParams(
            max_gap_s=UNLIMITED,
            max_speed=UNLIMITED,
            max_turn_rate_deg=UNLIMITED,
            min_depth=1e-3,
            max_depth=1e3,
            resize_mode=resize_mode,
            scale_hold="off",
        )
        self._odometry = MonocularOdometry(estimator, params)
        self._tracker = CornerTracker(allowed=_allowed(seen, self._tracking))
        self._keyframes: list[_Keyframe] = []
        self._poses: dict[int, np.ndarray] = {}

    def add(self, image: np.ndarray, stamp_ns: int) -> None:
        """Add the next frame, uint8 (H, W), (H, W, 1) or (H, W, 3) RGB, rectified."""
        has_colour = image.ndim == 3 and image.shape[2] == 3
        grey = to_grey(image) if has_colour else image.reshape(image.shape[:2])
        size = (self._tracking.width, self._tracking.height)
        if grey.shape[::-1] != size:
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        gain = self._preprocessor.gain(self._preprocessor(image))
        frame = len(self._tracker.tracks.shift)
        if not self._tracker.add(apply_gain(grey, gain)):
            return
        result = self._odometry.process(image, self._camera, stamp_ns, want_mask=False)
        self._poses.update({motion.stamp_ns: motion.start_from_camera for motion in result.motions})
        if result.depth is not None:
            self._keyframes.append(_Keyframe(frame, stamp_ns, result.depth.values))

    def cut(self) -> None:
        """Start anew: the next frame does not follow the last one."""
        self._tracker.cut()
        self._odometry.reset()

    @property
    def shift(self) -> np.ndarray:
        """Median shift (N,) of the corners from the frame before, a share of the width; NaN where
        none could be followed."""
        return np.array(self._tracker.tracks.shift) / self._tracking.width

    def lesson(self) -> Lesson:
        """Adjust all segments; the lesson of all frames that were added."""
        count = len(self._tracker.tracks.shift)
        table = self._tracker.tracks.table() if count else (np.zeros(0, int),) * 3
        segments = []
        for keyframes in self._segments(*table):
            frames = np.array([keyframe.frame for keyframe in keyframes])
            inside = (table[0] >= frames[0]) & (table[0] <= frames[-1])
            segment = solve_segment(
                frames,
                _filled([self._poses.get(keyframe.stamp_ns) for keyframe in keyframes]),
                tuple(column[inside] for column in table),
                self._tracking.matrix(),
            )
            segments.append(segment.scaled(self._unit(segment, keyframes)))
        return self._collect(count, segments)

    def _segments(
        self, frame: np.ndarray, corner: np.ndarray, _: np.ndarray
    ) -> list[list[_Keyframe]]:
        """Runs of keyframes whose neighbours share corners."""
        runs: list[list[_Keyframe]] = []
        before: set[int] = set()
        for keyframe in self._keyframes:
            seen = set(corner[frame == keyframe.frame].tolist())
            if runs and len(before & seen) >= MIN_SHARED:
                runs[-1].append(keyframe)
            else:
                runs.append([keyframe])
            before = seen
        return [run for run in runs if len(run) >= MIN_KEYFRAMES]

    def _unit(self, segment: Segment, keyframes: Sequence[_Keyframe]) -> float:
        """Length in the segment's unit of one unit of the depth network: a median over points."""
        ratios = []
        for keyframe in keyframes:
            part = segment.frame == keyframe.frame
            pixels = np.round(self._network_pixels(segment.pixels[part])).astype(int)
            height, width = keyframe.depth.shape
            inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
            predicted = keyframe.depth[pixels[inside, 1], pixels[inside, 0]]
            ratios.append(predicted * segment.inverse_depth[part][inside])
        known = np.concatenate(ratios)
        known = known[np.isfinite(known)]
        return float(1.0 / np.median(known)) if len(known) else 1.0

    def _network_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (M, 2) of the networks' input, of those of the tracking image."""
        source, target = self._tracking.matrix(), self._preprocessor.intrinsics.matrix()
        rays = (pixels - source[:2, 2]) / source[[0, 1], [0, 1]]
        return rays * target[[0, 1], [0, 1]] + target[:2, 2]

    def _collect(self, count: int, segments: Sequence[Segment]) -> Lesson:
        """The segments as one lesson of `count` frames."""
        number = np.full(count, -1)
        poses = np.tile(np.eye(4), (count, 1, 1))
        covariance = np.tile(np.eye(6), (count, 1, 1))
        columns: list[list[np.ndarray]] = [[], [], [], []]
        for index, segment in enumerate(segments):
            number[segment.posed] = index
            poses[segment.posed] = segment.poses
            covariance[segment.posed] = segment.covariance
            values = (segment.frame, segment.pixels, segment.inverse_depth, segment.sigma)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        frame, pixels, inverse_depth, sigma = (
            np.concatenate([*column, np.zeros((0, 2) if place == 1 else 0)])
            for place, column in enumerate(columns)
        )
        order = np.argsort(frame, kind="stable")
        return Lesson(
            segment=number,
            poses=poses,
            covariance=covariance,
            first_point=np.searchsorted(frame[order], np.arange(count + 1)),
            pixels=self._network_pixels(pixels[order]).astype(np.float32),
            inverse_depth=inverse_depth[order].astype(np.float32),
            sigma=sigma[order].astype(np.float32),
        )


def _allowed(seen: np.ndarray | None, tracking: Intrinsics) -> np.ndarray | None:
    """Pixels of the tracking image away from what the camera did not see; None: all."""
    if seen is None or seen.all():
        return None
    size = (tracking.width, tracking.height)
    resized = cv2.resize(seen.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    kernel = np.ones((2 * MARGIN_PIXELS + 1,) * 2, np.uint8)
    return cv2.erode(resized, kernel).astype(bool)


def _filled(poses: Sequence[np.ndarray | None]) -> np.ndarray:
    """Poses (V, 4, 4), the unknown ones by the motion before; the identity at the start."""
    filled = [poses[0] if poses[0] is not None else np.eye(4)]
    motion = np.eye(4)
    for pose, before in zip(poses[1:], poses[:-1], strict=True):
        if pose is not None and before is not None:
            motion = np.linalg.inv(before) @ pose
        filled.append(filled[-1] @ motion)
    return np.stack(filled)
