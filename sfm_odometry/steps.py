"""One step of the odometry: the motion between two neighbouring frames and how sure it is."""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch

from sfm_odometry.background import Background, Later
from sfm_odometry.estimator import Estimator
from sfm_odometry.pyramid import Pyramid, Targets
from sfm_odometry.refine_config import RefineConfig
from sfm_odometry.refiner import MotionRefiner
from sfm_odometry.scale import ScaleEstimate
from sfm_odometry.uncertainty import motion_covariance, scale_covariance, systematic_covariance


class SeenFrame:
    """A frame as the networks see it, uint8 (H, W, C), of a camera with intrinsics (3, 3); what is made of it is made once."""

    def __init__(self, image: np.ndarray, intrinsics: np.ndarray, estimator: Estimator, config: RefineConfig) -> None:
        """config: of the alignment that the frame is made ready for."""
        self.image, self.intrinsics = image, intrinsics
        self.memory: dict[str, torch.Tensor] = {}
        """What the motion network keeps of this frame while the window slides."""
        self._estimator, self._config = estimator, config
        self._depth = Later(lambda: estimator.depth(image))
        self._targets = Later(self._select)

    def prepare(self, background: Background, with_targets: bool) -> None:
        """Begin to infer the depth, and to select the points that the next frame is aligned with."""
        self._depth = background.start(self._depth.get)
        if with_targets:
            self.pyramid  # noqa: B018  # made here, so that no two threads make it
            self._targets = background.start(self._targets.get)

    @property
    def depth(self) -> np.ndarray:
        """Depth along z (H, W), float32, in the model's unit of length; waits for it."""
        return self._depth.get()

    @cached_property
    def grey(self) -> np.ndarray:
        """The image as uint8 (H, W)."""
        return self.image[..., 0] if self.image.shape[2] == 1 else cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY)

    @cached_property
    def pyramid(self) -> Pyramid:
        """The image made ready to be aligned with the frame before."""
        with torch.inference_mode():
            return Pyramid.of(torch.from_numpy(self.grey), self.intrinsics, self._config)

    @property
    def targets(self) -> Targets:
        """The points that are sought in the next frame; waits for the depth."""
        return self._targets.get()

    @torch.inference_mode()
    def _select(self) -> Targets:
        return Targets.of(self.pyramid, torch.from_numpy(self.depth), None, self._config)


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


def refined_step(refiner: MotionRefiner, frames: tuple[SeenFrame, SeenFrame], previous_from_current: np.ndarray, dt_s: float) -> Step:
    """The networks' motion between the previous and the current frame, made more precise by the images over the predicted depth.

    Where the images do not allow it the networks' motion stays, in the refiner's unit of length.
    """
    refinement = refiner.refine(*frames, previous_from_current, dt_s)
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
