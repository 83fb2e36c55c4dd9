"""Substitute for ROS 2's tf2_ros, where that cannot be installed.

It has the names that sfm_odometry and its tests use, with the same behaviour. Left out:
transforming stamped messages, the asynchronous waits, the tf2_frames service, and the client of a
remote buffer.
"""

from .buffer import Buffer
from .buffer_core import BufferCore
from .exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TimeoutException,
    TransformException,
)
from .static_transform_broadcaster import StaticTransformBroadcaster
from .transform_broadcaster import TransformBroadcaster
from .transform_listener import TransformListener

__all__ = [
    "Buffer",
    "BufferCore",
    "ConnectivityException",
    "ExtrapolationException",
    "InvalidArgumentException",
    "LookupException",
    "StaticTransformBroadcaster",
    "TimeoutException",
    "TransformBroadcaster",
    "TransformException",
    "TransformListener",
]
