"""Preprocessing of camera images of any size into the networks' input, with its intrinsics.

Training data, the command line and the node all use it.
"""

from functools import cached_property

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics

RESIZE_MODES = ("crop", "stretch", "pad")
MIN_MEAN_GREY = 40.0
"""Mean grey value that darker frames are brightened to: networks trained by day underestimate the
distance and size of a darker street."""
ROUNDING_OF_MEAN = 1.0
"""Grey levels by which the mean may change, at most, when an image is reduced."""
MAX_CROPPED = {"pad": 0.5, "stretch": 0.3}
"""Share of the image above which cropping is replaced by padding, or by stretching: margins waste
more of the input than a stretch does."""
MAX_GAIN = 20.0
"""Largest brightening; more would amplify noise alone."""


def fitting_mode(camera: Intrinsics, width: int, height: int, trained: str, uncropped: str) -> str:
    """Resize mode of a camera's images for networks of `width` x `height`.

    It is the mode `trained`, but `uncropped` (pad or stretch) in place of crop where a crop would
    cut off more than MAX_CROPPED of the image: the networks should see what the camera sees.
    """
    _, _, seen_width, seen_height = _window(camera, width / height, "crop")
    cropped = 1.0 - seen_width * seen_height / (camera.width * camera.height)
    return uncropped if trained == "crop" and cropped > MAX_CROPPED[uncropped] else trained


