"""Levenberg-Marquardt over a motion, corrections of the depth and the brightness between views, on one level of the pyramid.

The target's points are sought in one or several sources, the frames before it. The cost, in units of information, is
    sum_s sum_p w_p rho(e_sp / s_sp) / (c sqrt(S))  +  1/2 d^T P d  +  1/2 |k|^2,    s_sp^2 = s_s^2 + (sigma_D de_sp / d log D)^2,
with Cauchy's rho, the robust scale s_s of a source's errors, the standard deviation sigma_D of one point's depth (an error that a wrong
depth explains says little; Engel et al., ECCV 2014, section 3.2), the number c of points that err as one, the sources S, which share the
target's errors, the prior's information P on the difference d between the motion and the given one, and the depth's correction k.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.depth_correction import DepthCorrection
from sfm_odometry.photometric import TargetPoints, View, motion_jacobian, sample_points
from sfm_odometry.refine_config import RefineConfig
from sfm_odometry.trajectory import invert_rigid, nearest_rotation, rotation_from_vector, rotation_vector

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
class Sources:
    """The views that a target's points are sought in, all of one size."""

    views: tuple[View, ...]
    from_previous: np.ndarray
    """(S, 4, 4) float64: source_from_previous of each; the identity for the previous frame itself."""

    def from_target(self, previous_from_current: np.ndarray) -> np.ndarray:
        """source_from_target (S, 4, 4) under a motion of the target, the current frame."""
        result: np.ndarray = self.from_previous @ previous_from_current
        return result


@dataclass(frozen=True)
class State:
    """What is estimated."""

    previous_from_current: np.ndarray
    """(4, 4) float64."""
    correction: np.ndarray
    """(K,): of the depth, in standard deviations."""
    brightness: np.ndarray
    """(S, 2): gain less 1 and offset that turn a source's grey values into the target's."""

    def moved(self, step: np.ndarray) -> "State":
        """After a step (6 + K + 2 S,): translation and rotation in the current camera's axes, the correction, then the brightness."""
        increment = np.eye(4)
        increment[:3, :3] = rotation_from_vector(step[3:6])
        increment[:3, 3] = step[:3]
        motion = self.previous_from_current @ increment
        motion[:3, :3] = nearest_rotation(motion[:3, :3])
        count = len(self.correction)
        return State(motion, self.correction + step[6 : 6 + count], self.brightness + step[6 + count :].reshape(self.brightness.shape))


@dataclass(frozen=True)
class Errors:
    """The errors of all points in all sources under a state."""

    errors: Tensor
    """(S, N) grey values."""
    samples: Tensor
    """(S, N) grey values of the sources, before gain and offset."""
    weights: Tensor
    """(S, N): the points' own, 0 outside a source."""


@dataclass(frozen=True)
class Outcome:
    """What the steps on one level led to."""

    state: State
    errors: Errors
    steps: int
    last_pixels: float
    """How far the last step moved the image, in the level's pixels."""


