"""How sure a step is beyond what the images of that step say.

Covariances are (6, 6), translation then rotation, in the current camera's axes. A refined motion
brings the covariance of its points (:mod:`sfm_odometry.tracking.two_view_ba`,
:mod:`sfm_odometry.tracking.direct_alignment`). What those do not know of is added here:
calibration, rolling shutter, time stamps, and whatever is wrong for all points alike. The networks'
own motions have nothing but a model from their size.

The numbers were set on real drives that the model then used had not seen (KITTI 03, frames 0 to
439, and 00, frames 0 to 199, with a model trained on rendered drives), so that squared errors are
as large as the covariance says: docs/accuracy.md.
"""

import numpy as np

RELATIVE_TRANSLATION = 0.08
"""Of the networks' motions: standard deviation of a step's translation as a share of its length."""
RELATIVE_ROTATION = 0.08
TRANSLATION_FLOOR = 0.01
ROTATION_FLOOR_RAD = 0.002

SYSTEMATIC_LENGTH = 0.02
SYSTEMATIC_DIRECTION = 0.007
"""Of refined motions: what all points err by together, along and across the translation, as
shares of its length."""
SYSTEMATIC_ROTATION_RAD = np.radians(0.02)
SYSTEMATIC_FLOOR = 0.001

UNKNOWN_SCALE = 0.25
"""Share of a translation that may be wrong while its scale is not known."""
BRIDGE_INFLATION = 25.0
"""Factor on the covariance of a motion that was extrapolated instead of seen."""


def scale_covariance(previous_from_current: np.ndarray, relative_sigma: float) -> np.ndarray:
    """What a scale of this standard deviation, as a share, adds to the covariance of a step (4,
    4): along its direction."""
    along = previous_from_current[:3, :3].T @ previous_from_current[:3, 3]
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = relative_sigma**2 * np.outer(along, along)
    return covariance


def motion_covariance(previous_from_current: np.ndarray) -> np.ndarray:
    """Covariance of a step (4, 4) of known scale, as the networks give it."""
    length = float(np.linalg.norm(previous_from_current[:3, 3]))
    angle_rad = float(
        np.arccos(np.clip((np.trace(previous_from_current[:3, :3]) - 1) / 2, -1.0, 1.0))
    )
    translation_sigma = TRANSLATION_FLOOR + RELATIVE_TRANSLATION * length
    rotation_sigma = ROTATION_FLOOR_RAD + RELATIVE_ROTATION * angle_rad
    return np.diag([translation_sigma**2] * 3 + [rotation_sigma**2] * 3)


def systematic_covariance(previous_from_current: np.ndarray) -> np.ndarray:
    """What a refined step (4, 4) may be wrong by although all its points agree."""
    length = float(np.linalg.norm(previous_from_current[:3, 3]))
    across = (SYSTEMATIC_DIRECTION * length + SYSTEMATIC_FLOOR) ** 2
    return np.diag([across] * 3 + [SYSTEMATIC_ROTATION_RAD**2] * 3) + scale_covariance(
        previous_from_current, SYSTEMATIC_LENGTH
    )
