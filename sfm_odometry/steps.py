"""Steps of the odometry: motions between neighbouring frames, with covariance."""

from dataclasses import dataclass, replace

import numpy as np

from sfm_odometry.geometry import se3
from sfm_odometry.scale import ScaleEstimate
from sfm_odometry.tracking.direct_alignment import RefinedMotion
from sfm_odometry.tracking.noise_model import (
    motion_covariance,
    scale_covariance,
    systematic_covariance,
)


@dataclass(frozen=True)
class Step:
    """Motion (4, 4) between neighbouring frames, with its covariance (6, 6).

    The covariance is of translation, then rotation, in the current camera's axes.
    """

    previous_from_current: np.ndarray
    covariance: np.ndarray
    unrefined: str = ""
    """Reason for which the networks' motion was kept; empty where it was refined."""
    start_has_depth: bool = True
    """Whether depth is predicted for the frame that the step starts from."""


def network_step(previous_from_current: np.ndarray, unrefined: str = "") -> Step:
    """Step of the networks' motion, with a covariance modelled from its size."""
    return Step(previous_from_current, motion_covariance(previous_from_current), unrefined)


def refined_step(refined: RefinedMotion) -> Step:
    """Step of a refined motion, in the refiner's unit of length.

    Where the refinement failed it is the step of the networks' motion.
    """
    motion = refined.previous_from_current
    if not refined.converged:
        return network_step(motion, refined.reason)
    return Step(motion, refined.covariance + systematic_covariance(motion))


def scaled_step(step: Step, scale: ScaleEstimate) -> Step:
    """Apply the scale to a step; its uncertainty adds to the covariance along the motion."""
    motion = se3.scaled(step.previous_from_current, scale.value)
    units = np.diag([scale.value] * 3 + [1.0] * 3)
    covariance = units @ step.covariance @ units + scale_covariance(motion, scale.relative_sigma)
    return replace(step, previous_from_current=motion, covariance=covariance)
