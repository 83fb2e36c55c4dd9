"""Variants of the odometry that are compared with each other."""

from collections.abc import Mapping
from typing import Any

from sfm_odometry.errors import InputError
from sfm_odometry.params import OdometryParams

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "networks": {"refine": False, "scale_hold": "off"},
    "aligned": {"fuse": False, "speed_prior": False, "scale_hold": "off"},
    "steady": {"fuse": False, "scale_hold": "off"},
    "fused": {"scale_hold": "off"},
    "held": {},
    "metric": {"scale_mode": "camera_height", "scale_camera_height": 1.65},
}
"""Overrides of the fields of OdometryParams by variant; all other fields have their defaults.

networks: the networks' motions alone. aligned: each motion refined by aligning two images.
steady: aligned, with a filter of the speed. fused: steady, with points tracked over several
frames. held: fused, with the scale held by the height over the ground; the default. metric: fused,
with the scale from KITTI's camera height, which rendered drives share.
"""

CLASSICAL = "classical"
"""Five-point odometry of `training.classical`: no model, no parameters and no covariance."""

NAMES = (*VARIANTS, CLASSICAL)


def variant_params(variant: str) -> OdometryParams:
    """Parameters of a variant of the odometry; InputError for an unknown name."""
    if variant not in VARIANTS:
        raise InputError(f"variant {variant!r}, expected one of {', '.join(NAMES)}")
    return OdometryParams(**VARIANTS[variant])
