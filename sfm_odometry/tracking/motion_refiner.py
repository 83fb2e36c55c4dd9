"""The refinement over a stream of frames: alignment, then tracked points; it knows how fast the
camera was and how the units differ."""

from dataclasses import replace
from typing import Protocol

import numpy as np

from sfm_odometry.tracking.direct_alignment import Refinement, align_frames, motion_information
from sfm_odometry.tracking.direct_config import BEFORE_TRACKS, RefineConfig
from sfm_odometry.tracking.feature_tracks import PointTracks, TrackResult
from sfm_odometry.tracking.lazy import Background, LazyFuture
from sfm_odometry.tracking.pyramid import Pyramid, Targets
from sfm_odometry.tracking.speed_filter import SpeedFilter

LARGEST_CHANGE = 0.5
"""Once settled, one frame changes the logarithm of the ratio by no more than this times the
gain."""
LARGEST_LOG_RATIO = float(np.log(4.0))
"""Networks that were learned together do not differ by more: a larger ratio would be a state run
away over depth that says nothing."""
SURE_LENGTH = 4.0
"""A step must be so many standard deviations long to say anything about the ratio."""
STARTING_MAX_TRANSLATION = 2.0
"""Share of the given length that may be corrected while the ratio is not known."""
NETWORK_LENGTH_SIGMA = 0.2
"""Standard deviation of the pose network's lengths, as a share: what is left to go by where the
images do not align."""
ALIGNED_ROTATION_DEG, ALIGNED_DIRECTION = 0.03, 0.01
NETWORK_ROTATION_DEG, NETWORK_DIRECTION = 0.5, 0.2
"""Standard deviations of a motion as a prior for the tracked points: by alignment, beside its
own doubt, and by the networks alone."""
LENGTH_SIGMA = 0.2
LENGTH_FLOOR = 0.005


