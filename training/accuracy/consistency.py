"""Consistency of covariances: normalised estimation errors squared, NEES.

Bar-Shalom et al., Estimation with Applications to Tracking and Navigation, section 5.4.
"""

import math
from dataclasses import dataclass

import numpy as np

from sfm_odometry.geometry import se3
from training.evaluate.alignment import least_squares_scale

REPEATED_RAD = 1e-5
"""Greatest difference between the true rotations of two steps of which one repeats the other."""
MIN_REPEATS = 5
"""Fewest steps in a row that repeat one rotation where the truth was interpolated."""
MAX_LEFT_OUT = 0.5
"""Greatest share of the steps that are taken for interpolated: of more, the turn is constant."""


@dataclass(frozen=True, eq=False)
class NormalisedErrors:
    """Normalised errors squared e^T C^-1 e (M,) of M steps."""

    pose: np.ndarray
    """(M,) of all six numbers."""
    translation: np.ndarray
    """(M,) of the three of translation alone."""
    rotation: np.ndarray
    """(M,) of the three of rotation alone."""

    def anees(self) -> dict[str, float]:
        """Average NEES per degree of freedom, by name; NaN of no steps.

        It is 1 for a consistent covariance and more for one that is too small.
        """
        parts = (
            ("anees", self.pose, 6),
            ("anees_translation", self.translation, 3),
            ("anees_rotation", self.rotation, 3),
        )
        return {
            name: float(values.mean() / freedom) if len(values) else math.nan
            for name, values, freedom in parts
        }


def normalised_errors(
    true_steps: np.ndarray, steps: np.ndarray, covariances: np.ndarray, metric: bool
) -> NormalisedErrors:
    """Normalised errors of predicted steps (M, 4, 4) with covariances (M, 6, 6).

    Steps are previous_from_current, the true ones (M, 4, 4) in metres. The error e of a step is the
    small motion with true = predicted exp(e), e = (translation, rotation) in the current camera's
    axes. Where the unit is not metres (`metric` False), one factor for the whole drive, by least
    squares over the translations, scales lengths and covariances alike.
    """
    # Bring the lengths to metres.
    scale = (
        1.0
        if metric or len(steps) == 0
        else least_squares_scale(true_steps[:, :3, 3], steps[:, :3, 3])
    )
    units = np.array([scale] * 3 + [1.0] * 3)
    scaled = steps.copy()
    scaled[:, :3, 3] *= scale
    covariances = covariances * units[:, None] * units
    # Errors in the current camera's axes.
    errors = np.array(
        [
            small_motion_vector(se3.inverse(predicted) @ true)
            for predicted, true in zip(scaled, true_steps, strict=True)
        ]
    ).reshape(-1, 6)
    # Mahalanobis distances of the whole step, its translation and its rotation.
    parts = (slice(0, 6), slice(0, 3), slice(3, 6))
    return NormalisedErrors(
        *(_mahalanobis_squared(errors[:, part], covariances[:, part, part]) for part in parts)
    )


def interpolated_truth(true_steps: np.ndarray) -> np.ndarray:
    """Mask (M,) of true steps (M, 4, 4), in order, that were interpolated over a gap in the truth.

    Such a truth turns by exactly the same angles step after step, as KITTI's does where its
    positioning lost its satellites: in frames 0 to 14 of sequence 00, in 347 to 362 again. How
    well a covariance fits cannot be told from them.
    """
    if len(true_steps) < MIN_REPEATS:
        return np.zeros(len(true_steps), bool)
    turns = np.array([se3.so3_log(step[:3, :3]) for step in true_steps])
    repeats = np.zeros(len(turns) + 1, bool)
    repeats[1:-1] = np.linalg.norm(np.diff(turns, axis=0), axis=1) < REPEATED_RAD
    turning = np.linalg.norm(turns, axis=1) > REPEATED_RAD
    same = (repeats[:-1] | repeats[1:]) & turning
    # Runs of enough steps.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(int), [0]])))
    mask = np.zeros(len(turns), bool)
    for first, end in edges.reshape(-1, 2):
        mask[first:end] = end - first >= MIN_REPEATS
    return mask if mask.sum() <= MAX_LEFT_OUT * len(mask) else np.zeros_like(mask)


def small_motion_vector(motion: np.ndarray) -> np.ndarray:
    """Translation and rotation vector (6,) of a motion (4, 4) close to the identity.

    To first order it is the logarithm of the motion.
    """
    return np.concatenate([motion[:3, 3], se3.so3_log(motion[:3, :3])])


def chi_squared_cdf(values: np.ndarray) -> np.ndarray:
    """P(x <= value), (M,), of the chi-squared distribution with three degrees of freedom.

    It is erf(sqrt(x/2)) - sqrt(2x/pi) exp(-x/2).
    """
    erf = np.array([math.erf(math.sqrt(value / 2)) for value in values])
    return erf - np.sqrt(2 * values / np.pi) * np.exp(-values / 2)


def _mahalanobis_squared(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Squared distances e^T C^-1 e (M,) of errors (M, D) with covariances (M, D, D)."""
    return np.einsum("mi,mi->m", errors, np.linalg.solve(covariances, errors[..., None])[..., 0])
