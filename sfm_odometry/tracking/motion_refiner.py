"""Refinement of a stream of motions: direct alignment, feature tracks and a speed filter."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sfm_odometry.geometry.se3 import scaled, with_length
from sfm_odometry.tracking.direct_alignment import (
    AlignmentConfig,
    RefinedMotion,
    align_frames,
)
from sfm_odometry.tracking.direct_config import BEFORE_TRACKS
from sfm_odometry.tracking.feature_tracks import FeatureTracks, MotionEstimate
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.lazy import BackgroundThread, LazyFuture
from sfm_odometry.tracking.noise_model import motion_information
from sfm_odometry.tracking.speed_filter import SpeedFilter
from sfm_odometry.tracking.two_view_ba import MotionPrior


@dataclass(frozen=True)
class RefinerConfig:
    """Parameters of the length ratio, and of the prior for feature tracks."""

    ratio_gain: float = 0.2
    """Share of a new step in the length ratio, once settled."""
    settling_steps: int = 3
    """Number of steps at the start without a prior on the length; the ratio is their mean."""
    max_log_ratio_change: float = 0.5
    """Greatest change of the ratio's logarithm by one step, before the gain, once settled."""
    max_log_ratio: float = float(np.log(4.0))
    """Greatest logarithm of the ratio or its inverse. Networks that were trained together do not
    differ by more: a larger ratio would be a state that ran away over depth without information."""
    min_length_deviations: float = 4.0
    """Least length of a step, in standard deviations, that updates the ratio."""
    starting_max_translation: float = 2.0
    """Greatest plausible correction of a translation before the ratio has settled, as a share."""
    network_length_sigma: float = 0.2
    """Standard deviation of the pose network's lengths, as a share; they are the measurement where
    the images do not align."""
    aligned_rotation_deg: float = 0.03
    """Prior by direct alignment: standard deviation of each angle, on top of the alignment's own
    covariance."""
    aligned_direction: float = 0.01
    """Prior by direct alignment: standard deviation of the translation across itself, a share."""
    network_rotation_deg: float = 0.5
    """Prior by the networks alone: standard deviation of each angle."""
    network_direction: float = 0.2
    """Prior by the networks alone: standard deviation of the translation across itself, a share."""
    length_sigma: float = 0.2
    """Either prior: standard deviation of the translation along itself, as a share."""
    length_floor: float = 0.005
    """Either prior: length added to the standard deviations of the translation."""


