"""One step of the odometry: the motion between two neighbouring frames and how sure it is."""

from dataclasses import dataclass, replace

import numpy as np

from sfm_odometry.scale import ScaleEstimate
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.motion_refiner import MotionRefiner
from sfm_odometry.tracking.noise_model import (
    motion_covariance,
    scale_covariance,
    systematic_covariance,
)


@dataclass(frozen=True)
class Step:
    """A motion (4, 4) with its covariance (6, 6), translation then rotation in the current
    camera's axes."""

    previous_from_current: np.ndarray
    covariance: np.ndarray
    unrefined: str = ""
    """Why the motion is the networks' own although refinement was asked for; empty otherwise."""


def network_step(previous_from_current: np.ndarray, unrefined: str = "") -> Step:
    """The networks' own motion."""
    return Step(previous_from_current, motion_covariance(previous_from_current), unrefined)


def refined_step(
    refiner: MotionRefiner,
    frames: tuple[Frame, Frame],
    previous_from_current: np.ndarray,
    dt_s: float,
) -> Step:
    """The networks' motion between the previous and the current frame, made more precise by the
    images over the predicted depth.

    Where the images do not allow it the networks' motion stays, in the refiner's unit of length.
    """
    refinement = refiner.refine(*frames, previous_from_current, dt_s)
    if not refinement.converged:
        return network_step(refinement.previous_from_current, refinement.reason)
    covariance = refinement.covariance + systematic_covariance(refinement.previous_from_current)
    return Step(refinement.previous_from_current, covariance)


def scaled_step(step: Step, scale: ScaleEstimate) -> Step:
    """A step in the model's unit of length brought to the published one, as unsure of its length
    as the scale is."""
    motion = step.previous_from_current.copy()
    motion[:3, 3] *= scale.value
    units = np.diag([scale.value] * 3 + [1.0] * 3)
    covariance = units @ step.covariance @ units + scale_covariance(motion, scale.relative_sigma)
    return replace(step, previous_from_current=motion, covariance=covariance)
