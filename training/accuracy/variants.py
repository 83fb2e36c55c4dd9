"""The variants of the odometry that can be compared."""

from collections.abc import Mapping
from typing import Any

from sfm_odometry.errors import InputError
from sfm_odometry.params import OdometryParams

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "networks": {"refine": False},
    "aligned": {"fuse": False, "speed_prior": False},
    "steady": {"fuse": False},
    "fused": {},
    "metric": {"scale_mode": "camera_height", "scale_camera_height": 1.65},
}
"""Fields of OdometryParams by name; what is not named has its default.

networks: their motions alone; aligned: each refined by aligning two images; steady: with a filter
of the speed as well; fused: with tracked points over several frames, the default; metric: with the
scale from KITTI's camera height, which rendered drives share.
"""

CLASSICAL = "classical"
"""The five-point odometry of `training.classical`, which has no model, no parameters and no
covariance."""

NAMES = (*VARIANTS, CLASSICAL)


def params_of(variant: str) -> OdometryParams:
    """The parameters of a variant of the odometry; InputError for a name that is none."""
    if variant not in VARIANTS:
        raise InputError(f"variant {variant!r}, expected one of {', '.join(NAMES)}")
    return OdometryParams(**VARIANTS[variant])
