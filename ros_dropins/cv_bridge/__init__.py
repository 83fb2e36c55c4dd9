"""Stands in for ROS 2's cv_bridge where that cannot be installed or does not work (its compiled
part is tied to one NumPy)."""

from .bridge import CvBridge
from .encodings import CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
