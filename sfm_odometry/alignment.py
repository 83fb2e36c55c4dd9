"""Levenberg-Marquardt over a motion and the brightness between views, on one level of the pyramid.

The cost of a motion T, in units of information, is
    sum_p w_p rho(e_p / s_p) / c  +  1/2 d^T P d,    s_p^2 = s^2 + (sigma_D de_p / d log D)^2,
with Cauchy's rho, the robust scale s of the errors, the standard deviation sigma_D of the depth (an error that a wrong depth explains says
little), the number c of points that err as one, and the prior's information P on the difference d between T and the given motion.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.photometric import TargetPoints, View, motion_jacobian, sample_points
from sfm_odometry.refine_config import RefineConfig
from sfm_odometry.trajectory import adjoint, invert_rigid, nearest_rotation, rotation_from_vector, rotation_vector

FIRST_DAMPING = 1e-4
RAISED_DAMPING = 1.0
"""The least damping after a step that did not help: half the step."""
INLIER_DEVIATIONS = 3.0
LONGEST_STRETCH = 4.0
IMAGE_MOTION_STRIDE = 8
"""One point in so many tells how far a step moves the image."""
MEDIAN_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute values."""


@dataclass(frozen=True)
class Pair:
    """Points of one view and the other view, where they are sampled."""

    target: TargetPoints
    source: View
    backward: bool
    """False: from the current frame into the previous one, by T; True: the other way, by its inverse."""

    def source_from_target(self, previous_from_current: np.ndarray) -> np.ndarray:
        """(4, 4) of this pair under the motion."""
        return invert_rigid(previous_from_current) if self.backward else previous_from_current

    def target_step(self, previous_from_current: np.ndarray) -> np.ndarray:
        """(6, 6) from a small motion in the current camera's axes to the pair's own, in its target's: (T exp(xi))^-1 = T^-1 exp(-Ad xi)."""
        return -adjoint(previous_from_current) if self.backward else np.eye(6)


@dataclass(frozen=True)
class State:
    """What is estimated."""

    previous_from_current: np.ndarray
    """(4, 4) float64."""
    brightness: np.ndarray
    """(pairs, 2): gain less 1 and offset that turn the source's grey values into the target's."""

    def moved(self, step: np.ndarray) -> "State":
        """After a step (6 + 2 pairs,): translation and rotation in the current camera's axes, then the brightness."""
        increment = np.eye(4)
        increment[:3, :3] = rotation_from_vector(step[3:6])
        increment[:3, 3] = step[:3]
        motion = self.previous_from_current @ increment
        motion[:3, :3] = nearest_rotation(motion[:3, :3])
        return State(motion, self.brightness + step[6:].reshape(self.brightness.shape))


@dataclass(frozen=True)
class PairErrors:
    """Errors of one pair's points under a state."""

    errors: Tensor
    """(N,) grey values."""
    samples: Tensor
    """(N,) grey values of the source, before gain and offset."""
    weights: Tensor
    """(N,): the points' own, 0 outside the source."""

    @classmethod
    def of(cls, pair: Pair, samples: Tensor, weights: Tensor, brightness: np.ndarray) -> "PairErrors":
        """Of samples (N,) of the source, under gain less 1 and offset (2,)."""
        return cls(samples * (1.0 + brightness[0]) + (brightness[1] - pair.target.values), samples, weights)


@dataclass(frozen=True)
class Outcome:
    """What the steps on one level led to."""

    state: State
    errors: list[PairErrors]
    steps: int
    last_pixels: float
    """How far the last step moved the image, in the level's pixels."""


