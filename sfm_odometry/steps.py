"""One step of the odometry: the motion between two neighbouring frames and how sure it is."""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch

from sfm_odometry.estimator import Estimator
from sfm_odometry.pyramid import Pyramid
from sfm_odometry.refine_config import RefineConfig
from sfm_odometry.refiner import MotionRefiner
from sfm_odometry.scale import ScaleEstimate
from sfm_odometry.uncertainty import motion_covariance, scale_covariance, systematic_covariance


class SeenFrame:
    """A frame as the networks see it, uint8 (H, W, C); its depth is inferred once, when first asked for."""

    def __init__(self, image: np.ndarray, estimator: Estimator) -> None:
        self.image = image
        self._pyramid: Pyramid | None = None
        self.memory: dict[str, torch.Tensor] = {}
        """What the motion network keeps of this frame while the window slides."""
        self._estimator = estimator

    @cached_property
    def depth(self) -> np.ndarray:
        """Depth along z (H, W), float32, in the model's unit of length."""
        return self._estimator.depth(self.image)

    @cached_property
    def grey(self) -> np.ndarray:
        """The image as uint8 (H, W)."""
        return self.image[..., 0] if self.image.shape[2] == 1 else cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY)

    def pyramid(self, intrinsics: np.ndarray, config: RefineConfig) -> Pyramid:
        """The frame made ready for alignment, once; all frames of a window are of one camera."""
        if self._pyramid is None:
            grey, depth = torch.from_numpy(self.grey), torch.from_numpy(self.depth)
            self._pyramid = Pyramid.of(grey, depth, torch.from_numpy(intrinsics), None, config)
        return self._pyramid


@dataclass(frozen=True)
class Step:
    """A motion (4, 4) with its covariance (6, 6), translation then rotation in the current camera's axes."""

    previous_from_current: np.ndarray
    covariance: np.ndarray
    unrefined: str = ""
    """Why the motion is the networks' own although refinement was asked for; empty otherwise."""


def network_step(previous_from_current: np.ndarray, unrefined: str = "") -> Step:
    """The networks' own motion."""
    return Step(previous_from_current, motion_covariance(previous_from_current), unrefined)


def refined_step(
    refiner: MotionRefiner, frames: tuple[SeenFrame, SeenFrame], previous_from_current: np.ndarray, intrinsics: np.ndarray, dt_s: float
) -> Step:
    """The networks' motion between the previous and the current frame, made more precise by the images over the predicted depth.

    Where the images do not allow it the networks' motion stays, in the refiner's unit of length.
    """
    refinement = refiner.refine(*frames, previous_from_current, intrinsics, dt_s)
    if not refinement.converged:
        return network_step(refinement.previous_from_current, refinement.reason)
    covariance = refinement.covariance + systematic_covariance(refinement.previous_from_current)
    return Step(refinement.previous_from_current, covariance)


def scaled_step(step: Step, scale: ScaleEstimate) -> Step:
    """A step in the model's unit of length brought to the published one, as unsure of its length as the scale is."""
    motion = step.previous_from_current.copy()
    motion[:3, 3] *= scale.value
    units = np.diag([scale.value] * 3 + [1.0] * 3)
    covariance = units @ step.covariance @ units + scale_covariance(motion, scale.relative_sigma)
    return replace(step, previous_from_current=motion, covariance=covariance)