class MotionRefiner:
    """Refines the steps of one drive, oldest first. Lengths come out in the refiner's `unit`.

    The pose network's lengths may be off by a factor that the depth network does not share: the
    ratio of the two is a slowly varying state. Lengths by alignment follow the depth map of one
    frame, which is a little too large in one and too small in the next: feature tracks average over
    several frames, and a speed filter predicts the next step.
    """

    def __init__(
        self,
        alignment_config: AlignmentConfig | None = None,
        tracks: FeatureTracks | None = None,
        speed: SpeedFilter | None = None,
        config: RefinerConfig | None = None,
    ) -> None:
        """alignment_config: None takes the default with or without tracks after the alignment.
        tracks: None uses alignment alone. speed: None leaves lengths unfiltered."""
        default = AlignmentConfig() if tracks is None else BEFORE_TRACKS
        self.alignment_config = alignment_config or default
        self.tracks = tracks
        self.speed = speed
        self.config = config or RefinerConfig()
        # Until the length ratio has settled, the initial translation is not trusted.
        self._starting_config = replace(
            self.alignment_config,
            prior_length=0.0,
            prior_direction=0.0,
            max_translation=max(
                self.alignment_config.max_translation, self.config.starting_max_translation
            ),
        )
        self._prepared: tuple[Frame, LazyFuture[None]] | None = None
        self.steady = False
        """Whether the last step was estimated by feature tracks alone."""
        self.reset()

    def reset(self) -> None:
        """Forget the length ratio, the tracks and the speed."""
        self._discard_prepared()
        self.steady = False
        self._log_ratio = 0.0
        self._ratio_steps = 0
        if self.tracks is not None:
            self.tracks.reset()
        if self.speed is not None:
            self.speed.reset()

    def skip(self, dt_s: float) -> None:
        """Predict the speed over a gap without frames."""
        if self.speed is not None and self.speed.initialised:
            self.speed.predict(dt_s)

    @property
    def length_ratio(self) -> float:
        """Length of a step in the depth's unit over the pose network's; 1 before the first step."""
        return float(np.exp(self._log_ratio))

    @property
    def unit(self) -> float:
        """Length, in refined motions, of one unit of the depth network.

        Depth times this factor is in the unit of the refined motions.
        """
        return 1.0 if self.tracks is None else self.tracks.unit

    @property
    def start_has_depth(self) -> bool:
        """Whether depth was predicted for the frame that the last step started from.

        Tracks that are steady ask for it every few steps.
        """
        return self.tracks is None or not self.steady or self.tracks.depth_predicted

    @property
    def _settled(self) -> bool:
        """Whether the length ratio has settled."""
        return self._ratio_steps >= self.config.settling_steps

    def prepare(self, newest: Frame, background: BackgroundThread) -> None:
        """Prepare the tracks in the background for the step from the newest frame on."""
        tracks = self.tracks
        if tracks is not None:
            future = LazyFuture(lambda: tracks.prepare(newest.tracking_view))
            self._prepared = newest, future
            background.submit(future)

    def _prepare_tracks(self, previous: Frame) -> None:
        """Make sure that the tracks are prepared for a step from the previous frame."""
        assert self.tracks is not None
        if self._prepared is not None and self._prepared[0] is previous:
            future = self._prepared[1]
            self._prepared = None
            future.get()
        else:
            self._discard_prepared()
            self.tracks.prepare(previous.tracking_view)

    def _discard_prepared(self) -> None:
        """Wait until no other thread works on the tracks."""
        prepared = self._prepared
        self._prepared = None
        if prepared is not None:
            prepared[1].wait()

    def refine(
        self,
        previous: Frame,
        current: Frame,
        network_motion: Callable[[], np.ndarray],
        dt_s: float,
    ) -> RefinedMotion:
        """Estimate the motion from the previous to the current frame.

        network_motion: infers the pose network's motion (4, 4); called only where the feature
        tracks alone do not determine the motion. dt_s: time between the frames. Where the network's
        motion is kept, its length is still brought to the unit of the others. The current frame's
        depth is not used.
        """
        if self.tracks is not None:
            self._prepare_tracks(previous)
        if self.speed is not None and self.speed.initialised:
            self.speed.predict(dt_s)

        # Feature tracks alone, while many settled ones agree.
        steady = self._track_steadily(previous, current, dt_s)
        self.steady = steady is not None
        if steady is not None:
            return steady

        # Direct alignment, started by the networks' motion.
        motion = network_motion()
        aligned = self._align(previous, current, motion)

        # Adjust the feature tracks, started and held by the alignment.
        if self.tracks is not None:
            prior = self._tracks_prior(aligned)
            view = previous.tracking_view
            tracked = self.tracks.track(view, current.tracking_view, view.intrinsics, prior)
            if not tracked.reason:
                return self._tracked_motion(aligned, tracked, dt_s)

        # Filter the length where the tracks have no motion.
        network_length = float(np.linalg.norm(motion[:3, 3])) * self.length_ratio * self.unit
        return self._filtered(_in_unit(aligned, self.unit), network_length, dt_s)

    def _align(self, previous: Frame, current: Frame, network_motion: np.ndarray) -> RefinedMotion:
        """Align the images over the previous frame's depth, and update the length ratio.

        It starts at the networks' motion (4, 4), with the predicted length where there is one.
        """
        network_length = float(np.linalg.norm(network_motion[:3, 3]))
        length = network_length * self.length_ratio
        if self.speed is not None and self.speed.initialised:
            length = self.speed.length / self.unit
        initial = with_length(network_motion, length)
        config = self.alignment_config if self._settled else self._starting_config
        aligned = align_frames(previous.targets, current.pyramid, initial, config)
        if aligned.converged:
            self._update_ratio(network_length, aligned)
        return aligned

    def _track_steadily(self, previous: Frame, current: Frame, dt_s: float) -> RefinedMotion | None:
        """Motion by feature tracks alone, or None where they do not determine it."""
        if self.tracks is None or self.speed is None or not self.speed.initialised:
            return None
        view = previous.tracking_view
        tracked = self.tracks.track_steadily(
            view, current.tracking_view, view.intrinsics, self.speed.length
        )
        return None if tracked is None else self._tracked_motion(_NOT_ALIGNED, tracked, dt_s)

    def _update_ratio(self, network_length: float, aligned: RefinedMotion) -> None:
        """Update the length ratio: mean of the first steps, then an exponential filter."""
        config = self.config
        min_length = config.min_length_deviations * aligned.length_sigma
        if network_length == 0.0 or aligned.length < min_length:
            return
        change = float(np.log(aligned.length / network_length)) - self._log_ratio
        if self._settled:
            change = min(max(change, -config.max_log_ratio_change), config.max_log_ratio_change)
        self._ratio_steps += 1
        ratio = self._log_ratio + max(config.ratio_gain, 1.0 / self._ratio_steps) * change
        self._log_ratio = min(max(ratio, -config.max_log_ratio), config.max_log_ratio)

    def _tracks_prior(self, aligned: RefinedMotion) -> MotionPrior:
        """Prior for the feature tracks, in their unit: the aligned motion, or the network's."""
        config = self.config
        motion = _in_unit(aligned, self.unit).previous_from_current
        if self.speed is not None and self.speed.initialised:
            motion = with_length(motion, self.speed.length)
        rotation_deg = config.network_rotation_deg
        direction = config.network_direction
        if aligned.converged:
            rotation_deg = config.aligned_rotation_deg
            direction = config.aligned_direction
        information = motion_information(
            motion, config.length_sigma, direction, config.length_floor, rotation_deg
        )
        if aligned.converged:
            # Behind a truck the alignment's own covariance of the angles exceeds its usual error.
            information[3:, 3:] = np.linalg.inv(
                np.linalg.inv(information[3:, 3:]) + aligned.covariance[3:, 3:]
            )
        return MotionPrior(motion, information)

    def _tracked_motion(
        self, aligned: RefinedMotion, tracked: MotionEstimate, dt_s: float
    ) -> RefinedMotion:
        """Take the tracks' motion, and update the speed filter with its length.

        The length is not filtered: it is steady by itself.
        """
        refined = replace(
            aligned,
            previous_from_current=tracked.previous_from_current,
            covariance=tracked.covariance,
            converged=True,
            reason="",
        )
        if self.speed is not None:
            self.speed.update(refined.length, refined.length_sigma, dt_s)
        return refined

    def _filtered(
        self, aligned: RefinedMotion, network_length: float, dt_s: float
    ) -> RefinedMotion:
        """Update the speed filter, and give the motion the filtered length.

        network_length: of the network's motion in the refiner's unit, the measurement where the
        images do not align.
        """
        if self.speed is None or not self._settled:
            return aligned
        length = network_length
        sigma = self.config.network_length_sigma * network_length
        if aligned.converged:
            length = aligned.length
            sigma = aligned.length_sigma
        filtered_length, _ = self.speed.update(length, sigma, dt_s)
        motion = with_length(aligned.previous_from_current, filtered_length)
        return replace(aligned, previous_from_current=motion)


_NOT_ALIGNED = RefinedMotion(
    previous_from_current=np.eye(4),
    covariance=np.eye(6),
    converged=False,
    reason="the images were not aligned",
    residual_before=float("nan"),
    residual_after=float("nan"),
    inliers=float("nan"),
    iterations=0,
)
"""Result of direct alignment where feature tracks did without it."""


def _in_unit(aligned: RefinedMotion, unit: float) -> RefinedMotion:
    """Multiply the lengths of a motion and its covariance by `unit`."""
    units = np.diag([unit] * 3 + [1.0] * 3)
    motion = scaled(aligned.previous_from_current, unit)
    return replace(
        aligned, previous_from_current=motion, covariance=units @ aligned.covariance @ units
    )
