"""The refinement over a stream of frames: it knows how fast the camera was, and how the networks' units of length differ."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sfm_odometry.pyramid import Pyramid
from sfm_odometry.refine import EarlierFrame, Refinement, align_frames
from sfm_odometry.refine_config import RefineConfig
from sfm_odometry.speed_filter import SpeedFilter

DEFAULT_CONFIG = RefineConfig()
LARGEST_CHANGE = 0.5
"""Once settled, one frame changes the logarithm of the ratio by no more than this times the gain."""
LARGEST_LOG_RATIO = float(np.log(4.0))
"""Networks that were learned together do not differ by more: a larger ratio would be a state run away over depth that says nothing."""
SURE_LENGTH = 4.0
"""A step must be so many standard deviations long to say anything about the ratio."""
STARTING_MAX_TRANSLATION = 2.0
"""Share of the given length that may be corrected while the ratio is not known."""
NETWORK_LENGTH_SIGMA = 0.2
"""Standard deviation of the pose network's lengths, as a share: what is left to go by where the images do not align."""


class MotionRefiner:
    """Refines the steps of one drive, oldest first; all lengths come out in the depth network's unit.

    The pose network's lengths may be off by a factor that the depth network does not share: the ratio of the two is a slowly varying
    state. Lengths by alignment follow the depth map of one frame, which is a little too large in one and too small in the next: a filter of
    the speed makes them steady, and says what to expect of the next step.
    """

    def __init__(
        self, config: RefineConfig = DEFAULT_CONFIG, speed: SpeedFilter | None = None, gain: float = 0.2, settle: int = 3
    ) -> None:
        """speed: None leaves lengths as each alignment finds them; gain: share of a new step in the ratio; settle: steps without a prior
        on the length at the start."""
        self.config, self.speed, self.gain, self.settle = config, speed, gain, settle
        self._starting = replace(
            config, prior_length=0.0, prior_direction=0.0, max_translation=max(config.max_translation, STARTING_MAX_TRANSLATION)
        )
        self.reset()

    def reset(self) -> None:
        """Forget the ratio and the speed."""
        self._log_ratio, self._steps = 0.0, 0
        if self.speed is not None:
            self.speed.reset()

    def skip(self, dt_s: float) -> None:
        """Time went by without frames."""
        if self.speed is not None and self.speed.knows:
            self.speed.predict(dt_s)

    @property
    def length_ratio(self) -> float:
        """Length of a step in the depth's unit over the pose network's; 1 before the first step."""
        return float(np.exp(self._log_ratio))

    def refine(self, current: Pyramid, earlier: Sequence[EarlierFrame], previous_from_current: np.ndarray, dt_s: float) -> Refinement:
        """As `align_frames`; where the given motion is kept, its length is still brought to the depth's unit.

        previous_from_current: the pose network's motion over the step, which took dt_s.
        """
        network_length = float(np.linalg.norm(previous_from_current[:3, 3]))
        length = network_length * self.length_ratio
        if self.speed is not None and self.speed.knows:
            length, _ = self.speed.predict(dt_s)
        given = _of_length(previous_from_current, length)
        result = align_frames(current, earlier, given, self.config if self._steps >= self.settle else self._starting)
        if result.converged:
            self._learn(network_length, result)
        return self._steady(result, network_length * self.length_ratio, dt_s)

    def _learn(self, network_length: float, result: Refinement) -> None:
        """Follow the ratio of lengths: the mean of the first steps, then a slow filter."""
        if network_length == 0.0 or result.length < SURE_LENGTH * result.length_sigma:
            return
        change = float(np.log(result.length / network_length)) - self._log_ratio
        if self._steps >= self.settle:
            change = min(max(change, -LARGEST_CHANGE), LARGEST_CHANGE)
        self._steps += 1
        ratio = self._log_ratio + max(self.gain, 1.0 / self._steps) * change
        self._log_ratio = min(max(ratio, -LARGEST_LOG_RATIO), LARGEST_LOG_RATIO)

    def _steady(self, result: Refinement, network_length: float, dt_s: float) -> Refinement:
        """The result with its length as the filter of the speed has it, and the filter after it."""
        if self.speed is None or self._steps < self.settle:
            return result
        seen = (result.length, result.length_sigma) if result.converged else (network_length, NETWORK_LENGTH_SIGMA * network_length)
        length, _ = self.speed.update(*seen, dt_s)
        return replace(result, previous_from_current=_of_length(result.previous_from_current, length))


def _of_length(motion: np.ndarray, length: float) -> np.ndarray:
    """The motion (4, 4) with a translation of that length; unchanged where it has none."""
    result = np.array(motion, dtype=np.float64)
    own = float(np.linalg.norm(result[:3, 3]))
    if own > 0.0:
        result[:3, 3] *= length / own
    return result
