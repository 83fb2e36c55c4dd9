"""Point clouds of depth maps, in the camera's optical frame."""

import sys

import cv2
import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py.point_cloud2 import create_cloud, dtype_from_fields
from std_msgs.msg import Header

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.nodes.depth_registration import nearest_pixel_map, remap_nearest

_POINT_DTYPE = np.complex128
"""A point as one number of 16 bytes, which NumPy gathers faster than four of 4 bytes."""
_RGB_CHANNELS = [0, 2, 1, 1, 2, 0] if sys.byteorder == "little" else [0, 1, 1, 2, 2, 3]
"""Channel pairs (from, to) for cv2.mixChannels: red, green and blue into 0x00RRGGBB."""


class PointCloudBuilder:
    """Builds point clouds of one camera's depth maps.

    The rays of the pixels are computed once, and all buffers are used again for each cloud.
    """

    def __init__(self, map_intrinsics: Intrinsics, image_intrinsics: Intrinsics) -> None:
        """map_intrinsics: of the depth maps. image_intrinsics: of the camera's images."""
        self.map_intrinsics = map_intrinsics
        self.image_intrinsics = image_intrinsics

        # Rays of the map's pixels, and the image pixels that give their colours.
        columns = np.arange(map_intrinsics.width, dtype=np.float32)
        rows = np.arange(map_intrinsics.height, dtype=np.float32)[:, None]
        self._ray_x = (columns - map_intrinsics.cx) / map_intrinsics.fx
        self._ray_y = (rows - map_intrinsics.cy) / map_intrinsics.fy
        self._pixel_map = nearest_pixel_map(image_intrinsics, map_intrinsics)

        # Buffers.
        shape = map_intrinsics.height, map_intrinsics.width
        self._x = np.empty(shape, np.float32)
        self._y = np.empty(shape, np.float32)
        self._rgb = np.zeros((*shape, 4), np.uint8)
        self._points = np.empty((*shape, 4), np.float32)
        self._known_points = np.empty(shape[0] * shape[1], _POINT_DTYPE)

    def build(self, depth: np.ndarray, image: np.ndarray, header: Header) -> PointCloud2:
        """Returns the points of the known depth (h, w): X = Z (u - cx) / fx, Y = Z (v - cy) / fy.

        image: the camera's, uint8 (H, W) or (H, W, 3) RGB. The fourth field of a point is `rgb`, or
        `intensity` for a grey image.
        """
        # Back-project every pixel.
        np.multiply(depth, self._ray_x, out=self._x)
        np.multiply(depth, self._ray_y, out=self._y)
        cv2.merge([self._x, self._y, depth, self._colour_field(image)], dst=self._points)

        # Gather the points of known depth; "clip" lets take write into `out` without a copy.
        known = np.flatnonzero(np.isfinite(depth))
        points = self._known_points[: len(known)]
        self._points.view(_POINT_DTYPE).ravel().take(known, out=points, mode="clip")

        # Make the message, which has points of known depth alone.
        fields = _GREY_FIELDS if image.ndim == 2 else _COLOUR_FIELDS
        message = create_cloud(header, fields, points.view(dtype_from_fields(fields)))
        message.is_dense = True
        return message

    def _colour_field(self, image: np.ndarray) -> np.ndarray:
        """Returns the fourth field of the points, float32 (h, w).

        Grey values, or numbers whose bits are 0x00RRGGBB, as PCL and RViz read them.
        """
        pixels = remap_nearest(image, self._pixel_map)
        if pixels.ndim == 2:
            return pixels.astype(np.float32)
        cv2.mixChannels([pixels], [self._rgb], _RGB_CHANNELS)
        rgb: np.ndarray = self._rgb.view(np.float32)[..., 0]
        return rgb


def _point_fields(colour_name: str) -> list[PointField]:
    """Returns the descriptions of four float32 fields: x, y, z and `colour_name`."""
    return [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(("x", "y", "z", colour_name))
    ]


_COLOUR_FIELDS = _point_fields("rgb")
_GREY_FIELDS = _point_fields("intensity")
