"""Monocular depth, ego-motion and visual odometry, learned from plain video.

The names below are imported when they are first used: torch takes seconds to load.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfm_odometry.geometry.camera import Intrinsics
    from sfm_odometry.inference.estimator import Estimator
    from sfm_odometry.odometry import MonocularOdometry
    from sfm_odometry.params import OdometryParams

__version__ = "0.1.0"
__all__ = ["Estimator", "Intrinsics", "MonocularOdometry", "OdometryParams", "__version__"]

_MODULES = {
    "Estimator": "sfm_odometry.inference.estimator",
    "Intrinsics": "sfm_odometry.geometry.camera",
    "MonocularOdometry": "sfm_odometry.odometry",
    "OdometryParams": "sfm_odometry.params",
}


def __getattr__(name: str) -> Any:
    """Import a public class when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)