def to_grey(image: np.ndarray) -> np.ndarray:
    """Grey image (H, W) of an RGB image (H, W, 3); grey images are returned as they are."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def apply_gain(image: np.ndarray, gain: float) -> np.ndarray:
    """Image uint8 times a gain, saturated; unchanged where the gain is 1."""
    return image if gain == 1.0 else cv2.convertScaleAbs(image, alpha=gain).reshape(image.shape)


class Preprocessor:
    """Resizes images of one camera to `width` x `height` with `channels` 1 (grey) or 3 (RGB).

    crop: the largest window of the wanted aspect, centred on the principal point as far as the
    image allows; stretch: each axis by itself; pad: the whole image with black margins.
    `intrinsics` are those of the result; `window` is the part of the image that it shows: left,
    top, width, height in pixels, beyond the image for pad.
    """

    def __init__(
        self, camera: Intrinsics, width: int, height: int, channels: int, resize_mode: str = "crop"
    ) -> None:
        if resize_mode not in RESIZE_MODES:
            raise InputError(
                f"resize_mode must be one of {', '.join(RESIZE_MODES)}, got '{resize_mode}'"
            )
        self.camera = camera
        self._seen: np.ndarray | None = None
        self.channels = channels
        self.window = _window(camera, width / height, resize_mode)
        self.intrinsics = camera.cropped(*self.window).resized(width, height)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Returns the input, uint8 (height, width, channels), of a uint8 image.

        The image is (H, W) grey or (H, W, 3) RGB. Raises ImageError for another type or size.
        """
        return self.resize(self.convert(image))

    def convert(self, image: np.ndarray) -> np.ndarray:
        """Converts a uint8 image to the networks' channels, at its own size.

        Returns (H, W) for one channel, (H, W, 3) for three. Raises ImageError for an image of
        another type or size.
        """
        self._check(image)
        grey = image.ndim == 2 or image.shape[2] == 1
        if self.channels == 1:
            return image.reshape(image.shape[:2]) if grey else to_grey(image)
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if grey else image

    def resize(self, converted: np.ndarray) -> np.ndarray:
        """Resizes a converted image to the networks' input, uint8 (height, width, channels)."""
        return self._resize(converted, cv2.INTER_AREA)

    def gain(self, frame: np.ndarray) -> float:
        """Gain, at least 1, that brings a dark input to the mean MIN_MEAN_GREY."""
        channels = cv2.mean(frame, self.valid_mask.view(np.uint8))[: self.channels]
        gain = min(MIN_MEAN_GREY / max(float(np.mean(channels)), 1.0), MAX_GAIN)
        return max(gain, 1.0)

    def is_bright(self, converted: np.ndarray) -> bool:
        """Whether the gain of a converted image is 1 for certain, without resizing it.

        A reduction by area keeps the mean but for the rounding of its pixels.
        """
        left, top, width, height = self.window
        if width < self.intrinsics.width or height < self.intrinsics.height:
            return False  # enlarged
        if not self.valid_mask.all():
            return False
        channels = cv2.mean(converted[top : top + height, left : left + width])[: self.channels]
        return float(np.mean(channels)) > MIN_MEAN_GREY + ROUNDING_OF_MEAN

    def set_seen(self, seen: np.ndarray | None) -> None:
        """Set the pixels of the image that the camera saw, bool (H, W); None: all of them.

        The others are black margins of undistortion. Raises ImageError for another size.
        """
        if seen is self._seen:
            return
        if seen is not None and seen.shape != (self.camera.height, self.camera.width):
            raise ImageError(
                f"the mask of seen pixels is {seen.shape[1]}x{seen.shape[0]}, "
                f"but the intrinsics are for {self.camera.width}x{self.camera.height}"
            )
        self._seen = seen
        self.__dict__.pop("valid_mask", None)

    @cached_property
    def valid_mask(self) -> np.ndarray:
        """Mask of the input's pixels that show the image, bool (height, width).

        All of them, except for the margins of the mode pad and those of undistortion.
        """
        everywhere = np.ones((self.camera.height, self.camera.width), np.uint8)
        valid = self.warp_nearest(everywhere).astype(bool)
        if self._seen is not None:  # a pixel is seen where all of those that it is made of are
            seen = self._resize(255 * self._seen.astype(np.uint8), cv2.INTER_AREA)[..., 0]
            valid &= seen == 255
        return valid

    def warp_nearest(self, values: np.ndarray) -> np.ndarray:
        """Resamples values (H, W) of any type to the input's geometry by nearest neighbour.

        For depth and labels, which must not be mixed.
        """
        return self._resize(values, cv2.INTER_NEAREST_EXACT)[..., 0]

    def _check(self, image: np.ndarray) -> None:
        if (
            image.dtype != np.uint8
            or image.ndim not in (2, 3)
            or (image.ndim == 3 and image.shape[2] not in (1, 3))
        ):
            raise ImageError(
                f"image must be uint8 of shape (H, W) or (H, W, 3), got {image.dtype} {image.shape}"
            )
        if image.shape[:2] != (self.camera.height, self.camera.width):
            raise ImageError(
                f"image is {image.shape[1]}x{image.shape[0]}, "
                f"but its intrinsics are for {self.camera.width}x{self.camera.height}"
            )

    def _resize(self, image: np.ndarray, interpolation: int) -> np.ndarray:
        # Pad where the window is beyond the image.
        left, top, width, height = self.window
        margins = (
            max(-top, 0),
            max(top + height - image.shape[0], 0),
            max(-left, 0),
            max(left + width - image.shape[1], 0),
        )
        if any(margins):
            image = cv2.copyMakeBorder(image, *margins, cv2.BORDER_CONSTANT)
            left = max(left, 0)
            top = max(top, 0)
        # Cut the window out and resize it.
        window = image[top : top + height, left : left + width]
        size = (self.intrinsics.width, self.intrinsics.height)
        resized = (
            window
            if window.shape[1::-1] == size
            else cv2.resize(window, size, interpolation=interpolation)
        )
        return np.ascontiguousarray(resized.reshape(size[1], size[0], -1))


def _window(camera: Intrinsics, aspect: float, resize_mode: str) -> tuple[int, int, int, int]:
    """Part of the image that becomes the input: left, top, width, height; beyond it for pad."""
    wide = camera.width / camera.height > aspect
    if resize_mode == "stretch":
        return 0, 0, camera.width, camera.height
    # The largest window of the aspect within the image (crop), or the smallest around it (pad).
    if (resize_mode == "crop") == wide:
        width = max(round(camera.height * aspect), 1)
        height = camera.height
    else:
        width = camera.width
        height = max(round(camera.width / aspect), 1)
    if resize_mode == "pad":
        return (camera.width - width) // 2, (camera.height - height) // 2, width, height
    # Centre the crop on the principal point as far as the image allows.
    left = round(camera.cx - (width - 1) / 2)
    top = round(camera.cy - (height - 1) / 2)
    return (
        min(max(left, 0), camera.width - width),
        min(max(top, 0), camera.height - height),
        width,
        height,
    )
