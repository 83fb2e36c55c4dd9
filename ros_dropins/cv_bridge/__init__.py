"""Substitute for ROS 2's cv_bridge, where that cannot be installed or does not work.

The compiled part of the original is tied to one version of NumPy.
"""

from .bridge import CvBridge
from .encodings import CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
