"""Behaviour of cv_bridge; where a ROS 2 is sourced, these tests run against the original."""

import array
from pathlib import Path

import cv2
import cv_bridge
import numpy as np
import pytest
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import Image
from std_msgs.msg import Header

DROPIN = Path(cv_bridge.__file__).resolve().parents[1].name == "ros_dropins"
SHEARED_BY_THE_ORIGINAL = pytest.mark.skipif(
    not DROPIN, reason="the real cv_bridge shears rows whose step is no whole number of pixels"
)
OLD_NUMPY = pytest.mark.skipif(
    not DROPIN and np.lib.NumpyVersion(np.__version__) >= "2.0.0",
    reason="the real cv_bridge turns bytes about with a method that NumPy 2 has not",
)
GENERATOR = np.random.default_rng(0)
COLOR = GENERATOR.integers(0, 256, (6, 8, 3), dtype=np.uint8)
TYPES = {
    "mono8": ("uint8", 1),
    "8UC1": ("uint8", 1),
    "mono16": ("uint16", 1),
    "16UC1": ("uint16", 1),
    "32FC1": ("float32", 1),
    "rgb8": ("uint8", 3),
    "bgr8": ("uint8", 3),
    "8UC3": ("uint8", 3),
    "32FC3": ("float32", 3),
    "rgba8": ("uint8", 4),
    "bgra8": ("uint8", 4),
    "yuv422": ("uint8", 2),
    "yuv422_yuy2": ("uint8", 2),
    "bayer_rggb8": ("uint8", 1),
    "rgb16": ("uint16", 3),
}
"""Element type and channels by encoding."""


def image(dtype: str, channels: int) -> np.ndarray:
    values = GENERATOR.integers(0, 250, (6, 8, channels)).astype(dtype)
    return values[:, :, 0] if channels == 1 else values


@pytest.mark.parametrize("encoding", TYPES)
def test_round_trip(encoding: str) -> None:
    pixels = image(*TYPES[encoding])
    message = CvBridge().cv2_to_imgmsg(pixels, encoding, header=Header(frame_id="camera"))
    assert (message.width, message.height, message.step) == (8, 6, pixels.strides[0])
    assert message.encoding == encoding
    assert message.header.frame_id == "camera"
    assert isinstance(message.data, array.array)
    np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(message), pixels)


def test_passthrough_names_the_type() -> None:
    assert CvBridge().cv2_to_imgmsg(COLOR).encoding == "8UC3"
    assert CvBridge().cv2_to_imgmsg(np.zeros((2, 3), np.float32)).encoding == "32FC1"


@pytest.mark.parametrize(
    "source, target, code",
    [
        ("rgb8", "bgr8", cv2.COLOR_RGB2BGR),
        ("bgr8", "mono8", cv2.COLOR_BGR2GRAY),
        ("rgb8", "mono8", cv2.COLOR_RGB2GRAY),
        ("mono8", "rgb8", cv2.COLOR_GRAY2RGB),
        ("bgra8", "rgb8", cv2.COLOR_BGRA2RGB),
        ("yuv422", "rgb8", cv2.COLOR_YUV2RGB_UYVY),
        ("yuv422_yuy2", "bgr8", cv2.COLOR_YUV2BGR_YUY2),
        ("bayer_rggb8", "bgr8", cv2.COLOR_BayerBG2BGR),
        ("bayer_gbrg8", "mono8", cv2.COLOR_BayerGR2GRAY),
    ],
)
def test_colour_conversion(source: str, target: str, code: int) -> None:
    pixels = image(*TYPES.get(source, ("uint8", 1)))
    converted = CvBridge().imgmsg_to_cv2(CvBridge().cv2_to_imgmsg(pixels, source), target)
    np.testing.assert_array_equal(converted, cv2.cvtColor(pixels, code))


def test_bayer_pattern_is_named_by_its_first_pixels() -> None:
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[::2, ::2] = 200  # red alone, at the first pixel of rggb
    red, green, blue = CvBridge().imgmsg_to_cv2(
        CvBridge().cv2_to_imgmsg(mosaic, "bayer_rggb8"), "rgb8"
    )[4, 4]
    assert (red, green, blue) == (200, 0, 0)


def test_eight_and_sixteen_bits_span_the_same_range() -> None:
    bridge = CvBridge()
    wide = bridge.imgmsg_to_cv2(
        bridge.cv2_to_imgmsg(np.array([[0, 100, 255]], np.uint8), "mono8"), "mono16"
    )
    np.testing.assert_array_equal(wide, [[0, 25700, 65535]])
    narrow = bridge.imgmsg_to_cv2(
        bridge.cv2_to_imgmsg(np.array([[0, 128, 129, 65535]], np.uint16), "mono16"), "mono8"
    )
    np.testing.assert_array_equal(narrow, [[0, 0, 1, 255]])


@OLD_NUMPY
def test_big_endian_depth_is_decoded() -> None:
    message = Image(height=1, width=2, encoding="16UC1", is_bigendian=1, step=4)
    message.data = b"\x01\x02\x00\x03"
    np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(message), [[0x0102, 3]])


@pytest.mark.parametrize("padding", [3, pytest.param(4, marks=SHEARED_BY_THE_ORIGINAL)])
def test_padding_at_the_end_of_rows_is_not_image(padding: int) -> None:
    message = CvBridge().cv2_to_imgmsg(COLOR, "rgb8")
    message.data = np.pad(COLOR.reshape(6, -1), ((0, 0), (0, padding))).tobytes()
    message.step += padding
    np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(message), COLOR)


@pytest.mark.parametrize(
    "encoding, target",
    [("32FC1", "mono8"), ("16UC1", "rgb8"), ("rgb8", "32FC1"), ("rgb8", "nonsense")],
)
def test_meaningless_conversions_are_refused(encoding: str, target: str) -> None:
    message = CvBridge().cv2_to_imgmsg(image(*TYPES[encoding]), encoding)
    with pytest.raises(CvBridgeError):
        CvBridge().imgmsg_to_cv2(message, target)


def test_invalid_input_is_refused() -> None:
    with pytest.raises(CvBridgeError):
        CvBridge().cv2_to_imgmsg(COLOR, "mono8")
    with pytest.raises(CvBridgeError):
        CvBridge().imgmsg_to_cv2(Image(height=1, width=1, encoding="nonsense", step=1, data=[0]))
    with pytest.raises(TypeError):
        CvBridge().cv2_to_imgmsg([[1, 2]])


def test_compressed_round_trip() -> None:
    bridge = CvBridge()
    message = bridge.cv2_to_compressed_imgmsg(COLOR, "png")
    assert message.format == "png"
    np.testing.assert_array_equal(bridge.compressed_imgmsg_to_cv2(message), COLOR)
    np.testing.assert_array_equal(
        bridge.compressed_imgmsg_to_cv2(message, "rgb8"), COLOR[:, :, ::-1]
    )
    lossy = bridge.compressed_imgmsg_to_cv2(
        bridge.cv2_to_compressed_imgmsg(np.full((16, 16), 90, np.uint8))
    )
    np.testing.assert_allclose(lossy, 90, atol=2)
