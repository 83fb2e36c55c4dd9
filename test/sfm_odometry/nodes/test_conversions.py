"""Conversions to messages: images, camera_info, stamps."""

import numpy as np
import pytest
from cv_bridge import CvBridge
from std_msgs.msg import Header

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.io.ros_image import decode_image
from sfm_odometry.nodes.conversions import (
    ImageBuffer,
    encode_image,
    make_camera_info,
    make_header,
    ns_to_stamp,
    stamp_to_ns,
)

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (6, 10, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (6, 10), dtype=np.uint8)


@pytest.mark.parametrize(("values", "encoding"), [
    (GREY, "mono8"), (RGB, "rgb8"), (RGB, "bgr8"), (GREY.astype(np.uint16) * 200, "16UC1"),
    (np.where(GREY > 100, np.float32(np.nan), GREY.astype(np.float32)), "32FC1"),
])  # fmt: skip
def test_cv_bridge_reads_encoded_images(values: np.ndarray, encoding: str) -> None:
    header = make_header(5, "camera")
    sent = encode_image(values, encoding, header)
    assert (sent.header, sent.width, sent.height, sent.step) == (header, 10, 6, values[0].nbytes)
    np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(sent, "passthrough"), values)


@pytest.mark.parametrize(
    ("values", "encoding"), [(GREY, "mono8"), (RGB, "bgr8"), (GREY.astype(np.float32), "32FC1")]
)
def test_the_message_of_a_buffer_has_the_pixels_written_to_it(
    values: np.ndarray, encoding: str
) -> None:
    buffer = ImageBuffer(values.shape, encoding)
    for sent in (values, values[::-1]):
        buffer.pixels[:] = sent
        assert buffer.message == encode_image(sent, encoding, Header())
    assert buffer.fits(values.shape, encoding)
    assert not buffer.fits(values[1:].shape, encoding) and not buffer.fits(values.shape, "rgb8")


def test_views_of_larger_arrays_are_sent_whole() -> None:
    np.testing.assert_array_equal(
        decode_image(encode_image(RGB[::2, 1:7], "rgb8", Header())), RGB[::2, 1:7]
    )


@pytest.mark.parametrize("rectified", [True, False])
def test_camera_info_round_trips(rectified: bool) -> None:
    intrinsics = Intrinsics(123.0, 124.0, 50.5, 30.25, 104, 32)
    message = make_camera_info(intrinsics, Header(frame_id="camera"))
    assert message.header.frame_id == "camera"
    assert Rectifier(Calibration.from_message(message), 104, 32, rectified).intrinsics == intrinsics


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 1_000_000_000, 1_800_000_000_123_456_789])
def test_stamps_round_trip(stamp_ns: int) -> None:
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns
