"""Corners followed from frame to frame, each with its inverse depth: what several frames know
together of one step.

A pose by alignment with one predicted depth map is as wrong as that map. A corner that was followed
for some frames has a depth of its own, triangulated from steps that are known, and says how long
the next step was; where its depth is not known it still says how the camera turned. Where corners
disagree, those that have agreed for some steps count more than new ones: corners on a truck that
comes to cover half of the image disagree at first, so they are always new. Predicted depth starts
each corner, holds the scale of all of them slowly, and is all there is where nothing can be
followed.

The corners: :mod:`sfm_odometry.tracking.klt`. Their inverse depth has a Gaussian that each step
narrows (Civera et al., T-RO 2008; Forster et al., ICRA 2014).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sfm_odometry.tracking.direct_alignment import motion_information
from sfm_odometry.tracking.klt import MARGIN, find_corners, follow
from sfm_odometry.tracking.track_config import TrackConfig
from sfm_odometry.tracking.two_view_ba import (
    Correspondences,
    TrackedMotion,
    TrackPrior,
    align_tracks,
    inverse_depth_after,
    project,
)

FARTHEST_SHARE = 1.5
"""Predicted depths up to this times the median say what scale the depth map has."""
MEDIAN_STRIDE = 4
"""Of every so many rows and columns one is enough for the median of a depth map."""
TURN_OF_UNIT = 0.2
"""Share of the newest frame in the ratio between the tracks' unit of length and the depth
network's."""
OUTVOTED_SHARE, OUTVOTED_PIXELS = 0.9, 0.2
"""Where fewer of the corners that are to be believed agree with a motion, and theirs is off by
more (median), they were outvoted."""
STEADY_SHARE, STEADY_FLOOR, STEADY_ROTATION_DEG = 0.2, 0.005, 0.5
"""Standard deviations of the step before as a guess of this one: of its length and direction, as
a share and a length; of each angle."""


class DepthFrame(Protocol):
    """A frame to follow points in."""

    @property
    def grey(self) -> np.ndarray:
        """uint8 (H, W)."""

    @property
    def depth(self) -> np.ndarray:
        """(H, W) along z as predicted."""


@dataclass(frozen=True)
class TrackResult:
    """The motion of a step as the tracks have it, or why they have none."""

    previous_from_current: np.ndarray
    """(4, 4) float64; the given one where there is a reason."""
    covariance: np.ndarray
    """(6, 6), translation then rotation, in the current camera's axes."""
    points: int
    reason: str = ""


@dataclass(frozen=True)
class _Attempt:
    """What comes of one guess of the motion."""

    prior: TrackPrior
    followed: np.ndarray
    """(M,) bool: the tracks that were found again."""
    seen: Correspondences
    """These."""
    moved: TrackedMotion | None
    agreement: float
    """Share of what all tracks count that was found again and errs by little."""
    reason: str
    """Why it is not believed; empty where it is."""