class AlignableFrame(Protocol):
    """A frame as the refinement needs it."""

    @property
    def grey(self) -> np.ndarray:
        """uint8 (H, W)."""

    @property
    def depth(self) -> np.ndarray:
        """(H, W) along z."""

    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3)."""

    @property
    def pyramid(self) -> Pyramid:
        """The image made ready to be aligned with the frame before."""

    @property
    def targets(self) -> Targets:
        """The points that are sought in the next frame."""


class MotionRefiner:
    """Refines the steps of one drive, oldest first. `unit` is what lengths come out in.

    The pose network's lengths may be off by a factor that the depth network does not share: the
    ratio of the two is a slowly varying state. Lengths by alignment follow the depth map of one
    frame, which is a little too large in one and too small in the next: tracked points remember,
    and a filter of the speed says what to expect of the next step.
    """

    def __init__(
        self,
        config: RefineConfig | None = None,
        tracks: PointTracks | None = None,
        speed: SpeedFilter | None = None,
        gain: float = 0.2,
        settle: int = 3,
    ) -> None:
        """config: of the alignment; None takes the one with or without tracks after it. tracks:
        None goes by alignment alone. speed: None leaves lengths as they are found. gain: share of a
        new step in the ratio. settle: steps without a prior on the length at the start.
        """
        self.config = config = config or (RefineConfig() if tracks is None else BEFORE_TRACKS)
        self.tracks, self.speed, self.gain, self.settle = tracks, speed, gain, settle
        self._starting = replace(
            config,
            prior_length=0.0,
            prior_direction=0.0,
            max_translation=max(config.max_translation, STARTING_MAX_TRANSLATION),
        )
        self._begun: tuple[AlignableFrame, LazyFuture[None]] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the ratio, the points and the speed."""
        self._wait()
        self._log_ratio, self._steps = 0.0, 0
        for state in (self.tracks, self.speed):
            if state is not None:
                state.reset()

    def skip(self, dt_s: float) -> None:
        """Time went by without frames."""
        if self.speed is not None and self.speed.knows:
            self.speed.predict(dt_s)

    @property
    def length_ratio(self) -> float:
        """Length of a step in the depth's unit over the pose network's; 1 before the first step."""
        return float(np.exp(self._log_ratio))

    @property
    def unit(self) -> float:
        """Length, as steps come out, of one unit of the depth network; depth times this goes
        with them."""
        return 1.0 if self.tracks is None else self.tracks.unit

    def prepare(self, newest: AlignableFrame, background: Background) -> None:
        """Begin with what a step from the newest frame on needs, once its depth is there."""
        tracks = self.tracks
        if tracks is not None:
            self._begun = newest, LazyFuture(lambda: tracks.begin(newest))
            background.begin(self._begun[1])

    def _begin(self, previous: AlignableFrame) -> None:
        """See to it that the tracks have begun with the frame that a step starts from."""
        assert self.tracks is not None
        if self._begun is not None and self._begun[0] is previous:
            (_, begun), self._begun = self._begun, None
            begun.get()
        else:
            self._wait()
            self.tracks.begin(previous)

    def _wait(self) -> None:
        """Let what was begun come to its end: nobody else works on the tracks after this."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun[1].wait()

    def refine(
        self,
        previous: AlignableFrame,
        current: AlignableFrame,
        previous_from_current: np.ndarray,
        dt_s: float,
    ) -> Refinement:
        """The step from `previous` to `current`, which took dt_s, from the pose network's motion
        on.

        Where the given motion is kept, its length is still brought to the unit of the others. The
        current frame's depth is not asked for.
        """
        if self.tracks is not None:
            self._begin(previous)
        network_length = float(np.linalg.norm(previous_from_current[:3, 3]))
        length = network_length * self.length_ratio
        if self.speed is not None and self.speed.knows:
            length = self.speed.predict(dt_s)[0] / self.unit
        given = _of_length(previous_from_current, length)
        config = self.config if self._steps >= self.settle else self._starting
        result = align_frames(previous.targets, current.pyramid, given, config)
        if result.converged:
            self._learn(network_length, result)
        if self.tracks is not None:
            tracked = self.tracks.step(previous, current, previous.intrinsics, *self._prior(result))
            if not tracked.reason:
                return self._as_tracked(result, tracked, dt_s)
        return self._steady(
            _in_unit(result, self.unit), network_length * self.length_ratio * self.unit, dt_s
        )

    def _learn(self, network_length: float, result: Refinement) -> None:
        """Follow the ratio of lengths: the mean of the first steps, then a slow filter."""
        if network_length == 0.0 or result.length < SURE_LENGTH * result.length_sigma:
            return
        change = float(np.log(result.length / network_length)) - self._log_ratio
        if self._steps >= self.settle:
            change = min(max(change, -LARGEST_CHANGE), LARGEST_CHANGE)
        self._steps += 1
        ratio = self._log_ratio + max(self.gain, 1.0 / self._steps) * change
        self._log_ratio = min(max(ratio, -LARGEST_LOG_RATIO), LARGEST_LOG_RATIO)

    def _prior(self, result: Refinement) -> tuple[np.ndarray, np.ndarray]:
        """What the tracked points start from: the motion in their unit, and its information (6,
        6)."""
        motion = _in_unit(result, self.unit).previous_from_current
        rotation_deg, direction = (
            (ALIGNED_ROTATION_DEG, ALIGNED_DIRECTION)
            if result.converged
            else (NETWORK_ROTATION_DEG, NETWORK_DIRECTION)
        )
        if self.speed is not None and self.speed.knows:
            motion = _of_length(motion, self.speed.length)
        information = motion_information(
            motion, LENGTH_SIGMA, direction, LENGTH_FLOOR, rotation_deg
        )
        if (
            result.converged
        ):  # behind a truck the alignment is less sure of the angles than it usually errs
            information[3:, 3:] = np.linalg.inv(
                np.linalg.inv(information[3:, 3:]) + result.covariance[3:, 3:]
            )
        return motion, information

    def _as_tracked(self, result: Refinement, tracked: TrackResult, dt_s: float) -> Refinement:
        """The points' motion, which is steady by itself; the filter of the speed only follows."""
        result = replace(
            result,
            previous_from_current=tracked.previous_from_current,
            covariance=tracked.covariance,
            converged=True,
            reason="",
        )
        if self.speed is not None:
            self.speed.update(result.length, result.length_sigma, dt_s)
        return result

    def _steady(self, result: Refinement, network_length: float, dt_s: float) -> Refinement:
        """The result with its length as the filter of the speed has it, and the filter after it."""
        if self.speed is None or self._steps < self.settle:
            return result
        seen = (
            (result.length, result.length_sigma)
            if result.converged
            else (network_length, NETWORK_LENGTH_SIGMA * network_length)
        )
        length, _ = self.speed.update(*seen, dt_s)
        return replace(
            result, previous_from_current=_of_length(result.previous_from_current, length)
        )


def _of_length(motion: np.ndarray, length: float) -> np.ndarray:
    """The motion (4, 4) with a translation of that length; unchanged where it has none."""
    result = np.array(motion, dtype=np.float64)
    own = float(np.linalg.norm(result[:3, 3]))
    if own > 0.0:
        result[:3, 3] *= length / own
    return result


def _in_unit(result: Refinement, unit: float) -> Refinement:
    """The result with its lengths times `unit`."""
    units = np.diag([unit] * 3 + [1.0] * 3)
    motion = result.previous_from_current.copy()
    motion[:3, 3] *= unit
    return replace(
        result, previous_from_current=motion, covariance=units @ result.covariance @ units
    )
