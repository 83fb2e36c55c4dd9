"""The refinement over a stream of frames: it learns by how much the pose network's lengths differ from the depth network's."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from sfm_odometry.refine import Refinement, refine_motion
from sfm_odometry.refine_config import RefineConfig

DEFAULT_CONFIG = RefineConfig()
LARGEST_CHANGE = 0.5
"""Once settled, one frame changes the logarithm of the ratio by no more than this times the gain."""
LARGEST_LOG_RATIO = float(np.log(4.0))
"""Networks that were learned together do not differ by more: a larger ratio would be a state run away over depth that says nothing."""
SURE_LENGTH = 4.0
"""A step must be so many standard deviations long to say anything about the ratio."""
STARTING_MAX_TRANSLATION = 2.0
"""Share of the given length that may be corrected while the ratio is not known."""


class MotionRefiner:
    """Refines the steps of one drive, oldest first.

    Step lengths of the pose network are steady from frame to frame but may be off by a factor that the depth network does not share, and
    lengths by alignment follow the depth but are noisy. So the network's lengths are first multiplied by the ratio of the two, a slowly
    varying state, and only then held by the prior: lengths come out in the depth's unit, as steady as the network's.
    """

    def __init__(self, config: RefineConfig = DEFAULT_CONFIG, gain: float = 0.2, settle: int = 5) -> None:
        """gain: share of a new step in the ratio; settle: steps without a prior on the length at the start."""
        self.config, self.gain, self.settle = config, gain, settle
        self._starting = replace(
            config, prior_length=0.0, prior_direction=0.0, max_translation=max(config.max_translation, STARTING_MAX_TRANSLATION)
        )
        self.reset()

    def reset(self) -> None:
        """Forget the ratio."""
        self._log_ratio, self._steps = 0.0, 0

    @property
    def length_ratio(self) -> float:
        """Length of a step in the depth's unit over the pose network's; 1 before the first step."""
        return float(np.exp(self._log_ratio))

    def refine(
        self,
        current: Tensor,
        previous: Tensor,
        depth_current: Tensor,
        intrinsics: np.ndarray | Tensor,
        previous_from_current: np.ndarray,
        weights: Tensor | None = None,
        depth_previous: Tensor | None = None,
    ) -> Refinement:
        """As `refine_motion`; where the given motion is kept, its length is still multiplied by the ratio, so that the unit stays."""
        given = np.array(previous_from_current, dtype=np.float64)
        given[:3, 3] *= self.length_ratio
        config = self.config if self._steps >= self.settle else self._starting
        result = refine_motion(current, previous, depth_current, intrinsics, given, weights, config, depth_previous)
        if result.converged:
            self._learn(given[:3, 3], result)
        return result

    def _learn(self, given: np.ndarray, result: Refinement) -> None:
        """Follow the lengths: the mean of the first steps, then a slow filter."""
        translation = result.previous_from_current[:3, :3].T @ result.previous_from_current[:3, 3]
        length, given_length = float(np.linalg.norm(translation)), float(np.linalg.norm(given))
        sigma = float(np.sqrt(translation @ result.covariance[:3, :3] @ translation)) / max(length, 1e-12)
        if min(length, given_length) < SURE_LENGTH * sigma or given_length == 0.0:
            return
        change = float(np.log(length / given_length))
        if self._steps >= self.settle:
            change = min(max(change, -LARGEST_CHANGE), LARGEST_CHANGE)
        self._steps += 1
        ratio = self._log_ratio + max(self.gain, 1.0 / self._steps) * change
        self._log_ratio = min(max(ratio, -LARGEST_LOG_RATIO), LARGEST_LOG_RATIO)