class Alignment:
    """One level: errors, their cost and normal equations, and the steps that make it smaller."""

    def __init__(
        self,
        target: TargetPoints,
        sources: Sources,
        correction: DepthCorrection,
        given: np.ndarray,
        prior: np.ndarray,
        config: RefineConfig,
    ) -> None:
        self.target, self.sources, self.given, self.prior, self.config = target, sources, given, prior, config
        self._images = torch.stack([view.image for view in sources.views])
        self._camera = sources.views[0].camera
        self._basis = correction.basis(target)
        self._given_weight = float(target.weights.sum())
        count, points = len(sources.views), target.values.numel()
        # Rows of the normal equations: the motion's six, then, new with every weighing, the correction's, and, new with every step, gain,
        # offset and the error itself.
        self._rows = target.values.new_ones(count, 6 + len(self._basis) + 3, points)
        self._rows[:, :6] = target.jacobian
        self._precision = torch.ones_like(self._rows[:, 0])

    @property
    def points(self) -> int:
        """Points of the target."""
        return self.target.values.numel()

    @property
    def weight(self) -> float:
        """Weight of all points in all sources together."""
        return self._given_weight * len(self.sources.views)

    def errors(self, state: State) -> Errors:
        """The errors under a state."""
        points = self.target.points
        if len(state.correction):
            points = points * torch.exp(torch.from_numpy(state.correction).to(self._basis) @ self._basis)
        motions = torch.from_numpy(self.sources.from_target(state.previous_from_current)).to(points)
        samples, inside = sample_points(self._images, self._camera, points, motions)
        return self._errors(samples, self.target.weights * inside, state.brightness)

    def _errors(self, samples: Tensor, weights: Tensor, brightness: np.ndarray) -> Errors:
        gain, offset = torch.from_numpy(brightness).to(samples).T[..., None]
        return Errors(samples * (1.0 + gain) + (offset - self.target.values), samples, weights)

    def weigh(self, state: State, errors: Errors) -> np.ndarray:
        """Set every point's 1 / s_sp^2, and what the depth does to it, at this state; returns the robust scales s_s (S,)."""
        scales = np.array([self._robust_scale(*source) for source in zip(errors.errors, errors.weights, strict=True)])
        motions = self.sources.from_target(state.previous_from_current)
        # A depth too large by a share is a translation too small by it: de / d log D = -(de / d translation) . R^T t.
        towards = np.stack([motion[:3, :3].T @ motion[:3, 3] for motion in motions])
        by_depth = -torch.from_numpy(towards).to(self.target.jacobian) @ self.target.jacobian[:3]
        squared_scales = torch.from_numpy(scales**2).to(by_depth)[:, None]
        self._precision = 1.0 / (squared_scales + (self.config.depth_error * by_depth).square())
        torch.mul(self._basis, by_depth[:, None], out=self._rows[:, 6:-3])
        return scales

    def _robust_scale(self, errors: Tensor, weights: Tensor) -> float:
        inside = errors[weights > 0].abs()
        return max(MEDIAN_TO_SIGMA * float(inside.median()) if inside.numel() else 0.0, self.config.noise_floor)

    def photometric_cost(self, errors: Errors) -> float:
        """The first part of the cost: the mean over the points inside, times the number of all."""
        threshold = self.config.robust_threshold**2
        terms = torch.log1p(errors.errors.square() * self._precision / threshold)
        return threshold / 2 * float(((terms * errors.weights).sum(1) * self._factors(errors)).sum())

    def cost(self, state: State, errors: Errors) -> float:
        """The whole cost."""
        difference = self.difference(state)
        held = float(difference @ self.prior @ difference) + float(state.correction @ state.correction)
        return self.photometric_cost(errors) + 0.5 * held

    def difference(self, state: State) -> np.ndarray:
        """(6,): the small motion from the given motion to the state's, in the current camera's axes."""
        change = invert_rigid(self.given) @ state.previous_from_current
        return np.concatenate([change[:3, 3], rotation_vector(change[:3, :3])])

    def inliers(self, errors: Errors) -> float:
        """Share of the points that lie inside the sources and fit."""
        fits = errors.errors.square() * self._precision < INLIER_DEVIATIONS**2
        return float((errors.weights * fits).sum()) / self.weight

    def normal_equations(self, state: State, errors: Errors) -> tuple[np.ndarray, np.ndarray]:
        """Information matrix (n, n) and gradient (n,) of the cost by a step, n = 6 + K + 2 S; float64."""
        shared = 6 + len(state.correction)
        size = shared + state.brightness.size
        information, gradient = np.zeros((size, size)), np.zeros(size)
        for source, summed in enumerate(self._summed(errors)):
            own = np.r_[:shared, shared + 2 * source, shared + 2 * source + 1]
            information[np.ix_(own, own)] += summed[:-1, :-1]
            gradient[own] += summed[:-1, -1]
        information[:6, :6] += self.prior
        gradient[:6] += self.prior @ self.difference(state)
        information[6:shared, 6:shared] += np.eye(shared - 6)
        gradient[6:shared] += state.correction
        return information, gradient

    def _summed(self, errors: Errors) -> np.ndarray:
        """(S, R, R): weighted products of the R rows, summed over the points; float64."""
        self._rows[:, -3], self._rows[:, -1] = errors.samples, errors.errors
        return _products(self._rows, self._robust_weights(errors))

    def _robust_weights(self, errors: Errors) -> Tensor:
        """(S, N): what each point's squared error counts in the normal equations."""
        excess = errors.errors.square() * self._precision / self.config.robust_threshold**2
        return errors.weights * self._precision / (1.0 + excess) * self._factors(errors)[:, None]

    def _factors(self, errors: Errors) -> Tensor:
        """(S,). Points that leave the image must not lower the cost: those inside stand for all; c of them count as one."""
        inside = errors.weights.sum(1).clamp_min(1e-9)
        return self._given_weight / inside / (self.config.correlated_points * np.sqrt(len(inside)))

    def fit_brightness(self, state: State, errors: Errors) -> tuple[State, Errors]:
        """The state with only gain and offset fitted, and its errors."""
        rows = torch.stack([errors.samples, torch.ones_like(errors.samples), errors.errors], dim=1)
        summed = _products(rows, self._robust_weights(errors))
        fitted = [np.linalg.lstsq(own[:2, :2], own[:2, 2], rcond=1e-9)[0] for own in summed]
        state = replace(state, brightness=state.brightness - np.stack(fitted))
        return state, self._errors(errors.samples, errors.weights, state.brightness)

    def minimise(self, state: State, errors: Errors, most: int) -> Outcome:
        """Steps from `state`, which has these `errors`, until they move the image by less than `stop_pixels`."""
        cost, damping, stretch, pixels, steps = self.cost(state, errors), FIRST_DAMPING, 1.0, np.inf, 0
        equations: tuple[np.ndarray, np.ndarray] | None = None
        image_motion = _image_motion(self.target, self._camera)
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
                state, errors, cost, damping, last, equations = trial, trial_errors, trial_cost, damping / 10, step, None
            elif stretch > 1.0:
                last, stretch = None, 1.0
            else:
                damping = max(10 * damping, RAISED_DAMPING)
        return Outcome(state, errors, steps, pixels)


def _products(rows: Tensor, weights: Tensor) -> np.ndarray:
    """(S, R, R): products of the rows (S, R, N), weighted by (S, N) and summed; float64."""
    return ((rows * weights[:, None]) @ rows.transpose(1, 2)).double().cpu().numpy()


def _stretch(image_motion: np.ndarray, step: np.ndarray, last: np.ndarray | None, stretch: float) -> float:
    """Factor on the next step. The robust norm makes Gauss-Newton's steps too short, each by about the same share of what is left.

    Where the last step, stretched, left the share r of itself to be done, each step was (1 - r) / stretch of what it should have been.
    """
    if last is None:
        return stretch
    left = float(step[:6] @ image_motion @ last[:6]) / max(float(last[:6] @ image_motion @ last[:6]), 1e-12)
    return min(max(stretch / max(1.0 - left, 1e-3), 1.0), LONGEST_STRETCH)


def _image_motion(target: TargetPoints, camera: tuple[float, float, float, float]) -> np.ndarray:
    """(6, 6) M such that xi^T M xi is the mean squared motion in pixels of the points under a small motion xi."""
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


def stacked(views: Sequence[View], from_previous: Sequence[np.ndarray]) -> Sources:
    """The sources of one level."""
    return Sources(tuple(views), np.stack(from_previous))
