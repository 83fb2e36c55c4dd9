"""Levenberg-Marquardt solver of direct alignment on one pyramid level.

Estimated are a motion, corrections of the depth, and the brightness between two views. The points
of the target, whose depth is known, are sought in the source. The cost, in units of information, is

    sum_p w_p rho(e_p / s_p) / c + 1/2 d^T P d + 1/2 |k|^2,
    s_p^2 = s^2 + (sigma_D de_p / d log D)^2,

with Cauchy's rho, the weights w_p of the points, the robust scale s of the errors, the standard
deviation sigma_D of one point's depth (an error that a wrong depth explains weighs little; Engel et
al., ECCV 2014, section 3.2), the number c of points that err as one, the prior's information P on
the difference d between the motion and the prior's, and the depth's correction k.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.geometry import se3
from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.photometric import (
    ImageView,
    TargetPoints,
    motion_jacobian,
    sample_points,
)

INITIAL_DAMPING = 1e-4
MIN_RAISED_DAMPING = 1.0
"""Least damping after a step that raised the cost: it halves the step."""
INLIER_DEVIATIONS = 3.0
"""Greatest error of an inlier, in standard deviations."""
MAX_STRETCH = 4.0
"""Greatest factor on a step."""
IMAGE_MOTION_STRIDE = 8
"""Stride of the points by which the image motion of a step is measured."""
MEDIAN_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute values."""


@dataclass(frozen=True)
class SolverState:
    """Estimated variables."""

    source_from_target: np.ndarray
    """(4, 4) float64."""
    correction: np.ndarray
    """Coefficients (K,) of the depth's correction, in standard deviations."""
    brightness: np.ndarray
    """(2,): gain less 1 and offset that turn the source's grey values into the target's."""

    def updated(self, step: np.ndarray) -> "SolverState":
        """Apply a step (6 + K + 2,).

        It holds translation and rotation in the target camera's axes, the correction, then the
        brightness.
        """
        increment = np.eye(4)
        increment[:3, :3] = se3.so3_exp(step[3:6])
        increment[:3, 3] = step[:3]
        motion = self.source_from_target @ increment
        motion[:3, :3] = se3.nearest_rotation(motion[:3, :3])
        return SolverState(motion, self.correction + step[6:-2], self.brightness + step[-2:])


@dataclass(frozen=True)
class Residuals:
    """Photometric errors of all points at a state."""

    errors: Tensor
    """(N,) grey values."""
    samples: Tensor
    """Grey values (N,) of the source, before gain and offset."""
    weights: Tensor
    """Weights (N,) of the points, 0 outside the source."""


@dataclass(frozen=True)
class SolverResult:
    """State after the steps on one level."""

    state: SolverState
    residuals: Residuals
    steps: int
    last_step_pixels: float
    """Image motion of the last step, in the level's pixels."""


