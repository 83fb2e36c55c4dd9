"""How sure the networks' own motions are: a first model, from the motion's size.

The networks give no spread of their own, so the standard deviations grow with the motion and have a floor; they are never zero. A refined
motion brings its own covariance (:mod:`sfm_odometry.refine`).
"""

import numpy as np

RELATIVE_TRANSLATION = 0.08
"""Standard deviation of a step's translation as a share of its length."""
RELATIVE_ROTATION = 0.08
TRANSLATION_FLOOR = 0.01
ROTATION_FLOOR_RAD = 0.001
UNKNOWN_SCALE = 0.25
"""Share of a translation that may be wrong while its scale is not known."""
BRIDGE_INFLATION = 25.0
"""Factor on the covariance of a motion that was extrapolated instead of seen."""


def scale_covariance(previous_from_current: np.ndarray, relative_sigma: float) -> np.ndarray:
    """What a scale of this standard deviation, as a share, adds to the covariance (6, 6) of a step (4, 4): along its direction."""
    along = previous_from_current[:3, :3].T @ previous_from_current[:3, 3]
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = relative_sigma**2 * np.outer(along, along)
    return covariance


def motion_covariance(previous_from_current: np.ndarray) -> np.ndarray:
    """Covariance (6, 6) of a step (4, 4) of known scale, translation then rotation in the current camera's axes."""
    length = float(np.linalg.norm(previous_from_current[:3, 3]))
    angle_rad = float(np.arccos(np.clip((np.trace(previous_from_current[:3, :3]) - 1) / 2, -1.0, 1.0)))
    translation_sigma = TRANSLATION_FLOOR + RELATIVE_TRANSLATION * length
    rotation_sigma = ROTATION_FLOOR_RAD + RELATIVE_ROTATION * angle_rad
    return np.diag([translation_sigma**2] * 3 + [rotation_sigma**2] * 3)
