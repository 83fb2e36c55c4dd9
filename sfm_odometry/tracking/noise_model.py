"""Noise model of a step: the covariance that its images do not account for.

Covariances are (6, 6), translation then rotation, in the current camera's axes. A refined motion
has the covariance of its points (:mod:`sfm_odometry.tracking.two_view_ba`,
:mod:`sfm_odometry.tracking.direct_alignment`). Added here are the errors that all points share:
calibration, rolling shutter, time stamps and the like. The networks' own motions have no other
covariance than a model by their size.

The numbers were tuned until the mean squared errors equalled the covariance on real drives that the
model of that time had not seen (KITTI 03, frames 0 to 439, and 00, frames 0 to 199, with a model
trained on rendered drives): docs/accuracy.md.
"""

import numpy as np

RELATIVE_TRANSLATION = 0.08
"""Networks' motions: standard deviation of the translation as a share of its length."""
RELATIVE_ROTATION = 0.08
"""Networks' motions: standard deviation of each angle as a share of the rotation."""
TRANSLATION_FLOOR = 0.01
"""Networks' motions: length added to the standard deviation of the translation."""
ROTATION_FLOOR_RAD = 0.002
"""Networks' motions: angle added to the standard deviation of the rotation."""

SYSTEMATIC_LENGTH = 0.02
"""Refined motions: error along the translation that all points share, as a share of its length."""
SYSTEMATIC_DIRECTION = 0.007
"""Refined motions: error across the translation that all points share, as a share of its length."""
SYSTEMATIC_ROTATION_RAD = np.radians(0.02)
"""Refined motions: error of each angle that all points share."""
SYSTEMATIC_FLOOR = 0.001
"""Refined motions: length added to the error across the translation."""

UNKNOWN_SCALE = 0.25
"""Standard deviation of a translation of unknown scale, as a share of its length."""
BRIDGE_INFLATION = 25.0
"""Factor on the covariance of a motion that was extrapolated instead of measured."""


def scale_covariance(previous_from_current: np.ndarray, relative_sigma: float) -> np.ndarray:
    """Covariance (6, 6) that an uncertain scale adds to a step (4, 4), along its translation.

    relative_sigma: standard deviation of the scale as a share of it.
    """
    translation = previous_from_current[:3, :3].T @ previous_from_current[:3, 3]
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = relative_sigma**2 * np.outer(translation, translation)
    return covariance


def motion_covariance(previous_from_current: np.ndarray) -> np.ndarray:
    """Covariance (6, 6) of a network's step (4, 4), its scale taken as known."""
    length = float(np.linalg.norm(previous_from_current[:3, 3]))
    angle_rad = float(
        np.arccos(np.clip((np.trace(previous_from_current[:3, :3]) - 1) / 2, -1.0, 1.0))
    )
    translation_sigma = TRANSLATION_FLOOR + RELATIVE_TRANSLATION * length
    rotation_sigma = ROTATION_FLOOR_RAD + RELATIVE_ROTATION * angle_rad
    return np.diag([translation_sigma**2] * 3 + [rotation_sigma**2] * 3)


def systematic_covariance(previous_from_current: np.ndarray) -> np.ndarray:
    """Covariance (6, 6) of the errors of a refined step (4, 4) that all its points share."""
    length = float(np.linalg.norm(previous_from_current[:3, 3]))
    across = (SYSTEMATIC_DIRECTION * length + SYSTEMATIC_FLOOR) ** 2
    return np.diag([across] * 3 + [SYSTEMATIC_ROTATION_RAD**2] * 3) + scale_covariance(
        previous_from_current, SYSTEMATIC_LENGTH
    )


def motion_information(
    motion: np.ndarray, length: float, direction: float, floor: float, rotation_deg: float
) -> np.ndarray:
    """Information (6, 6), in a's axes, of a motion b_from_a (4, 4) with these standard deviations.

    length, direction: along and across its translation, as shares of its length, with the length
    `floor` added; rotation_deg: of each angle. A standard deviation of 0 stands for no information.
    """
    information = np.zeros((6, 6))
    distance = float(np.linalg.norm(motion[:3, 3]))
    along = np.outer(translation_direction(motion), translation_direction(motion))
    if length > 0:
        information[:3, :3] += along / (length * distance + floor + 1e-9) ** 2
    if direction > 0:
        information[:3, :3] += (np.eye(3) - along) / (direction * distance + floor + 1e-9) ** 2
    if rotation_deg > 0:
        information[3:, 3:] = np.eye(3) / np.radians(rotation_deg) ** 2
    return information


def translation_direction(motion: np.ndarray) -> np.ndarray:
    """Direction (3,) of a motion b_from_a (4, 4) in a's axes; zero where it does not translate."""
    translation = motion[:3, :3].T @ motion[:3, 3]
    direction: np.ndarray = translation / max(float(np.linalg.norm(translation)), 1e-12)
    return direction
