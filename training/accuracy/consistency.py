"""Whether covariances mean what they say: normalised estimation errors squared (Bar-Shalom et
al., Estimation with Applications, 5.4)."""

import math
from dataclasses import dataclass

import numpy as np

from sfm_odometry.tracking.trajectory import invert_rigid, rotation_vector
from training.evaluate.alignment import least_squares_scale


@dataclass(frozen=True, eq=False)
class NormalisedErrors:
    """Of M steps: e^T C^-1 e, (M,) each, of all six numbers and of the three of translation and
    of rotation alone."""

    pose: np.ndarray
    translation: np.ndarray
    rotation: np.ndarray

    def anees(self) -> dict[str, float]:
        """Mean over the steps and degrees of freedom: 1 for an honest covariance, more for one
        too small; NaN of no steps."""
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
    """Of predicted steps (M, 4, 4) previous_from_current with covariances (M, 6, 6), against true
    ones in metres.

    The error is the small motion true = predicted exp(e), e = (translation, rotation) in the
    current camera's axes. Where the unit is not metres (`metric` False) one factor for the whole
    drive, by least squares over the translations, scales lengths and covariances alike.
    """
    scale = (
        1.0
        if metric or len(steps) == 0
        else least_squares_scale(true_steps[:, :3, 3], steps[:, :3, 3])
    )
    units = np.array([scale] * 3 + [1.0] * 3)
    scaled = steps.copy()
    scaled[:, :3, 3] *= scale
    errors = np.array(
        [
            small_motion(invert_rigid(found) @ true)
            for found, true in zip(scaled, true_steps, strict=True)
        ]
    ).reshape(-1, 6)
    covariances = covariances * units[:, None] * units
    parts = (slice(0, 6), slice(0, 3), slice(3, 6))
    return NormalisedErrors(
        *(_squared(errors[:, part], covariances[:, part, part]) for part in parts)
    )


def small_motion(motion: np.ndarray) -> np.ndarray:
    """(6,) translation and rotation vector of a motion (4, 4) near to the identity, to first
    order its logarithm."""
    return np.concatenate([motion[:3, 3], rotation_vector(motion[:3, :3])])


def chi_squared_probability(values: np.ndarray) -> np.ndarray:
    """P(x <= value), (M,), of the chi-squared distribution of three degrees of freedom:
    erf(sqrt(x/2)) - sqrt(2x/pi) exp(-x/2)."""
    erf = np.array([math.erf(math.sqrt(value / 2)) for value in values])
    return erf - np.sqrt(2 * values / np.pi) * np.exp(-values / 2)


def _squared(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """(M,) e^T C^-1 e of (M, D) errors."""
    return np.einsum("mi,mi->m", errors, np.linalg.solve(covariances, errors[..., None])[..., 0])