class Alignment:
    """One level: errors, their cost and normal equations, and the steps that make it smaller."""

    def __init__(self, pairs: list[Pair], given: np.ndarray, prior: np.ndarray, config: RefineConfig) -> None:
        self.pairs, self.given, self.prior, self.config = pairs, given, prior, config
        # Rows of the normal equations: six of the motion, then gain, offset and the error itself, which change with every step.
        self._rows = [torch.cat([pair.target.jacobian, torch.ones_like(pair.target.jacobian[:3])]).double() for pair in pairs]
        self._given_weight = [float(pair.target.weights.sum()) for pair in pairs]
        self._image_motion = _image_motion(pairs[0])
        self._precision = [torch.ones_like(pair.target.values) for pair in pairs]

    @property
    def points(self) -> int:
        """Points of the pair that has the fewest."""
        return min(pair.target.values.numel() for pair in self.pairs)

    @property
    def weight(self) -> float:
        """Weight of all points together."""
        return sum(self._given_weight)

    def errors(self, state: State) -> list[PairErrors]:
        """The errors of every pair."""
        result = []
        for pair, brightness in zip(self.pairs, state.brightness, strict=True):
            motion = torch.from_numpy(pair.source_from_target(state.previous_from_current)).to(pair.target.points)
            samples, inside = sample_points(pair.source, pair.target.points, motion)
            result.append(PairErrors.of(pair, samples, pair.target.weights * inside, brightness))
        return result

    def weigh(self, state: State, errors: list[PairErrors]) -> list[float]:
        """Set every point's 1 / s_p^2 from the errors at this state; returns the robust scale s of each pair."""
        scales = []
        for index, (pair, pair_errors) in enumerate(zip(self.pairs, errors, strict=True)):
            inside = pair_errors.errors[pair_errors.weights > 0].abs()
            scale = max(MEDIAN_TO_SIGMA * float(inside.median()) if inside.numel() else 0.0, self.config.noise_floor)
            motion = pair.source_from_target(state.previous_from_current)
            # A depth too large by a share is a translation too small by it: de / d log D = -(de / d translation) . R^T t.
            towards = torch.from_numpy(motion[:3, :3].T @ motion[:3, 3]).to(pair.target.jacobian)
            by_depth = self.config.depth_error * (towards @ pair.target.jacobian[:3])
            self._precision[index] = 1.0 / (scale**2 + by_depth.square())
            scales.append(scale)
        return scales

    def photometric_cost(self, errors: list[PairErrors]) -> float:
        """The first part of the cost: the mean over the points inside, times the number of all."""
        threshold = self.config.robust_threshold**2
        cost = 0.0
        for index, pair_errors in enumerate(errors):
            terms = torch.log1p(pair_errors.errors.square() * self._precision[index] / threshold)
            cost += threshold / 2 * float(terms @ pair_errors.weights) * self._factor(index, pair_errors)
        return cost

    def cost(self, state: State, errors: list[PairErrors]) -> float:
        """The whole cost."""
        difference = self.difference(state)
        return self.photometric_cost(errors) + 0.5 * float(difference @ self.prior @ difference)

    def difference(self, state: State) -> np.ndarray:
        """(6,): the small motion from the given motion to the state's, in the current camera's axes."""
        change = invert_rigid(self.given) @ state.previous_from_current
        return np.concatenate([change[:3, 3], rotation_vector(change[:3, :3])])

    def inliers(self, errors: list[PairErrors]) -> float:
        """Share of the points that lie inside the source and fit."""
        fitting = 0.0
        for precision, pair_errors in zip(self._precision, errors, strict=True):
            fits = pair_errors.errors.square() * precision < INLIER_DEVIATIONS**2
            fitting += float(pair_errors.weights @ fits.to(pair_errors.weights))
        return fitting / self.weight

    def normal_equations(self, state: State, errors: list[PairErrors]) -> tuple[np.ndarray, np.ndarray]:
        """Information matrix (n, n) and gradient (n,) of the cost by a step, n = 6 + 2 pairs; float64."""
        size = 6 + 2 * len(self.pairs)
        information, gradient = np.zeros((size, size)), np.zeros(size)
        for index, (pair, pair_errors) in enumerate(zip(self.pairs, errors, strict=True)):
            summed = self._summed(index, pair_errors) * self._factor(index, pair_errors)
            own = np.zeros((8, size))
            own[:6, :6] = pair.target_step(state.previous_from_current)
            own[6:, 6 + 2 * index : 8 + 2 * index] = np.eye(2)
            information += own.T @ summed[:8, :8] @ own
            gradient += own.T @ summed[:8, 8]
        information[:6, :6] += self.prior
        gradient[:6] += self.prior @ self.difference(state)
        return information, gradient

    def _summed(self, index: int, pair_errors: PairErrors) -> np.ndarray:
        """(9, 9): weighted products of the rows, summed over the points."""
        precision = self._precision[index]
        excess = pair_errors.errors.square() * precision / self.config.robust_threshold**2
        weights = pair_errors.weights * precision / (1.0 + excess)
        rows = self._rows[index]
        rows[6], rows[8] = pair_errors.samples, pair_errors.errors
        return ((rows * weights) @ rows.T).cpu().numpy()

    def _factor(self, index: int, pair_errors: PairErrors) -> float:
        """Points that leave the image must not lower the cost: those inside stand for all; c of them count as one."""
        inside = float(pair_errors.weights.sum())
        return self._given_weight[index] / max(inside, 1e-9) / self.config.correlated_points

    def fit_brightness(self, state: State, errors: list[PairErrors]) -> tuple[State, list[PairErrors]]:
        """The state with its motion untouched and gain and offset fitted, and its errors."""
        information, gradient = self.normal_equations(state, errors)
        step = np.zeros(len(gradient))
        step[6:] = -np.linalg.lstsq(information[6:, 6:], gradient[6:], rcond=1e-9)[0]
        state = state.moved(step)
        pairs = zip(self.pairs, errors, state.brightness, strict=True)
        return state, [PairErrors.of(pair, old.samples, old.weights, brightness) for pair, old, brightness in pairs]

    def minimise(self, state: State, errors: list[PairErrors], most: int) -> Outcome:
        """Steps from `state`, which has these `errors`, until they move the image by less than `stop_pixels`."""
        cost, damping, stretch, pixels, steps = self.cost(state, errors), FIRST_DAMPING, 1.0, np.inf, 0
        information, gradient = self.normal_equations(state, errors)
        last = None
        while steps < most and pixels >= self.config.stop_pixels:
            step = _damped_step(information, gradient, damping)
            stretch = self._stretch(step, last, stretch)
            trial = state.moved(stretch * step)
            trial_errors = self.errors(trial)
            trial_cost = self.cost(trial, trial_errors)
            pixels, steps = stretch * self._pixels(step), steps + 1
            if trial_cost < cost:
                state, errors, cost, damping, last = trial, trial_errors, trial_cost, damping / 10, step
                information, gradient = self.normal_equations(state, errors)
            elif stretch > 1.0:
                last, stretch = None, 1.0
            else:
                damping = max(10 * damping, RAISED_DAMPING)
        return Outcome(state, errors, steps, pixels)

    def _stretch(self, step: np.ndarray, last: np.ndarray | None, stretch: float) -> float:
        """Factor on the next step. The robust norm makes Gauss-Newton's steps too short, each by about the same share of what is left.

        Where the last step, stretched, left the share r of itself to be done, each step was (1 - r) / stretch of what it should have been.
        """
        if last is None:
            return stretch
        motion = self._image_motion
        left = float(step[:6] @ motion @ last[:6]) / max(float(last[:6] @ motion @ last[:6]), 1e-12)
        return min(max(stretch / max(1.0 - left, 1e-3), 1.0), LONGEST_STRETCH)

    def _pixels(self, step: np.ndarray) -> float:
        """How far a step moves the image, in this level's pixels, root mean square."""
        return float(np.sqrt(step[:6] @ self._image_motion @ step[:6]))


def _image_motion(pair: Pair) -> np.ndarray:
    """(6, 6) M such that xi^T M xi is the mean squared motion in pixels of the pair's points under a small motion xi."""
    points = pair.target.points[:, ::IMAGE_MOTION_STRIDE]
    along_u = torch.tensor([[1.0], [0.0]], device=points.device)
    rows = torch.cat([motion_jacobian(axis, points, pair.source.camera) for axis in (along_u, 1 - along_u)], dim=1).double()
    return (rows @ rows.T / points.shape[1]).cpu().numpy()


def _damped_step(information: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
    """Marquardt's step; a direction that nothing determines is not moved along."""
    damped = information + damping * np.diag(np.diag(information)) + 1e-9 * np.eye(len(gradient))
    return -np.linalg.solve(damped, gradient)
