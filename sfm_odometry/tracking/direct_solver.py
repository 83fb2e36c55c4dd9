"""Levenberg-Marquardt over a motion, corrections of the depth and the brightness between two views,
on one level of the pyramid.

The points of the target, whose depth is known, are sought in the source. The cost, in units of information, is
    sum_p w_p rho(e_p / s_p) / c  +  1/2 d^T P d  +  1/2 |k|^2,    s_p^2 = s^2 + (sigma_D de_p / d log D)^2,
with Cauchy's rho, the robust scale s of the errors, the standard deviation sigma_D of one point's depth (an error that a wrong depth
explains says little; Engel et al., ECCV 2014, section 3.2), the number c of points that err as one, the prior's information P on the
difference d between the motion and the given one, and the depth's correction k.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.tracking.direct_config import RefineConfig
from sfm_odometry.tracking.photometric import (
    ImageView,
    TargetPoints,
    motion_jacobian,
    sample_points,
)
from sfm_odometry.tracking.trajectory import (
    invert_rigid,
    nearest_rotation,
    rotation_from_vector,
    rotation_vector,
)

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
class SolverState:
    """What is estimated."""

    source_from_target: np.ndarray
    """(4, 4) float64."""
    correction: np.ndarray
    """(K,): of the depth, in standard deviations."""
    brightness: np.ndarray
    """(2,): gain less 1 and offset that turn the source's grey values into the target's."""

    def moved(self, step: np.ndarray) -> "SolverState":
        """After a step (6 + K + 2,): translation and rotation in the target camera's axes, the
        correction, then the brightness."""
        increment = np.eye(4)
        increment[:3, :3] = rotation_from_vector(step[3:6])
        increment[:3, 3] = step[:3]
        motion = self.source_from_target @ increment
        motion[:3, :3] = nearest_rotation(motion[:3, :3])
        return SolverState(motion, self.correction + step[6:-2], self.brightness + step[-2:])


@dataclass(frozen=True)
class Errors:
    """The errors of all points under a state."""

    errors: Tensor
    """(N,) grey values."""
    samples: Tensor
    """(N,) grey values of the source, before gain and offset."""
    weights: Tensor
    """(N,): the points' own, 0 outside the source."""


@dataclass(frozen=True)
class Outcome:
    """What the steps on one level led to."""

    state: SolverState
    errors: Errors
    steps: int
    last_pixels: float
    """How far the last step moved the image, in the level's pixels."""


