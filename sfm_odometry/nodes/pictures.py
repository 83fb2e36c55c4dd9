"""Depth and masks as the values that messages hold: millimetres, grey levels, colours, points."""

import cv2
import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from sfm_odometry.camera import Intrinsics

NEAREST_SHARE = 0.025
"""Share of max_depth that is coloured as nearest: 2 m of 80 m."""


def millimetres(depth: np.ndarray) -> np.ndarray:
    """uint16 (H, W) of depth (H, W) in metres: 0 = unknown, 65535 = 65.535 m or more."""
    known = cv2.patchNaNs(depth.copy(), 0.0)
    return cv2.multiply(known, 1000.0, dtype=cv2.CV_16U)  # type: ignore[call-overload]  # it rounds and saturates


def grey_levels(mask: np.ndarray) -> np.ndarray:
    """uint8 (H, W), 0 to 255, of a mask (H, W) from 0 to 1; what is not a number is 0."""
    return np.rint(np.clip(np.nan_to_num(mask), 0.0, 1.0) * 255.0).astype(np.uint8)


def depth_colours(depth: np.ndarray, max_depth: float) -> np.ndarray:
    """uint8 BGR (H, W, 3): red is NEAREST_SHARE of `max_depth` and nearer, blue is `max_depth`, logarithmic between; unknown is black."""
    share = np.log(depth / np.float32(max_depth)) / np.float32(np.log(NEAREST_SHARE))
    levels = np.clip(np.nan_to_num(share), 0.0, 1.0) * 255.0
    colours = cv2.applyColorMap(levels.astype(np.uint8), cv2.COLORMAP_TURBO)
    colours[np.isnan(depth)] = 0
    return colours


def cloud_of(depth: np.ndarray, image: np.ndarray, intrinsics: Intrinsics, header: Header) -> PointCloud2:
    """The points of known depth (H, W) in the optical frame, with `rgb` or, of a grey image, `intensity`.

    image: uint8 (H, W) or (H, W, 3) RGB at the depth's pixels, whose intrinsics are given. X = Z (u - cx) / fx, Y = Z (v - cy) / fy.
    """
    last = "intensity" if image.ndim == 2 else "rgb"
    names = ("x", "y", "z", last)
    points = np.empty(depth.shape, [(name, np.float32) for name in names])
    points["x"] = depth * ((np.arange(depth.shape[1], dtype=np.float32) - intrinsics.cx) / intrinsics.fx)
    points["y"] = depth * ((np.arange(depth.shape[0], dtype=np.float32)[:, None] - intrinsics.cy) / intrinsics.fy)
    points["z"] = depth
    points[last] = image if image.ndim == 2 else _packed(image)
    fields = [PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1) for place, name in enumerate(names)]
    cloud = point_cloud2.create_cloud(header, fields, points[np.isfinite(depth)])
    cloud.is_dense = True
    return cloud


def _packed(image: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) as the float32 (H, W) whose bits are 0x00RRGGBB, as PCL and RViz read it."""
    red, green, blue = (image[..., channel].astype(np.uint32) for channel in range(3))
    return (red << 16 | green << 8 | blue).view(np.float32)
