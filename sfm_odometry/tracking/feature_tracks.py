"""Feature tracks: corners tracked over several frames, each with its inverse depth.

A pose by alignment with one predicted depth map is as wrong as that map. A corner that was tracked
for some frames has a depth of its own, triangulated from earlier steps, and determines the length
of the next step; where its depth is not known it still determines the rotation. Where corners
disagree, those that were inliers for some steps weigh more than new ones: corners on a truck that
comes to cover half of the image disagree at first, so they are always new. Predicted depth
initialises each corner, pulls the scale of all of them slowly, and is the only source of length
where nothing can be tracked.

The corners: :mod:`sfm_odometry.tracking.klt`. Their inverse depth is a Gaussian that each step
narrows (Civera et al., T-RO 2008; Forster et al., ICRA 2014).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sfm_odometry.geometry import se3
from sfm_odometry.tracking import depth_propagation
from sfm_odometry.tracking.frame import median_depth, nearest_depth
from sfm_odometry.tracking.klt import MARGIN, detect_corners, track_klt
from sfm_odometry.tracking.noise_model import motion_information
from sfm_odometry.tracking.track_config import TrackConfig
from sfm_odometry.tracking.track_table import TrackTable
from sfm_odometry.tracking.two_view_ba import (
    BundleAdjustmentResult,
    Correspondences,
    MotionPrior,
    RobustNorm,
    align_tracks,
    inverse_depth_after,
    project,
)

MAX_DEPTH_SHARE = 1.5
"""Greatest predicted depth that measures the scale of a depth map, as a share of the median."""
UNIT_GAIN = 0.2
"""Share of the newest frame in the ratio between the tracks' unit of length and the depth
network's."""
OUTVOTED_SHARE = 0.9
"""Least weighted share of corners that agree with a motion; with less, the settled corners may be
outvoted by new ones."""
OUTVOTED_PIXELS = 0.2
"""Median distance in the image between the motions with equal and with settled weights, from which
the settled corners were outvoted."""
CONSTANT_MOTION_SHARE = 0.2
"""Constant-motion prior: standard deviation of length and direction, as a share of the length."""
CONSTANT_MOTION_FLOOR = 0.005
"""Constant-motion prior: length added to the standard deviation of the translation."""
CONSTANT_MOTION_ROTATION_DEG = 0.5
"""Constant-motion prior: standard deviation of each angle."""

USUAL_GAIN = 0.05
"""Share of the newest step in the running mean of the share of inliers."""


