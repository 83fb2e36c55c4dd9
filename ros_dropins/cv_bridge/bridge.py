"""Conversion of images between OpenCV and ROS messages."""

import array
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from .encodings import DEPTH_NAMES, CvBridgeError, convert, dtype_and_channels


class CvBridge:
    """Converter in both directions; arrays are (H, W) for one channel, else (H, W, channels)."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        """Convert a message to an array, in its own encoding or the desired one.

        Raises CvBridgeError. Unlike the original, which shears such images, it reads rows whose
        `step` is no whole number of pixels.
        """
        # Check the sizes.
        name, channels = dtype_and_channels(img_msg.encoding)
        dtype = np.dtype(name).newbyteorder(">" if img_msg.is_bigendian else "<")
        row_bytes = img_msg.width * channels * dtype.itemsize
        if img_msg.step < row_bytes or len(img_msg.data) < img_msg.step * img_msg.height:
            raise CvBridgeError(
                f"Image is wrongly formed: {img_msg.width}x{img_msg.height} {img_msg.encoding} "
                f"with step {img_msg.step} and {len(img_msg.data)} bytes"
            )
        # Cut off the padding at the end of the rows.
        rows = np.frombuffer(img_msg.data, np.uint8, img_msg.step * img_msg.height).reshape(
            img_msg.height, img_msg.step
        )
        image = (
            np.ascontiguousarray(rows[:, :row_bytes])
            .view(dtype)
            .reshape(img_msg.height, img_msg.width, channels)
        )
        # Convert byte order, shape and encoding.
        image = image.astype(np.dtype(name), copy=False)
        image = image[:, :, 0] if channels == 1 else image
        return convert(image, img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: np.ndarray, encoding: str = "passthrough", header: Any = None
    ) -> Image:
        """Convert an array to a message; its type must be that of the encoding already.

        Raises CvBridgeError where it is not.
        """
        # Check the type.
        check_array(cvim)
        generic = f"{DEPTH_NAMES[cvim.dtype.name]}C{1 if cvim.ndim < 3 else cvim.shape[2]}"
        if encoding != "passthrough":
            name, channels = dtype_and_channels(encoding)
            if f"{DEPTH_NAMES[name]}C{channels}" != generic:
                raise CvBridgeError(
                    f"encoding specified as {encoding}, but image has incompatible type {generic}"
                )
        # Fill the message.
        message = Image(
            height=cvim.shape[0],
            width=cvim.shape[1],
            encoding=generic if encoding == "passthrough" else encoding,
        )
        if header is not None:
            message.header = header
        message.is_bigendian = int(cvim.dtype.byteorder == ">")
        message.data = to_byte_array(cvim)
        message.step = len(message.data) // message.height
        return message

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> np.ndarray:
        """Decode a message: as stored (colour as BGR), or in the desired encoding.

        Raises CvBridgeError.
        """
        image = cv2.imdecode(np.frombuffer(cmprs_img_msg.data, np.uint8), cv2.IMREAD_UNCHANGED)
        return convert(image, "bgr8", desired_encoding)

    def cv2_to_compressed_imgmsg(
        self, cvim: np.ndarray, dst_format: str = "jpg"
    ) -> CompressedImage:
        """Encode an array (colour as BGR) in one of OpenCV's file formats.

        Raises CvBridgeError.
        """
        check_array(cvim)
        try:
            encoded = cv2.imencode(f".{dst_format}", cvim)[1]
        except cv2.error as error:
            raise CvBridgeError(str(error)) from error
        return CompressedImage(format=dst_format, data=to_byte_array(encoded))


def check_array(image: Any) -> None:
    """Raise TypeError where the image is not an array."""
    if not isinstance(image, np.ndarray):
        raise TypeError("Your input type is not a numpy array")


def to_byte_array(image: np.ndarray) -> "array.array[int]":
    """Bytes of an array, in the only type that a message's `data` takes without a slow check.

    Of any other type, every element is checked.
    """
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(image)).cast("B"))
    return data
