"""Images of messages through cv_bridge: the same as without it, and used where it does."""

import array
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sfm_odometry.io import ros_image
from sfm_odometry.io.ros_image import ACCEPTED_ENCODINGS, RefusedImage
from sfm_odometry.nodes import image_bridge
from sfm_odometry.nodes.conversions import encode_image

BYTES = np.random.default_rng(7).integers(0, 256, 8 * 6 * 8 * 2, dtype=np.uint8)
PLANES = {"nv12": 3, "nv21": 3, "nv24": 6}
"""Rows of the data for each two of the image, of encodings in planes."""


def pixel_bytes(encoding: str) -> int:
    """Bytes of a pixel in memory; of brightness alone where colour lies in planes."""
    layout = ros_image._layout(encoding)
    return layout.channels * int(layout.dtype[1])


def image(encoding: str, padding: int = 0, big_endian: bool = False, cut: int = 0) -> Image:
    """Image of 8 x 6 random pixels; `cut` bytes are missing at the end."""
    step = 8 * pixel_bytes(encoding) + padding
    data = np.resize(BYTES, step * 6 * PLANES.get(encoding, 2) // 2)
    return Image(
        height=6,
        width=8,
        encoding=encoding,
        step=step,
        is_bigendian=int(big_endian),
        data=array.array("B", data.tobytes()[: len(data) - cut]),
    )


@pytest.fixture
def bridged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Encodings of the images that went through cv_bridge."""
    used: list[str] = []
    original = image_bridge.BRIDGE.imgmsg_to_cv2

    def count(message: Image, desired: str) -> np.ndarray:
        used.append(message.encoding)
        return original(message, desired)

    monkeypatch.setattr(image_bridge.BRIDGE, "imgmsg_to_cv2", count)
    yield used


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 12, 24])
@pytest.mark.parametrize("encoding", ACCEPTED_ENCODINGS)
def test_every_image_is_the_same_with_and_without_cv_bridge(
    bridged: list[str], encoding: str, padding: int, big_endian: bool
) -> None:
    message = image(encoding, padding, big_endian)
    decoded = image_bridge.decode_image(message)
    np.testing.assert_array_equal(decoded, ros_image.decode_image(message))
    assert decoded.dtype == np.uint8
    native = big_endian == (sys.byteorder == "big")
    own = encoding not in image_bridge.BRIDGED_ENCODINGS or not native
    assert bridged == ([] if own or padding else [encoding])


def test_cv_bridge_reads_the_ordinary_encodings() -> None:
    others = set(ACCEPTED_ENCODINGS) - image_bridge.BRIDGED_ENCODINGS
    assert others == {"uyvy", "yuyv", *PLANES}
    assert set(ACCEPTED_ENCODINGS) >= image_bridge.BRIDGED_ENCODINGS


def test_a_last_row_without_padding_is_read_without_cv_bridge(bridged: list[str]) -> None:
    message = image("rgb8", padding=4, cut=4)
    np.testing.assert_array_equal(
        image_bridge.decode_image(message), ros_image.decode_image(message)
    )
    assert not bridged


@pytest.mark.parametrize("cut", [1, 100])
def test_images_are_checked_before_cv_bridge_sees_them(bridged: list[str], cut: int) -> None:
    with pytest.raises(RefusedImage, match="data has"):
        image_bridge.decode_image(image("bgr8", cut=cut))
    assert not bridged


def test_compressed_images_are_decoded_without_cv_bridge() -> None:
    pixels = BYTES[:288].reshape(8, 12, 3)
    data = array.array("B", cv2.imencode(".png", pixels)[1].tobytes())
    decoded = image_bridge.decode_image(CompressedImage(format="png", data=data))
    np.testing.assert_array_equal(decoded, pixels[..., ::-1])


def test_pixels_share_the_memory_of_the_message() -> None:
    message = image("rgb8")
    decoded = image_bridge.decode_image(message)
    assert np.shares_memory(decoded, np.frombuffer(message.data, np.uint8))


def test_without_a_cv_bridge_that_works_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "mono8": BYTES[:48].reshape(6, 8),
        "rgb8": BYTES[:144].reshape(6, 8, 3),
        "16UC1": BYTES[:96].view(np.uint16).reshape(6, 8),
        "32FC1": BYTES[:48].reshape(6, 8).astype(np.float32),
    }
    header = Header(frame_id="camera")
    sent = [encode_image(array, encoding, header) for encoding, array in values.items()]
    monkeypatch.setattr(image_bridge, "BRIDGE", None)
    assert [encode_image(array, name, header) for name, array in values.items()] == sent
    np.testing.assert_array_equal(image_bridge.decode_image(sent[1]), values["rgb8"])


def test_a_compiled_part_that_cannot_be_imported_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unfit:
        def imgmsg_to_cv2(self, message: Image, desired: str) -> None:
            raise SystemError("initialization of cv_bridge_boost raised unreported exception")

    monkeypatch.setattr("cv_bridge.CvBridge", Unfit)
    bridge, problem = image_bridge._load_bridge()
    assert bridge is None
    assert problem == ("SystemError: initialization of cv_bridge_boost raised unreported exception")
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    assert image_bridge._load_bridge()[1].startswith("ModuleNotFoundError: ")