class DirectSolver:
    """Cost of one level, its normal equations, and the steps that minimise it."""

    def __init__(
        self,
        target: TargetPoints,
        basis: Tensor,
        source: ImageView,
        prior_motion: np.ndarray,
        prior_information: np.ndarray,
        config: AlignmentConfig,
    ) -> None:
        """basis: (K, N) of the depth's correction; prior_motion: source_from_target (4, 4);
        prior_information: (6, 6) of it, in the target's axes."""
        self.target = target
        self.source = source
        self.prior_motion = prior_motion
        self.prior_information = prior_information
        self.config = config
        self.total_weight = float(target.weights.sum())
        """Sum of the points' weights."""
        self._basis = basis
        # Rows of the normal equations: six of the motion, K of the correction, which change with
        # each weighting, then gain, offset and the error itself, which change with each step.
        self._rows = target.values.new_ones(6 + len(self._basis) + 3, target.values.numel())
        self._rows[:6] = target.jacobian
        self._precision = torch.ones_like(target.values)

    @property
    def jacobian(self) -> Tensor:
        """Derivatives (6 + K, N) of the errors by motion and correction, as last weighted."""
        return self._rows[:-3]

    def residuals(self, state: SolverState) -> Residuals:
        """Compute the photometric errors at a state."""
        points = self.target.points
        if state.correction.any():
            points = points * torch.exp(
                torch.from_numpy(state.correction).to(self._basis) @ self._basis
            )
        source_from_target = torch.from_numpy(state.source_from_target).to(points)
        samples, inside = sample_points(self.source, points, source_from_target)
        return self._residuals(samples, self.target.weights * inside, state.brightness)

    def _residuals(self, samples: Tensor, weights: Tensor, brightness: np.ndarray) -> Residuals:
        gain, offset = brightness.tolist()
        errors = samples * (1.0 + gain) - (self.target.values - offset)
        return Residuals(errors, samples, weights)

    def update_weights(self, state: SolverState, residuals: Residuals) -> float:
        """Set each point's 1 / s_p^2, and the Jacobian by the correction, at a state.

        Returns the robust scale s.
        """
        scale = self._robust_scale(residuals)
        # A depth too large by a share is a translation too small by it: de / d log D = -(de / d
        # translation) . R^T t.
        motion = state.source_from_target
        translation = torch.from_numpy(motion[:3, :3].T @ motion[:3, 3]).to(self.target.jacobian)
        by_log_depth = -(translation @ self.target.jacobian[:3])
        self._precision = 1.0 / (scale**2 + (self.config.depth_error * by_log_depth).square())
        torch.mul(self._basis, by_log_depth, out=self._rows[6:-3])
        return scale

    def _robust_scale(self, residuals: Residuals) -> float:
        inside = residuals.errors[residuals.weights > 0].abs()
        return max(
            MEDIAN_TO_SIGMA * float(inside.median()) if inside.numel() else 0.0,
            self.config.noise_floor,
        )

    def photometric_cost(self, residuals: Residuals) -> float:
        """Photometric part of the cost: mean over the points inside, times the number of all."""
        threshold = self.config.robust_threshold**2
        terms = torch.log1p(residuals.errors.square() * (self._precision / threshold))
        return (
            threshold / 2 * float(terms @ residuals.weights) * self._information_factor(residuals)
        )

    def cost(self, state: SolverState, residuals: Residuals) -> float:
        """Whole cost: photometric part, prior of the motion, and prior of the correction."""
        d = self.difference(state)
        prior = float(d @ self.prior_information @ d) + float(state.correction @ state.correction)
        return self.photometric_cost(residuals) + 0.5 * prior

    def difference(self, state: SolverState) -> np.ndarray:
        """Small motion d (6,) from the prior's motion to the state's, in the target's axes."""
        change = se3.inverse(self.prior_motion) @ state.source_from_target
        return np.concatenate([change[:3, 3], se3.so3_log(change[:3, :3])])

    def inlier_share(self, residuals: Residuals) -> float:
        """Share of the points that lie inside the source and whose error is small."""
        inliers = residuals.errors.square() * self._precision < INLIER_DEVIATIONS**2
        return float((residuals.weights * inliers).sum()) / self.total_weight

    def normal_equations(
        self, state: SolverState, residuals: Residuals
    ) -> tuple[np.ndarray, np.ndarray]:
        """Information matrix (n, n) and gradient (n,) of the cost, n = 6 + K + 2; float64."""
        self._rows[-3] = residuals.samples
        self._rows[-1] = residuals.errors
        products = _weighted_products(self._rows, self._robust_weights(residuals))
        information = products[:-1, :-1]
        gradient = products[:-1, -1]

        # Priors of the motion and of the correction.
        information[:6, :6] += self.prior_information
        gradient[:6] += self.prior_information @ self.difference(state)
        correction = range(6, len(gradient) - 2)
        information[correction, correction] += 1.0
        gradient[6:-2] += state.correction
        return information, gradient

    def _robust_weights(self, residuals: Residuals) -> Tensor:
        """Weights (N,) of the squared errors in the normal equations."""
        threshold = self.config.robust_threshold**2
        excess = residuals.errors.square() * (self._precision / threshold)
        weights = residuals.weights * self._precision / (1.0 + excess)
        return weights * self._information_factor(residuals)

    def _information_factor(self, residuals: Residuals) -> float:
        """Factor on the photometric information.

        Points that leave the image must not lower the cost: those inside stand for all; c of them
        count as one.
        """
        inside = max(float(residuals.weights.sum()), 1e-9)
        return self.total_weight / inside / self.config.correlated_points

    def fit_brightness(
        self, state: SolverState, residuals: Residuals
    ) -> tuple[SolverState, Residuals]:
        """Fit gain and offset alone; returns the state with them, and its errors."""
        ones = torch.ones_like(residuals.errors)
        rows = torch.stack([residuals.samples, ones, residuals.errors])
        products = _weighted_products(rows, self._robust_weights(residuals))
        change = np.linalg.lstsq(products[:2, :2], products[:2, 2], rcond=1e-9)[0]
        state = replace(state, brightness=state.brightness - change)
        return state, self._residuals(residuals.samples, residuals.weights, state.brightness)

    def minimise(self, state: SolverState, residuals: Residuals, max_steps: int) -> SolverResult:
        """Step from a state with these errors until a step moves the image by < `stop_pixels`."""
        cost = self.cost(state, residuals)
        image_motion = _image_motion(self.target, self.source.camera)
        equations: tuple[np.ndarray, np.ndarray] | None = None
        damping = INITIAL_DAMPING
        stretch = 1.0
        previous_step = None
        pixels = np.inf
        steps = 0
        while steps < max_steps and pixels >= self.config.stop_pixels:
            # Damped step, stretched as the last one was too short.
            equations = equations or self.normal_equations(state, residuals)
            step = _damped_step(*equations, damping)
            stretch = _stretch(image_motion, step, previous_step, stretch)
            trial = state.updated(stretch * step)
            trial_residuals = self.residuals(trial)
            trial_cost = self.cost(trial, trial_residuals)
            pixels = stretch * float(np.sqrt(step[:6] @ image_motion @ step[:6]))
            steps += 1

            # Accept a step that lowers the cost; else give up stretching, then raise the damping.
            if trial_cost < cost:
                state = trial
                residuals = trial_residuals
                cost = trial_cost
                damping /= 10
                previous_step = step
                equations = None
            elif stretch > 1.0:
                previous_step = None
                stretch = 1.0
            else:
                damping = max(10 * damping, MIN_RAISED_DAMPING)
        return SolverResult(state, residuals, steps, pixels)


