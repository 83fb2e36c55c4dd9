"""Small changes of one camera's intrinsics, as autofocus and zoom make them."""

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics


def intrinsics_change(before: Intrinsics, after: Intrinsics) -> float:
    """Largest change of focal length or principal point, as a share of the image width.

    Infinite where the image size differs.
    """
    if (before.width, before.height) != (after.width, after.height):
        return float("inf")
    names = ("fx", "fy", "cx", "cy")
    return max(abs(getattr(after, name) - getattr(before, name)) for name in names) / after.width


def describe_change(before: Intrinsics, after: Intrinsics) -> str:
    """Description of a change of intrinsics by the first number that shows it."""
    if (before.width, before.height) != (after.width, after.height):
        return f"size {before.width}x{before.height} to {after.width}x{after.height}"
    names = ("fx", "fy", "cx", "cy")
    name = max(names, key=lambda item: abs(getattr(after, item) - getattr(before, item)))
    return f"{name} {getattr(before, name):g} to {getattr(after, name):g}"


def warp_to_intrinsics(image: np.ndarray, own: Intrinsics, wanted: Intrinsics) -> np.ndarray:
    """Resamples an image of the intrinsics `own` as one of the intrinsics `wanted`.

    The image is (H, W) or (H, W, C). The camera's centre and axes are the same, so each ray keeps
    its value. Beyond the image its edge is repeated.
    """
    x_scale = own.fx / wanted.fx
    y_scale = own.fy / wanted.fy
    own_from_wanted = np.array(
        [
            [x_scale, 0.0, own.cx - x_scale * wanted.cx],
            [0.0, y_scale, own.cy - y_scale * wanted.cy],
        ]
    )
    warped = cv2.warpAffine(
        image,
        own_from_wanted,
        (wanted.width, wanted.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return warped.reshape(wanted.height, wanted.width, *image.shape[2:])
