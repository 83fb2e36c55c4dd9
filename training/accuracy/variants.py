"""The variants of the odometry that can be compared."""

from collections.abc import Mapping
from typing import Any

from sfm_odometry.errors import InputError
from sfm_odometry.params import OdometryParams

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "networks": {"refine": False},
    "refined": {"refine": True},
}
"""Fields of OdometryParams by name; what is not named has its default."""

CLASSICAL = "classical"
"""The five-point odometry of `training.classical`, which has no model, no parameters and no covariance."""

NAMES = (*VARIANTS, CLASSICAL)


def params_of(variant: str) -> OdometryParams:
    """The parameters of a variant of the odometry; InputError for a name that is none."""
    if variant not in VARIANTS:
        raise InputError(f"variant {variant!r}, expected one of {', '.join(NAMES)}")
    return OdometryParams(**VARIANTS[variant])
