"""Depth as points in the camera's frame."""

import array
import sys

import cv2
import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.nodes.depth_registration import sampled, sampling_map

POINT_BYTES = 16
_ONE_POINT = np.complex128
_CHANNELS_OF_RGB = [0, 2, 1, 1, 2, 0] if sys.byteorder == "little" else [0, 1, 1, 2, 2, 3]
"""Where red, green and blue go in the four bytes of 0x00RRGGBB."""


class CloudMaker:
    """Clouds of one camera's depth. What only the intrinsics decide is computed once, and the
    rest in memory that is used again."""

    def __init__(self, panel: Intrinsics, camera: Intrinsics) -> None:
        self.panel, self.camera = panel, camera
        shape = panel.height, panel.width
        columns = (np.arange(panel.width, dtype=np.float32) - panel.cx) / panel.fx
        rows = (np.arange(panel.height, dtype=np.float32)[:, None] - panel.cy) / panel.fy
        self._rays = columns, rows
        self._places = sampling_map(camera, panel)
        self._x, self._y = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self._rgb = np.zeros((*shape, 4), np.uint8)
        self._points = np.empty((*shape, 4), np.float32)
        self._data = array.array("B", bytes(self._points.nbytes))
        self._message = PointCloud2(
            height=1, is_bigendian=sys.byteorder == "big", point_step=POINT_BYTES, is_dense=True
        )

    def cloud_of(self, depth: np.ndarray, image: np.ndarray, header: Header) -> PointCloud2:
        """The points of known depth (h, w), a panel's, in the optical frame, with `rgb` or, of a
        grey image, `intensity`.

        The cloud is good until the next call. image: the camera's, uint8 (H, W) or (H, W, 3) RGB. X
        = Z (u - cx) / fx, Y = Z (v - cy) / fy.
        """
        np.multiply(depth, self._rays[0], out=self._x)
        np.multiply(depth, self._rays[1], out=self._y)
        cv2.merge([self._x, self._y, depth, self._last(image)], dst=self._points)
        known = np.flatnonzero(np.isfinite(depth))
        self._resize(POINT_BYTES * len(known))
        # One point is one number of 16 bytes here, which NumPy picks faster than four; "clip" lets
        # it write into `out` at once.
        points = np.frombuffer(self._data, _ONE_POINT)
        self._points.view(_ONE_POINT).ravel().take(known, out=points, mode="clip")
        message = self._message
        message.header, message.width, message.row_step, message.data = (
            header,
            len(known),
            len(self._data),
            self._data,
        )
        last = "intensity" if image.ndim == 2 else "rgb"
        if not message.fields or message.fields[-1].name != last:
            message.fields = _fields(last)
        return message

    def _resize(self, size: int) -> None:
        """Give the message's bytes another length; the memory stays where it is, as long as that
        was larger before."""
        del self._data[size:]
        self._data.frombytes(bytes(size - len(self._data)))

    def _last(self, image: np.ndarray) -> np.ndarray:
        """float32 (h, w): the grey values, or those whose bits are 0x00RRGGBB, as PCL and RViz
        read them."""
        pixels = sampled(image, self._places)
        if pixels.ndim == 2:
            return pixels.astype(np.float32)
        cv2.mixChannels([pixels], [self._rgb], _CHANNELS_OF_RGB)
        rgb: np.ndarray = self._rgb.view(np.float32)[..., 0]
        return rgb


def _fields(last: str) -> list[PointField]:
    names = ("x", "y", "z", last)
    return [
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate(names)
    ]