class DepthFrame(depth_propagation.DepthFrame, Protocol):
    """Frame in which corners are tracked."""

    @property
    def grey(self) -> np.ndarray:
        """Grey image, uint8 (H, W)."""

    def depth_pixels(self, keypoints: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of the depth map that show keypoints (N, 2) of the grey image."""


@dataclass(frozen=True)
class MotionEstimate:
    """Motion of a step by the tracks, or the reason for which they have none."""

    previous_from_current: np.ndarray
    """(4, 4) float64; the prior's motion where a reason is given."""
    covariance: np.ndarray
    """(6, 6), translation then rotation, in the current camera's axes."""
    points: int
    """Number of corners that were tracked into the current frame."""
    reason: str = ""
    """Reason for which the tracks have no motion; empty where they have."""


@dataclass(frozen=True)
class _Hypothesis:
    """Motion of a step that follows from one prior and one weighting of the corners."""

    prior: MotionPrior
    tracked: np.ndarray
    """(M,) bool: tracks that were found in the current frame."""
    points: Correspondences
    """The N tracked corners."""
    solution: BundleAdjustmentResult | None
    """None where too few corners were tracked."""
    agreement: float
    """Share of the weight of all tracks that was tracked and has a small error."""
    rejection_reason: str
    """Empty where the motion is accepted."""


class _UsualShare:
    """Running mean of a share from step to step, and whether a new one falls below it."""

    def __init__(self, least: float) -> None:
        """least: smallest usual share, relative to the mean."""
        self._least = least
        self._mean = 0.0

    def add(self, share: float) -> None:
        """Add the share of a step."""
        gain = USUAL_GAIN if self._mean > 0.0 else 1.0
        self._mean += gain * (share - self._mean)

    def is_usual(self, share: float) -> bool:
        """Whether a share is not clearly smaller than the mean."""
        return share >= self._least * self._mean


class FeatureTracks:
    """Feature tracks of one drive.

    Their lengths are in a unit of their own, which is near the depth network's and steadier. Call
    :meth:`prepare`, then :meth:`track`, with each pair of frames, oldest first.
    """

    def __init__(self, config: TrackConfig | None = None) -> None:
        self.config = config or TrackConfig()
        self._norm = RobustNorm(
            self.config.robust_threshold, self.config.robust_depth, self.config.noise_floor
        )
        self._tracks = TrackTable(self.config.anchor_patch)
        self._depth = depth_propagation.PropagatedDepth(self.config.max_depth_steps)
        self.reset()

    def reset(self) -> None:
        """Drop all tracks and forget their unit of length."""
        self._log_unit = 0.0
        self._steps = 0
        self._steps_since_prediction = 0
        self.depth_predicted = False
        """Whether depth was predicted for the newest frame."""
        self._drop_tracks()

    def _drop_tracks(self) -> None:
        self._newest: DepthFrame | None = None
        self._tracks.clear()
        self._depth.reset()
        self._last_motion: np.ndarray | None = None
        self._inlier_share = _UsualShare(self.config.steady_inliers)

    @property
    def unit(self) -> float:
        """Length in the tracks' unit of one unit of the depth network."""
        return float(np.exp(-self._log_unit))

    def prepare(self, previous: DepthFrame) -> None:
        """Detect new corners in the previous frame where many were lost since the last time.

        They start at its predicted depth or, while the tracks are steady, at that of an earlier
        frame moved to this one. A frame other than the newest one drops all tracks.
        """
        if self._newest is not previous:
            self._drop_tracks()
            self._newest = previous
        self._steps_since_prediction += 1
        refill = (
            len(self._tracks) < self.config.refill_share * self.config.points
            or self._steps % self.config.max_refill_steps == 0
        )
        self._steps += 1
        self.depth_predicted = False
        if refill:
            depth = self._depth.of(previous)
            self.depth_predicted = self._depth.steps == 0
            if self.depth_predicted:
                self._update_unit(previous, depth)
                self._steps_since_prediction = 0
            self._detect_corners(previous, depth)

    def track(
        self,
        previous: DepthFrame,
        current: DepthFrame,
        intrinsics: np.ndarray,
        prior: MotionPrior,
    ) -> MotionEstimate:
        """Track the corners of a prepared frame into the current one and estimate the motion.

        intrinsics: (3, 3); prior: lengths in the tracks' unit. The current frame's depth is not
        used.
        """
        # Track the corners from where the prior expects them, and adjust motion and depths.
        hypothesis = self._hypothesis(previous, current, intrinsics, prior)

        # Try the last step's motion too where it differs: the better agreement wins.
        constant_motion = self._constant_motion_prior(prior, intrinsics)
        if constant_motion is not None:
            other = self._hypothesis(previous, current, intrinsics, constant_motion)
            hypothesis = other if other.agreement > hypothesis.agreement else hypothesis

        # Drop all tracks where too few corners were tracked or agree.
        points = len(hypothesis.points.previous)
        solution = hypothesis.solution
        if solution is None or hypothesis.rejection_reason:
            self._drop_tracks()
            covariance = np.linalg.inv(prior.information)
            return MotionEstimate(
                prior.previous_from_current, covariance, points, hypothesis.rejection_reason
            )

        # What came into the image may be what no earlier depth shows: predict it again.
        self._depth.reset()
        return self._accept(hypothesis, solution, current, intrinsics)

    def track_steadily(
        self, previous: DepthFrame, current: DepthFrame, intrinsics: np.ndarray, length: float
    ) -> MotionEstimate | None:
        """Estimate the motion of a prepared step from the last one, by tracks alone.

        length: predicted length of the step, in the tracks' unit. Returns None, and changes
        nothing, unless many settled tracks agree about the motion.
        """
        # The last motion, with the predicted length.
        settled = self._tracks.age >= self.config.steady_age
        if self._last_motion is None or settled.sum() < self.config.steady_tracks:
            return None
        motion = se3.with_length(self._last_motion, length)
        prior = MotionPrior(motion, _constant_motion_information(motion))

        # Adjust the tracks, and see whether the settled ones were found and all agree.
        hypothesis = self._hypothesis(previous, current, intrinsics, prior)
        solution = hypothesis.solution
        if solution is None or hypothesis.rejection_reason:
            return None
        inliers = self._inliers(solution)
        agreeing = np.zeros(len(settled), dtype=bool)
        agreeing[np.flatnonzero(hypothesis.tracked)[inliers]] = True
        if (agreeing & settled).sum() < self.config.steady_share * settled.sum():
            return None
        if not self._inlier_share.is_usual(float(inliers.mean())):
            return None
        return self._accept(hypothesis, solution, current, intrinsics)

    def _accept(
        self,
        hypothesis: _Hypothesis,
        solution: BundleAdjustmentResult,
        current: DepthFrame,
        intrinsics: np.ndarray,
    ) -> MotionEstimate:
        """Propagate the inliers to the current frame; returns the motion."""
        self._propagate(hypothesis, solution, current, intrinsics)
        covariance = self._covariance(hypothesis.prior, solution)
        points = len(hypothesis.points.previous)
        return MotionEstimate(solution.previous_from_current, covariance, points)

    def _covariance(self, prior: MotionPrior, solution: BundleAdjustmentResult) -> np.ndarray:
        """Covariance (6, 6) of the motion, with points that err as one counted as one."""
        points_information = solution.information - prior.information
        return np.linalg.inv(prior.information + points_information / self.config.correlated_points)

    def _constant_motion_prior(
        self, prior: MotionPrior, intrinsics: np.ndarray
    ) -> MotionPrior | None:
        """Prior by the last step's motion, or None where it puts the corners at the same pixels."""
        if self._last_motion is None:
            return None
        distance = self._median_distance(prior.previous_from_current, self._last_motion, intrinsics)
        if not distance > self.config.guess_pixels:
            return None
        information = _constant_motion_information(self._last_motion)
        return MotionPrior(self._last_motion, information)

    def _hypothesis(
        self,
        previous: DepthFrame,
        current: DepthFrame,
        intrinsics: np.ndarray,
        prior: MotionPrior,
    ) -> _Hypothesis:
        """Track the corners from where the prior expects them, and estimate the motion.

        All corners weigh alike, unless the settled ones are outvoted by new ones: then the settled
        ones weigh more.
        """
        # Track the keypoints, and adjust them with equal weights.
        tracked, keypoints = self._track_keypoints(
            previous, current, intrinsics, prior.previous_from_current
        )
        weights = self._age_weights()
        equal_weights = np.ones_like(weights)
        equal = self._adjust(tracked, keypoints, intrinsics, prior, equal_weights)
        if equal.solution is None or not self._some_disagree(weights[tracked], equal.solution):
            return equal

        # Adjust them weighted by age, and compare the motions.
        weighted = self._adjust(tracked, keypoints, intrinsics, prior, weights)
        assert weighted.solution is not None
        distance = self._median_distance(
            equal.solution.previous_from_current,
            weighted.solution.previous_from_current,
            intrinsics,
        )
        return weighted if distance > OUTVOTED_PIXELS else equal

    def _track_keypoints(
        self, previous: DepthFrame, current: DepthFrame, intrinsics: np.ndarray, motion: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Track the corners by KLT, then align them to the patches of their anchors.

        motion: (4, 4) predicted, previous_from_current. Returns which of the tracks (M,) were
        found, and their N keypoints (N, 2) in the current frame.
        """
        config = self.config
        tracks = self._tracks
        start = tracks.keypoints.astype(np.float32)
        if not len(start):
            return np.zeros(0, dtype=bool), tracks.keypoints

        # Predict the keypoints in the current image, and track them there.
        height, width = current.grey.shape
        predicted = project(tracks.keypoints, tracks.inverse_depth, motion, intrinsics).clip(
            (0, 0), (width - 1, height - 1)
        )
        keypoints, found = track_klt(
            previous.grey,
            current.grey,
            start,
            predicted.astype(np.float32),
            config.patch,
            config.levels,
        )
        found &= _inside(keypoints, current.grey, MARGIN)

        # Move them to where the patches of their anchors fit.
        return self._align_to_anchors(found, keypoints, current, intrinsics, motion)

    def _align_to_anchors(
        self,
        found: np.ndarray,
        keypoints: np.ndarray,
        current: DepthFrame,
        intrinsics: np.ndarray,
        motion: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Align the keypoints (M, 2) of the tracks that were found (M,) to their anchors' patches.

        motion: (4, 4) predicted, previous_from_current. Returns which of the tracks fit (M,), and
        their N keypoints (N, 2).
        """
        tracks = self._tracks
        selected = np.flatnonzero(found)
        if not len(selected):
            return found, keypoints[:0].astype(np.float64)
        warp = tracks.warp(selected, se3.inverse(motion), intrinsics)
        aligned = tracks.patches.align(selected, current.grey, keypoints[selected], warp)
        moved = np.linalg.norm(aligned.keypoints - keypoints[selected], axis=1)
        accepted = (
            warp.usable
            & (aligned.correlation > self.config.min_correlation)
            & (moved < self.config.max_correction)
            & _inside(aligned.keypoints, current.grey, warp.extent)
        )
        tracked = np.zeros(len(tracks), dtype=bool)
        tracked[selected[accepted]] = True
        return tracked, aligned.keypoints[accepted]

    def _adjust(
        self,
        tracked: np.ndarray,
        keypoints: np.ndarray,
        intrinsics: np.ndarray,
        prior: MotionPrior,
        weights: np.ndarray,
    ) -> _Hypothesis:
        """Adjust motion and depths of the tracked corners, weighted by (M,).

        tracked: (M,) bool; keypoints: (N, 2) of the tracked corners in the current frame.
        """
        # Select the tracked corners; the motion needs a number of them.
        points = Correspondences(
            previous=self._tracks.keypoints[tracked],
            current=keypoints,
            inverse_depth=self._tracks.inverse_depth[tracked],
            sigma=self._tracks.sigma[tracked],
            weights=weights[tracked],
        )
        if len(keypoints) < self.config.min_points:
            reason = self._rejection_reason(points, None)
            return _Hypothesis(prior, tracked, points, None, 0.0, reason)

        # Adjust them, and measure how large a share of all tracks agrees.
        solution = align_tracks(points, intrinsics, prior, self._norm)
        age_weights = self._age_weights()
        relative_errors = solution.errors / self.config.agreement_pixels
        agreement = (age_weights[tracked] / (1.0 + relative_errors**2)).sum() / age_weights.sum()
        reason = self._rejection_reason(points, solution)
        return _Hypothesis(prior, tracked, points, solution, float(agreement), reason)

    def _age_weights(self) -> np.ndarray:
        """Weights (M,) of the tracks that grow with their age.

        Their sum is the effective number of tracks (Kish, Survey Sampling, 1965).
        """
        age = np.clip(self._tracks.age / self.config.settled_steps, self.config.newcomer, 1.0)
        return age * age.sum() / max((age**2).sum(), 1e-12)

    def _some_disagree(self, weights: np.ndarray, solution: BundleAdjustmentResult) -> bool:
        """Whether a weighted share of the tracked corners (N,) does not agree with the motion."""
        agree = solution.errors < self.config.agreement_pixels
        return float(weights @ agree) < OUTVOTED_SHARE * float(weights.sum())

    def _rejection_reason(
        self, points: Correspondences, solution: BundleAdjustmentResult | None
    ) -> str:
        """Reason for which a motion is rejected; empty if none."""
        if solution is None:
            return (
                f"only {len(points.previous)} points could be followed,"
                f" expected at least {self.config.min_points}"
            )
        if not (
            np.isfinite(solution.previous_from_current).all()
            and np.isfinite(solution.information).all()
        ):
            return "the points' motion is not finite"
        weighted = np.mean(points.weights * self._inliers(solution))
        share = float(weighted / np.mean(points.weights))
        if share < self.config.min_inliers:
            return (
                f"only {share:.0%} of the points agree,"
                f" expected at least {self.config.min_inliers:.0%}"
            )
        return ""

    def _inliers(self, solution: BundleAdjustmentResult) -> np.ndarray:
        """Inliers (N,) bool of the tracked corners."""
        deviations = self.config.inlier_deviations * self.config.robust_threshold
        inliers: np.ndarray = solution.errors < deviations * solution.scale
        return inliers

    def _median_distance(
        self, first: np.ndarray, second: np.ndarray, intrinsics: np.ndarray
    ) -> float:
        """Median distance in pixels between the corners' projections by two motions (4, 4)."""
        tracks = self._tracks
        if not len(tracks):
            return 0.0
        first_pixels = project(tracks.keypoints, tracks.inverse_depth, first, intrinsics)
        second_pixels = project(tracks.keypoints, tracks.inverse_depth, second, intrinsics)
        return float(np.median(np.linalg.norm(first_pixels - second_pixels, axis=1)))

    def _propagate(
        self,
        hypothesis: _Hypothesis,
        solution: BundleAdjustmentResult,
        current: DepthFrame,
        intrinsics: np.ndarray,
    ) -> None:
        """Propagate the inliers to the current frame, and drop the other tracks."""
        # Inverse depths in the current frame.
        points = hypothesis.points
        inverse_depth, variance = inverse_depth_after(
            points.previous,
            solution.inverse_depth,
            solution.variance,
            solution.previous_from_current,
            intrinsics,
        )

        # Inliers in front of the camera.
        inliers = self._inliers(solution)
        self._inlier_share.add(float(inliers.mean()))
        accepted = inliers & (inverse_depth > 0)
        inverse_depth = inverse_depth[accepted]
        variance = variance[accepted] + (self.config.forgetting * inverse_depth) ** 2
        current_from_newest = se3.inverse(solution.previous_from_current)
        self._newest = current
        self._last_motion = solution.previous_from_current
        self._depth.advance(se3.scaled(current_from_newest, 1.0 / self.unit))
        self._tracks.advance(
            kept=np.flatnonzero(hypothesis.tracked)[accepted],
            current_from_newest=current_from_newest,
            keypoints=points.current[accepted],
            inverse_depth=inverse_depth,
            variance=variance,
        )

    def _update_unit(self, frame: DepthFrame, depth: np.ndarray) -> None:
        """Update the unit by the frame's predicted depth, and pull the tracks' scale towards it."""
        predicted = nearest_depth(depth, frame.depth_pixels(self._tracks.keypoints))
        near = predicted < MAX_DEPTH_SHARE * median_depth(depth)
        if near.sum() < self.config.min_points / 2:
            return
        log_unit = float(np.median(np.log(predicted[near] * self._tracks.inverse_depth[near])))
        steps = self._steps_since_prediction
        self._log_unit += (1.0 - (1.0 - UNIT_GAIN) ** steps) * (log_unit - self._log_unit)
        self._tracks.scale(float(np.exp(-self.config.pull * steps * log_unit)))

    def _detect_corners(self, frame: DepthFrame, depth_map: np.ndarray) -> None:
        """Add new corners between the tracks, with the depth (h, w) in the tracks' unit."""
        # Corners, and the depth predicted for them.
        existing = self._tracks.keypoints
        max_corners = self.config.points - len(existing)
        corners = detect_corners(frame.grey, existing, max_corners, self.config)
        depth = nearest_depth(depth_map, frame.depth_pixels(corners))
        median = 1.0 / (median_depth(depth_map) * self.unit)
        if not np.isfinite(median) or not len(corners):
            return

        # Inverse depth and its standard deviation, wide where no depth is predicted.
        known = np.isfinite(depth) & (depth > 0)
        inverse_depth = np.where(known, 1.0 / (np.where(known, depth, 1.0) * self.unit), median)
        sigma = np.hypot(self.config.depth_near * inverse_depth, self.config.depth_far * median)
        sigma[~known] = self.config.depth_unknown * median

        self._tracks.append(frame.grey, corners, inverse_depth, sigma)


def _constant_motion_information(motion: np.ndarray) -> np.ndarray:
    """Information (6, 6) of the prior that a step repeats the motion (4, 4) of the last one."""
    return motion_information(
        motion,
        length=CONSTANT_MOTION_SHARE,
        direction=CONSTANT_MOTION_SHARE,
        floor=CONSTANT_MOTION_FLOOR,
        rotation_deg=CONSTANT_MOTION_ROTATION_DEG,
    )


def _inside(keypoints: np.ndarray, image: np.ndarray, extent: np.ndarray | float) -> np.ndarray:
    """Keypoints (N,) bool that lie inside an image (H, W) by an extent (N, 2) of pixels."""
    extent = np.maximum(extent, MARGIN)
    last = np.array([image.shape[1] - 1, image.shape[0] - 1])
    inside = (keypoints >= extent) & (keypoints <= last - extent)
    result: np.ndarray = np.all(inside, axis=1)
    return result