def _weighted_products(rows: Tensor, weights: Tensor) -> np.ndarray:
    """Products (R, R) of the rows (R, N), weighted by (N,) and summed; float64."""
    return ((rows * weights) @ rows.T).double().cpu().numpy()


def _stretch(
    image_motion: np.ndarray, step: np.ndarray, previous: np.ndarray | None, stretch: float
) -> float:
    """Factor on the next step, at least 1.

    The robust norm makes Gauss-Newton steps too short, each by about the same share of the
    remaining distance. Where the previous step, stretched, left the share r of itself to be done,
    each step was (1 - r) / stretch of its due length.
    """
    if previous is None:
        return stretch
    remaining = float(step[:6] @ image_motion @ previous[:6]) / max(
        float(previous[:6] @ image_motion @ previous[:6]), 1e-12
    )
    return min(max(stretch / max(1.0 - remaining, 1e-3), 1.0), MAX_STRETCH)


def _image_motion(target: TargetPoints, camera: tuple[float, float, float, float]) -> np.ndarray:
    """Matrix M (6, 6): xi^T M xi is the mean squared motion of the points' pixels under xi."""
    points = target.points[:, ::IMAGE_MOTION_STRIDE]
    count = points.shape[1]
    axes = points.new_zeros(2, 2 * count)
    axes[0, :count] = 1.0
    axes[1, count:] = 1.0
    rows = motion_jacobian(axes, points.repeat(1, 2), camera).double()
    return (rows @ rows.T / count).cpu().numpy()


def _damped_step(information: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
    """Marquardt's step; zero along a direction without information."""
    damped = information + damping * np.diag(np.diag(information)) + 1e-9 * np.eye(len(gradient))
    return -np.linalg.solve(damped, gradient)