class PointTracks:
    """The tracks of one drive. Lengths are in a unit of their own, near the depth network's and
    steadier."""

    def __init__(self, config: TrackConfig | None = None) -> None:
        self.config = config or TrackConfig()
        self.reset()

    def reset(self) -> None:
        """Forget all points and the unit."""
        self._log_unit = 0.0
        self._lose()

    def _lose(self) -> None:
        self._newest: DepthFrame | None = None
        self._places: np.ndarray = np.zeros((0, 2))
        self._inverse_depth: np.ndarray = np.zeros(0)
        self._variance: np.ndarray = np.zeros(0)
        self._agreed: np.ndarray = np.zeros(0)  # steps
        self._motion: np.ndarray | None = None

    @property
    def unit(self) -> float:
        """Length in the tracks' unit of one unit of the depth network."""
        return float(np.exp(-self._log_unit))

    def begin(self, previous: DepthFrame) -> None:
        """Take what is predicted of the frame that the next step starts from: it holds the unit,
        and starts new points.

        A frame other than the newest one known starts all tracks anew.
        """
        if self._newest is not previous:
            self._lose()
            self._newest = previous
        self._hold_unit(previous)
        self._fill(previous)

    def step(
        self,
        previous: DepthFrame,
        current: DepthFrame,
        intrinsics: np.ndarray,
        given: np.ndarray,
        information: np.ndarray,
    ) -> TrackResult:
        """Follow the points of the previous frame, which was begun with, into the current one and
        find the motion between.

        given: previous_from_current (4, 4) as known before, lengths in the tracks' unit, with its
        information (6, 6) in the current camera's axes. The current frame's depth is not asked for.
        """
        attempt = self._attempt(previous, current, intrinsics, TrackPrior(given, information))
        if (
            self._motion is not None
            and self._apart(given, self._motion, intrinsics) > self.config.guess_pixels
        ):
            steady = motion_information(
                self._motion, STEADY_SHARE, STEADY_SHARE, STEADY_FLOOR, STEADY_ROTATION_DEG
            )
            other = self._attempt(previous, current, intrinsics, TrackPrior(self._motion, steady))
            attempt = other if other.agreement > attempt.agreement else attempt
        if attempt.moved is None or attempt.reason:
            self._lose()
            return TrackResult(
                given, np.linalg.inv(information), len(attempt.seen.previous), attempt.reason
            )
        self._take(attempt, attempt.moved, current, intrinsics)
        prior, moved = attempt.prior, attempt.moved
        covariance = np.linalg.inv(
            prior.information
            + (moved.information - prior.information) / self.config.correlated_points
        )
        return TrackResult(moved.previous_from_current, covariance, len(attempt.seen.previous))

    def _attempt(
        self, previous: DepthFrame, current: DepthFrame, intrinsics: np.ndarray, prior: TrackPrior
    ) -> _Attempt:
        """Follow the points from where the prior expects them, and see what they agree on.

        All count alike, unless those that have agreed for long are outvoted by new ones: then they
        count more.
        """
        followed, there = self._followed(previous, current, intrinsics, prior.previous_from_current)
        trust = self._trust()
        alike = self._agreed_on(followed, there, intrinsics, prior, np.ones_like(trust), trust)
        if alike.moved is None or not self._some_disagree(trust[followed], alike.moved):
            return alike
        theirs = self._agreed_on(followed, there, intrinsics, prior, trust, trust)
        assert theirs.moved is not None
        apart = self._apart(
            alike.moved.previous_from_current, theirs.moved.previous_from_current, intrinsics
        )
        return theirs if apart > OUTVOTED_PIXELS else alike

    def _agreed_on(
        self,
        followed: np.ndarray,
        there: np.ndarray,
        intrinsics: np.ndarray,
        prior: TrackPrior,
        count: np.ndarray,
        trust: np.ndarray,
    ) -> _Attempt:
        """What the followed points (M,) bool, which are at `there` (N, 2), agree on where each
        counts so much as `count` (M,) says."""
        config = self.config
        seen = Correspondences(
            self._places[followed],
            there,
            self._inverse_depth[followed],
            np.sqrt(self._variance[followed]),
            count[followed],
        )
        if len(there) < config.min_points:
            return _Attempt(prior, followed, seen, None, 0.0, self._doubt(seen, None))
        moved = align_tracks(
            seen,
            intrinsics,
            prior,
            config.robust_threshold,
            config.robust_depth,
            config.noise_floor,
        )
        agreement = float(
            (trust[followed] / (1.0 + (moved.errors / config.agreement_pixels) ** 2)).sum()
            / trust.sum()
        )
        return _Attempt(prior, followed, seen, moved, agreement, self._doubt(seen, moved))

    def _some_disagree(self, trust: np.ndarray, moved: TrackedMotion) -> bool:
        """Whether some of the followed points that are to be believed, (N,), do not agree with
        the motion."""
        return float(
            trust @ (moved.errors < self.config.agreement_pixels)
        ) < OUTVOTED_SHARE * float(trust.sum())

    def _trust(self) -> np.ndarray:
        """(M,) how much each track is to be believed: together as much as their effective number
        (Kish, Survey Sampling, 1965)."""
        trust = np.clip(self._agreed / self.config.settled_steps, self.config.newcomer, 1.0)
        return trust * trust.sum() / max((trust**2).sum(), 1e-12)

    def _apart(self, first: np.ndarray, second: np.ndarray, intrinsics: np.ndarray) -> float:
        """How far apart two motions put the points, the median in pixels."""
        there = (
            project(self._places, self._inverse_depth, motion, intrinsics)
            for motion in (first, second)
        )
        return (
            float(np.median(np.linalg.norm(np.subtract(*there), axis=1)))
            if len(self._places)
            else 0.0
        )

    def _fill(self, frame: DepthFrame) -> None:
        """New corners where there are none yet, with the depth that is predicted there, in the
        tracks' unit."""
        wanted = self.config.points - len(self._places)
        places = find_corners(frame.grey, self._places, wanted, self.config)
        depth = _at(frame.depth, places)
        known = np.isfinite(depth) & (depth > 0)
        if not known.any():
            return
        inverse_depth = 1.0 / (depth[known] * self.unit)
        typical = 1.0 / (_typical(frame.depth) * self.unit)
        sigma = np.hypot(self.config.depth_near * inverse_depth, self.config.depth_far * typical)
        self._places = np.concatenate([self._places, places[known]])
        self._inverse_depth = np.concatenate([self._inverse_depth, inverse_depth])
        self._variance = np.concatenate([self._variance, sigma**2])
        self._agreed = np.concatenate([self._agreed, np.zeros(len(sigma))])

    def _followed(
        self, previous: DepthFrame, current: DepthFrame, intrinsics: np.ndarray, motion: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which points (M,) are found in the current frame, and from there in the previous one
        again; where they are there (N, 2)."""
        config, start = self.config, self._places.astype(np.float32)
        if not len(start):
            return np.zeros(0, dtype=bool), self._places
        height, width = current.grey.shape
        expected = project(self._places, self._inverse_depth, motion, intrinsics).clip(
            (0, 0), (width - 1, height - 1)
        )
        there, found = follow(
            previous.grey,
            current.grey,
            start,
            expected.astype(np.float32),
            config.patch,
            config.levels,
        )
        back, found_back = follow(current.grey, previous.grey, there, start, config.patch, 0)
        returned = np.linalg.norm(back - start, axis=1) < config.return_pixels
        inside = (there >= MARGIN).all(axis=1) & (
            there <= (width - 1 - MARGIN, height - 1 - MARGIN)
        ).all(axis=1)
        good = found & found_back & returned & inside
        return good, there[good].astype(np.float64)

    def _doubt(self, seen: Correspondences, moved: TrackedMotion | None) -> str:
        if moved is None:
            return f"only {len(seen.previous)} points could be followed, expected at least {self.config.min_points}"
        if (
            not np.isfinite(moved.previous_from_current).all()
            or not np.isfinite(moved.information).all()
        ):
            return "the points' motion is not finite"
        share = float(np.mean(seen.trust * self._fits(moved)) / np.mean(seen.trust))
        if share < self.config.min_inliers:
            return f"only {share:.0%} of the points agree, expected at least {self.config.min_inliers:.0%}"
        return ""

    def _fits(self, moved: TrackedMotion) -> np.ndarray:
        fits: np.ndarray = (
            moved.errors
            < self.config.inlier_deviations * self.config.robust_threshold * moved.scale
        )
        return fits

    def _take(
        self, attempt: _Attempt, moved: TrackedMotion, current: DepthFrame, intrinsics: np.ndarray
    ) -> None:
        """Go on from the current frame with the points that agreed."""
        seen = attempt.seen
        inverse_depth, variance = inverse_depth_after(
            seen.previous,
            moved.inverse_depth,
            moved.variance,
            moved.previous_from_current,
            intrinsics,
        )
        keep = self._fits(moved) & (inverse_depth > 0)
        places, inverse_depth = seen.current[keep], inverse_depth[keep]
        variance = variance[keep] + (self.config.forgetting * inverse_depth) ** 2
        self._newest, self._motion = current, moved.previous_from_current
        self._agreed = self._agreed[attempt.followed][keep] + 1
        self._places, self._inverse_depth, self._variance = places, inverse_depth, variance

    def _hold_unit(self, frame: DepthFrame) -> None:
        """Let the predicted depth of this frame hold the scale of its tracks, slowly, and tell
        how their unit differs from it."""
        predicted = _at(frame.depth, self._places)
        near = predicted < FARTHEST_SHARE * _typical(frame.depth)
        if near.sum() < self.config.min_points / 2:
            return
        log_unit = float(np.median(np.log(predicted[near] * self._inverse_depth[near])))
        self._log_unit += TURN_OF_UNIT * (log_unit - self._log_unit)
        pulled = np.exp(-self.config.pull * log_unit)
        self._inverse_depth, self._variance = (
            self._inverse_depth * pulled,
            self._variance * pulled**2,
        )


def _typical(depth: np.ndarray) -> float:
    """Median of the known depths (H, W); NaN where there are none."""
    some = depth[::MEDIAN_STRIDE, ::MEDIAN_STRIDE]
    return float(np.median(some[np.isfinite(some)])) if np.isfinite(some).any() else np.nan


def _at(depth: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Depths (N,) at the pixels nearest to places (N, 2)."""
    u, v = np.round(places).astype(int).T
    values: np.ndarray = depth[v, u].astype(np.float64)
    return values