class DirectSolver:
    """One level: errors, their cost and normal equations, and the steps that make it smaller."""

    def __init__(
        self,
        target: TargetPoints,
        basis: Tensor,
        source: ImageView,
        given: np.ndarray,
        prior: np.ndarray,
        config: RefineConfig,
    ) -> None:
        """basis: (K, N) of the depth's correction; given: source_from_target (4, 4); prior: its
        information in the target's axes."""
        self.target, self.source, self.given, self.prior, self.config = (
            target,
            source,
            given,
            prior,
            config,
        )
        self._basis = basis
        self.weight = float(target.weights.sum())
        """Of all points together."""
        # Rows of the normal equations: the motion's six, then, new with every weighing, the
        # correction's, and, new with every step, gain, offset and the error itself.
        self._rows = target.values.new_ones(6 + len(self._basis) + 3, target.values.numel())
        self._rows[:6] = target.jacobian
        self._precision = torch.ones_like(target.values)

    def errors(self, state: SolverState) -> Errors:
        """The errors under a state."""
        points = self.target.points
        if state.correction.any():
            points = points * torch.exp(
                torch.from_numpy(state.correction).to(self._basis) @ self._basis
            )
        samples, inside = sample_points(
            self.source, points, torch.from_numpy(state.source_from_target).to(points)
        )
        return self._errors(samples, self.target.weights * inside, state.brightness)

    def _errors(self, samples: Tensor, weights: Tensor, brightness: np.ndarray) -> Errors:
        gain, offset = brightness.tolist()
        return Errors(samples * (1.0 + gain) - (self.target.values - offset), samples, weights)

    def weigh(self, state: SolverState, errors: Errors) -> float:
        """Set every point's 1 / s_p^2, and what the depth does to it, at this state; returns the
        robust scale s."""
        scale = self._robust_scale(errors)
        # A depth too large by a share is a translation too small by it: de / d log D = -(de / d
        # translation) . R^T t.
        motion = state.source_from_target
        towards = torch.from_numpy(motion[:3, :3].T @ motion[:3, 3]).to(self.target.jacobian)
        by_depth = -(towards @ self.target.jacobian[:3])
        self._precision = 1.0 / (scale**2 + (self.config.depth_error * by_depth).square())
        torch.mul(self._basis, by_depth, out=self._rows[6:-3])
        return scale

    def _robust_scale(self, errors: Errors) -> float:
        inside = errors.errors[errors.weights > 0].abs()
        return max(
            MEDIAN_TO_SIGMA * float(inside.median()) if inside.numel() else 0.0,
            self.config.noise_floor,
        )

    def photometric_cost(self, errors: Errors) -> float:
        """The first part of the cost: the mean over the points inside, times the number of all."""
        threshold = self.config.robust_threshold**2
        terms = torch.log1p(errors.errors.square() * (self._precision / threshold))
        return threshold / 2 * float(terms @ errors.weights) * self._factor(errors)

    def cost(self, state: SolverState, errors: Errors) -> float:
        """The whole cost."""
        difference = self.difference(state)
        held = float(difference @ self.prior @ difference) + float(
            state.correction @ state.correction
        )
        return self.photometric_cost(errors) + 0.5 * held

    def difference(self, state: SolverState) -> np.ndarray:
        """(6,): the small motion from the given motion to the state's, in the target camera's
        axes."""
        change = invert_rigid(self.given) @ state.source_from_target
        return np.concatenate([change[:3, 3], rotation_vector(change[:3, :3])])

    def inliers(self, errors: Errors) -> float:
        """Share of the points that lie inside the source and fit."""
        fits = errors.errors.square() * self._precision < INLIER_DEVIATIONS**2
        return float((errors.weights * fits).sum()) / self.weight

    def normal_equations(self, state: SolverState, errors: Errors) -> tuple[np.ndarray, np.ndarray]:
        """Information matrix (n, n) and gradient (n,) of the cost by a step, n = 6 + K + 2;
        float64."""
        self._rows[-3], self._rows[-1] = errors.samples, errors.errors
        summed = _products(self._rows, self._robust_weights(errors))
        information, gradient = summed[:-1, :-1], summed[:-1, -1]
        information[:6, :6] += self.prior
        gradient[:6] += self.prior @ self.difference(state)
        information[range(6, len(gradient) - 2), range(6, len(gradient) - 2)] += 1.0
        gradient[6:-2] += state.correction
        return information, gradient

    def _robust_weights(self, errors: Errors) -> Tensor:
        """(N,): what each point's squared error counts in the normal equations."""
        excess = errors.errors.square() * (self._precision / self.config.robust_threshold**2)
        return errors.weights * self._precision / (1.0 + excess) * self._factor(errors)

    def _factor(self, errors: Errors) -> float:
        """Points that leave the image must not lower the cost: those inside stand for all; c of
        them count as one."""
        return self.weight / max(float(errors.weights.sum()), 1e-9) / self.config.correlated_points

    def fit_brightness(self, state: SolverState, errors: Errors) -> tuple[SolverState, Errors]:
        """The state with only gain and offset fitted, and its errors."""
        rows = torch.stack([errors.samples, torch.ones_like(errors.samples), errors.errors])
        summed = _products(rows, self._robust_weights(errors))
        fitted = np.linalg.lstsq(summed[:2, :2], summed[:2, 2], rcond=1e-9)[0]
        state = replace(state, brightness=state.brightness - fitted)
        return state, self._errors(errors.samples, errors.weights, state.brightness)

    def minimise(self, state: SolverState, errors: Errors, most: int) -> Outcome:
        """Steps from `state`, which has these `errors`, until they move the image by less than
        `stop_pixels`."""
        cost, damping, stretch, pixels, steps = (
            self.cost(state, errors),
            FIRST_DAMPING,
            1.0,
            np.inf,
            0,
        )
        equations: tuple[np.ndarray, np.ndarray] | None = None
        image_motion = _image_motion(self.target, self.source.camera)
        last = None
        while steps < most and pixels >= self.config.stop_pixels:
            equations = equations or self.normal_equations(state, errors)
            step = _damped_step(*equations, damping)
            stretch = _stretch(image_motion, step, last, stretch)
            trial = state.moved(stretch * step)
            trial_errors = self.errors(trial)
            trial_cost = self.cost(trial, trial_errors)
            pixels, steps = stretch * float(np.sqrt(step[:6] @ image_motion @ step[:6])), steps + 1
            if trial_cost < cost:
                state, errors, cost, damping, last, equations = (
                    trial,
                    trial_errors,
                    trial_cost,
                    damping / 10,
                    step,
                    None,
                )
            elif stretch > 1.0:
                last, stretch = None, 1.0
            else:
                damping = max(10 * damping, RAISED_DAMPING)
        return Outcome(state, errors, steps, pixels)


def _products(rows: Tensor, weights: Tensor) -> np.ndarray:
    """(R, R): products of the rows (R, N), weighted by (N,) and summed; float64."""
    return ((rows * weights) @ rows.T).double().cpu().numpy()


def _stretch(
    image_motion: np.ndarray, step: np.ndarray, last: np.ndarray | None, stretch: float
) -> float:
    """Factor on the next step. The robust norm makes Gauss-Newton's steps too short, each by about
    the same share of what is left.

    Where the last step, stretched, left the share r of itself to be done, each step was (1 - r) /
    stretch of what it should have been.
    """
    if last is None:
        return stretch
    left = float(step[:6] @ image_motion @ last[:6]) / max(
        float(last[:6] @ image_motion @ last[:6]), 1e-12
    )
    return min(max(stretch / max(1.0 - left, 1e-3), 1.0), LONGEST_STRETCH)


def _image_motion(target: TargetPoints, camera: tuple[float, float, float, float]) -> np.ndarray:
    """(6, 6) M such that xi^T M xi is the mean squared motion in pixels of the points under a
    small motion xi."""
    points = target.points[:, ::IMAGE_MOTION_STRIDE]
    count = points.shape[1]
    axes = points.new_zeros(2, 2 * count)
    axes[0, :count] = axes[1, count:] = 1.0
    rows = motion_jacobian(axes, points.repeat(1, 2), camera).double()
    return (rows @ rows.T / count).cpu().numpy()


def _damped_step(information: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
    """Marquardt's step; a direction that nothing determines is not moved along."""
    damped = information + damping * np.diag(np.diag(information)) + 1e-9 * np.eye(len(gradient))
    return -np.linalg.solve(damped, gradient)
